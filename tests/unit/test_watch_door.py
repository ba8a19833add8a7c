"""What ``minibert watch`` prints and answers, of runs that stand still."""

import io
import json
import math
import re
import sqlite3
from contextlib import closing

import pytest
from rich.console import Console

from minibert.command_line.arguments import StoreWords
from minibert.loopback import open_server
from minibert.running.watch_view import ending, sparkline, summary, view
from minibert.tracking import open_sweep
from minibert.tracking.live import LiveRecord, open_to_read
from minibert.tracking.processes import PROCESS, STARTED
from minibert.watch import main
from minibert.watching.page.render import render
from minibert.watching.server import create_app
from minibert.watching.state import as_json, look
from tests.support.live_runs import add_points, add_progress, training
from tests.support.reports import copied_store
from tests.support.served import opened_and_ended

MARKUP = "[bold]</script><img src=x onerror=alert(1)>[/x]"


@pytest.fixture
def store(empty_database, tmp_path):
    return copied_store(empty_database, tmp_path)


def opened(store, run):
    return LiveRecord(open_to_read(StoreWords(str(store.folder), None, None)), run.id)


def whole_run(store, name="a run", **options):
    """A run with all that the view shows."""
    with training(store, name, steps=1000, **options) as run:
        add_progress(run, 30)
        add_points(run, "eval/loss", [5.0, 4.5, math.inf], every=100)
        add_points(run, "eval/masked_accuracy", [0.1, 0.2, 0.3], every=100)
        add_points(run, "baseline/unigram_entropy", [6.0], first=0)
        add_points(run, "baseline/bigram_cross_entropy", [5.2], first=0)
        for part, ratio in (("global", 1e-3), ("layer_0", 5e-4), ("embeddings", 2e-3)):
            add_points(run, f"update_ratio/{part}", [ratio / 10, ratio, 0.0], every=100)
    return run


def printed(shown, width=100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(shown)
    return console.file.getvalue()


def test_the_view_shows_step_speed_time_left_losses_updates_and_findings(store):
    shown = " ".join(printed(view(look(opened(store, whole_run(store))))).split())
    for text in (
        "training", "step 300 of 1,000", "1,000 tokens/s", "about 0:01:10 to the last step", "held out", "30.0%",
        "unigram entropy 6.000", "bigram model 5.200", "whole network", "layer 0",
        "problem: eval/loss is inf at step 300",
    ):  # fmt: skip
        assert text in shown, text
    assert "█" in shown


def test_a_name_with_markup_stays_text_in_the_view_and_the_page(store):
    run = whole_run(store, MARKUP)
    state = look(opened(store, run))
    assert MARKUP in printed(view(state), 200)
    page = render(as_json(state, 10) | {"pause": 2.0})
    assert "<img" not in page and page.count("</script>") == 2


def test_a_run_without_a_point_is_shown_too(store):
    with training(store, "begins") as run:
        state = look(opened(store, run))
    assert "preparing" in printed(view(state)) and summary(state).startswith("step 0/100")
    assert json.loads(json.dumps(as_json(state, 10), allow_nan=False))["left"] is None


def test_a_sparkline_goes_from_the_least_to_the_largest_and_shows_gaps():
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"
    assert sparkline([1.0, math.nan, 2.0, math.inf]) == "▁·█·"
    assert sparkline([2.0, 2.0]) == "▁▁" and sparkline([]) == ""
    assert len(sparkline(range(1000), 50)) == 50


def test_a_finished_run_is_told_with_its_end_and_a_broken_one_with_its_reason(store, door):
    run = whole_run(store)
    words = (f"tracking.folder={store.folder}",)
    found = door("run=last", "--once", *words, module="minibert.watch")
    assert found.returncode == 0
    assert "step 300/1,000, loss 3.100, held out inf (unigram 6.000, bigram 5.200), 1,000 tokens/s" in found.stdout
    assert "problem: eval/loss is inf" in found.stdout and "\x1b" not in found.stdout
    for status, reason, code in (("FINISHED", None, 0), ("KILLED", "SIGTERM", 1), ("FAILED", "no memory", 1)):
        run.finish(status, reason)
        found = door(f"run={run.id}", *words, module="minibert.watch")
        assert found.returncode == code
        line = found.stdout.splitlines()[-1]
        assert line.startswith(f"run {run.id[:8]} {status.lower()} at step 300 of 1,000")
        assert line.endswith(f"({reason})" if reason else "bigram 5.200)")


def test_a_run_whose_process_is_gone_is_told_as_abandoned(store, door):
    run = whole_run(store, gone=True)
    found = door("run=last", f"tracking.folder={store.folder}", module="minibert.watch")
    assert found.returncode == 1
    assert re.search(rf"run {run.id[:8]} abandoned at step 300 .*process \d+ on \S+ is gone", found.stdout)
    assert ending(look(opened(store, run))) in found.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing: what is to be watched? Give one of run=RUN_ID, sweep=ID"),
        (["run=last", "sweep=last"], "what is to be watched"),
        (["run=last"], "It holds no run yet"),
        (["run=next", "--once"], "no run has begun yet"),
        (["sweep=last"], "It holds no sweep yet"),
        (["run=last", "every=0"], "every=0: not a time between looks. Allowed: 0.1 to 3600 s"),
        (["run=last", "every=often"], "not a time between looks"),
        (["run=last", "page=true", "--once"], "do not go together"),
        (
            ["sweep=last", "page=true"],
            "a page shows one run. Allowed: page=true with run=RUN_ID, or sweep=last alone",
        ),
        (["run=last", "page=yes"], "not a truth value"),
        (["run=last", "port=99999", "page=true"], "not a port"),
        (["run=last", "port=12"], "port=12: has no effect without a page. Allowed: with page=true"),
        (["sweep=last", "browser=false"], "browser=false: has no effect"),
        (["run=next", "port=0", "page=false"], "port=0: has no effect"),
        (["rnu=last"], "did you mean 'run'"),
        (["run=last", "tracking.experiment=other"], "tracking.experiment: unknown name 'other'"),
    ],
)
def test_words_that_watch_nothing_are_one_message(store, capsys, words, said):
    assert main([*words, f"tracking.folder={store.folder}"]) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


@pytest.mark.parametrize("start", ["abc", "nan", ""])
def test_a_damaged_time_of_a_process_is_no_traceback(store, door, start):
    run = whole_run(store)
    run.set_tags({"minibert.process_started": start})
    assert door("run=last", "--once", f"tracking.folder={store.folder}", module="minibert.watch").stderr == ""


@pytest.mark.parametrize("status", [None, "", "LOST"])
def test_a_damaged_status_is_told_as_unknown(store, door, status):
    sweep = planted_sweep(store)
    with closing(sqlite3.connect(store.database)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE runs SET status = ? WHERE name = 'one'", (status,))
    words = ("--once", f"tracking.folder={store.folder}")
    found = door("run=one", *words, module="minibert.watch")
    assert (found.returncode, found.stderr) == (1, "") and "unknown at step" in found.stdout
    assert "unknown" in door(f"sweep={sweep.id}", *words, module="minibert.watch").stdout


@pytest.mark.parametrize("planned", ["x", "-3", "1.5", ""])
def test_a_damaged_number_of_planned_runs_is_no_traceback(store, door, planned):
    sweep = planted_sweep(store)
    sweep.set_tags({"minibert.planned": planned})
    words = (f"tracking.folder={store.folder}",)
    assert "1 of ? runs done" in door("sweep=last", "--once", *words, module="minibert.watch").stdout
    assert "1 of 3" in door("list", *words, module="minibert.sweeps").stdout


@pytest.mark.parametrize("sequence", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r"])
def test_a_recorded_text_gives_the_terminal_no_command(store, door, sequence):
    run = whole_run(store)
    run.finish("FAILED", f"no {sequence}memory")
    shown = door("run=last", f"tracking.folder={store.folder}", module="minibert.watch").stdout
    assert "memory" in shown and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def planted_sweep(store):
    sweep = open_sweep(store, "masking", "5" * 64, {"a": "one", "b": "two", "c": "three"}, {}, {})
    member = {f"minibert.sweep.{'5' * 12}": None}
    for name, gone in (("one", False), ("two", True), ("three", False)):
        run = whole_run(store, name, gone=gone)
        run.set_tags({key: name for key in member})
        if name == "three":
            run.finish("FINISHED")
    return sweep


def test_a_sweep_is_a_table_of_its_runs(store, door):
    sweep = planted_sweep(store)
    words = ("--once", f"tracking.folder={store.folder}")
    found = door("sweep=last", *words, module="minibert.watch")
    assert found.returncode == 0, found.stderr
    cut = [line.strip("│ ") for line in found.stdout.splitlines()]
    rows = {line.split()[0]: line for line in cut if line}
    assert "running" in rows["one"] and "300/1000" in rows["one"] and "3.100" in rows["one"]
    assert "abandoned" in rows["two"] and "finished" in rows["three"]
    assert "1 of 3 runs done" in found.stdout
    for word, said in ((f"run={sweep.id}", f"is a sweep. Watch it by sweep={sweep.id}"),):
        wrong = door(word, *words, module="minibert.watch")
        assert wrong.returncode == 2 and said in wrong.stderr
    run = LiveRecord(open_to_read(StoreWords(str(store.folder), None, None)), sweep.children()[0].id)
    wrong = door(f"sweep={run.id}", *words, module="minibert.watch")
    assert wrong.returncode == 2 and f"is a run: watch it by run={run.id}" in wrong.stderr
    for word, said in (
        (f"sweep={run.id[:8]}", f"is a run: watch it by run={run.id}"),
        ("sweep=two", "is a run: watch it by run="),
        (f"run={sweep.id[:8]}", f"is a sweep. Watch it by sweep={sweep.id}"),
        ("run=masking", f"is a sweep. Watch it by sweep={sweep.id}"),
        ("run=0000000f", "no such run"),
    ):
        wrong = door(word, *words, module="minibert.watch")
        assert wrong.returncode == 2 and said in wrong.stderr
    sweep.finish("FAILED", "a run failed")
    assert door("sweep=masking", *words, module="minibert.watch").returncode == 1


@pytest.mark.parametrize("living", [True, False])
def test_watch_and_sweeps_agree_on_a_sweep_whose_process_is_gone(store, door, living):
    sweep = planted_sweep(store)
    gone = sweep.children()
    tags = next(run.tags for run in gone if run.name == "two")
    dead = {key: tags[key] for key in (PROCESS, STARTED)}
    sweep.set_tags(dead)
    if not living:
        for run in gone:
            for key, value in dead.items():
                store.client.set_tag(run.id, key, value)
    words = (f"tracking.folder={store.folder}",)
    state = "running" if living else "abandoned"
    for door_words, module in (
        (["sweep=last", "--once"], "watch"), (["show", "last"], "sweeps"), (["list"], "sweeps")
    ):  # fmt: skip
        shown = door(*door_words, *words, module=f"minibert.{module}").stdout
        assert re.search(rf"{sweep.id[:8]}\W+{state}", shown), shown
        assert module == "watch" or "list" in door_words or re.search(r"two .* abandoned", shown)


def test_the_page_and_its_numbers_are_of_this_machine_alone(store):
    record = opened(store, whole_run(store))
    client = create_app(record, 0.1).test_client()
    page = client.get("/")
    assert page.status_code == 200 and "default-src 'none'" in page.headers["Content-Security-Policy"]
    state = json.loads(client.get("/state").get_data(), parse_constant=pytest.fail)
    assert state["step"] == 300 and state["held_out"]["values"] == [5.0, 4.5, None] and state["pause"] >= 0.1
    for address in ("/", "/state"):
        refused = client.get(address, headers={"Host": "evil.example"})
        assert refused.status_code == 400 and "is not trusted" in refused.get_json()["error"]
        foreign = client.get(address, headers={"Origin": "http://evil.example"})
        assert not [name for name, _ in foreign.headers if name.lower().startswith("access-control")]
    assert client.post("/state").status_code == 405 and client.get("/nowhere").status_code == 404


def test_a_store_that_is_lost_is_one_message_of_the_page_and_it_goes_on_when_the_store_is_back(store):
    record = opened(store, whole_run(store))
    client = create_app(record, 0.1).test_client()
    away = store.database.with_name("away.db")
    store.database.rename(away)
    while "error" not in (answer := client.get("/state").get_json()):
        pass
    assert "cannot be read" in answer["error"]
    away.rename(store.database)
    assert client.get("/state").get_json()["step"] == 300


def test_the_command_opens_the_page_and_ctrl_c_ends_it_alone(store):
    whole_run(store)
    words = ("run=last", "page=true", f"tracking.folder={store.folder}")
    page, code, error = opened_and_ended("minibert.watch", *words)
    assert "How far a step moves each part" in page and (code, error) == (130, "ended; the run is left as it is\n")


def test_a_page_cannot_be_opened_at_a_port_in_use(store):
    record = opened(store, whole_run(store))
    server = open_server(create_app(record, 1.0), 0)
    try:
        assert main(["run=last", "page=true", f"port={server.port}", f"tracking.folder={store.folder}"]) == 2
    finally:
        server.server_close()

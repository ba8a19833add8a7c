"""``minibert sweeps``: what is listed, closed, mended and removed, on stores without training."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from minibert import sweeps
from minibert.errors import MinibertError
from minibert.running import sweep_commands
from minibert.tracking import claim, open_sweep, start_run
from minibert.tracking.abandoned import reap
from minibert.tracking.consumption import BEGAN, COUNTED, SECONDS
from minibert.tracking.history import HISTORY, PLANNED, new_command
from minibert.tracking.overview import sweeps_of
from minibert.tracking.processes import PROCESS, STARTED, is_alive, process_tags
from minibert.tracking.records import create
from minibert.tracking.relocation import plan_relocation
from minibert.tracking.store import find_place, open_store
from minibert.tracking.sweeps import PLANNED_RUNS
from minibert.tracking.thinning import chosen_steps, plan_thinning, read_keep
from tests.support.reports import copied_store

HASHES = [f"{digit}" * 64 for digit in "abc"]
NAMES = dict(zip(HASHES, ("seed 0", "seed 1", "seed 2"), strict=True))


@pytest.fixture
def store(empty_database, tmp_path):
    return copied_store(empty_database, tmp_path)


def sweep_of(store, name="rates", digit="5", hashes=HASHES):
    command = new_command(["--multirun", "seed=0,1,2", "tracking.folder=/old"], hashes, {})
    tags = {"minibert.command": "python -m minibert.run --multirun seed=0,1,2"}
    names = {each: NAMES[each] for each in hashes}
    return open_sweep(store, name, digit * 64, names, tags, {"sweep": {"keys": ["seed"]}}, command)


def run_of(store, sweep, config_hash, status="FINISHED", reason=None, checkpoints=(), tags=None):
    with claim(store, config_hash) as held:
        run = start_run(held, NAMES[config_hash], {}, tags or process_tags(), parent=sweep.id)
        run.log({"eval/loss": 5.5}, 4)
        run.flush()
        for step in checkpoints:
            run.log_bytes(b"x" * 1000, f"checkpoints/step_{step:07d}.safetensors")
        if status != "RUNNING":
            run.finish(status, reason)
    return run


def dead():
    """The tags of a process of this machine that is gone: its number is in use by another."""
    return process_tags() | {STARTED: "1.0"}


def call(capsys, *words):
    code = sweeps.main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_list_counts_the_runs_of_every_sweep_and_is_the_same_through_mlflow(store, capsys, monkeypatch):
    sweep = sweep_of(store)
    run_of(store, sweep, HASHES[0])
    run_of(store, sweep, HASHES[1], "FAILED", "poisoned batch")
    sweep.finish("FAILED", "two did not finish")
    other = sweep_of(store, "other", "6", HASHES[:1])
    other.finish("KILLED")
    found = sweeps_of(store)
    assert [each.name for each in found] == ["other", "rates"]
    counts = [(each.count("FINISHED"), each.count("FAILED"), each.planned) for each in found]
    assert counts == [(0, 0, 1), (1, 1, 3)]
    code, out, _ = call(capsys, "list", f"tracking.folder={store.folder}")
    assert code == 0 and "1 of 3" in out and "run --multirun seed=0,1,2" in out
    assert "last command took" in " ".join(out.split())
    monkeypatch.setattr("minibert.tracking.tables.REVISIONS", ())
    assert sweeps_of(store) == found


def test_of_a_sweep_that_was_killed_before_its_plan_was_written_is_told_what_is_known(store, capsys):
    parent = create(store, "early", {}, open_tags("7", **{PLANNED_RUNS: 3}))  # the first that open_sweep does
    create(store, "unplanned", {}, open_tags("8"))
    planned, unplanned = sorted(sweeps_of(store), key=lambda each: each.name)
    assert (planned.planned, unplanned.planned) == (3, 0)
    code, out, _ = call(capsys, "list", f"tracking.folder={store.folder}")
    told = {line.split("│")[1].strip(): line for line in out.splitlines() if line.count("│") > 4}
    assert code == 0 and "0 of 3" in told["early"] and "0 of ?" in told["unplanned"]
    _, out, _ = call(capsys, "show", parent.info.run_id, f"tracking.folder={store.folder}")
    assert "Its last command: python -m minibert.run --multirun seed=0,1,2" in out
    code, _, err = call(capsys, "resume", parent.info.run_id, f"tracking.folder={store.folder}")
    assert code == 2 and "Give its last one: python -m minibert.run --multirun seed=0,1,2" in err
    assert open_sweep(store, "early", "7" * 64, NAMES, {}, {}).id == parent.info.run_id
    assert sweeps_of(store)[-1].planned == 3


def open_tags(digit, **more):
    """The tags that the record of a sweep begins with, of a process that is gone."""
    command = "python -m minibert.run --multirun seed=0,1,2"
    own = {"minibert.kind": "sweep", "minibert.sweep_hash": digit * 64, "minibert.command": command}
    return dead() | own | {"minibert.opened": "2026-01-01T00:00:00+00:00"} | more


@pytest.mark.parametrize(("name", "command"), [(PLANNED, "show"), (HISTORY, "show"), (HISTORY, "resume")])
@pytest.mark.parametrize("content", ["[", "[" * 100_000, "{}", "null"], ids=lambda content: content[:2])
def test_a_damaged_list_of_a_sweep_is_one_error_that_names_it(store, capsys, name, command, content):
    sweep = sweep_of(store)
    sweep.log_text(content, name)
    code, _, err = call(capsys, command, "last", f"tracking.folder={store.folder}")
    assert code == 2 and err.startswith(f"{name} among the artifacts of sweep {sweep.id}: is damaged (")


@pytest.mark.parametrize(
    ("name", "content"),
    [(PLANNED, '[{"x": 1}]'), (HISTORY, "[1]"), (HISTORY, "[null]"), (HISTORY, '[{"words": [], "runs": []}]')],
)
def test_a_list_whose_entries_are_others_is_damaged_too(store, capsys, name, content):
    sweep = sweep_of(store)
    sweep.log_text(content, name)
    code, _, err = call(capsys, "show", "last", f"tracking.folder={store.folder}")
    assert code == 2 and err.startswith(f"{name} among the artifacts of sweep {sweep.id}: is damaged (")


@pytest.mark.parametrize("words", [["nope"], ["nope", "--help"], ["-h", "lst"], ["nope", "list", "--help"]])
def test_an_unknown_command_is_refused_with_help_and_without(capsys, words):
    code, out, err = call(capsys, *words)
    assert code == 2 and not out and err.startswith("sweeps: unknown name '") and "list, prune" in err


@pytest.mark.parametrize("words", [["--help"], ["tracking.folder=mlruns", "--help"], ["show", "nope", "-h"]])
def test_help_passes_over_what_is_no_command(capsys, words):
    code, out, err = call(capsys, *words)
    assert code == 0 and not err and ("sweeps show" in out) == (words[0] == "show")


def test_the_list_does_without_mlflow(store):
    sweep_of(store).finish("FINISHED")
    code = "import sys; from minibert.sweeps import main; main(sys.argv[1:]); print('mlflow' in sys.modules)"
    words = [sys.executable, "-c", code, "list", f"tracking.folder={store.folder}"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert result.stdout.splitlines()[-1] == "False" and "rates" in result.stdout


def test_one_sweep_is_shown_with_reasons_missing_runs_and_its_commands(store, capsys):
    sweep = sweep_of(store)
    run_of(store, sweep, HASHES[0], tags=process_tags() | {SECONDS: "90.0", BEGAN: COUNTED})
    run_of(store, sweep, HASHES[1], "FAILED", "poisoned batch")
    code, out, _ = call(capsys, "show", "rates", f"tracking.folder={store.folder}")
    assert code == 0
    for expected in ("5.500", "poisoned batch", "seed 2", "never started", "seed=0,1,2 tracking.folder=/old"):
        assert expected in out
    assert " 90 " in next(line for line in out.splitlines() if "seed 0" in line)
    code, _, err = call(capsys, "show", "nope", f"tracking.folder={store.folder}")
    assert code == 2 and "no such sweep" in err


def test_a_sweep_is_resumed_with_the_commands_of_which_runs_are_missing(store, monkeypatch):
    sweep = sweep_of(store)
    monkeypatch.chdir(store.folder)
    given = []
    asked = sweep_commands.SweepWords("last", sweeps.rooms.StoreWords(str(store.folder), None, "minibert"))
    assert sweep_commands.resume_sweep(asked, lambda words: given.append(words) or 3, pytest.fail) == 3
    there = [f"tracking.folder={store.folder}", "tracking.experiment=minibert"]
    assert given == [["--multirun", "seed=0,1,2", *there]]
    for config_hash in HASHES:
        run_of(store, sweep, config_hash)
    assert sweep_commands.resume_sweep(asked, pytest.fail, pytest.fail) == 0


def test_a_search_is_resumed_with_its_own_command(store):
    sweep = sweep_of(store)
    sweep.set_tags(
        {"minibert.command": "python -m minibert.search +search=adamw_rate trials=9 tracking.folder=/old"}
    )
    asked = sweep_commands.SweepWords("last", sweeps.rooms.StoreWords(str(store.folder), None, "minibert"))
    given = []
    assert sweep_commands.resume_sweep(asked, pytest.fail, lambda words: given.append(words) or 0) == 0
    there = [f"tracking.folder={store.folder}", "tracking.experiment=minibert"]
    assert given == [["+search=adamw_rate", "trials=9", *there]]


def test_runs_of_dead_processes_are_closed_and_live_ones_are_not(store):
    sweep = sweep_of(store)
    gone = run_of(store, sweep, HASHES[0], "RUNNING", tags=dead())
    alive = run_of(store, sweep, HASHES[1], "RUNNING")
    elsewhere = run_of(store, sweep, HASHES[2], "RUNNING", tags={PROCESS: "elsewhere:7"})
    sweep.set_tags({STARTED: "1.0"})
    found = {each.id: each for each in reap(store)}
    assert found[gone.id].is_gone and "is gone" in found[gone.id].why
    assert not found[alive.id].is_gone and not found[elsewhere.id].is_gone
    assert "cannot be told" in found[elsewhere.id].why
    assert not found[sweep.id].is_gone and "a run of it" in found[sweep.id].why
    run = store.client.get_run(gone.id)
    assert (run.info.status, "is gone" in run.data.tags["minibert.reason"]) == ("KILLED", True)


def test_a_run_whose_lock_is_held_is_not_closed_whatever_its_tags_say(store):
    sweep = sweep_of(store)
    run = run_of(store, sweep, HASHES[0], "RUNNING", tags=dead())
    with claim(store, HASHES[0]):
        assert not any(each.is_gone for each in reap(store) if each.id == run.id)
    assert any(each.is_gone for each in reap(store) if each.id == run.id)


def test_a_sweep_whose_process_is_gone_is_closed_when_no_run_of_it_is_alive(store):
    sweep = sweep_of(store)
    run_of(store, sweep, HASHES[0], "RUNNING", tags=dead())
    sweep.set_tags({STARTED: "1.0"})
    assert all(each.is_gone for each in reap(store))
    assert store.client.get_run(sweep.id).info.status == "KILLED"
    assert reap(store) == []


@pytest.mark.parametrize(("age", "gone"), [(5.0, False), (3600.0, True)])
def test_a_lease_of_another_host_tells_by_its_age(store, age, gone):
    lease = json.dumps({"host": "elsewhere", "process": 7, "heartbeat": time.time() - age})
    tags = {PROCESS: "elsewhere:7", "minibert.lease": lease}
    run = run_of(store, sweep_of(store), HASHES[0], "RUNNING", tags=tags)
    assert [each.is_gone for each in reap(store) if each.id == run.id] == [gone]


def test_a_process_is_told_from_another_with_its_number():
    assert is_alive(process_tags()) is True
    assert is_alive(dead()) is False
    assert is_alive({PROCESS: process_tags()[PROCESS]}) is None  # its start was not recorded
    assert is_alive({PROCESS: "elsewhere:1"}) is None
    assert is_alive({}) is None


@pytest.mark.parametrize(
    ("keep", "needed", "kept"),
    [
        ("first,last", (), [0, 16]),
        ("last", (), [16]),
        ("first", (4,), [0, 4, 16]),
        ("3", (), [0, 2, 16]),
        ("1", (), [16]),
        ("99", (), [0, 1, 2, 8, 16]),
    ],
)
def test_the_checkpoints_that_stay(keep, needed, kept):
    steps = [0, 1, 2, 8, 16] if 4 not in needed else [0, 1, 2, 4, 8, 16]
    assert chosen_steps(steps, read_keep(keep), needed) == kept


def test_what_cannot_be_kept_is_refused():
    for given in ("some", "0", "-1", "first,some", ""):
        with pytest.raises(MinibertError, match="Allowed: first,last"):
            read_keep(given)


def test_checkpoints_are_counted_asked_about_and_removed(store, monkeypatch, capsys):
    sweep = sweep_of(store)
    run = run_of(store, sweep, HASHES[0], checkpoints=(0, 1, 2, 4))
    killed = run_of(store, sweep, HASHES[1], "KILLED", checkpoints=(0, 1, 2))
    asked = sweep_commands.PruneWords(
        "rates", tracking=sweeps.rooms.StoreWords(str(store.folder), None, "minibert")
    )
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert sweep_commands.prune_sweep(asked, lambda store, child: [2]) == 0
    assert len(run.artifacts("checkpoints")) == 4
    monkeypatch.setattr("builtins.input", lambda question: "y")
    sweep_commands.prune_sweep(asked, lambda store, child: [2])
    out = capsys.readouterr().out
    assert "1 removed, 1.0 KB; kept: 0, 2, 4" in out and "left as it is: it is killed" in out
    assert [path[-13] for path in run.artifacts("checkpoints")] == ["0", "2", "4"]
    assert len(killed.artifacts("checkpoints")) == 3


def test_a_run_that_counts_in_another_sweep_keeps_its_checkpoints(store):
    sweep, other = sweep_of(store), sweep_of(store, "other", "6")
    run_of(store, sweep, HASHES[0], checkpoints=(0, 1, 2))
    (child,) = sweep.children()
    other.join({child.id: "seed 0"})
    (child,) = sweep.children()
    plan = plan_thinning(store, child, read_keep("last"), (), "minibert.sweep." + "5" * 12)
    assert plan.removed == () and "another sweep" in plan.left
    assert plan_thinning(store, child, read_keep("last"), None, "").removed == ()


def test_artifacts_that_were_moved_without_their_database_are_found_by_the_ids_of_their_runs(store, tmp_path):
    sweep = sweep_of(store)
    run = run_of(store, sweep, HASHES[0], checkpoints=(0,))
    (tmp_path / "elsewhere").mkdir()
    shutil.move(store.folder / "artifacts", tmp_path / "elsewhere" / "1")
    place = find_place(None, store.folder)
    assert set(plan_relocation(place).lost) == {run.id, sweep.id}
    plan = plan_relocation(place, [tmp_path / "elsewhere"])
    assert {identifier for _, identifier, _ in plan.moved} == {run.id, sweep.id} and not plan.lost
    plan.carry_out()
    again = plan_relocation(place)
    assert not again.moved and not again.lost
    address = store.client.get_run(run.id).info.artifact_uri
    assert address == (tmp_path / "elsewhere" / "1" / run.id / "artifacts").as_uri()


def test_the_artifacts_of_an_experiment_that_a_server_made_are_found(store, capsys):
    sweep = sweep_of(store)
    place = find_place(None, store.folder)
    from minibert.tracking.databases import open_to_write

    with open_to_write(place.database) as connection:
        connection.execute("UPDATE runs SET artifact_uri = 'mlflow-artifacts:/1/' || run_uuid || '/artifacts'")
        connection.execute("UPDATE experiments SET artifact_location = 'mlflow-artifacts:/1'")
    served = store.folder / "mlartifacts" / "1" / sweep.id
    served.parent.mkdir(parents=True)
    shutil.move(store.folder / "artifacts" / sweep.id, served)
    code, out, _ = call(capsys, "relocate", "--yes", f"tracking.folder={store.folder}")
    assert code == 0 and "1 addresses written" in out
    assert open_store(None, store.folder, "minibert").experiment_id == store.experiment_id
    assert [each.name for each in sweeps_of(store)] == ["rates"]


def test_every_command_has_a_help_with_an_example_and_unknown_ones_are_refused(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0 and all(name in out for name in sweeps.SCHEMAS)
    for name in sweeps.SCHEMAS:
        code, out, _ = call(capsys, name, "--help")
        assert code == 0 and f"sweeps {name}" in out and "For example" in out and "tracking.folder=" in out
    code, _, err = call(capsys, "lst")
    assert code == 2 and "did you mean 'list'" in err
    assert call(capsys, "show")[0] == 2

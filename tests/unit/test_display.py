"""What a person reads in the terminal: names and paths as they are, what came of a run, how long it takes."""

import io
import shlex
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from minibert.command_line.terminal import open_console, print_table
from minibert.running import progress as display_module
from minibert.running.estimate import Estimate
from minibert.running.progress import HINT, Display
from minibert.tracking.pages import describe_sweep, escaped, open_command, page
from minibert.tracking.results import Result
from minibert.tracking.status import Status
from minibert.tracking.sweeps import Child

ODD = ["[/x]", "/tmp/[old]/b", "[bold]", "[red]a[/red]", ":smile: [link=x]", "a\\[b]"]


def child(name, status="FINISHED", loss=6.0, **others):
    values = {
        "id": f"{abs(hash(name)):032x}"[:32],
        "tags": {"minibert.config_hash": f"hash of {name}"},
        "reason": None,
        "step": 20,
        "started": 0.0,
        "ended": 60.0,
    }
    metrics = {"eval/loss": loss, "baseline/unigram_entropy": 6.1, "baseline/bigram_cross_entropy": 4.0}
    parameters = {"training.steps": "20"}
    values |= {"name": name, "status": Status(status), "metrics": metrics, "parameters": parameters}
    return Child(**(values | others))


@dataclass
class FakeSweep:
    members: dict
    id: str = "5" * 32
    sweep_hash: str = "c0ffee" * 10
    logged: list = field(default_factory=list)
    tags: dict = field(default_factory=dict)
    views: list = field(default_factory=list)

    def keys(self):
        return ["masking.rate"]

    @property
    def store(self):
        client = SimpleNamespace(
            log_batch=lambda _, metrics: self.logged.extend(metrics),
            set_experiment_tag=lambda _, key, value: self.views.append(key),
        )
        address = "sqlite:////tmp/[old] a/mlflow.db"
        return SimpleNamespace(uri=address, experiment_id="1", client=client, is_away=False)

    def newest(self):
        return self.members

    def metric_names(self, _):
        return {point.key for point in self.logged}

    def history(self, name):
        return [point.step for point in self.logged if point.key == name], []

    def set_tags(self, tags):
        self.tags |= tags


@pytest.mark.parametrize("text", ODD)
def test_nothing_from_outside_is_taken_for_markup(capsys, text):
    display = Display()
    display.start(text)
    display.note(text)
    display.error(text)
    display.sweep_end(FakeSweep({"a": child(text)}), {"a": text, "b": f"missing {text}"}, "FAILED", "why")
    assert list(display.track([1], text)) == [1]
    with display.stage(text):
        pass
    printed = capsys.readouterr()
    assert printed.out.count(text) == 6
    assert text in printed.err


@pytest.mark.parametrize("text", ODD)
def test_a_bar_in_a_terminal_shows_every_character_too(text):
    display = Display()
    display.console = Console(file=io.StringIO(), force_terminal=True, markup=False, emoji=False, width=200)
    with display.training(10, None):
        display.now(text)
    assert list(display.track([text], text)) == [text]
    with display.stage(text):
        pass
    assert display.console.file.getvalue().count(text) >= 3


@pytest.mark.parametrize(
    "uri", ["sqlite:////tmp/a b/[old]/mlflow.db", "sqlite:////tmp/it's/mlflow.db", "sqlite:////t/$X;rm"]
)
def test_the_printed_command_can_be_pasted(uri):
    words = shlex.split(open_command(SimpleNamespace(uri=uri, experiment_id="1")))
    assert words == ["mlflow", "ui", "--backend-store-uri", uri]


def test_the_printed_address_is_the_page_of_the_run():
    assert (
        page(SimpleNamespace(uri="sqlite:///x", experiment_id="3"), "abc")
        == "http://127.0.0.1:5000/#/experiments/3/runs/abc?workflowType=machine_learning"
    )
    assert (
        page(SimpleNamespace(uri="https://host/", experiment_id="3"), "abc")
        == "https://host/#/experiments/3/runs/abc?workflowType=machine_learning"
    )
    assert open_command(SimpleNamespace(uri="https://host/", experiment_id="3")) is None


@pytest.mark.parametrize(
    ("loss", "bigram", "hint"),
    [(6.0, 4.0, True), (4.0, 4.0, True), (3.9, 4.0, False), (None, 4.0, False), (6.0, None, False)],
)
def test_one_line_says_what_came_of_a_run_with_a_hint_above_bigrams(monkeypatch, capsys, loss, bigram, hint):
    result = Result("0123abcd" * 4, "a [name]", "FINISHED", loss, 6.123, bigram, "/tmp/[b]/index.html")
    monkeypatch.setattr(display_module, "read_result", lambda store, run_id: result)
    store = SimpleNamespace(uri="sqlite:///x", experiment_id="1")
    Display().end(SimpleNamespace(status="FINISHED", run_id=result.run_id, reason=None, store=store, result=None))
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("run 0123abcd finished")
    assert first.endswith("figures in /tmp/[b]/index.html")
    if loss is not None and bigram is not None:
        assert f"held-out loss {loss:.3f} (unigram 6.123, bigram {bigram:.3f})" in first
    assert (HINT in others) == hint


def test_a_sweep_ends_with_a_table_of_all_its_runs(capsys):
    members = {"a": child("masking 0.15", loss=6.5), "b": child("masking 0.40", loss=5.25)}
    names = {"a": "masking 0.15", "b": "masking 0.40", "c": "masking 0.80"}
    Display().sweep_end(FakeSweep(members), names, "FAILED", "1 of 3")
    printed = capsys.readouterr().out
    assert "masking 0.15" in printed and "6.500" in printed
    assert "masking 0.40" in printed and "5.250" in printed
    assert "masking 0.80 │ not started" in printed
    assert "unigram 6.100, bigram 4.000" in printed
    assert "2 of 3 runs finished, sweep 55555555" in printed


def steps(display, first, last, seconds, monkeypatch):
    """What stands beside the bar after each step, when a step takes ``seconds``."""
    shown, clock = [], [0.0]
    monkeypatch.setattr(display_module.time, "monotonic", lambda: clock[0])
    display._evaluation = SimpleNamespace(latest={})
    display._plain_at, display._task, display._steps = 0.0, 0, 100
    display._progress = SimpleNamespace(update=lambda _, completed, now: shown.append(now))
    trainer = SimpleNamespace(progress=SimpleNamespace(step=first))
    display.step(trainer, None)
    for number in range(first + 1, last + 1):
        clock[0] += seconds
        trainer.progress.step = number
        display.step(trainer, SimpleNamespace(loss=5.0))
    return shown


def test_time_left_is_told_after_a_few_steps_of_this_process_and_not_before(monkeypatch):
    shown = steps(Display(quiet=True), 0, 50, 2.0, monkeypatch)
    assert not any("to the last step" in text for text in shown[:4])
    assert shown[4] == "loss 5.000, about 0:03:10 to the last step,"


def test_steps_before_a_continuation_do_not_enter_the_estimate(monkeypatch):
    display = Display(quiet=True)
    display._begun = (50, 0.0)
    monkeypatch.setattr(display_module.time, "monotonic", lambda: 10.0)
    assert display._left(54, 100) == ""
    assert display._left(60, 100) == "0:00:40"


def test_after_the_last_step_no_time_left_is_given_and_what_happens_is_named(monkeypatch):
    shown = steps(Display(quiet=True), 0, 100, 2.0, monkeypatch)
    assert shown[-1] == "loss 5.000, last diagnostics,"


def test_a_sweep_gives_no_time_left_before_it_got_on():
    waiting = child("a", "RUNNING", step=-1)
    estimate = Estimate(2, 0.0)
    assert "left" not in estimate.summary([waiting])
    halfway = child("a", "RUNNING", step=10)
    assert "left" in estimate.summary([halfway])
    assert "left" not in Estimate(2, 0.0).summary([halfway])
    assert "left" not in Estimate(2, 0.0).summary([child("a"), child("b")])


def test_a_command_that_grows_a_sweep_counts_its_own_runs(capsys, monkeypatch):
    monkeypatch.setattr(display_module, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(display_module, "PLAIN_SECONDS", 0.0)
    members = [child("old"), child("another old"), child("new", "RUNNING", step=10)]
    sweep = SimpleNamespace(children=lambda: members)
    with Display().sweep(sweep, {members[-1].config_hash}, live=True):
        pass
    printed = capsys.readouterr().out
    assert "0 of 1 runs done" in printed and "of 1 runs done" in printed and "2 of" not in printed


def table(*rows):
    made = Table("a title of words", "another title", title="Title")
    for row in rows:
        made.add_row(*(Text(cell, no_wrap=True) for cell in row))
    return made


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [20, 80])
def test_a_table_keeps_all_words_at_any_width(terminal, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, markup=False)
    rows = [("difference 0.012 ± 0.034 [0.1, 0.2]" * 2, "[/x] 5 ± 58"), ("extraordinarily", "0.123456789")]
    print_table(console, table(*rows))
    printed = console.file.getvalue()
    assert all(cell in printed for row in rows for cell in row)
    assert "…" not in printed


def test_a_table_that_can_be_broken_between_words_fits_the_terminal():
    console = Console(file=io.StringIO(), width=60, force_terminal=True, markup=False, color_system=None)
    made = Table("run", "why")
    made.add_row("masking 0.40 · seed 1", "the server went away while it was asked for the points of this run")
    print_table(console, made)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert all(word in console.file.getvalue() for word in ["server", "went", "away", "while", "points"])


def test_consoles_take_nothing_for_markup(capsys):
    open_console().print("[/x] :smile:")
    assert capsys.readouterr().out == "[/x] :smile:\n"


def test_a_sweep_gets_a_note_with_links_to_all_its_runs_and_a_summary_that_grows():
    members = {"a": child("first [x]", loss=6.0, ended=1.0), "b": child("second|", loss=5.0, ended=2.0)}
    sweep, names = FakeSweep(members), {"a": "first [x]", "b": "second|", "c": "third"}
    describe_sweep(sweep, {"question": "Does *it* work?"}, names)
    note = sweep.tags["mlflow.note.content"]
    assert note.startswith("**Does \\*it\\* work?**")
    assert all(f"/#/experiments/1/runs/{each.id})" in note for each in members.values())
    assert "first \\[x\\]" in note and "second\\|" in note and "| third | | not started | |" in note
    assert "/artifacts/report/index.html?workflowType=" in note and len(sweep.views) == 2
    assert all(f"viewStateShareKey={key.rpartition('.')[2]}&" in note for key in sweep.views)
    points = {(point.key, point.step): point.value for point in sweep.logged}
    assert points["sweep/best_loss", 2] == 5.0 and points["sweep/mean_loss", 2] == 5.5
    before = len(sweep.logged)
    describe_sweep(sweep, {}, names)
    assert len(sweep.logged) == before
    members["c"] = child("third", loss=5.5, ended=3.0)
    describe_sweep(sweep, {}, names)
    assert {(point.key, point.step): point.value for point in sweep.logged}["sweep/best_loss", 3] == 5.0
    assert len(sweep.logged) == before + 4


def test_markdown_shows_a_name_as_it_is():
    assert escaped("a|b [c](d) <e> `f`\n_g_") == r"a\|b \[c\](d) \<e\> \`f\` \_g\_".replace("](d)", r"]\(d\)")

"""Instruments asked, their results kept, and the page of them: with instruments made for these tests."""

import json
import math
import os
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from analysis.quantities import quantity
from minibert.config import EvaluationConfig
from minibert.config.evaluation import INSTRUMENTS, FactsConfig, SemanticsConfig
from minibert.diagnostics.plotting.style import Drawing, new_figure
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation import asking, results
from minibert.evaluation.catalogue import NAMES, enabled, instrument
from minibert.evaluation.instruments import Conclusion, Findings, Instrument, Table
from minibert.files import UNFINISHED
from minibert.running.evaluation import FolderPlace, tell
from minibert.running.progress import Display

ABOUT = {"name": "a <model>", "what": "A model & its run."}

pytestmark = pytest.mark.usefixtures("rough_figures")


class Place(FolderPlace):
    """A folder that keeps the metrics too."""

    def __init__(self, folder):
        super().__init__(folder)
        self.metrics = []

    def log_results(self, metrics, step):
        self.metrics += [(name, step, value) for name, value in metrics.items()]


def figure() -> Drawing:
    drawn = new_figure(3, 2)
    drawn.subplots().plot([0, 1], [1, 0])
    return Drawing(drawn, "How <it> falls.")


@dataclass
class Asked:
    """What the instruments of a test were asked, and what they answer."""

    calls: list
    answer: object = None
    missing: list = field(default_factory=list)

    def instrument(self, name: str) -> Instrument:
        def measure(subject, settings):
            self.calls.append((name, subject.step, settings))
            if isinstance(self.answer, Exception) and name == "facts":
                raise self.answer
            table = Table("Words", "Shares.", ["word", "share", "count"], [["<b>", 0.25, 1200], ["c", None, 3]])
            return Findings(
                f"{name} is {subject.step}.",
                {f"{name}/accuracy": subject.step / 1000, f"{name}/empty": math.nan},
                [table],
                ["Two words were left out."],
                {"curve": [1.0, math.inf]},
                self.missing,
            )

        def conclude(by_step):
            last = max(by_step)
            return Conclusion({"fall": figure()}, {f"{name}/steps": float(len(by_step))}, notes=[f"Up to {last}."])

        return Instrument(name, f"What of {name}?", measure, conclude, ("Somebody 2020",))


@pytest.fixture
def asked(monkeypatch):
    answers = Asked([])
    monkeypatch.setattr(asking, "instrument", answers.instrument)
    return answers


def subject(step: int, key: str = "k", quick: bool = False):
    return SimpleNamespace(step=step, key=f"{key}{step}", quick=quick)


SETTINGS = {"semantics": SemanticsConfig(), "facts": FactsConfig()}


def test_what_is_found_is_kept_and_shown(asked, tmp_path):
    place = Place(tmp_path)
    outcome = asking.ask(SETTINGS, [4, 8], subject, place, ABOUT)
    assert [(name, step) for name, step, _ in asked.calls] == [
        ("semantics", 4), ("semantics", 8), ("facts", 4), ("facts", 8)
    ]  # fmt: skip
    assert outcome.answered == ["semantics", "facts"] and not outcome.failed and not outcome.skipped
    assert ("facts/accuracy", 8, 0.008) in place.metrics
    assert ("semantics/steps", 8, 2.0) in place.metrics
    kept = results.read(place, "facts")
    assert list(kept) == [4, 8]
    assert math.isnan(kept[8].findings.metrics["facts/empty"])
    assert kept[8].findings.tables[0].rows == [["<b>", 0.25, 1200], ["c", None, 3]]
    assert kept[8].asked["quick"] is False and "enabled" not in kept[8].asked
    page = (tmp_path / "evaluation.html").read_text()
    assert "a &lt;model&gt;" in page and "facts is 8." in page and "&lt;b&gt;" in page and "0.250" in page
    assert "Up to 8." in page and "Two words were left out." in page and "How &lt;it&gt; falls." in page
    assert (tmp_path / "evaluation/facts/fall.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_question_about_the_same_model_is_not_asked_again(asked, tmp_path, capsys):
    place = Place(tmp_path)
    asking.ask(SETTINGS, [4], subject, place, ABOUT)
    del asked.calls[:]
    outcome = asking.ask(SETTINGS, [4], subject, place, ABOUT)
    assert asked.calls == [] and outcome.kept == ["semantics", "facts"]
    tell(outcome, Display(), "Written to a place")
    told = capsys.readouterr()
    assert "semantics (found as it was): semantics is 4." in told.out and not told.err
    assert told.out.splitlines()[-1] == "Written to a place"
    outcome = asking.ask(SETTINGS, [4], lambda step: subject(step, quick=True), place, ABOUT)
    assert asked.calls == [] and outcome.summaries["facts"] == "facts is 4.", "the full answer stays"
    asking.ask(SETTINGS, [4], lambda step: subject(step, "other"), place, ABOUT)
    assert len(asked.calls) == 2
    changed = {"semantics": replace(SETTINGS["semantics"], contexts=3)}
    asking.ask(changed, [4], lambda step: subject(step, "other"), place, ABOUT)
    assert len(asked.calls) == 3
    asking.ask(changed, [4], lambda step: subject(step, "other", quick=True), place, ABOUT)
    assert len(asked.calls) == 3, "a quick answer does not take the place of a careful one"
    elsewhere = {"semantics": replace(SETTINGS["semantics"], contexts=5)}
    asking.ask(elsewhere, [4], lambda step: subject(step, "other", quick=True), place, ABOUT)
    assert len(asked.calls) == 3, "nor that of one about other data"
    asking.ask(changed, [8], lambda step: subject(step, "other", quick=True), place, ABOUT)
    asking.ask(changed, [8], lambda step: subject(step, "other"), place, ABOUT)
    assert len(asked.calls) == 5


def test_what_did_not_answer_is_announced_at_once_and_told_at_the_end_before_the_place_of_the_page(
    asked, tmp_path, capsys
):
    asked.missing, asked.answer = ["blimp is not here."], Unavailable("templates are not here. Put them there.")
    announced = []
    outcome = asking.ask(SETTINGS, [4], subject, Place(tmp_path), ABOUT, announced.append)
    assert announced == [
        "semantics at step 4",
        "semantics at step 4: some of its data could not be had; the reason is told at the end",
        "facts at step 4",
        "facts: no data, so it is left out; the reason is told at the end",
    ]
    tell(outcome, Display(), "Written to a place")
    told = capsys.readouterr()
    *reasons, last = told.err.splitlines()
    assert any("Put them there." in reason for reason in reasons)
    assert last.startswith(
        "1 of 2 instruments answered; left out for lack of data: facts; answered in part: semantics"
    )
    assert told.out.splitlines()[-1] == "Written to a place"
    asked.answer = ValueError("a bug")
    outcome = asking.ask({"facts": FactsConfig()}, [4], subject, Place(tmp_path), ABOUT, announced.append)
    assert announced[-1] == "facts: failed; the reason is told at the end"
    assert outcome.shortfall.startswith("0 of 1 instruments answered; failed: facts. ")


def test_an_answer_without_some_of_its_data_is_asked_again(asked, tmp_path):
    place, asked.missing = Place(tmp_path), ["blimp is not here."]
    outcome = asking.ask({"facts": FactsConfig()}, [4], subject, place, ABOUT)
    assert outcome.partial == {"facts": ["blimp is not here."]}
    asking.ask({"facts": FactsConfig()}, [4], lambda step: subject(step, quick=True), place, ABOUT)
    assert results.read(place, "facts")[4].asked["quick"] is False, "a careful answer stays"
    asked.missing = []
    assert asking.ask({"facts": FactsConfig()}, [4], subject, place, ABOUT).partial == {}
    assert asking.ask({"facts": FactsConfig()}, [4], subject, place, ABOUT).kept == ["facts"]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("before", [[], ["blimp is not here."]])
def test_an_answer_never_takes_the_place_of_a_fuller_one_to_the_same_question(asked, tmp_path, quick, before):
    place, own = Place(tmp_path / "results"), tmp_path / "own.tsv"
    own.write_text("pairs")
    settings = {"facts": FactsConfig(data=[str(own), "templates"])}

    def ask(told=None):
        model = lambda step: subject(step, quick=quick)  # noqa: E731
        return asking.ask(settings, [4], model, place, ABOUT, (told if told is not None else []).append)

    asked.missing = before
    ask()
    own.unlink()  # its disk is gone, or there is no network now
    asked.missing, told = [*before, f"{own} is not there."], []
    outcome = ask(told)
    assert outcome.partial == {"facts": asked.missing} and outcome.summaries == {"facts": "facts is 4."}
    assert told[-1] == "facts at step 4: the answer that is kept has more of the data, and stays."
    assert results.read(place, "facts")[4].findings.missing == before
    settings["facts"] = FactsConfig(data=["templates", str(own)])
    ask()
    assert results.read(place, "facts")[4].findings.missing == asked.missing, "another question"


def test_a_model_of_which_no_step_is_known_stands_at_none(asked, tmp_path):
    place, told, about = Place(tmp_path), [], {**ABOUT, "steps": ""}
    asking.ask({"facts": FactsConfig()}, [0], subject, place, about, told.append)
    asking.ask(
        {"facts": FactsConfig(data=["else"])},
        [0],
        lambda step: subject(step, quick=True),
        place,
        about,
        told.append,
    )
    asking.ask(
        {"semantics": SemanticsConfig()}, [0], lambda step: subject(step, "other"), place, about, told.append
    )
    page = (tmp_path / "evaluation.html").read_text()
    assert "What of semantics? Measured, with " in page and told[0] == "facts"
    assert "step 0" not in page + " ".join(told) and any("is of another model" in each for each in told)


def test_an_edited_file_is_read_again(asked, tmp_path):
    place, data = Place(tmp_path / "results"), tmp_path / "own"
    data.mkdir()
    (data / "prompts.tsv").write_text("one")
    settings = {"facts": FactsConfig(data=[str(data / "prompts.tsv"), "templates"])}
    folder = {"semantics": SemanticsConfig(data=[str(data)])}
    for _ in range(2):
        asking.ask(settings | folder, [4], subject, place, ABOUT)
    assert len(asked.calls) == 2
    (data / "prompts.tsv").write_text("two")
    asking.ask(settings | folder, [4], subject, place, ABOUT)
    assert len(asked.calls) == 4


def test_a_file_is_read_once_for_all_checkpoints(asked, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(asking, "_content", lambda settings: read.append(settings) or "content")
    asking.ask(SETTINGS, [1, 2, 3], subject, Place(tmp_path), ABOUT)
    assert (len(read), len(asked.calls)) == (2, 6)


def test_a_page_shows_what_an_earlier_call_found(asked, tmp_path):
    place = Place(tmp_path)
    asking.ask({"semantics": SemanticsConfig()}, [4], subject, place, ABOUT)
    asking.ask({"facts": FactsConfig()}, [4], subject, place, ABOUT)
    page = (tmp_path / "evaluation.html").read_text()
    assert "semantics is 4." in page and "facts is 4." in page


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (Unavailable("put it there"), "skipped", "put it there"),
        (MinibertError("line 3 is bad"), "failed", "line 3 is bad"),
        (ZeroDivisionError("a bug"), "failed", "ZeroDivisionError: a bug"),
    ],
)
def test_one_instrument_that_cannot_answer_leaves_the_others(asked, tmp_path, error, kind, told):
    asked.answer = error
    outcome = asking.ask(SETTINGS, [4], subject, Place(tmp_path), ABOUT)
    assert getattr(outcome, kind) == {"facts": told}
    assert outcome.answered == ["semantics"]
    assert told in (tmp_path / "evaluation.html").read_text()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"findings": {}}', "[" * 100_000, "\x00", "other step"])
def test_a_damaged_result_is_told_and_set_aside_and_asked_again(asked, tmp_path, damage):
    place, told, file = Place(tmp_path), [], tmp_path / "evaluation/facts/step_0000004.json"
    asking.ask(SETTINGS, [4, 8], subject, place, ABOUT)
    damage = file.with_name("step_0000008.json").read_text() if damage == "other step" else damage
    file.write_text(damage)
    del asked.calls[:]
    outcome = asking.ask(SETTINGS, [4, 8], subject, place, ABOUT, told.append)
    assert [(name, step) for name, step, _ in asked.calls] == [("facts", 4)] and not outcome.failed
    assert file.with_name("step_0000004.json.damaged").read_text() == damage
    assert sum("step_0000004.json: is damaged" in message for message in told) == 1
    assert list(results.read(place, "facts")) == [4, 8]


def test_a_result_that_was_damaged_at_a_step_that_is_not_asked_hides_no_other(asked, tmp_path):
    place, told = Place(tmp_path), []
    asking.ask(SETTINGS, [4, 8], subject, place, ABOUT)
    (tmp_path / "evaluation/facts/step_0000004.json").write_text("{")
    (tmp_path / "evaluation/semantics/step_0000004.json").unlink()
    (tmp_path / "evaluation/semantics/step_0000004.json").mkdir()
    outcome = asking.ask(SETTINGS, [8], subject, place, ABOUT, told.append)
    assert outcome.kept == ["semantics", "facts"] and not outcome.failed
    assert any("facts/step_0000004.json: is damaged" in message for message in told)
    assert any("semantics/step_0000004.json: cannot be read" in message for message in told)
    page = (tmp_path / "evaluation.html").read_text()
    assert "semantics is 8." in page and "facts is 8." in page


def test_results_of_another_model_are_not_shown(asked, tmp_path):
    place, told = Place(tmp_path), []

    def other(step: int):
        if step == 4:
            return subject(step, "other")
        raise MinibertError("no such checkpoint")

    asking.ask(SETTINGS, [4, 8], subject, place, ABOUT)
    asking.ask({"facts": FactsConfig()}, [4], other, place, ABOUT, told.append)
    page = (tmp_path / "evaluation.html").read_text()
    assert "facts is 4." in page and "facts is 8." not in page and "Up to 8." not in page
    assert "semantics is" not in page
    assert any("semantics: what is kept of step 4, 8 is of another model" in message for message in told)
    asking.ask({}, [], subject, place, ABOUT)
    page = (tmp_path / "evaluation.html").read_text()
    assert "facts is 8." in page and "semantics is 8." in page, "they are kept"


def test_figures_of_an_earlier_page_are_removed(asked, tmp_path):
    place, folder = Place(tmp_path), tmp_path / "evaluation/facts"
    asking.ask(SETTINGS, [4], subject, place, ABOUT)
    for name in ("accuracy_by_paradigm_gone.png", "notes.txt"):
        (folder / name).write_bytes(b"of before")
    asking.ask(SETTINGS, [4], subject, place, ABOUT)
    assert sorted(path.name for path in folder.iterdir()) == ["fall.png", "notes.txt", "step_0000004.json"]
    (folder / "step_0000004.json").unlink()
    asking.ask({"semantics": SemanticsConfig()}, [4], subject, place, ABOUT)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_full_disk_loses_nothing_that_was_found(asked, tmp_path, monkeypatch):
    place, write = Place(tmp_path), Place.log_bytes

    def full(self, content, path):
        if path.endswith((".html", ".png")) or "facts" in path:
            raise MinibertError(f"{path}: cannot be written (No space left on device).")
        write(self, content, path)

    monkeypatch.setattr(Place, "log_bytes", full)
    outcome = asking.ask(SETTINGS, [4], subject, place, ABOUT)
    assert set(outcome.failed) == {"facts", "semantics", "evaluation.html"}
    assert outcome.summaries["semantics"] == "semantics is 4."
    monkeypatch.undo()
    monkeypatch.setattr(asking, "instrument", asked.instrument)
    del asked.calls[:]
    assert asking.ask(SETTINGS, [4], subject, place, ABOUT).kept == ["semantics"]
    assert [name for name, _, _ in asked.calls] == ["facts"]


def test_a_full_disk_leaves_the_former_file_whole(asked, tmp_path, monkeypatch):
    from pathlib import Path

    asking.ask(SETTINGS, [4], subject, Place(tmp_path), ABOUT)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.suffix in (".json", ".html")}

    def half(path, content):
        path.open("wb").write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    outcome = asking.ask(SETTINGS, [4], lambda step: subject(step, "other"), Place(tmp_path), ABOUT)
    assert "No space left on device" in outcome.failed["facts"]
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".png"}
    assert after == before


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@pytest.mark.parametrize("written", [0, 1, 2])
def test_what_was_found_before_a_kill_is_kept_and_the_rest_is_asked_again(asked, tmp_path, monkeypatch, written):
    """``written``: how many files there are at that time; the one after them is half written."""
    left, whole = iter(range(written)), FolderPlace.log_bytes

    def end(self, content, path):
        if next(left, None) is None:
            whole_path = self.folder / path
            half = whole_path.with_name(f".{whole_path.name}.123{UNFINISHED}")
            half.mkdir(parents=True, exist_ok=True)
            (half / whole_path.name).write_bytes(content[:10])
            raise Killed
        whole(self, content, path)

    monkeypatch.setattr(FolderPlace, "log_bytes", end)
    with pytest.raises(Killed):
        asking.ask(SETTINGS, [4], subject, Place(tmp_path), ABOUT)
    monkeypatch.setattr(FolderPlace, "log_bytes", whole)
    told = []
    outcome = asking.ask(SETTINGS, [4], subject, Place(tmp_path), ABOUT, told.append)
    assert outcome.kept == ["semantics", "facts"][:written] and not outcome.failed
    assert set(outcome.answered) == {"semantics", "facts"}
    assert told == [f"{name} at step 4" for name in ["semantics", "facts"][written:]]
    page = (tmp_path / "evaluation.html").read_text()
    assert "semantics is 4." in page and "facts is 4." in page


def test_two_that_ask_at_once_leave_the_results_of_both(asked, tmp_path, monkeypatch):
    """The second begins and ends while the first measures."""
    inner, outcomes = asked.instrument, []

    def instrument(name):
        made = inner(name)

        def measure(subject, settings):
            if name == "semantics" and not outcomes:
                outcomes.append(None)
                outcomes[0] = asking.ask(SETTINGS, [4], globals()["subject"], Place(tmp_path), ABOUT)
            return made.measure(subject, settings)

        return made._replace(measure=measure)

    monkeypatch.setattr(asking, "instrument", instrument)
    outcome = asking.ask({**SETTINGS, "composition": SemanticsConfig()}, [4], subject, Place(tmp_path), ABOUT)
    assert list(outcomes[0].seconds) == ["semantics", "facts"] and not outcomes[0].failed
    assert list(outcome.seconds) == ["semantics", "composition"] and outcome.kept == ["facts"]
    page = (tmp_path / "evaluation.html").read_text()
    assert all(f"{name} is 4." in page for name in ("semantics", "facts", "composition"))


def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(MinibertError, match=r"new/place: cannot be written to. Make it writable, or give another"):
        FolderPlace(tmp_path / "new" / "place")
    monkeypatch.undo()
    assert FolderPlace(tmp_path / "new" / "place").artifacts("") == []


def test_results_are_plain_json(asked, tmp_path):
    asking.ask(SETTINGS, [4], subject, Place(tmp_path), ABOUT)
    plain = json.loads((tmp_path / "evaluation/facts/step_0000004.json").read_text())
    assert plain["findings"]["values"] == {"curve": [1.0, None]}
    assert plain["findings"]["metrics"]["facts/empty"] is None


def test_every_instrument_has_settings_and_a_module():
    assert set(NAMES) == set(INSTRUMENTS)
    for name in NAMES:
        assert instrument(name).name == name
        assert instrument(name).question.endswith("?")


def test_an_instrument_is_asked_where_it_is_enabled():
    config = EvaluationConfig()
    assert enabled(config) == {}
    config.facts.enabled = True
    assert list(enabled(config)) == ["facts"]


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("minimal_pairs/accuracy", True),
        ("minimal_pairs/untrained_accuracy/blimp", True),
        ("probing/selectivity/part_of_speech/layer_1", True),
        ("semantics/spearman/wordsim353/static", True),
        ("probing/code_length/part_of_speech/layer_1", False),
        ("composition/loss_shuffled/2", None),
        ("other/accuracy", False),
    ],
)
def test_analysis_knows_which_scores_of_instruments_are_better_when_higher(metric, higher):
    assert quantity(metric).higher_is_better is higher


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("last", "last"), ("all", "all"), ("[0,64]", [0, 64]), ([0, 64], [0, 64]), ("[0, 64 ]", [0, 64]),
        ("some", None), ("[]", None), ([], None), ("[1,x]", None), ([1.5], None), ("[-1]", None), (7, None),
    ],
)  # fmt: skip
def test_steps_are_read_from_a_file_and_from_a_command_line(given, asked):
    assert EvaluationConfig(steps=given).asked_steps() == asked

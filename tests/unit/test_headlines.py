"""Headlines: verdicts in words, the overview of a page, and the table over the runs of a sweep."""

import io

import pytest
from rich.console import Console

from minibert.evaluation import results
from minibert.evaluation.headlines import UNTRAINED, headline
from minibert.evaluation.instruments import Conclusion, Findings, Instrument
from minibert.evaluation.overview import Asked, over_steps, runs_tables
from minibert.evaluation.page import Part, page
from minibert.evaluation.results import Result
from minibert.running.evaluation import FolderPlace
from minibert.running.progress import Display
from minibert.running.sweep_evaluation import show_runs
from minibert.tracking import claim, open_sweep, start_run
from tests.support.reports import copied_store


def accuracy(value=0.6, about="blimp", untrained=0.52, **settings):
    controls = {UNTRAINED: untrained, "chance": 0.5}
    interval = (value, value - 0.05, value + 0.05)
    return headline(about, "accuracy", f"facts/accuracy/{about}", interval, 800, "pairs", controls, **settings)


def result(*headlines, step=8, name="facts", quick=False, **used):
    return Result(name, step, {"data": ["a_b.tsv"], "contexts": 16, "quick": quick}, "k", 1.25, Findings(
        "Found.", headlines=list(headlines), used=used
    ))  # fmt: skip


def shown(*parts):
    asked = Instrument("facts", "What?", lambda subject, settings: Findings(""))
    made = [Part(asked._replace(name=name), by_step, Conclusion()) for name, by_step in parts]
    return page({"name": "a run", "what": "Of a test."}, made, {}, {})


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (accuracy(0.6), "better than every control"),
        (accuracy(0.56), "no better than untrained network"),
        (accuracy(0.54), "no better than any control"),
        (accuracy(0.56, not_better_than=[]), "better than every control"),
        (accuracy(0.4, higher_is_better=False), "better than every control"),
        (accuracy(0.48, higher_is_better=False), "no better than any control"),
        (accuracy(float("nan")), "nothing was measured"),
        (headline("x", "loss", "a/b", (1.0, None, None), 3, "words", {"chance": 2.0}), "no better than chance"),
        (headline("x", "loss", "a/b", (1.0, 0.9, 1.1), 3, "words", {}), "without a control"),
    ],
)
def test_the_verdict_says_which_controls_are_not_beaten(found, verdict):
    assert found.verdict == verdict


def test_headlines_and_used_settings_are_kept(tmp_path):
    place, kept = FolderPlace(tmp_path), result(accuracy(), accuracy(float("nan"), "zorro"), contexts=4)
    results.write(place, kept)
    read = results.read(place, "facts")[8].findings
    assert read.headlines == kept.findings.headlines and read.headlines[1].value is None
    assert read.used == {"contexts": 4}


def test_the_page_begins_with_all_headlines_beside_their_controls():
    text = shown(("facts", {8: result(accuracy(), accuracy(0.54, "zorro"))}))
    overview = text[: text.index('<h2 id="facts">')]
    assert '<a href="#facts">Facts</a>' in overview and overview.count("<tr>") == 3
    for cell in ("blimp: accuracy", "0.600", "0.550 to 0.650", "0.520", "chance 0.500", "800 pairs", "1.2"):
        assert f">{cell}</td>" in overview, cell
    assert "better than every control" in overview
    assert "no better than any control" in overview
    assert 'data-label="trained"' in overview


def test_the_page_tells_the_settings_that_were_used():
    careful, quick = (
        shown(("facts", {8: found})) for found in (result(accuracy()), result(accuracy(), quick=True, contexts=4))
    )
    assert "with data a_b.tsv, contexts 16." in careful
    assert "with data a_b.tsv, contexts 4 (quick" in quick and "contexts 16" not in quick


def test_several_checkpoints_are_drawn_over_steps():
    steps = {step: result(accuracy(0.5 + step / 100), step=step) for step in (0, 8)}
    assert "over-checkpoints" in shown(("facts", steps))
    assert over_steps([Asked("facts", {8: steps[8]})]) is None
    panel = over_steps([Asked("facts", steps)]).figure.axes[0]
    assert list(panel.lines[0].get_ydata()) == pytest.approx([0.5, 0.58])
    assert list(panel.lines[1].get_ydata()) == pytest.approx([0.52, 0.52])


def test_runs_are_compared_by_the_headlines_of_their_last_step():
    runs = {
        "one": [Asked("facts", {0: result(accuracy(0.5), step=0), 8: result(accuracy(0.61))})],
        "two": [Asked("facts", {8: result(accuracy(0.53), accuracy(0.7, "zorro"))})],
    }
    (table,) = runs_tables(runs)
    assert table.columns == ["run", "step", "blimp: accuracy", "zorro: accuracy"]
    assert table.rows == [
        ["one", 8, "0.610 (untrained 0.520) ✓", None],
        ["two", 8, "0.530 (untrained 0.520)", "0.700 (untrained 0.520) ✓"],
    ]
    assert "not comparable" not in table.caption
    runs["two"] = [Asked("facts", {8: result(accuracy(), quick=True)})]
    assert "not comparable" in runs_tables(runs)[0].caption


def test_a_sweep_ends_with_a_table_of_its_runs_and_keeps_it(empty_database, tmp_path):
    store = copied_store(empty_database, tmp_path)
    sweep = open_sweep(store, "study", "0" * 64, [], {}, {"study": {"name": "study"}})
    ids = []
    for name, value in (("first", 0.61), ("<second>", 0.53)):
        with claim(store, name.encode().hex()) as held:
            run = start_run(held, name, {"seed": 1}, {}, sweep.id)
            results.write(run, result(accuracy(value)))
            run.finish("FINISHED")
            ids.append(run.id)
    sweep.finish("FINISHED")
    display, printed = Display(), io.StringIO()
    display.console = Console(file=printed, width=200)
    show_runs(store, sweep.id, ids, display)
    assert "0.610 (untrained 0.520) ✓" in printed.getvalue() and "first" in printed.getvalue()
    (kept,) = tmp_path.glob(f"artifacts/{sweep.id}/artifacts/evaluation.html")
    assert "&lt;second&gt;" in kept.read_text() and "0.530 (untrained 0.520)" in kept.read_text()

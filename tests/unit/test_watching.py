"""What a run that trains tells of itself, in numbers: read from its record, and from nothing else."""

import math
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from mlflow.entities import Metric

import minibert
from minibert import TrainingAnalyzer
from minibert.command_line.arguments import StoreWords, read_arguments
from minibert.diagnostics import detect_training_issues
from minibert.errors import MinibertError, Refused
from minibert.running.watching import Watching
from minibert.tracking.live import LiveRecord, find_to_read, newest_run, open_to_read
from minibert.tracking.records import Record
from minibert.tracking.tables import reading
from minibert.watch import FLAGS
from minibert.watching.losses import loss_changes, objective_parts
from minibert.watching.state import ABANDONED, look, present_speed, thinned
from tests.support.live_runs import add_points, add_progress, training
from tests.support.records import MemoryRecord
from tests.support.reports import copied_store

PAGE = (Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")


@pytest.fixture
def store(empty_database, tmp_path):
    return copied_store(empty_database, tmp_path)


def opened(store):
    return open_to_read(StoreWords(str(store.folder), None, None))


def test_every_look_reads_what_is_new_and_all_of_it_is_what_mlflow_has(store):
    with training(store, "read") as run:
        live = LiveRecord(opened(store), run.id)
        assert live.is_running and live.metric_names() == [] and live.history("train/loss") == ([], [])
        for first, values in ((1, [5.0, math.nan]), (3, [3.0]), (2, [4.0])):
            add_points(run, "train/loss", values, first=first)
            run.log({"eval/loss": values[0]}, first)
            run.flush()
            live.look()
        recorded = Record(store, run.id, "", continued=True)
        assert live.metric_names() == recorded.metric_names()
        assert live.metric_names("eval/") == ["eval/loss"]
        for metric in live.metric_names():
            np.testing.assert_array_equal(live.history(metric), recorded.history(metric))
        assert live.history("train/loss") == ([10, 20, 30], [5.0, 4.0, 3.0])  # of two values, the newest
        assert live.about.parameters["training.steps"] == "100"
        run.finish("FINISHED")
        live.look()
        assert not live.is_running and live.about.status == "FINISHED" and live.about.ended


def test_the_tables_and_mlflow_tell_the_same_of_a_run(store):
    with training(store, "both ways") as run:
        add_progress(run, 5)
        direct, asked = LiveRecord(opened(store), run.id), LiveRecord(opened(store), run.id)
        asked._direct = False
        for record in (direct, asked):
            add_points(run, "eval/loss", [4.0], first=6)
            record.look()
        direct.look()
        assert direct.about == asked.about
        assert direct.metric_names() == asked.metric_names()
        for metric in direct.metric_names():
            assert direct.points(metric) == asked.points(metric)


def test_a_look_in_progress_keeps_no_writer_waiting_and_a_writer_keeps_no_look_waiting(store):
    with training(store, "both at once") as run:
        live = LiveRecord(opened(store), run.id)
        with reading(live.store) as connection:
            connection.execute("SELECT count(*) FROM metrics").fetchall()  # a look that takes long
            run.log({"train/loss": 3.0}, 10)
            assert run.flush()
        from minibert.tracking.databases import open_to_write

        writer = open_to_write(store.database)
        writer.execute("BEGIN IMMEDIATE")
        live.look()
        assert live.history("train/loss") == ([10], [3.0])
        writer.execute("ROLLBACK")
        writer.close()


def test_watching_changes_no_byte_of_the_store_and_needs_no_mlflow(store):
    with training(store, "untouched") as run:
        add_progress(run, 5)
        run.finish("FINISHED")
    store.client._client._tracking_client.store.engine.dispose()
    before = store.database.read_bytes()
    code = (
        "import sys; from minibert.watch import main; "
        f"code = main(['run=last', '--once', 'tracking.folder={store.folder}']); "
        "print(code, 'mlflow' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert printed.stdout.splitlines()[-1] == "0 False", printed.stderr
    assert store.database.read_bytes() == before
    assert not (store.folder / "work" / "locks" / "store.lock").stat().st_size


def test_a_run_is_found_by_its_id_the_beginning_of_it_its_name_and_last(store):
    with training(store, "a name") as first, training(store, "another") as second:
        add_progress(first, 3)
        add_progress(second, 4)
        for word, run in (
            (first.id, first),
            (first.id[:8].upper(), first),
            ("a name", first),
            (" another ", second),
            (SimpleNamespace(id=second.id), second),
        ):
            record = TrainingAnalyzer(word, folder=store.folder).record
            assert record.id == run.id
        reading_store = opened(store)
        assert find_to_read(reading_store, "last") == newest_run(reading_store)[0]
        assert TrainingAnalyzer("another", uri=store.uri).record.id == second.id


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nobody", "run=nobody: no such run"),
        ("twice", "run=twice: 2 runs are called so. Give the id of one"),
        ("f" * 32, f"run={'f' * 32}: no such run"),
        ("", "run=: no such run"),
        ("o'clock %_\\", "no such run"),
    ],
)
def test_a_word_for_no_run_or_for_several_is_one_message(store, word, said):
    with training(store, "twice"):
        pass
    store.client.create_run(store.experiment_id, run_name="twice", tags={"minibert.kind": "run"})
    with pytest.raises(MinibertError, match=said.replace("(", r"\(").replace("\\", r"\\")):
        TrainingAnalyzer(word, folder=store.folder)


def test_what_is_no_run_is_one_message(store, tmp_path):
    with pytest.raises(MinibertError, match=r"run: a int was given\. Allowed: the id of a run"):
        TrainingAnalyzer(3)
    with pytest.raises(MinibertError, match=r"there is no mlflow\.db in it"):
        TrainingAnalyzer("last", folder=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "mlflow.db").touch()
    with pytest.raises(MinibertError, match="this database is empty"):
        TrainingAnalyzer("last", folder=tmp_path / "empty")
    other = store.client.create_run(store.experiment_id, run_name="of another program").info.run_id
    record = TrainingAnalyzer(other, folder=store.folder).record
    with pytest.raises(MinibertError, match=r"is no run of minibert: it has no setting training\.steps"):
        look(record)
    store.client.delete_run(other)
    with pytest.raises(Refused, match="no such run"):
        record.look()


def test_the_speed_is_that_of_the_last_points_by_the_clock_and_a_pause_does_not_count(store):
    with training(store, "speed", steps=1000) as run:
        live = LiveRecord(opened(store), run.id)
        assert present_speed(live) is None and look(live).seconds_left is None
        assert look(live).phase == "preparing"
        add_progress(run, 1)
        live.look()
        assert present_speed(live) is None
        add_progress(run, 40, every=10, seconds=2.0, tokens=640)
        live.look()
        assert present_speed(live) == (5.0, 320.0)
        state = look(live)
        assert (state.step, state.steps, state.phase) == (400, 1000, "training")
        assert state.seconds_left == pytest.approx(600 / 5.0)
        later = [
            Metric("tokens_seen", 640 * place, int(1.7e12) + 9_000_000 + 500 * place, 10 * place)
            for place in (41, 42, 43)
        ]
        store.client.log_batch(run.id, metrics=later)
        live.look()
        assert present_speed(live).steps == pytest.approx(20.0)  # an interruption of hours lies before


def test_a_run_stands_as_the_store_says_unless_its_process_is_gone(store):
    with training(store, "alive") as run:
        add_progress(run, 10)
        assert look(LiveRecord(opened(store), run.id)).status == "RUNNING"
        assert look(LiveRecord(opened(store), run.id)).phase == "last diagnostics, evaluation and figures"
        run.finish("FAILED", "the disk is full")
    state = look(LiveRecord(opened(store), run.id))
    assert (state.status, state.why, state.has_ended, state.silent) == ("FAILED", "the disk is full", True, None)
    with training(store, "gone", gone=True) as run:
        add_progress(run, 5)
    state = look(LiveRecord(opened(store), run.id))
    assert state.status == ABANDONED and state.has_ended and state.seconds_left is None
    assert "is gone; the same command continues it" in state.why


def test_an_issue_of_the_whole_run_is_a_note_until_the_run_has_ended(store):
    with training(store, "plateau", steps=2000) as run:
        add_points(run, "baseline/unigram_entropy", [6.0], first=0)
        add_points(run, "train/loss", [6.05] * 60)
        add_points(run, "eval/loss", [6.05] * 6, every=100)
        add_points(run, "update_ratio/layers.0.attention.query.weight", [1e-9] * 4)
        analyzer = TrainingAnalyzer(run.id, folder=store.folder)
        found = {each.issue: each for each in analyzer.detect_training_issues().findings}
        assert {issue: each.severity for issue, each in found.items()} == {
            "loss_plateau": "note", "small_updates": "note",
        }  # fmt: skip
        assert found["loss_plateau"].evidence.startswith("So far: eval/loss ends at 6.050")
        assert found["loss_plateau"].advice.startswith("waiting, for 1,400 of 2,000 steps are to come. If it ")
        add_points(run, "train/loss", [math.nan], first=61)
        assert analyzer.detect_training_issues().findings[0].issue == "divergence"  # every call reads anew
        run.finish("FAILED")
    found = analyzer.detect_training_issues()
    assert {each.severity for each in found.findings if each.issue != "divergence"} == {"problem"}
    whole = detect_training_issues(Record(store, run.id, "", continued=True))
    assert str(found) == str(whole)  # a NaN among the values equals nothing


def test_the_update_table_has_a_row_a_part_a_column_a_step_and_the_fastest_part_first():
    record = MemoryRecord()
    for step, (whole, first, second) in {0: (0.5, 0.2, 0.1), 8: (0.3, 0.1, 0.4)}.items():
        record.log(
            {"update_ratio/global": whole, "update_ratio/layer_0": first, "update_ratio/layer_1": second}, step
        )
        record.log({"update_ratio/layers.0.attention.query.weight": first, "gradient_rms/layer_0": 9.0}, step)
    record.log({"update_ratio/mlm_head": 0.9}, 8)
    analyzer = TrainingAnalyzer(record)
    table = analyzer.analyze_parameter_updates()
    assert list(table.index) == ["mlm_head", "layer_1", "global", "layer_0"] and list(table.columns) == [0, 8]
    assert table.loc["layer_1"].tolist() == [0.1, 0.4] and math.isnan(table.loc["mlm_head", 0])
    parameters = analyzer.analyze_parameter_updates(parameters=True)
    assert list(parameters.index) == ["layers.0.attention.query.weight"]
    assert TrainingAnalyzer({}).analyze_parameter_updates().empty


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 2, 3], r"list \[1, 2, 3\] was given"),
        (5, "int 5 was given"),
        (None, "NoneType None was given"),
        ("ab", "str 'ab' was given"),
        (pandas.Series([2.0, 1.0], index=[1, 2]), "Series .* was given"),
        ({1: 2.0, 2: 1.0}, "dict .* was given"),
        ([(1, 2.0), (2, 1.0)], "a list of tuples was given"),
        ([(1, 2), (2, 1)], "a list of tuples was given"),
        ([(1, 2.0), (2, 1.0), (3, 0.5)], "list .* was given"),
        (([1, 2], [2.0]), "2 steps and 1 values were given"),
        (([], [2.0]), "0 steps and 1 values were given"),
        (([1, 2], ["2", "1"]), "the value str '2' was given"),
        (([1], [None]), "the value NoneType None was given"),
        ((["1"], [2.0]), "the step str '1' was given"),
        (([1.5], [2.0]), r"the step float 1\.5 was given"),
        (("12", "34"), r"tuple \('12', '34'\) was given"),
        (({1, 2}, {2.0, 1.0}), "tuple .* was given"),
        (np.ones((2, 2)), "ndarray .* was given"),
        (([1], np.ones((1, 1))), "the value ndarray .* was given"),
    ],
    ids=lambda value: f"{value!r:.30}",
)
def test_a_mapping_of_other_things_is_refused_where_it_is_given(given, said):
    allowed = r"Allowed: a mapping of the name of a metric to \(steps, values\).* of equal lengths"
    with pytest.raises(MinibertError, match=rf"(?s)^run\['train/loss'\]: .*{said}.*{allowed}"):
        TrainingAnalyzer({"eval/loss": ([1], [2.0]), "train/loss": given})


@pytest.mark.parametrize("name", [5, None, ("train/loss",)])
def test_a_metric_whose_name_is_no_text_is_refused(name):
    with pytest.raises(
        MinibertError, match=r"^run\[.*the name .* was given\. Allowed: a mapping of the name of a metric"
    ):
        TrainingAnalyzer({name: ([1], [2.0])})


def test_a_mapping_of_lists_arrays_or_series_is_a_record_that_may_grow():
    growing = ([1, 2], [2.0, math.nan])
    record = TrainingAnalyzer(
        {
            "a": growing,
            "b": [[1, 2], [2.0, 1.0]],
            "c": (np.arange(2), np.ones(2, np.float32)),
            "d": (pandas.Series([1, 2], index=[5, 6]), pandas.Series([2, 1])),
            "e": (range(2), (2, 1)),
        }
    ).record
    assert record.history("b") == record.history("d") == ([1, 2], [2.0, 1.0])
    assert record.history("c") == ([0, 1], [1.0, 1.0]) and record.history("none") == ([], [])
    growing[0].append(3), growing[1].append(0.5)
    assert record.history("a")[0] == [1, 2, 3]


def several_parts() -> MemoryRecord:
    record = MemoryRecord()
    for step in (10, 20, 30):
        record.log(
            {"train/loss": 5.0, "train/mlm_loss": 4.0, "train/sop_loss": 2.0, "train/mlm_accuracy": 0.1}, step
        )
        record.log(
            {"loss_change/layer_0": -0.3, "loss_change/mlm_head": -0.1, "loss_change/curvature": 0.05}, step
        )
        record.log({"loss_change/measured": -0.34, "loss_change/remainder": 0.01}, step)
    record.log({"eval/loss": 4.5}, 20)
    record.log({"baseline/unigram_entropy": 6.0, "baseline/bigram_cross_entropy": 5.0}, 0)
    return record


def test_the_parts_of_the_objective_add_up_to_the_training_loss():
    record, parameters = (
        several_parts(),
        {"objective.sop": "1.0", "objective.weight": "0.5", "objective.nsp": "0.0"},
    )
    parts = objective_parts(record, parameters)
    assert set(parts) == {"mlm", "sop"}
    np.testing.assert_allclose(parts["mlm"][1] + parts["sop"][1], record.history("train/loss")[1])
    alone = {name: history for name, history in record.metrics.items() if "sop" not in name}
    record.metrics = alone
    assert objective_parts(record, parameters) == {}  # masked words are the whole objective


def test_the_change_of_the_loss_is_the_sum_of_its_parts():
    steps, changes = loss_changes(several_parts())
    assert steps == [10, 20, 30]
    assert changes[0].remainder == pytest.approx(0.01)
    assert sum(changes[0].first_order.values()) == pytest.approx(-0.4)
    assert loss_changes(MemoryRecord()) == ([], [])


def test_the_figure_of_the_loss_shows_what_the_run_has():
    record = several_parts()
    record.entity = lambda: SimpleNamespace(data=SimpleNamespace(params={"objective.sop": "0.5"}))
    panels = TrainingAnalyzer(record).plot_loss_components().axes
    assert len(panels) == 4
    labels = panels[0].get_legend_handles_labels()[1]
    assert labels == ["training, all parts", "held out", "unigram entropy", "bigram model"]
    assert panels[1].get_legend_handles_labels()[1] == ["masked words", "sop"]
    assert "layer 0" in panels[2].get_legend_handles_labels()[1]
    assert all(panel.get_ylabel() for panel in panels) and panels[-1].get_xlabel() == "optimizer step"
    alone = TrainingAnalyzer({"train/loss": ([1, 2], [5.0, 4.0])}).plot_loss_components()
    assert len(alone.axes) == 1
    with pytest.raises(MinibertError, match="train/loss: no point is recorded yet"):
        TrainingAnalyzer({}).plot_loss_components()


def test_a_curve_is_thinned_to_means_that_keep_its_last_step():
    steps, values = thinned((list(range(1, 1001)), [float(step) for step in range(1, 1001)]), 100)
    assert len(steps) == 100 and steps[-1] == 1000 and values[0] == 5.5
    assert thinned(([1], [2.0]), 100) == ([1], [2.0])


def test_the_examples_and_commands_of_the_page_are_taken_as_they_are_written(store, monkeypatch, capsys):
    with training(store, "documented") as run:
        add_progress(run, 60)
        add_points(run, "update_ratio/layer_0", [1e-3, 2e-3])
        add_points(run, "eval/loss", [math.nan])
    analyzer = partial(TrainingAnalyzer, folder=store.folder)
    monkeypatch.setattr(minibert, "TrainingAnalyzer", analyzer, raising=False)
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(block, "docs/watch.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "layer_0    0.002" in printed and "problem: eval/loss is nan" in printed
    commands = re.findall(r"^python -m minibert\.watch (.+)$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        words = [FLAGS.get(word, word) for word in shlex.split(command, comments=True)]
        asked = read_arguments(Watching, words)
        assert "last" in (asked.run, asked.sweep)

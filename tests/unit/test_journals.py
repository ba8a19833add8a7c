"""A server that goes away: what a run records waits in a journal, and arrives whole, once and in order.

The server is MLflow's own client of a SQLite file, with nobody at the other end while it is ``away``.
"""

import json
import shutil
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import RestException

from minibert.errors import MinibertError
from minibert.tracking import claim, leases, open_store, open_sweep, retries, start_run
from minibert.tracking.addresses import sqlite_address
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.claims import find_finished
from minibert.tracking.journal import Journal
from minibert.tracking.journaled import JournaledClient
from minibert.tracking.overlaid import UNKNOWN
from minibert.tracking.refusals import LEFT_OUT
from minibert.tracking.replay import SAME_AS, SupersededError
from minibert.tracking.runs import STATE
from minibert.tracking.settling import send_all
from minibert.tracking.store import Store
from minibert.tracking.sweeps import children

HASH, OTHER_HASH = "c0ffee" * 10, "decade" * 10
URI = "http://server"


class Server:
    """``lost``: so many calls that write are carried out, and their answers are lost."""

    def __init__(self, client):
        self.client, self.away, self.lost, self.calls = client, False, 0, []

    def __getattr__(self, name):
        found = getattr(self.client, name)
        if not callable(found):
            return found

        def call(*arguments, **options):
            if self.away:
                raise ConnectionError("the server went away")
            self.calls.append(name)
            answer = found(*arguments, **options)
            if self.lost and name.startswith(("log", "create", "set", "update")):
                self.lost -= 1
                raise ConnectionError("the answer was lost")
            return answer

        return call


@pytest.fixture
def server(empty_database, tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "pause", lambda seconds: None)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 3600.0)
    # Each call asks again, as if time had passed; and all artifacts go through the client, as with a server.
    monkeypatch.setattr("minibert.tracking.outage.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("minibert.tracking.artifacts.local_path", lambda address: None)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    address = sqlite_address(tmp_path / "mlflow.db")
    open_store(address, tmp_path, "minibert")
    return Server(MlflowClient(tracking_uri=address))


@pytest.fixture
def host(server, tmp_path):
    """The store as a host with a folder of its own sees it."""

    def see(name: str = "one", known: bool = True) -> Store:
        folder = tmp_path / name
        client = JournaledClient(server, URI, folder / "work", "minibert", _experiment)
        client.experiment_id = _experiment(server.client) if known else None
        return Store(client, client.experiment_id or UNKNOWN, URI, folder)

    return see


def _experiment(client) -> str:
    return client.get_experiment_by_name("minibert").experiment_id


def runs(server, condition: str = "tags.`minibert.config_hash` != ''") -> list:
    return list(server.client.search_runs([_experiment(server.client)], condition))


def points(server, run, metric="train/loss") -> list:
    history = server.client.get_metric_history(run.info.run_id, metric)
    return [(point.step, point.value) for point in history]


def train(store, server, away: range, steps: int = 6, status: str | None = "FINISHED"):
    """A run of some steps, while some of which the server is away. Without ``status`` its process is killed."""
    server.away = -1 in away
    held = claim(store, HASH)
    run = start_run(held, "a run", {"model": {"layers": 3}}, {"key": "early"})
    run.log_text("seed: 1", "config.yaml")
    for step in range(steps):
        server.away = step in away
        run.log({"train/loss": float(step), "eval/loss": float("nan")}, step)
        run.log_text(f"{step}", f"steps/{step}.txt")
        run.set_tags({"key": f"step {step}"})
        run.secure()
    server.away = steps in away
    if status is not None:
        run.log_dataset("books", "f" * 64, "here", {"documents": 8})
        run.finish(status)
    held.release()
    return run


@pytest.mark.parametrize("away", [range(0), range(-1, 3), range(2, 4), range(2, 7), range(-1, 7)], ids=str)
def test_a_run_arrives_whole_whenever_the_server_was_away(server, host, away):
    store = host()
    train(store, server, away)
    server.away = False
    send_all(store)
    (run,) = runs(server)
    assert run.info.status == "FINISHED" and run.info.run_name == "a run" and run.info.end_time
    assert run.data.params == {"model.layers": "3"} and run.data.tags["key"] == "step 5"
    assert points(server, run) == [(step, float(step)) for step in range(6)]
    assert len(points(server, run, "eval/loss")) == 6
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "books"
    found = {item.path for item in server.client.list_artifacts(run.info.run_id, "steps")}
    assert found == {f"steps/{step}.txt" for step in range(6)}
    assert not list((store.work).glob("*/journal.jsonl"))
    assert send_all(store) == []


@pytest.mark.parametrize("lost", [1, 2, 5, 50])
def test_what_is_sent_twice_because_an_answer_was_lost_is_there_once(server, host, lost):
    store = host()
    server.lost = lost
    train(store, server, range(0))
    server.lost = 0
    send_all(store)
    (run,) = runs(server)
    assert points(server, run) == [(step, float(step)) for step in range(6)]
    assert run.data.tags["key"] == "step 5" and run.info.status == "FINISHED"


def test_what_is_recorded_while_the_server_is_away_is_read_back_from_the_journal(server, host):
    store = host()
    server.away = True
    with claim(store, HASH) as held:
        run = start_run(held, "a run", {"seed": 1}, {"key": "value"})
        run.log({"train/loss": 2.0}, 0)
        run.log({"train/loss": 1.0}, 1)
        run.flush()
        run.log_text("text", "folder/a.txt")
        assert run.history("train/loss") == ([0, 1], [2.0, 1.0])
        assert run.metric_names("train/") == ["train/loss"]
        assert (run.artifacts(""), run.artifacts("folder")) == (["folder"], ["folder/a.txt"])
        assert run.read("folder/a.txt") == b"text"
        entity = run.entity()
        assert (entity.info.status, entity.data.params, entity.data.tags["key"]) == (
            "RUNNING",
            {"seed": "1"},
            "value",
        )
        assert find_finished(store, HASH) is None
        run.finish("FINISHED")
        assert find_finished(store, HASH) == run.id


@pytest.fixture
def killed(monkeypatch):
    """No process gives a sign of life."""
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.0)


def test_a_killed_run_goes_on_in_its_journal_and_no_step_is_recorded_twice(server, host, killed):
    train(host(), server, range(-1, 9), steps=4, status=None)
    again = host()
    server.away = True
    with claim(again, HASH) as held:
        run = start_run(held, "a run", {}, {})
        assert run.continued
        for step in range(2, 6):
            run.log({"train/loss": float(step)}, step)
        run.finish("FINISHED")
    server.away = False
    assert [each.left for each in send_all(host())] == [0]
    (run,) = runs(server)
    assert points(server, run) == [(step, float(step)) for step in range(6)]


def test_what_a_killed_run_did_not_send_is_sent_and_the_run_continues_at_the_server(server, host, killed):
    train(host(), server, range(2, 9), steps=4, status=None)
    server.away = False
    (settled,) = send_all(host())
    (run,) = runs(server)
    assert (settled.id, settled.left) == (run.info.run_id, 0) and settled.sent
    assert points(server, run) == [(step, float(step)) for step in range(4)]
    assert train(host(), server, range(0)).id == run.info.run_id
    assert [step for step, _ in points(server, runs(server)[0])] == list(range(6))


def test_a_run_that_finished_elsewhere_meanwhile_is_kept_too_and_both_are_tagged(server, host):
    first = train(host("one"), server, range(0))
    two = host("two", known=False)
    train(two, server, range(-1, 7))
    server.away = False
    send_all(two)
    tags = {run.info.run_id: run.data.tags.get(SAME_AS) for run in runs(server)}
    assert len(tags) == 2
    (second,) = tags.keys() - {first.id}
    assert tags == {first.id: second, second: first.id}


def test_what_another_host_has_continued_is_not_written_by_the_first(server, host):
    one, two = host("one"), host("two")
    held = claim(one, HASH)
    run = start_run(held, "a run", {}, {})
    run.log({"train/loss": 0.0}, 0)
    run.flush()
    server.away = True
    run.log({"train/loss": 7.0}, 1)
    run.flush()
    server.away = False
    server.client.delete_tag(run.id, leases.TAG)  # as after a minute without a heartbeat
    again = train(two, server, range(0))
    assert again.id == run.id
    with pytest.raises(SupersededError, match="continued by another process"):
        run.finish("FINISHED")
    (settled,) = send_all(one)
    assert settled.left and "continued by another process" in settled.why
    assert points(server, runs(server)[0]) == [(step, float(step)) for step in range(6)]
    held.release()


def test_two_hosts_with_folders_of_their_own_train_a_run_once(server, host):
    said = []
    with claim(host("one"), HASH) as held:
        run = start_run(held, "a run", {}, {})
        run.log({"train/loss": 0.0}, 0)

        def end_the_first(sentence):
            said.append(sentence)
            run.finish("FINISHED")

        with claim(host("two"), HASH, end_the_first) as second:
            assert second.finished_run() == run.id
    assert len(said) == 1 and "is training 'a run'" in said[0]
    assert len(runs(server)) == 1


def test_training_goes_on_when_the_server_forbids_to_write_and_the_end_says_so(server, host, monkeypatch):
    with claim(host(), HASH) as held:
        run = start_run(held, "a run", {}, {})

        def forbidden(*_, **__):
            raise RestException({"error_code": "PERMISSION_DENIED", "message": "forbidden"})

        monkeypatch.setattr(server.client, "log_batch", forbidden)
        run.log({"train/loss": 0.0}, 0)
        assert not run.flush()
        run.log({"train/loss": 1.0}, 1)
        with pytest.raises(MinibertError, match="forbidden"):
            run.finish("FINISHED")
    monkeypatch.undo()
    assert [each.left for each in send_all(host())] == [0]
    assert points(server, runs(server)[0]) == [(0, 0.0), (1, 1.0)]


def test_the_newest_state_is_found_by_another_host_and_goes_when_the_run_has_finished(server, host):
    one, two = host("one"), host("two")
    with claim(one, HASH) as held:
        run = start_run(held, "a run", {}, {})
        for step in (1, 2):
            (run.folder / STATE).write_text(f"state of step {step}")
            run.share_state(step)
        run.finish("KILLED", "SIGTERM")
    for store in (two, one):  # and back again: the older state here is replaced
        with claim(store, HASH) as held:
            run = start_run(held, "a run", {}, {})
            assert (run.folder / STATE).read_text() == f"state of step {2 if store is two else 3}"
            (run.folder / STATE).write_text("state of step 3")
            run.share_state(3)
            run.finish("FINISHED" if store is one else "KILLED")
    (run,) = runs(server)
    assert run.data.tags["minibert.resume_step"] == "3"
    assert not [item.path for item in server.client.list_artifacts(run.info.run_id) if item.path == "resume"]


def test_a_sweep_and_its_runs_that_began_without_the_server_arrive_as_parent_and_children(server, host):
    store = host(known=False)
    server.away = True
    sweep = open_sweep(store, "masking", "5eed" * 16, {HASH: "one"}, {}, {"study": {"factor": "masking.rate"}})
    with claim(store, HASH) as held:
        start_run(held, "one", {}, {}, parent=sweep.id).finish("FINISHED")
    (child,) = sweep.children()
    assert (child.name, child.status) == ("one", "FINISHED")
    sweep.finish("FINISHED")
    server.away = False
    assert [each.left for each in send_all(store)] == [0, 0]
    (run,) = runs(server)
    (parent,) = runs(server, "tags.`minibert.kind` = 'sweep'")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert [each.id for each in children(store, "5eed" * 16)] == [run.info.run_id]
    assert store.client.get_run(sweep.id).info.run_id == parent.info.run_id  # by its name here, too


@pytest.mark.parametrize("away", [False, True])
def test_what_is_in_a_folder_is_stored_under_the_name_that_is_asked_for(server, host, tmp_path, away):
    store, made = host(), tmp_path / ".report.1g48gswp"
    (made / "figures").mkdir(parents=True)
    (made / "index.html").write_text("page")
    (made / "figures" / "a.png").write_text("figure")
    held = claim(store, HASH)
    run = start_run(held, "a run", {}, {})
    server.away = away
    run.log_artifact(made, "during")
    run.finish("FINISHED")
    held.release()
    server.away = False
    send_all(store)
    (found,) = runs(server)
    for _ in range(2):  # without a journal: the run has ended
        artifacts_of(store, found.info.run_id).add(made, "report")
    client, run_id = server.client, found.info.run_id
    for folder in ("during", "report"):
        assert {each.path for each in client.list_artifacts(run_id, folder)} == {
            f"{folder}/index.html", f"{folder}/figures",
        }  # fmt: skip


def test_a_model_whose_sending_was_interrupted_is_entered_once(server, host, tmp_path):
    from mlflow.models import Model

    store, folder = host(), tmp_path / "model"
    folder.mkdir()
    Model().save(str(folder / "MLmodel"))
    held = claim(store, HASH)
    server.away = True
    run = start_run(held, "a run", {}, {})
    about = {"kind": "bert", "params": {}, "tags": {}, "points": []}
    store.client.log_model(run.id, folder, about)
    run.finish("FINISHED")
    held.release()
    server.away = False
    journal = Journal(store.work / run.id)
    kept = shutil.copytree(journal.folder, tmp_path / "before the answer")
    send_all(store)
    (found,) = runs(server)
    shutil.copytree(kept, journal.folder, dirs_exist_ok=True)  # killed before it noted that all was sent
    assert [each.left for each in send_all(store)] == [0]
    (again,) = runs(server)
    assert again.info.run_id == found.info.run_id
    (output,) = again.outputs.model_outputs
    (model,) = server.client.search_logged_models([_experiment(server.client)])
    assert output.model_id == model.model_id and model.status == "READY"


def test_a_sweep_that_the_server_knew_is_joined_and_keeps_its_plan(server, host):
    open_sweep(host("one"), "masking", "5eed" * 16, {HASH: "one"}, {}, {}).finish("FINISHED")
    server.away = True
    store = host("two")
    open_sweep(store, "masking", "5eed" * 16, {OTHER_HASH: "two"}, {}, {}).finish("KILLED", "SIGTERM")
    server.away = False
    send_all(store)
    (parent,) = runs(server, "tags.`minibert.kind` = 'sweep'")
    again = open_sweep(host("three"), "masking", "5eed" * 16, {}, {}, {})
    assert again.id == parent.info.run_id
    assert again.planned == {HASH: "one", OTHER_HASH: "two"}


def test_what_the_server_refuses_is_left_out_reported_once_and_holds_nothing_up(server, host, caplog):
    store = host()
    with claim(store, HASH) as held:
        run = start_run(held, "a run", {"p@": 1, "good": 2}, {})
        server.away = True
        for step in range(4):
            run.log({"train/loss": float(step), "bad@": 1.0}, step)
            run.set_tags({"also bad@": step, "good": "yes"})
            run.secure()
        server.away = False
        run.finish("FINISHED")
    (run,) = runs(server)
    assert points(server, run) == [(step, float(step)) for step in range(4)]
    assert run.data.tags["good"] == "yes" and run.data.params == {"good": "2"}
    assert sorted(line.split(":")[0] for line in run.data.tags[LEFT_OUT].splitlines()) == [
        "also bad@",
        "bad@",
        "p@",
    ]
    assert caplog.text.count("bad@: ") == 3 - 1


def test_a_damaged_line_is_passed_over_and_all_else_is_sent(server, host):
    store = host()
    train(store, server, range(2, 9), steps=4, status=None)
    (journal,) = (Journal(path.parent) for path in store.work.glob("*/journal.jsonl"))
    lines = journal.path.read_bytes().splitlines(keepends=True)
    spoilt = next(number for number, line in enumerate(lines) if b'"step 3"' in line)
    lines[spoilt] = b"\xff" + lines[spoilt][1:]
    journal.path.write_bytes(b"".join(lines))
    server.away = False
    send_all(host())
    (run,) = runs(server)
    assert run.data.tags["key"] == "step 2" and len(points(server, run)) == 4
    assert "damaged line" in run.data.tags[LEFT_OUT]


def test_a_deleted_run_refuses_everything_and_nothing_is_thrown_away(server, host):
    store = host()
    run = train(store, server, range(2, 9), steps=4, status=None)
    server.away = False
    server.client.delete_run(run.id)
    (settled,) = send_all(host())
    assert settled.left and f"mlflow runs restore --run-id {run.id}" in settled.why
    server.client.restore_run(run.id)
    assert [each.left for each in send_all(host())] == [0]


def test_a_heartbeat_is_not_kept_in_the_journal(server, host):
    store = host()
    with claim(store, HASH) as held:
        run = start_run(held, "a run", {}, {})
        assert held.lease is not None
        server.away = True
        before = Journal(run.folder).path.stat().st_size
        with pytest.raises(ConnectionError):
            held.lease._renew()
        assert Journal(run.folder).path.stat().st_size == before
        server.away = False
        held.lease._renew()
        assert json.loads(server.client.get_run(run.id).data.tags[leases.TAG])["token"] == held.lease._token


def test_an_error_that_does_not_pass_is_raised_and_what_waits_stays(server, host, monkeypatch):
    store = host()
    train(store, server, range(2, 9), steps=4, status=None)
    server.away = False

    def forbidden(*_, **__):
        raise RestException({"error_code": "PERMISSION_DENIED", "message": "forbidden"})

    monkeypatch.setattr(server.client, "log_batch", forbidden)
    (settled,) = send_all(store)
    assert settled.left and "forbidden" in settled.why


def test_folders_and_servers_are_told_apart(server, host):
    store = host()
    train(store, server, range(-1, 9))
    other = replace(store, client=JournaledClient(server, "http://other", store.work, "minibert", _experiment))
    assert send_all(other) == []
    other.client.takes_all = True
    server.away = False
    assert [each.left for each in send_all(other)] == [0]
    assert len(runs(server)) == 1

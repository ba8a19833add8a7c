"""Processes that share a server but no folder: one of them writes a run.

The server is a SQLite store here that says nothing of its file, so that no lock is shared.
"""

import json
import shutil
from dataclasses import replace

import pytest

from minibert import interruption
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.tracking import claim, leases, open_store, retries, start_run
from minibert.tracking.addresses import sqlite_address
from minibert.tracking.leases import TAG, Lease, OvertakenError
from minibert.tracking.records import create

HASH = "c0ffee" * 10
TAGS = {"minibert.kind": "run", "minibert.config_hash": HASH}


@pytest.fixture
def stores(empty_database, tmp_path, monkeypatch):
    """One server as two hosts see it."""
    monkeypatch.setattr(retries, "pause", lambda seconds: None)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 3600.0)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    address = sqlite_address(tmp_path / "mlflow.db")
    opened = [open_store(address, tmp_path / name, "minibert") for name in ("one", "two")]
    return [replace(store, database=None) for store in opened]


def points(run) -> list:
    return [point.step for point in run.store.client.get_metric_history(run.id, "train/loss")]


def lease_of(run) -> dict:
    return json.loads(run.store.client.get_run(run.id).data.tags[TAG])


def pretend(run, **changes) -> None:
    """Let the lease of a run be as another process, perhaps on another host, would have written it."""
    run.store.client.set_tag(run.id, TAG, json.dumps(lease_of(run) | {"token": "another"} | changes))


def test_a_run_says_which_host_and_process_train_it_and_no_longer_when_it_has_ended(stores):
    with claim(stores[0], HASH) as held:
        run = start_run(held, "a run", {}, {})
        assert {"host", "process", "heartbeat"} <= lease_of(run).keys()
        run.finish("FINISHED")
    assert TAG not in stores[0].client.get_run(run.id).data.tags


def test_two_folders_with_one_server_do_not_write_one_run(stores):
    sentences = []
    with claim(stores[0], HASH) as held:
        run = start_run(held, "a run", {}, {})
        run.log({"train/loss": 1.0}, 0)

        def end_the_first(sentence):
            sentences.append(sentence)
            run.finish("FINISHED")

        with claim(stores[1], HASH, end_the_first) as second:
            assert second.finished_run() == run.id
    assert "is training 'a run'" in sentences[0] and len(sentences) == 1
    assert points(run) == [0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"process": 2**22 + 1}, "is gone"),
        ({"started": 0.0}, "is gone"),
        ({"system": "another", "host": "far away", "heartbeat": 0}, "on far away gave its last sign of life"),
    ],
)
def test_the_lease_of_a_dead_process_is_taken_over_and_this_is_said(stores, caplog, changes, why):
    run = start_run(claim(stores[0], HASH), "a run", {}, {})
    pretend(run, **changes)
    with claim(stores[1], HASH, pytest.fail) as held:
        again = start_run(held, "a run", {}, {})
        assert (again.id, again.continued) == (run.id, True)
        assert lease_of(run)["token"] != "another"
    (said,) = caplog.messages
    assert said.startswith("taking over 'a run'") and why in said


@pytest.mark.parametrize("beats", [3, 0])
def test_a_heartbeat_is_waited_for_until_it_stands_still(stores, caplog, monkeypatch, beats):
    run = start_run(claim(stores[0], HASH), "a run", {}, {})
    pretend(run, system="another", host="far away")
    clock, beat = [0.0], [0]

    def half_a_minute_later(seconds):
        clock[0] += 30.0
        if beat[0] < beats:
            beat[0] += 1
            pretend(run, system="another", host="far away", heartbeat=lease_of(run)["heartbeat"] + 30.0)

    monkeypatch.setattr(retries, "pause", half_a_minute_later)
    monkeypatch.setattr(leases.time, "monotonic", lambda: clock[0])
    sentences = []
    Lease(stores[1], HASH).wait(sentences.append)
    assert clock[0] == 30.0 * beats + 60.0
    assert "no sign of life for 60 s" in caplog.messages[-1]
    assert len(sentences) == 1 and "on far away is training" in sentences[0]


def test_of_two_that_create_a_run_at_once_one_keeps_it_and_the_other_waits(stores):
    rivals = [Lease(store, HASH) for store in stores]
    tags = [lease.take() for lease in rivals]
    runs = [create(lease.store, "a run", {}, TAGS | own) for lease, own in zip(rivals, tags, strict=True)]
    kept = []
    for lease, run in zip(rivals, runs, strict=True):
        try:
            lease.hold(run.info.run_id, created=True)
            kept.append(run.info.run_id)
        except OvertakenError:
            assert stores[0].client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    assert len(kept) == 1
    with pytest.raises(OvertakenError, match="already"):
        Lease(stores[1], HASH).take()


def test_of_two_that_continue_a_run_at_once_one_keeps_it(stores):
    run = create(stores[0], "a run", {}, TAGS)
    rivals = [Lease(store, HASH) for store in stores]
    for lease, tags in [(lease, lease.take()) for lease in rivals]:
        lease.store.client.set_tag(run.info.run_id, TAG, tags[TAG])
    with pytest.raises(OvertakenError):
        rivals[0].hold(run.info.run_id, created=False)
    rivals[1].hold(run.info.run_id, created=False)
    assert stores[0].client.get_run(run.info.run_id).info.lifecycle_stage == "active"


def test_who_lost_the_lease_while_the_server_was_away_writes_nothing_more(stores, monkeypatch):
    with claim(stores[0], HASH) as held:
        run = start_run(held, "a run", {}, {})
        run.log({"train/loss": 1.0}, 0)
        run.flush()
        pretend(run, system="another")
        run.log({"train/loss": 1.0}, 1)
        monkeypatch.setattr(leases, "STALE_SECONDS", -1.0)  # so that it asks at once
        for write in (run.flush, lambda: run.finish("FINISHED")):
            with pytest.raises(MinibertError, match="another process took it over"):
                write()
    assert points(run) == [0]
    assert stores[0].client.get_run(run.id).info.status == "RUNNING"
    assert lease_of(run)["token"] == "another"


def test_waiting_for_a_lease_ends_with_the_wish_to_end(stores, monkeypatch):
    start_run(claim(stores[0], HASH), "a run", {}, {})
    with interruption.deferred(), pytest.raises(Interrupted, match="SIGTERM"):
        claim(stores[1], HASH, lambda _: monkeypatch.setattr(interruption._State, "reason", "SIGTERM"))
    claim(stores[1], "decade" * 10).release()

"""Which calls to the store are repeated, for how long, and which are not."""

import shutil
import sqlite3

import pytest
import requests
import urllib3
from mlflow.entities import Dataset, DatasetInput
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from mlflow.store.tracking.dbmodels.models import SqlDataset
from sqlalchemy import event
from sqlalchemy.orm import Session

from minibert import interruption
from minibert.errors import MinibertError
from minibert.locks import file_lock
from minibert.tracking import retries
from minibert.tracking.retries import PatientClient, at_once, is_refusal, is_transient, patiently
from minibert.tracking.store import open_store


def raised(make, cause=None):
    """An exception as it comes out of MLflow's client: raised while another was being handled."""
    try:
        try:
            raise cause or KeyError("unrelated")
        except BaseException:
            raise make  # noqa: B904  (MLflow raises so)
    except type(make) as error:
        return error


def answer(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} for an address", response=response)


AWAY = {
    "refused connection": raised(MlflowException("API request failed"), requests.ConnectionError("refused")),
    "broken connection": ConnectionResetError("reset by peer"),
    "timeout": raised(MlflowException("timeout"), requests.ReadTimeout("read timed out")),
    "cut answer": requests.exceptions.ChunkedEncodingError("cut"),
    "protocol": urllib3.exceptions.ProtocolError("Connection aborted."),
    "status of an artifact": answer(503),
    "proxy without its server": MlflowException("API request to endpoint /x failed with error code 502 != 200"),
    "error inside the server": RestException({"error_code": "INTERNAL_ERROR", "message": "oh"}),
    "locked database": raised(
        MlflowException("(sqlite3.OperationalError) database is locked", TEMPORARILY_UNAVAILABLE),
        sqlite3.OperationalError("database is locked"),
    ),
    "locked database of a server": RestException(
        {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "(sqlite3.OperationalError) database is locked"}
    ),
    "row made by two": MlflowException(
        "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.name", BAD_REQUEST
    ),
    "row made by two on a server": RestException(
        {
            "error_code": "BAD_REQUEST",
            "message": "(psycopg2.errors.UniqueViolation) duplicate key value violates ...",
        }
    ),
}
NOT_AWAY = {
    "missing table": MlflowException("(sqlite3.OperationalError) no such table: runs", TEMPORARILY_UNAVAILABLE),
    "full disk": MlflowException("(sqlite3.OperationalError) database or disk is full", TEMPORARILY_UNAVAILABLE),
    "no permission": RestException({"error_code": "PERMISSION_DENIED", "message": "no"}),
    "no such run": RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}),
    "certificate": requests.exceptions.SSLError("self-signed"),
    "local disk": OSError(28, "No space left on device"),
}
REFUSED = {
    "name": MlflowException("Invalid metric name", INVALID_PARAMETER_VALUE),
    "name, by a server": RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid value"}),
    "type": TypeError("must be real number, not NoneType"),
    "size": OverflowError("Python int too large to convert to SQLite INTEGER"),
}


@pytest.mark.parametrize("kind", AWAY)
def test_what_passes_by_itself_is_transient_and_no_fault_of_the_content(kind):
    assert is_transient(AWAY[kind]) and not is_refusal(AWAY[kind])


@pytest.mark.parametrize("kind", NOT_AWAY)
def test_what_does_not_pass_by_itself_is_not_transient(kind):
    assert not is_transient(NOT_AWAY[kind]) and not is_refusal(NOT_AWAY[kind])


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_for_its_content_is_told_apart(kind):
    assert is_refusal(REFUSED[kind]) and not is_transient(REFUSED[kind])


class Away:
    """A client whose calls fail so many times before they are carried out."""

    experiment = "a value, not a call"

    def __init__(self, times, error=None):
        self.left, self.calls, self.error = times, [], error or ConnectionError("the server went away")

    def set_tag(self, *arguments):
        return self._call("set_tag", arguments)

    def create_run(self, *arguments):
        return self._call("create_run", arguments)

    def _call(self, name, arguments):
        self.calls.append(name)
        if self.left:
            self.left -= 1
            raise self.error
        return arguments


@pytest.fixture
def waits(monkeypatch):
    """The seconds that would have been waited."""
    waited = []
    monkeypatch.setattr(retries, "pause", waited.append)
    return waited


def test_a_call_is_repeated_after_growing_waits_until_it_succeeds(waits):
    client = PatientClient(Away(3))
    assert client.set_tag("run", "key") == ("run", "key")
    assert waits == [0.5, 1.0, 2.0]
    assert client.experiment == "a value, not a call"


def test_a_store_that_stays_away_is_an_error_after_a_minute_and_a_half(waits):
    with pytest.raises(ConnectionError):
        PatientClient(Away(100)).set_tag()
    assert sum(waits) == 90.5


def test_a_refusal_is_not_repeated(waits):
    client = Away(1, REFUSED["name"])
    with pytest.raises(MlflowException):
        PatientClient(client).set_tag()
    assert client.calls == ["set_tag"] and not waits


def test_a_wish_to_end_ends_the_waiting_after_one_more_try(waits, monkeypatch):
    client = Away(100)
    monkeypatch.setattr(interruption, "reason", lambda: "SIGTERM" if len(waits) == 2 else None)
    with pytest.raises(ConnectionError):
        PatientClient(client).set_tag()
    assert len(client.calls) == 3


def test_the_wait_itself_ends_with_a_wish_to_end(monkeypatch):
    monkeypatch.setattr(interruption, "reason", lambda: "SIGTERM")
    monkeypatch.setattr(retries.time, "sleep", pytest.fail)
    retries.pause(1000)


def test_making_a_run_is_not_repeated_alone_but_together_with_the_search_for_it(waits):
    client = Away(1)
    patient = PatientClient(client)
    with pytest.raises(ConnectionError):
        patient.create_run()
    client.left = 1

    def search_and_make():
        client.calls.append("search")
        return patient.create_run()

    patiently(search_and_make)
    assert client.calls == ["create_run", "search", "create_run", "search", "create_run"]


def test_calls_within_a_repeated_one_do_not_wait_themselves(waits):
    patient = PatientClient(Away(100))
    with pytest.raises(ConnectionError):
        patiently(lambda: patient.set_tag())
    assert len(waits) == len(retries.WAITS_SECONDS)
    waits.clear()
    with at_once(), pytest.raises(ConnectionError):
        patient.set_tag()
    assert not waits


def test_opening_a_store_fails_at_once_unless_it_was_there_a_moment_ago(waits, tmp_path, monkeypatch):
    with pytest.raises(MinibertError, match="No server answers there"):
        open_store("http://localhost:1", tmp_path, "minibert")
    assert not waits

    def nobody_else_waits(seconds):
        waits.append(seconds)
        with file_lock(tmp_path / "work" / "locks" / "store.lock").acquire(timeout=0):
            pass

    monkeypatch.setattr(retries, "pause", nobody_else_waits)
    with pytest.raises(MinibertError, match="No server answers there"):
        open_store("http://localhost:1", tmp_path, "minibert", patient=True)
    assert len(waits) == len(retries.WAITS_SECONDS)


def test_two_processes_may_record_one_dataset_at_the_same_moment(waits, empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    store = open_store(None, tmp_path, "minibert")
    run, other = (store.client.create_run(store.experiment_id).info.run_id for _ in range(2))
    used = [DatasetInput(Dataset("text", "digest", "minibert", "{}"), [])]
    turns = []

    def another_is_first(session, *_):
        if not turns and any(isinstance(row, SqlDataset) for row in session.new):
            turns.append("another")
            store.client.log_inputs(other, used)

    event.listen(Session, "before_flush", another_is_first)
    try:
        store.client.log_inputs(run, used)
    finally:
        event.remove(Session, "before_flush", another_is_first)
    assert turns and waits == [0.5]
    digests = [store.client.get_run(each).inputs.dataset_inputs[0].dataset.digest for each in (run, other)]
    assert digests == ["digest", "digest"]

"""Fixtures of the tests that need other processes."""

import shutil

import pytest

from tests.support.tracking_server import TrackingServer


@pytest.fixture(scope="module")
def tracking_server(empty_database, tmp_path_factory):
    """An MLflow server that is not started yet."""
    folder = tmp_path_factory.mktemp("server")
    server = TrackingServer(folder, shutil.copy(empty_database, folder / "mlflow.db"))
    yield server
    server.close()

"""A real MLflow server on this machine, which tests stop and start again."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import requests

from minibert.tracking.addresses import sqlite_address

SERVE = """
import os, sys
import uvicorn
from mlflow.server.fastapi_app import app
for line in sys.stdin:
    child = os.fork()
    if not child:
        uvicorn.run(app, host="127.0.0.1", port=int(line), log_level="critical")
    print(child, flush=True)
"""
"""What ``mlflow server`` runs, in a new process for each line with a port: to import it takes four seconds"""


class TrackingServer:
    """SQLite keeps the record, and artifacts go through the server. It is not started when it is made."""

    def __init__(self, folder: Path, database: Path):
        """``database``: a SQLite file that lies in ``folder``"""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.folder, self.database = folder, database
        self.uri = f"http://127.0.0.1:{self.port}"
        self._child: int | None = None
        from mlflow import server

        settings = {
            server.BACKEND_STORE_URI_ENV_VAR: sqlite_address(database),
            server.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            server.ARTIFACTS_DESTINATION_ENV_VAR: str(folder / "artifacts"),
            server.SERVE_ARTIFACTS_ENV_VAR: "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self._parent = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self) -> None:
        """Start it, and return when it answers."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        print(self.port, file=self._parent.stdin, flush=True)
        self._child = int(self._parent.stdout.readline())
        while not self._answers():
            try:
                code = self._parent.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"the server ended with exit code {code}")

    def stop(self) -> None:
        """End it as a crash does."""
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            self._child = None
            while self._answers():  # a process takes a moment to die
                pass

    def close(self) -> None:
        """End it for good."""
        os.killpg(self._parent.pid, signal.SIGKILL)
        self._parent.communicate()

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

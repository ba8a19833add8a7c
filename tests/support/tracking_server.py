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
import os, socket, sys
import uvicorn
from mlflow.server import handlers
from mlflow.server.fastapi_app import app
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
processes = int(sys.argv[1])
if processes > 1:
    handlers._get_tracking_store()  # one process makes the tables
    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()
for line in sys.stdin:
    children = []
    # asyncio sends answers at once only by a socket that names its protocol: 40 ms sooner
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", int(line)))
        listening.listen()
        for _ in range(processes):
            children.append(os.fork())
            if not children[-1]:
                uvicorn.Server(uvicorn.Config(app, log_level="critical")).run([listening])
                os._exit(1)
    print(*children, flush=True)
"""
"""What ``mlflow server`` runs, in new processes for each line with a port: to import it takes four seconds"""


class TrackingServer:
    """A database keeps the record, and artifacts go through the server. It is not started when it is made."""

    def __init__(self, folder: Path, database: Path | str, processes: int = 1):
        """``database``: a SQLite file that lies in ``folder``, or the address of another one.

        ``processes``: how many serve.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.folder, self.database = folder, database
        self.uri = f"http://127.0.0.1:{self.port}"
        self._children: list[int] = []
        from mlflow import server

        settings = {
            server.BACKEND_STORE_URI_ENV_VAR: sqlite_address(database) if isinstance(database, Path) else database,
            server.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            server.ARTIFACTS_DESTINATION_ENV_VAR: str(folder / "artifacts"),
            server.SERVE_ARTIFACTS_ENV_VAR: "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self._parent = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(processes)],
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
        self._children = [int(word) for word in self._parent.stdout.readline().split()]
        while not self._answers():
            try:
                code = self._parent.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"the server ended with exit code {code}")

    def stop(self) -> None:
        """End it as a crash does."""
        if self._children:
            while self._children:
                os.kill(self._children.pop(), signal.SIGKILL)
            while self._answers():  # a process takes a moment to die
                pass

    def close(self) -> None:
        """End it for good."""
        os.killpg(self._parent.pid, signal.SIGKILL)
        self._parent.communicate()

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.RequestException:
            return False

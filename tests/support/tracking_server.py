"""A real MLflow server on this machine, in a process of its own, which tests stop and start again."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import requests

from minibert.tracking.addresses import sqlite_address

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


class TrackingServer:
    """SQLite keeps the record, and artifacts go through the server. It is not started when it is made."""

    def __init__(self, folder: Path, database: Path):
        """``database``: a SQLite file that lies in ``folder``"""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.folder, self.database = folder, database
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--backend-store-uri", sqlite_address(self.database), "--workers", "1"),
                *("--artifacts-destination", str(self.folder / "artifacts")),
            ],
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not self._answers():
            try:
                code = self._process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"the server ended with exit code {code}")

    def stop(self) -> None:
        """End it with all of its processes, as a crash does."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

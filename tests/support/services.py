"""Real services for tests: PostgreSQL, an MLflow server, machines of Ray. Each is ended by those who began it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.tracking_server import TrackingServer

BINARIES = Path("/usr/lib/postgresql")
"""Where Debian's packages put PostgreSQL, a folder a version"""
START_SECONDS = 120.0
"""That a service may take to begin, on a machine that is busy"""
TRIES = 3
"""A machine of Ray ends itself if its agent takes more than 15 s to begin"""
WITHOUT_ROOT = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
QUIET = {"DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
IMPATIENT = {"RAY_health_check_period_ms": "500", "RAY_health_check_initial_delay_ms": "500"}
"""A machine of Ray is lost when it has not answered five times: by default that takes more than 15 s"""
BARE = ("--no-monitor", "--include-log-monitor=false")
"""A machine of Ray without what scales a cluster, and what shows a driver the output of its tasks"""


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def postgres_binaries() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``, of the newest version that is installed."""
    found = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server of PostgreSQL with an empty database; its address for SQLAlchemy. It refuses to be run by root."""
    binaries, port = postgres_binaries(), free_port()
    assert binaries is not None
    folder.mkdir(parents=True)
    prefix: Sequence[str] = ()
    if os.geteuid() == 0:
        prefix = WITHOUT_ROOT
        shutil.chown(folder, "postgres")
        for parent in folder.parents:  # a folder of pytest is for its owner alone
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)

    def call(name: str, *words: str) -> None:
        subprocess.run([*prefix, binaries / name, *words], cwd=folder, check=True, capture_output=True)

    call("initdb", "-D", "data", "-U", "minibert", "--auth=trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    call("pg_ctl", "-D", "data", "-l", "log", "-w", "-t", "60", "-o", options, "start")
    try:
        call("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "minibert", "mlflow")
        yield f"postgresql+psycopg://minibert@127.0.0.1:{port}/mlflow"
    finally:
        call("pg_ctl", "-D", "data", "-m", "immediate", "stop")


@contextmanager
def mlflow_server(database: str, folder: Path) -> Iterator[str]:
    """An MLflow server of two processes, which keeps artifacts in a folder below ``folder``; its address."""
    server = TrackingServer(folder, database, processes=2)
    try:
        server.start()
        yield server.uri
    finally:
        server.close()


class RayMachines:
    """Machines of a cluster of Ray: each a ``ray start`` with a working folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self._nodes: dict[str, subprocess.Popen] = {}

    def add(self, name: str, cpus: int) -> Path:
        """Start a machine; the first is the head. Returns its working folder, which it knows as SCRATCH."""
        scratch = self.folder / name
        scratch.mkdir(exist_ok=True)
        host, port = self.address.split(":")
        place = [f"--address={self.address}"]
        if not self._nodes:
            # Sockets lie in this folder, and their paths may have 107 characters.
            place = ["--head", f"--node-ip-address={host}", f"--port={port}", "--include-dashboard=false"]
            place += [f"--temp-dir={self.folder}"]
        words = ["start", "--block", *place, *BARE, f"--num-cpus={cpus}", "--memory=8000000000"]
        words += ["--object-store-memory=78643200"]
        environment = (
            os.environ | QUIET | IMPATIENT | {"SCRATCH": str(scratch), "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        for _ in range(TRIES):
            with open(self.folder / f"{name}.log", "w") as log:
                process = subprocess.Popen(
                    [Path(sys.executable).parent / "ray", *words],
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            if self._has_begun(name, process):
                self._nodes[name] = process
                return scratch
            end(process)
        raise RuntimeError(f"no machine of Ray begins: {(self.folder / f'{name}.log').read_text()}")

    def kill(self, name: str) -> None:
        """Kill every process of a machine at once, as if its power failed."""
        end(self._nodes.pop(name))

    def workers(self, name: str) -> list[int]:
        """The processes of a machine that may train a run."""
        found = []
        for each in psutil.Process(self._nodes[name].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it may end while it is looked at
                if each.name().startswith("ray::"):
                    found.append(each.pid)
        return found

    def close(self) -> None:
        for name in list(self._nodes):
            self.kill(name)

    def _has_begun(self, name: str, process: subprocess.Popen) -> bool:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if "Ray runtime started" in (self.folder / f"{name}.log").read_text():
                return True
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.2)
                return False
        return False


def end(process: subprocess.Popen) -> None:
    """Kill a process and all that it began."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGKILL)
    process.kill()
    process.wait()

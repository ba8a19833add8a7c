"""The files of a run, at the address that the store records for it.

MLflow's client remembers for the whole process where the artifacts of a run id are. A store and its copy have the
same ids, so files on this machine are read and written here, and only remote ones go through the client.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath

from minibert.errors import Refused
from minibert.files import UNFINISHED, replacing
from minibert.tracking.addresses import local_path
from minibert.tracking.retries import patiently
from minibert.tracking.store import Store, store_errors


class Artifacts:
    """Paths are relative to the run's own folder, with slashes. Every error is a :class:`MinibertError`.

    Files on this machine are replaced, never written in place: a file may have a second place as another artifact.
    """

    def __init__(self, store: Store, run_id: str, address: str):
        self._store = store
        self._run_id = run_id
        self.address = address
        self.folder = local_path(address)
        """None if they are remote"""

    def write(self, path: str, content: bytes) -> None:
        """Store ``content`` as ``path``, completely or not at all."""
        with store_errors(self._store.uri, f"store {path}"), tempfile.TemporaryDirectory() as temporary:
            if self.folder is not None:
                _replace(self._place(path), content)
                return
            name = PurePosixPath(path)
            (Path(temporary) / name.name).write_bytes(content)
            folder = str(name.parent) if len(name.parts) > 1 else None  # "." is no folder for MLflow
            self._store.client.log_artifact(self._run_id, str(Path(temporary) / name.name), folder)

    def add(self, source: Path, folder: str | None = None) -> None:
        """Copy a file, or everything in a folder, to ``folder``."""
        source = Path(source)
        with store_errors(self._store.uri, f"store {source}"):
            if self.folder is None:
                log = self._store.client.log_artifacts if source.is_dir() else self._store.client.log_artifact
                log(self._run_id, str(source), folder)
            elif source.is_dir():
                for path in filter(Path.is_file, sorted(source.rglob("*"))):  # whose folders keep their own modes
                    _copy(path, self._place(folder or "") / path.relative_to(source))
            else:
                _replace(self._place(folder or "") / source.name, source.read_bytes())

    def list(self, folder: str) -> list[str]:
        """The paths of the files in a folder, sorted; none if there is no such folder."""
        with store_errors(self._store.uri, f"list {folder}"):
            if self.folder is None:
                return sorted(item.path for item in self._store.client.list_artifacts(self._run_id, folder))
            place = self._place(folder)
            found = place.iterdir() if place.is_dir() else ()
            return sorted(path.relative_to(self.folder).as_posix() for path in found if path.suffix != UNFINISHED)

    def fetch(self, path: str = "") -> Path:
        """The local path of a file, or of the whole folder; a remote one is kept until the process ends."""
        if self.folder is not None:
            return self._place(path)
        with store_errors(self._store.uri, f"make a temporary folder for {path or 'artifacts'}"):
            place = tempfile.mkdtemp(dir=_downloads().name)
        return self._download(path, place)

    def read(self, path: str) -> bytes:
        """The content of a file."""
        with self.opened(path) as place, store_errors(self._store.uri, f"read {path}"):
            return place.read_bytes()

    @contextmanager
    def opened(self, path: str) -> Iterator[Path]:
        """The local path of a file; the copy of a remote one goes when the block is left."""
        if self.folder is not None:
            yield self._place(path)
            return
        with store_errors(self._store.uri, f"make a temporary folder for {path}"):
            temporary = tempfile.TemporaryDirectory()
        with temporary as place:
            yield self._download(path, place)

    def _download(self, path: str, place: str) -> Path:
        with store_errors(self._store.uri, f"read {path or f'the artifacts of run {self._run_id}'}"):
            return Path(self._store.client.download_artifacts(self._run_id, path, place))

    def remove(self, path: str) -> None:
        """Delete a file or a folder. Not every remote store supports it; its own exception is raised."""
        if self.folder is None and self._store.journaled is not None:
            self._store.journaled.remove_artifacts(self._run_id, path)
        elif self.folder is None:
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            repository = get_artifact_repository(self.address, tracking_uri=self._store.uri)
            patiently(repository.delete_artifacts, path)
        elif (place := self._place(path)).is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _place(self, path: str) -> Path:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise Refused(f"{path}: is outside the artifacts of the run. Allowed: a relative path without '..'.")
        assert self.folder is not None  # only the artifacts on this machine have a place
        return self.folder / path


@cache
def _downloads() -> tempfile.TemporaryDirectory:
    """Where downloads of this process lie until it ends. A folder that MLflow's client makes stays for ever."""
    return tempfile.TemporaryDirectory(prefix="minibert-")


def artifacts_of(store: Store, run_id: str) -> Artifacts:
    """The artifacts of a recorded run. Raises :class:`MinibertError` when there is no such run."""
    with store_errors(store.uri, f"find run {run_id}"):
        return Artifacts(store, run_id, store.client.get_run(run_id).info.artifact_uri)


def _replace(path: Path, content: bytes) -> None:
    with replacing(path, durable=False) as temporary:
        temporary.write_bytes(content)


def _copy(source: Path, target: Path) -> None:
    with replacing(target, durable=False) as temporary:
        shutil.copy(source, temporary)

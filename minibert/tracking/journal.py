"""What a run records, in a file that grows: one operation a line, in order, and how far a server has taken them.

A line is whole or, after a kill, cut, and then it is passed over; a damaged line does not damage the others. Any
process may send what waits, under the lock of the journal. Copies of the artifacts lie beside it, so that the
record can also be read while the server is away.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from minibert.errors import MinibertError, Refused
from minibert.files import replacing
from minibert.locks import file_lock
from minibert.tracking.shared_files import link

JOURNAL, SENT, ARTIFACTS = "journal.jsonl", "journal.sent", "artifacts"
BEGIN = b'{"do": "begin"'
Operation = dict[str, Any]
"""``do`` says which operation it is (:mod:`minibert.tracking.replay`), the other keys are its arguments"""


class Journal:
    """The journal in the working folder of a run. Errors of the disk are raised as :class:`MinibertError`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / JOURNAL
        self.artifacts = folder / ARTIFACTS

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def lock(self) -> FileLock:
        """To be held while operations are sent."""
        return file_lock(self.folder.parent / "locks" / f"journal-{self.folder.name}.lock")

    def append(self, *operations: Operation, durable: bool = False) -> None:
        """Add operations. ``durable`` waits until all of the file is on disk."""
        lines = "".join(json.dumps(each) + "\n" for each in operations).encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            opened = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                if lines:
                    # After a kill within a line, that line ends here.
                    size = os.fstat(opened).st_size
                    cut = size > 0 and os.pread(opened, 1, size - 1) != b"\n"
                    lines = b"\n" + lines if cut else lines
                    if os.write(opened, lines) < len(lines):
                        os.ftruncate(opened, size)
                        raise OSError("no space is left")
                if durable:
                    os.fsync(opened)
            finally:
                os.close(opened)
        except OSError as error:
            raise _full(self.path, error) from error

    def operations(self, start: int = 0) -> Iterator[tuple[Operation | None, int]]:
        """Each operation from the byte ``start``, and the byte after it; None for a line that is damaged.

        A last line without an end is still being written, or was cut.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    start += len(line)
                    yield _operation(line), start
        except FileNotFoundError:
            return

    def all(self) -> list[Operation]:
        """Every operation that can be read."""
        return [operation for operation, _ in self.operations() if operation is not None]

    def waiting(self) -> list[Operation]:
        """The operations that are not sent yet."""
        return [operation for operation, _ in self.operations(self.sent["to"]) if operation is not None]

    def beginnings(self, before: float = math.inf) -> list[Operation]:
        """The operations, up to a byte, with which a journal began to write the run. The others are not read."""
        found, end = [], 0
        try:
            with open(self.path, "rb") as file:
                for line in file:
                    end += len(line)
                    if line.startswith(BEGIN) and end <= before:
                        found.append(_operation(line))
        except FileNotFoundError:
            return []
        return [each for each in found if each is not None]

    @property
    def sent(self) -> dict[str, Any]:
        """``to``: the byte up to which the server has taken it; ``run``: the id of the run there, or None."""
        try:
            return {"to": 0, "run": None} | json.loads((self.folder / SENT).read_bytes())
        except (OSError, ValueError, TypeError, RecursionError):
            return {"to": 0, "run": None}

    def mark_sent(self, to: int, run: str | None) -> None:
        try:
            with replacing(self.folder / SENT, durable=False) as temporary:
                temporary.write_text(json.dumps({"to": to, "run": run}))
        except OSError as error:
            raise _full(self.folder / SENT, error) from error

    @property
    def is_sent(self) -> bool:
        try:
            return self.path.stat().st_size <= self.sent["to"]
        except FileNotFoundError:
            return True

    def keep_artifact(self, source: Path, folder: str | None) -> list[str]:
        """Copy a file, or everything in a folder, beside the journal. Returns their paths as artifacts."""
        files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        within = source if source.is_dir() else source.parent
        kept = []
        try:
            for file in files:
                path = str(PurePosixPath(folder or "") / file.relative_to(within).as_posix())
                place = self.artifact(path)
                with replacing(place, durable=False) as temporary:
                    link(file, temporary)
                kept.append(path)
        except OSError as error:
            raise _full(self.artifacts, error) from error
        return kept

    def artifact(self, path: str) -> Path:
        """Where the copy of an artifact is."""
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise Refused(f"{path}: is outside the artifacts of the run. Allowed: a relative path without '..'.")
        return self.artifacts / path

    def remove(self) -> None:
        """Remove the working folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def journals(work: Path) -> list[Journal]:
    """All journals in the working folder of a store, the oldest first: a sweep comes before its runs."""
    found = [Journal(path.parent) for path in work.glob(f"*/{JOURNAL}")]
    return sorted(found, key=lambda each: (_begun(each), each.folder.name))


def begun_for(work: Path) -> list[tuple[str, str]]:
    """The addresses and experiments that the journals in a folder were begun for."""
    first = [next(each.operations(), (None, 0))[0] or {} for each in journals(work)]
    return list(dict.fromkeys((each["uri"], each["experiment"]) for each in first if "uri" in each))


def _begun(journal: Journal) -> int:
    first, _ = next(journal.operations(), (None, 0))
    return int((first or {}).get("at", 0))


def _operation(line: bytes) -> Operation | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("do"), str) else None


def _full(path: Path, error: OSError) -> MinibertError:
    return MinibertError(
        f"{path}: what the store has not taken could not be kept there ({error}). Free some space, then give the "
        "same command again."
    )

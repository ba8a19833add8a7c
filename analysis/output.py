"""The folder of a report. Nothing is written outside of it, and no file is lost that another program wrote.

A report is written to a new folder beside its own, and moved when it is complete. ``report.json`` lists its files:
the next report may replace only these. One, ``.fingerprint``, has a hash of what the report tells
(:func:`fingerprint`), by which a report that would be the same is known, and their names and sizes. So where
``report.json`` was removed or is damaged, they are known from there, and the report is made anew.
"""

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from minibert.config import PACKAGE
from minibert.errors import MinibertError
from minibert.files import expanded
from minibert.locks import wait_for
from minibert.tracking import Store
from minibert.tracking.provenance import digest

MANIFEST = "report.json"
FINGERPRINT = ".fingerprint"
UNFINISHED = f".{MANIFEST}"
"""The list while it is written"""
UNLISTED = {"index.html", "curves.csv", "finals.csv", "comparisons.csv"}
"""The files of a report without such a list, as earlier versions wrote it"""
UNLISTED_FIGURES = {
    "lr_range.png", "curves.png", "finals.png", "differences.png", "efficiency.png", "attention_entropy.png",
    "attention_patterns.png", "heads_apart.png", "change_points.png", "timing.png", "one_head.png",
}  # fmt: skip
LONGEST_NAME = 100
MOST_NAMED = 5


def folder_name(study: str) -> str:
    """The name of a study's folder: the study's name or, if that is not a plain name, a similar unique one."""
    plain = re.sub(r"[^\w.+-]+", "_", study).strip("._")[:LONGEST_NAME]
    if study and plain == study:
        return study
    return f"{plain or 'study'}-{hashlib.sha256(study.encode()).hexdigest()[:8]}"


class _WithoutFigures(pickle.Pickler):
    def persistent_id(self, obj: Any) -> str | None:
        return "figure" if isinstance(obj, Figure) else None


def fingerprint(*content: Any) -> str:
    """A hash of what a report tells and of the code that tells it; "" for content that cannot be hashed.

    Figures do not count: the numbers that they show do, and Matplotlib keeps addresses of memory in them.
    """
    told = io.BytesIO()
    try:
        _WithoutFigures(told).dump(content)
    except Exception:  # whatever an object raises that is not made to be stored
        return ""
    code = [path for room in (Path(__file__).parent, PACKAGE) for path in room.rglob("*.py")]
    return digest({"": told.getvalue()} | {path.as_posix(): path.read_bytes() for path in code})


def is_written(folder: Path, told: str) -> bool:
    """Whether ``folder`` holds all files of the report with this fingerprint, in their sizes, and their list."""
    try:
        sealed = json.loads((folder / FINGERPRINT).read_text(encoding="utf-8"))
        same = bool(told) and sealed["of"] == told
        same = same and sealed["sizes"].keys() <= (_names_in(folder / MANIFEST, "files") or set())
        return same and all((folder / name).stat().st_size == size for name, size in sealed["sizes"].items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def seal(made: Path, told: str) -> None:
    """Keep the fingerprint of a report that is written to ``made``, and the sizes of its files."""
    sizes = {path.name: path.stat().st_size for path in made.iterdir()}
    (made / FINGERPRINT).write_text(json.dumps({"of": told, "sizes": sizes}), encoding="utf-8")


@contextmanager
def new_report(store: Store, folder: Path) -> Iterator[Path]:
    """A new folder to write a report to. When the block ends, its files are moved to ``folder``.

    The files of an earlier report there are removed; all other files stay. One process at a time may be in the
    block. If it fails, the earlier report is not changed.

    Raises :class:`MinibertError` if ``folder`` holds files but no report, if a file of the report would replace
    a file of another program, and if the folder cannot be written.
    """
    folder = expanded(folder, "output").resolve()
    name = f"report-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    with wait_for(store.lock(name)):
        with _writing(folder):
            earlier = _earlier_report(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            yield made
            with _writing(folder):
                _swap(made, folder, earlier)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _earlier_report(folder: Path) -> set[str]:
    """The files of the report in a folder; none if the folder is empty."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise MinibertError(f"{folder}: is a file. A report needs a folder: give another name, output=FOLDER.")
    present = {path.name for path in folder.iterdir()}
    listed, sealed = _names_in(folder / MANIFEST, "files"), _names_in(folder / FINGERPRINT, "sizes")
    if listed is not None or sealed is not None:
        own = {FINGERPRINT} if sealed is not None else set()
        earlier = (own | (listed or set()) | (sealed or set())) & present
        _require_files(folder, earlier | {MANIFEST, UNFINISHED})
        return earlier
    if MANIFEST in present:
        raise MinibertError(
            f"{folder / MANIFEST}: is not the list of a report's files, so nobody knows which are of one. Move "
            "the folder away, or give another, output=FOLDER."
        )
    if present.issuperset(UNLISTED):
        _require_files(folder, (UNLISTED | UNLISTED_FIGURES) & present)
        return (UNLISTED | UNLISTED_FIGURES) & present
    if present:
        raise MinibertError(
            f"{folder}: holds files that are of no report ({_listed(present)}), and none of them may be lost. "
            "Give a new or an empty folder, output=FOLDER."
        )
    return set()


def _require_files(folder: Path, names: set[str]) -> None:
    """Refuse a folder that has the name of a file that is written, or removed, there."""
    for path in (folder / name for name in sorted(names)):
        if path.is_dir() and not path.is_symlink():
            raise MinibertError(
                f"{path}: is a folder, and a file of the report belongs there. Move it away, or give another "
                "folder, output=FOLDER."
            )


def _names_in(file: Path, key: str) -> set[str] | None:
    """The names of the files of a report, as one of them has them; None if it does not tell."""
    try:
        return {str(name) for name in json.loads(file.read_text(encoding="utf-8"))[key]}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _swap(made: Path, folder: Path, earlier: set[str]) -> None:
    written = {path.name for path in made.iterdir()}
    folder.mkdir(exist_ok=True)
    present = {path.name for path in folder.iterdir()}
    if foreign := (written & present) - earlier:
        raise MinibertError(
            f"{folder}: {_listed(foreign)} would be replaced, and no list says that a report wrote it. "
            "Move it away, or give another folder, output=FOLDER."
        )
    # Listed before and after: if the process is killed in between, all files of both reports are known.
    _list(folder, written | earlier)
    for name in sorted(written):
        os.replace(made / name, folder / name)
    for name in earlier - written:
        (folder / name).unlink(missing_ok=True)
    _list(folder, written)


def _list(folder: Path, files: set[str]) -> None:
    unfinished = folder / UNFINISHED
    unfinished.write_text(json.dumps({"files": sorted(files)}, indent=1), encoding="utf-8")
    os.replace(unfinished, folder / MANIFEST)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MinibertError(
            f"{folder}: could not be written ({error.strerror}). Give another folder, output=FOLDER."
        ) from error


def _listed(names: set[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(sorted(names)[:MOST_NAMED]) + more

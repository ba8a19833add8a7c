"""Data sets by name: which there are, under which licence, and how they come to this machine.

A data set is described in ``sources/NAME.yaml``: what it is, its licence, what to cite, where its files are at one
commit, and the length and SHA-256 of each. A file with any other content is refused.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from omegaconf import OmegaConf

from minibert.data.annotated.lines import as_path
from minibert.errors import MinibertError, Unavailable, nearest, sentence
from minibert.locks import acquire, file_lock

SOURCES = Path(__file__).with_name("sources")
SECONDS_TO_ANSWER = 30
CHUNK = 65_536
"""Bytes that are read at once"""
MEGABYTE = 1_000_000
READABLE = 0o644
"""Rights of a file that was downloaded: pooch keeps those of a temporary file, which one user alone may read"""


class SourceFile(NamedTuple):
    """A file of a data set."""

    name: str
    url: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """A data set that can be downloaded."""

    name: str
    what: str
    licence: str
    citation: str
    files: tuple[SourceFile, ...]
    listed: Path
    """The file that says all this"""


def known_datasets(sources: Path = SOURCES) -> dict[str, Source]:
    """The data sets that :func:`dataset` knows by name."""
    return {file.stem: _source(file) for file in sorted(sources.glob("*.yaml"))}


def dataset(
    name_or_path: str | Path, cache: Path, note: Callable[[str], None] = print, sources: Path = SOURCES
) -> Path:
    """The file or folder that is given; for the name of a data set, the folder ``cache/datasets/NAME`` with its
    files, of which those that are missing are downloaded.

    ``note`` takes messages about the download. The SHA-256 of every file is checked at each call. Several
    processes may ask for the same data set at once: one downloads, the others wait.

    Raises :class:`Unavailable` where a file can be neither found nor downloaded: the message says which file to
    put where. Raises :class:`MinibertError` for a name that is neither a path nor a data set, and for a file with
    another content than ``sources`` state, which is not kept.
    """
    name, path = str(name_or_path), as_path(name_or_path)
    known = {file.stem: file for file in sorted(sources.glob("*.yaml"))}
    if path.exists():
        if name in known:
            note(f"{name}: {path.resolve()} is read, not the data set of this name.")
        return path
    if name not in known:
        raise MinibertError(
            f"{name}: neither a file, nor a folder, nor a data set{nearest(name, known)}. "
            f"Data sets: {', '.join(known)}."
        )
    source = _source(known[name])
    folder = cache / "datasets" / source.name
    # Without a lock first: the cache may be one that only others can write to.
    if all(_is_whole(folder, file) for file in source.files):
        return folder
    try:
        lock = file_lock(folder.with_suffix(".lock"))
    except OSError as error:
        raise _not_writable(folder, error) from error
    acquire(lock, on_wait=partial(note, f"{source.name}: waiting for another process that downloads it."))
    try:
        _complete(source, folder, note)
    finally:
        lock.release()
    return folder


def _source(file: Path) -> Source:
    entry: Any = OmegaConf.to_container(OmegaConf.load(file))
    files = tuple(
        SourceFile(name, f"{entry['url']}/{name}", facts["bytes"], facts["sha256"])
        for name, facts in entry["files"].items()
    )
    return Source(file.stem, entry["what"], entry["licence"], entry["citation"], files, file)


def _is_whole(folder: Path, file: SourceFile) -> bool:
    import pooch

    path = folder / file.name
    try:
        return path.is_file() and pooch.file_hash(str(path), alg="sha256") == file.sha256
    except OSError as error:
        raise MinibertError(
            f"{path}: cannot be read ({error.strerror}). Make it readable, or remove it."
        ) from error


def _complete(source: Source, folder: Path, note: Callable[[str], None]) -> None:
    """Download the files of the data set that are missing or have another content."""
    missing = [file for file in source.files if not _is_whole(folder, file)]
    if not missing:
        return
    for path in (folder / file.name for file in missing):
        if path.exists():
            note(f"{path}: has another content than the data set {source.name}, and is downloaded again.")
            path.unlink()
    total = sum(file.bytes for file in missing)
    note(
        f"{source.name}: downloading {len(missing)} of {len(source.files)} files, {total / MEGABYTE:.1f} MB, to "
        f"{folder}. {source.what} Licence: {sentence(source.licence)} Cite: {source.citation}"
    )
    progress = _Progress(source.name, total, note)
    for place, file in enumerate(missing):
        _download(source, file, folder, progress, remaining=len(missing) - place - 1)
        progress.finish(file)


class _Progress:
    """Says about ten times how much of a data set is here. ``total``, ``update``, ``reset`` and ``close`` are what
    pooch asks of a progress bar."""

    total = 0

    def __init__(self, name: str, expected: int, note: Callable[[str], None]):
        self._name, self._expected, self._note = name, expected, note
        self._finished = self._partial = self._told = 0

    def update(self, amount: int) -> None:
        self._partial += amount
        self._tell()

    def finish(self, file: SourceFile) -> None:
        self._finished, self._partial = self._finished + file.bytes, 0
        self._tell()

    def reset(self) -> None:
        self._partial = 0

    def close(self) -> None:
        self._partial = 0

    def _tell(self) -> None:
        here = min(self._finished + self._partial, self._expected)
        if here - self._told >= max(self._expected / 10, MEGABYTE):
            self._told = here
            self._note(f"{self._name}: {here / MEGABYTE:.1f} of {self._expected / MEGABYTE:.1f} MB.")


def _download(source: Source, file: SourceFile, folder: Path, progress: _Progress, remaining: int) -> None:
    import pooch
    from requests.exceptions import ConnectionError, RequestException, Timeout

    library: Any = pooch  # whose types know neither a progress bar of one's own nor the names of its own arguments
    http = library.HTTPDownloader(progressbar=progress, chunk_size=CHUNK, timeout=SECONDS_TO_ANSWER)

    def fetch(url: str, output: str, asked_by: object) -> None:
        http(url, output, asked_by)
        arrived = Path(output).stat().st_size
        if arrived < file.bytes:
            raise _unavailable(source, file, folder, remaining, f"{arrived:,} of its {file.bytes:,} bytes arrived")
        os.chmod(output, READABLE)

    library.get_logger().setLevel("WARNING")  # it would tell of every file
    try:
        # It writes to a temporary file beside the file, and removes it where the hash is another one.
        library.retrieve(file.url, f"sha256:{file.sha256}", file.name, folder, downloader=fetch)
    except (ConnectionError, Timeout) as error:
        host = urlsplit(file.url).hostname
        raise _unavailable(source, file, folder, remaining, f"no answer from {host}") from error
    except RequestException as error:
        raise _unavailable(source, file, folder, remaining, str(error)) from error
    except ValueError as error:
        raise MinibertError(
            f"{file.url}: has another content than the data set {source.name}: its SHA-256 is not {file.sha256}. "
            "It was not kept. Something on the way may replace files, such as a proxy that asks for a password. "
            f"Put the right file at {folder / file.name}, or give the path of a copy of your own."
        ) from error
    except OSError as error:
        raise _not_writable(folder / file.name, error) from error


def _not_writable(path: Path, error: OSError) -> MinibertError:
    return MinibertError(
        f"{path}: cannot be written ({error.strerror or error}). Set the cache to a folder that can be written to."
    )


def _unavailable(source: Source, file: SourceFile, folder: Path, remaining: int, reason: str) -> Unavailable:
    others = f", and so on for {remaining} more files (URLs in {source.listed})" if remaining else ""
    return Unavailable(
        f"{source.name}: {file.name} is not here and cannot be downloaded ({sentence(reason).rstrip('.')}). "
        f"Put the file {file.url} at {folder / file.name}{others}, or give the path of a copy of your own."
    )

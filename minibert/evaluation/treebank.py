"""The treebank that several instruments read: parsed once for all of them and for all checkpoints."""

from functools import lru_cache
from pathlib import Path

from minibert.data.annotated.conllu import AnnotatedSentence, read_conllu
from minibert.data.annotated.downloads import dataset
from minibert.evaluation.instruments import Subject


def treebank_sentences(treebank: str, subject: Subject) -> list[AnnotatedSentence]:
    """The sentences of a data set, a file or a folder of CoNLL-U. They are not to be changed.

    Raises :class:`minibert.errors.Unavailable` where it can be neither found nor downloaded, and
    :class:`MinibertError` for a malformed file.
    """
    path = dataset(treebank, subject.cache, subject.note)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return _read(path, tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files))


@lru_cache(maxsize=2)
def _read(path: Path, state: tuple) -> list[AnnotatedSentence]:
    """``state``: of the files, so that an edited one is read again"""
    return read_conllu(path)

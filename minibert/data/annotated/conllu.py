"""Sentences with parts of speech, features and dependencies: treebanks in the format CoNLL-U.

Nivre et al., "Universal Dependencies v2: An Evergrowing Multilingual Treebank Collection", LREC 2020;
https://universaldependencies.org/format.html
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import conllu
from conllu.exceptions import ParseException

from minibert.data.annotated.lines import as_path, bad_line, files_in, read_lines
from minibert.errors import MinibertError, nearest, sentence

ROOT = -1
"""The head of a word that depends on no other"""
UNTAGGED = "_"
"""The tag of a word whose part of speech the treebank does not give"""
UNIVERSAL_TAGS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "SYM", "VERB", "X",
)  # fmt: skip
"""The parts of speech of Universal Dependencies"""
ALLOWED_TAGS = frozenset({*UNIVERSAL_TAGS, UNTAGGED})
COLUMNS = 10
READ = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel")
"""The columns up to the last that is used: the library takes long for the other two"""


@dataclass(frozen=True)
class AnnotatedSentence:
    """Words with their parts of speech, features and arcs; all tuples have one entry a word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    """Of :data:`UNIVERSAL_TAGS`, or :data:`UNTAGGED`"""
    features: tuple[Mapping[str, str], ...]
    """Such as ``{"Number": "Sing", "Tense": "Past"}``; empty for a word without features"""
    heads: tuple[int, ...]
    """Which word each word depends on, counted from 0; :data:`ROOT` for a word that depends on none"""
    relations: tuple[str, ...]
    """The name of each arc without its subtype: ``nsubj`` for ``nsubj:pass``"""
    line: int
    """The number of the line where the sentence begins, with its comments"""

    @classmethod
    def of_words(cls, words: Sequence[str], line: int = 1) -> "AnnotatedSentence":
        """Words without tags, features and arcs: for a task whose labels are made from the words alone."""
        n = len(words)
        return cls(tuple(words), (UNTAGGED,) * n, ({},) * n, (ROOT,) * n, (UNTAGGED,) * n, line)


def read_conllu(path: str | Path) -> list[AnnotatedSentence]:
    """The sentences of a file in CoNLL-U, or of all ``.conllu`` files of a folder, in order of their names. Hidden
    files are left out.

    Of a multiword token (2-3), the words are kept and the token itself is left out: *does* and *n't* of
    *doesn't*. Empty nodes (2.1) and comments are left out.

    Raises :class:`MinibertError` for a path without such a file, for a file that cannot be read or has no
    sentence, and for a line that is not in this format, by its number: other columns, a word out of order, a
    part of speech outside of the 17 universal ones, a feature given twice, a head that is no word of its sentence,
    words that depend on each other in a circle.
    """
    path = as_path(path)
    inside = (file for file in files_in(path) if file.suffix == ".conllu" and file.parent == path)
    files = list(inside) if path.is_dir() else [path]
    if not files:
        raise MinibertError(f"{path}: has no file that ends in .conllu. Give a treebank, or a folder with one.")
    return [annotated for file in files for annotated in _read_file(file)]


def _read_file(file: Path) -> list[AnnotatedSentence]:
    sentences, begin, lines = [], 0, []
    for number, line in enumerate([*read_lines(file, "sentence"), ""], start=1):
        if not line.strip():
            if lines:
                sentences.append(_sentence(file, begin, lines))
            begin, lines = 0, []
            continue
        begin = begin or number
        if not line.startswith("#"):
            _check_columns(file, number, line)
            # The library takes two spaces for a tab, but a word or a note may hold them.
            lines.append((number, re.sub(" {2,}", " ", line)))
    if not sentences:
        raise MinibertError(f"{file}: has only comments. Allowed: files with at least one sentence.")
    return sentences


def _sentence(file: Path, begin: int, lines: list[tuple[int, str]]) -> AnnotatedSentence:
    """The sentence of some lines without comments; ``begin`` is the number of its first line with comments."""
    rows = [row for row in _rows(file, lines) if not isinstance(row[1]["id"], tuple)]
    if not rows:
        raise bad_line(file, begin, "a sentence without a word", "at least one word, numbered 1")
    for place, (number, row) in enumerate(rows, start=1):
        _check_word(file, number, row, place, len(rows))
    _check_circles(file, rows)
    words = [row for _, row in rows]
    return AnnotatedSentence(
        words=tuple(row["form"] for row in words),
        tags=tuple(row["upos"] for row in words),
        features=tuple(row["feats"] or {} for row in words),
        heads=tuple(row["head"] - 1 for row in words),
        relations=tuple(row["deprel"].partition(":")[0] for row in words),
        line=begin,
    )


def _check_circles(file: Path, rows: list[tuple[int, conllu.Token]]) -> None:
    """Raises :class:`MinibertError` for words that depend on each other in a circle, and so on no root."""
    leads: set[int] = {0}
    for _, row in rows:
        path, word = [], row["id"]
        while word not in leads and word not in path:
            path.append(word)
            word = rows[word - 1][1]["head"]
        if word in path:
            circle = [rows[each - 1] for each in (*path[path.index(word) :], word)]
            forms = " → ".join(repr(each["form"]) for _, each in circle)
            allowed = "heads that lead from every word to a root, whose head is 0"
            raise bad_line(file, circle[0][0], f"the heads go in a circle, {forms}", allowed)
        leads.update(path)


def _rows(file: Path, lines: list[tuple[int, str]]) -> list[tuple[int, conllu.Token]]:
    """The columns of each line. An id that is a tuple is that of a multiword token or of an empty node."""
    try:
        (rows,) = conllu.parse("\n".join(line for _, line in lines), fields=READ)
        return [(number, row) for (number, _), row in zip(lines, rows, strict=True)]
    except ParseException as error:
        if len(lines) == 1:
            raise bad_line(file, lines[0][0], sentence(error).rstrip("."), "the columns of CoNLL-U") from error
        # The error does not tell its line: one by one.
        return [row for line in lines for row in _rows(file, [line])]


def _check_columns(file: Path, number: int, line: str) -> None:
    columns = line.split("\t")
    if len(columns) != COLUMNS:
        raise MinibertError(
            f"{file}, line {number}: has {len(columns)} columns. "
            f"Allowed: {COLUMNS} with tabs between them, and a blank line after each sentence (CoNLL-U)."
        )
    features = Counter(part.partition("=")[0] for part in columns[READ.index("feats")].split("|"))
    feature, times = features.most_common(1)[0]
    if times > 1:
        raise bad_line(
            file, number, f"the feature {feature} {times} times", "each feature once, such as Number=Sing"
        )


def _check_word(file: Path, number: int, row: conllu.Token, place: int, words: int) -> None:
    """Raises :class:`MinibertError` for a row that is not the word at ``place`` of a sentence of so many words."""
    if row["id"] != place:
        given = f"word {row['id']} where word {place} of a sentence is due"
        raise bad_line(file, number, given, "words numbered from 1, and a blank line after each sentence")
    if not row["form"].strip():
        raise bad_line(file, number, "an empty word", "text in the second column")
    if row["upos"] not in ALLOWED_TAGS:
        given = f"the part of speech {row['upos']!r}{nearest(row['upos'], UNIVERSAL_TAGS)}"
        raise bad_line(file, number, given, f"{', '.join(UNIVERSAL_TAGS)}, or {UNTAGGED} where it is not known")
    if not all((row["feats"] or {}).values()):
        raise bad_line(file, number, "a feature without a value", "Name=Value, with | between features")
    head = row["head"]
    if head is None or not 0 <= head <= words or head == place:
        given = f"{'_' if head is None else head} is the head of {row['form']!r}"
        allowed = f"a head of this sentence is another of its words, 1 to {words}, or 0 for the root"
        raise bad_line(file, number, given, allowed)

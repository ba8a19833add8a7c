"""Minimal pairs: two sentences that differ in one point, one of them grammatical.

=============  =====================================================  =========================================
format         a file holds                                           from
=============  =====================================================  =========================================
``.jsonl``     one pair a line: ``sentence_good``, ``sentence_bad``;  Warstadt et al., "BLiMP", TACL 2020; the
               ``UID`` names the paradigm, ``field`` the subject      filtered files of the BabyLM challenge
``.txt``       an ungrammatical line, then its grammatical one;       Huebner et al., "BabyBERTa" (Zorro),
               the file is called ``subject-paradigm.txt``            CoNLL 2021
``.tsv``       columns ``good`` and ``bad`` under a heading, and,
               if there are any, ``paradigm`` and ``field``
=============  =====================================================  =========================================
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from minibert.errors import MinibertError


class MinimalPair(NamedTuple):
    """A grammatical sentence and one that is not."""

    good: str
    bad: str
    paradigm: str
    """What the two differ in, such as ``anaphor_number_agreement``"""
    field: str = ""
    """What the paradigm belongs to, such as ``morphology``"""


def read_minimal_pairs(path: str | Path) -> list[MinimalPair]:
    """The pairs of a file, or of all files of a folder and the folders in it, by name.

    Raises :class:`MinibertError` for a path without such files, and for a line that is no pair, by its number.
    """
    path = Path(path).expanduser()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in READERS)
    if not files or files[0].suffix not in READERS:
        there = (
            "is of another format" if path.is_file() else "has no such file" if path.is_dir() else "is not there"
        )
        raise MinibertError(
            f"{path}: {there}. Give a file, or a folder of files, that ends in {', '.join(READERS)}."
        )
    return [pair for file in files for pair in READERS[file.suffix](file)]


def _read_json_lines(file: Path) -> list[MinimalPair]:
    pairs = []
    for number, line in _lines(file):
        try:
            entry = json.loads(line)
            good, bad = entry["sentence_good"], entry["sentence_bad"]
        except (ValueError, KeyError, TypeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else "no JSON object"
            raise _bad_line(
                file, number, reason, 'a JSON object with "sentence_good" and "sentence_bad"'
            ) from error
        pairs.append(_pair(file, number, good, bad, entry.get("UID", file.stem), entry.get("field", "")))
    return pairs


def _read_alternating_lines(file: Path) -> list[MinimalPair]:
    lines = list(_lines(file))
    if len(lines) % 2:
        number, _ = lines[-1]
        raise _bad_line(file, number, "an odd number of lines", "two lines a pair, the ungrammatical one first")
    field, _, paradigm = file.stem.rpartition("-")
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return [_pair(file, number, good, bad, paradigm, field) for (_, bad), (number, good) in pairs]


def _read_table(file: Path) -> list[MinimalPair]:
    rows = _lines(file)
    heading = next(rows)[1].split("\t")
    if not {"good", "bad"} <= set(heading):
        raise _bad_line(file, 1, f"the heading {', '.join(heading)}", "at least the columns good and bad")
    pairs = []
    for number, line in rows:
        values = next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE))
        if len(values) != len(heading):
            given = f"{len(values)} of {len(heading)} columns"
            raise _bad_line(file, number, given, "the columns of the heading, with tabs between them")
        entry = dict(zip(heading, values, strict=True))
        paradigm = entry.get("paradigm") or file.stem
        pairs.append(_pair(file, number, entry["good"], entry["bad"], paradigm, entry.get("field", "")))
    return pairs


READERS: dict[str, Callable[[Path], list[MinimalPair]]] = {
    ".jsonl": _read_json_lines,
    ".txt": _read_alternating_lines,
    ".tsv": _read_table,
}
"""Ending of a file -> what reads it"""


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers. A byte-order mark and either end of line are taken off."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MinibertError(
            f"{file}: is not UTF-8, from byte {error.start} on. Convert it: iconv -t utf-8."
        ) from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise MinibertError(f"{file}: is empty. Allowed: files with at least one pair.")
    return iter(lines)


def _pair(file: Path, number: int, good, bad, paradigm, field) -> MinimalPair:
    for sentence in (good, bad):
        if not (isinstance(sentence, str) and sentence.strip()):
            raise _bad_line(file, number, f"the sentence {sentence!r}", "text")
    return MinimalPair(good.strip(), bad.strip(), str(paradigm), str(field))


def _bad_line(file: Path, number: int, given: str, allowed: str) -> MinibertError:
    return MinibertError(f"{file}, line {number}: {given}. Allowed: {allowed}.")

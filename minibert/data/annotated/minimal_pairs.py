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

from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

from minibert.data.annotated.lines import as_path, bad_line, files_in, is_text, numbered_lines, read_table
from minibert.errors import MinibertError
from minibert.files import DuplicateKeyError, read_json


class MinimalPair(NamedTuple):
    """A grammatical sentence and one that is not."""

    good: str
    bad: str
    paradigm: str = "pairs"
    """What the two differ in, such as ``anaphor_number_agreement``"""
    field: str = ""
    """What the paradigm belongs to, such as ``morphology``"""


def read_minimal_pairs(path: str | Path) -> list[MinimalPair]:
    """The pairs of a file, or of all files of a folder and the folders in it, by name. Hidden ones are left out.

    Raises :class:`MinibertError` for a path without such files, and for a line that is no pair, by its number.
    """
    path = as_path(path)
    files = [path] if path.is_file() else [file for file in files_in(path) if file.suffix in READERS]
    if not files or files[0].suffix not in READERS:
        kinds = {"is of another format": path.is_file(), "has no such file": path.is_dir()}
        kinds["is neither a file nor a folder" if path.exists() else "is not there"] = True
        there = next(kind for kind, holds in kinds.items() if holds)
        raise MinibertError(
            f"{path}: {there}. Give a file, or a folder of files, that ends in {', '.join(READERS)}."
        )
    return [pair for file in files for pair in READERS[file.suffix](file)]


def _read_json_lines(file: Path) -> list[MinimalPair]:
    pairs = []
    for number, line in numbered_lines(file, "pair"):
        try:
            entry = read_json(line)
            good, bad = entry["sentence_good"], entry["sentence_bad"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else "no JSON object"
            reason = str(error) if isinstance(error, DuplicateKeyError) else reason
            raise bad_line(
                file, number, reason, 'a JSON object with "sentence_good" and "sentence_bad"'
            ) from error
        # BLiMP has one field in two spellings: principle_A_case_2 alone is of "syntax/semantics".
        field = entry.get("field") or ""
        field = field.replace("/", "_") if isinstance(field, str) else field
        uid = entry.get("UID")
        pairs.append(_pair(file, number, good, bad, file.stem if uid is None else uid, field))
    return pairs


def _read_alternating_lines(file: Path) -> list[MinimalPair]:
    lines = numbered_lines(file, "pair")
    if len(lines) % 2:
        number, _ = lines[-1]
        raise bad_line(file, number, "an odd number of lines", "two lines a pair, the ungrammatical one first")
    field, _, paradigm = file.stem.rpartition("-")
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return [_pair(file, number, good, bad, paradigm, field) for (_, bad), (number, good) in pairs]


def _read_table(file: Path) -> list[MinimalPair]:
    rows = read_table(file, ("good", "bad"), "pair")
    return [
        _pair(file, number, row["good"], row["bad"], row.get("paradigm") or file.stem, row.get("field", ""))
        for number, row in rows
    ]


READERS: dict[str, Callable[[Path], list[MinimalPair]]] = {
    ".jsonl": _read_json_lines,
    ".txt": _read_alternating_lines,
    ".tsv": _read_table,
}
"""Ending of a file -> what reads it"""


def _pair(file: Path, number: int, good, bad, paradigm, field) -> MinimalPair:
    for sentence in (good, bad):
        if not (is_text(sentence) and sentence.strip()):
            raise bad_line(file, number, f"the sentence {_shown(sentence)}", "text")
    paradigm, field = (str(name) if isinstance(name, int | float) else name for name in (paradigm, field))
    for name in (paradigm, field):
        if not is_text(name):
            raise bad_line(file, number, f"the name {_shown(name)} of a paradigm or field", "text")
    return MinimalPair(good.strip(), bad.strip(), paradigm.strip() or file.stem, field.strip())


def _shown(value: object) -> str:
    return shorten(ascii(value), 80, placeholder=" …")

"""Analogies: a is to b as c is to d.

Mikolov, Chen, Corrado and Dean, "Efficient Estimation of Word Representations in Vector Space", 2013 (the Google
analogies: 19,544 in 14 sections, such as ``capital-world`` and ``gram7-past-tense``).
"""

from pathlib import Path
from typing import NamedTuple

from minibert.data.annotated.gensim_files import gensim_file
from minibert.data.annotated.lines import as_path, bad_line, numbered_lines
from minibert.errors import MinibertError, nearest

GOOGLE_ANALOGIES = "analogies"
"""The name of the list that lies in the package gensim"""


class Analogy(NamedTuple):
    """*Athens* is to *Greece* as *Baghdad* is to *Iraq*."""

    a: str
    b: str
    c: str
    d: str
    section: str = "analogies"


def read_analogies(name_or_path: str | Path = GOOGLE_ANALOGIES) -> list[Analogy]:
    """The Google analogies, or those of a file: four words a line; a line ``: name`` begins a section.

    Raises :class:`Unavailable` for the Google analogies without the package gensim. Raises :class:`MinibertError`
    for a file that cannot be read or has no analogy, and a line that is none, by its number.
    """
    named = str(name_or_path) == GOOGLE_ANALOGIES
    file = gensim_file("questions-words.txt") if named else as_path(name_or_path)
    if not file.is_file():
        raise MinibertError(
            f"{name_or_path}: neither a file nor a list of analogies"
            f"{nearest(str(name_or_path), [GOOGLE_ANALOGIES])}. Lists: {GOOGLE_ANALOGIES}."
        )
    section, analogies = file.stem, []
    for number, line in numbered_lines(file, "analogy"):
        if line.startswith(":"):
            section = line[1:].strip()
            if not section:
                raise bad_line(file, number, "a section without a name", ": name")
            continue
        words = line.split()
        if len(words) != 4:
            raise bad_line(file, number, f"{len(words)} words", "four words, or : and the name of a section")
        a, b, c, d = words
        analogies.append(Analogy(a, b, c, d, section))
    if not analogies:
        raise MinibertError(f"{file}: has only sections. Allowed: files with at least one analogy.")
    return analogies

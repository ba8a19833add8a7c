"""Pairs of words with a score that people gave: how similar, or how related, are the two?

==============  ==============================================================================================
wordsim353      353 pairs, relatedness from 0 to 10. Finkelstein et al., "Placing Search in Context", WWW 2001
simlex999       999 pairs, similarity from 0 to 10. Hill, Reichart and Korhonen, "SimLex-999: Evaluating
                Semantic Models with (Genuine) Similarity Estimation", Computational Linguistics 2015
a file          tab-separated: first word, second word, score, with or without a heading that says so
==============  ==============================================================================================
"""

import math
from pathlib import Path
from typing import NamedTuple

from minibert.data.annotated.gensim_files import gensim_file
from minibert.data.annotated.lines import as_path, bad_line, read_table
from minibert.errors import MinibertError, nearest

WORD_PAIRS = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
"""Name -> its file in the package gensim"""


class WordPair(NamedTuple):
    first: str
    second: str
    score: float
    """The more, the more similar"""


def read_word_pairs(name_or_path: str | Path) -> list[WordPair]:
    """The pairs of a list of :data:`WORD_PAIRS`, or of a file. Lines that begin with ``#`` are comments.

    Raises :class:`Unavailable` for a list whose package is not installed. Raises :class:`MinibertError` for a name
    that is neither, a file that cannot be read or has no pair, and a line that is no pair, by its number.
    """
    named = WORD_PAIRS.get(str(name_or_path))
    file = gensim_file(named) if named else as_path(name_or_path)
    if not file.is_file():
        raise MinibertError(
            f"{name_or_path}: neither a file nor a list of word pairs{nearest(str(name_or_path), WORD_PAIRS)}. "
            f"Lists: {', '.join(WORD_PAIRS)}."
        )
    pairs = []
    for number, row in read_table(file, ("first", "second", "score"), "pair of words", bare=True, comment="#"):
        if not (row["first"] and row["second"]):
            raise bad_line(file, number, "an empty word", "first word, second word, score")
        try:
            score = float(row["score"])
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise bad_line(file, number, f"the score {row['score']!r}", "first word, second word, and a number")
        pairs.append(WordPair(row["first"], row["second"], score))
    return pairs

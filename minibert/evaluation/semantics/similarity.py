"""Whether words that people find alike have vectors that are alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minibert.data.annotated.word_pairs import WordPair
from minibert.evaluation.intervals import Interval, rank_correlation
from minibert.evaluation.word_vectors import Spelling, cosines


@dataclass(frozen=True)
class Similarity:
    """Spearman's rank correlation of cosines with the scores that people gave, in one data set."""

    data: str
    vectors: str
    """``static``, or a place of the network: ``embeddings``, ``layer_0``, ..."""
    pairs: int
    correlation: Interval
    whole_pairs: int
    """Of these pairs, those whose two words are single tokens"""
    whole: Interval
    """The correlation over these"""


@dataclass(frozen=True)
class PairCoverage:
    """How many pairs of a data set can be asked about."""

    data: str
    pairs: int
    spelt: int
    """Both words have pieces in the vocabulary, none of them [UNK]"""
    whole: int
    """Both words are single tokens"""
    found: int
    """Both words occur in the text that contextual vectors are taken from"""


def words_of_pairs(data: Mapping[str, Sequence[WordPair]]) -> list[str]:
    """Every word of the data sets once, in order."""
    pairs = (pair for each in data.values() for pair in each)
    return list(dict.fromkeys(word for pair in pairs for word in (pair.first, pair.second)))


def similarities(
    data: Mapping[str, Sequence[WordPair]],
    spelt: Mapping[str, Spelling],
    vectors: Mapping[str, np.ndarray],
    name: str,
) -> list[Similarity]:
    """One a data set, over the pairs whose two words are in ``vectors``, word -> (D,). ``name``: of the vectors"""
    found = []
    for title, pairs in data.items():
        known = [pair for pair in pairs if pair.first in vectors and pair.second in vectors]
        whole = np.array([len(spelt[pair.first]) == len(spelt[pair.second]) == 1 for pair in known], bool)
        if known:
            first = np.array([vectors[pair.first] for pair in known])
            second = np.array([vectors[pair.second] for pair in known])
            # Words of the same vector have the cosine 1, whatever rounding makes of it: they are tied.
            alike = np.round(cosines(first, second), 9)
        else:
            alike = np.empty(0)
        scores = np.array([pair.score for pair in known], float)
        found.append(
            Similarity(
                title,
                name,
                len(known),
                rank_correlation(alike, scores),
                int(whole.sum()),
                rank_correlation(alike[whole], scores[whole]),
            )
        )
    return found


def pair_coverage(
    data: Mapping[str, Sequence[WordPair]], spelt: Mapping[str, Spelling], found: Mapping[str, int]
) -> list[PairCoverage]:
    """``found``: word -> its occurrences in the text"""

    def count(pairs: Sequence[WordPair], test) -> int:
        return sum(test(pair.first) and test(pair.second) for pair in pairs)

    return [
        PairCoverage(
            title,
            len(pairs),
            count(pairs, lambda word: word in spelt),
            count(pairs, lambda word: len(spelt.get(word, ())) == 1),
            count(pairs, lambda word: found.get(word, 0) > 0),
        )
        for title, pairs in data.items()
    ]

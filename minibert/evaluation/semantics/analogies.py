"""Whether relations between words are directions: a is to b as c is to d."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minibert.data.annotated.analogies import Analogy
from minibert.evaluation.intervals import Interval, share
from minibert.evaluation.word_vectors import unit

QUESTIONS_AT_ONCE = 1024
EVERY_SECTION = "all"


@dataclass(frozen=True)
class AnalogyAccuracy:
    """How many analogies of a section are completed with the right word."""

    section: str
    vectors: str
    """``static``, or a place of the network: ``embeddings``, ``layer_0``, ..."""
    questions: int
    """Those whose four words are all in the vocabulary"""
    given: int
    """All of the section"""
    accuracy: Interval
    nearest: float
    """The accuracy of the nearest neighbour of c, without a and b: what is no relation (Linzen, 2016)"""
    most_frequent: float
    """The accuracy of the answer that is right most often in the section; NaN without questions"""
    chance: float
    """1 / (words - 3)"""


class _Right(NamedTuple):
    analogy: np.ndarray
    """(Q,) bool"""
    nearest: np.ndarray
    """(Q,) bool"""


def analogy_accuracies(
    analogies: Sequence[Analogy], places: Mapping[str, int], vectors: np.ndarray, name: str
) -> list[AnalogyAccuracy]:
    """Accuracy by section, and of ``all`` questions, by 3CosAdd over all words of ``vectors`` (W, D).

    d = argmax over w not in {a, b, c} of cos(w, b) - cos(w, a) + cos(w, c)

    ``places``: word of a question -> its row in ``vectors``. Questions with another word are left out.

    An answer is right only if its score is higher than that of every other word. Questions of a section share
    their words, so the intervals (Wilson) are too narrow.

    Mikolov, Chen, Corrado and Dean, "Efficient Estimation of Word Representations in Vector Space", 2013; Levy and
    Goldberg, "Linguistic Regularities in Sparse and Explicit Word Representations", CoNLL 2014. The baseline
    without a and b: Linzen, "Issues in evaluating semantic spaces using word analogies", RepEval 2016.
    """
    known = [each for each in analogies if all(word in places for word in each[:4])]
    asked = np.array([[places[word] for word in each[:4]] for each in known], int).reshape(-1, 4)
    right = _right(asked, vectors)
    sections = np.array([each.section for each in known])
    given = Counter(each.section for each in analogies)
    found = []
    for section in (*given, EVERY_SECTION):
        chosen = np.full(len(known), True) if section == EVERY_SECTION else sections == section
        total = int(chosen.sum())
        answers = Counter((sections[place], asked[place, 3]) for place in np.flatnonzero(chosen))
        best: Counter = Counter()
        for (of, _), count in answers.items():
            best[of] = max(best[of], count)
        found.append(
            AnalogyAccuracy(
                section,
                name,
                total,
                len(analogies) if section == EVERY_SECTION else given[section],
                share(right.analogy[chosen].sum(), total),
                float(right.nearest[chosen].mean()) if total else float("nan"),
                sum(best.values()) / total if total else float("nan"),
                1 / max(len(vectors) - 3, 1),
            )
        )
    return found


def _right(asked: np.ndarray, vectors: np.ndarray) -> _Right:
    """asked (Q, 4) places of a, b, c, d"""
    if not len(asked):
        return _Right(np.zeros(0, bool), np.zeros(0, bool))
    vectors = unit(vectors)
    used, local = np.unique(asked[:, :3], return_inverse=True)
    alike = vectors[used] @ vectors.T
    local = local.reshape(-1, 3)
    analogy, nearest = [], []
    for start in range(0, len(asked), QUESTIONS_AT_ONCE):
        part = slice(start, start + QUESTIONS_AT_ONCE)
        a, b, c = local[part].T
        analogy.append(_best_is_answer(alike[b] - alike[a] + alike[c], asked[part]))
        nearest.append(_best_is_answer(alike[c], asked[part]))
    return _Right(np.concatenate(analogy), np.concatenate(nearest))


def _best_is_answer(scores: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(Q,) bool: whether d has the highest score, without a, b and c.    scores (Q, W), overwritten"""
    rows = np.arange(len(asked))
    scores[rows[:, None], asked[:, :3]] = -np.inf
    answers = scores[rows, asked[:, 3]].copy()
    scores[rows, asked[:, 3]] = -np.inf
    return answers > scores.max(axis=1)

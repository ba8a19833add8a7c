"""What classifies sentences without a network: the words that occur in them, and the most frequent label."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minibert.data.annotated.classified import LabelledSentence

STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""C of the logistic regression: the larger, the weaker its regularisation"""
WORDS = r"[^\W_]+|[^\w\s]"
"""A word is a run of letters and digits, or one other character"""


class Predictions(NamedTuple):
    """Of a control, for the test sentences."""

    classes: np.ndarray
    """(S,)"""
    dev_accuracy: float
    setting: str
    """What was chosen on the dev sentences, in words"""


def bag_of_words(
    train: Sequence[LabelledSentence],
    dev: Sequence[LabelledSentence],
    test: Sequence[str],
    labels: Sequence[str],
) -> Predictions:
    """Logistic regression on which words a sentence has, lower-cased, with no regard to order or number.

    Words are those of the training sentences. The strength is the one of :data:`STRENGTHS` with the highest
    accuracy on the dev sentences, the smallest of equal ones. Wang and Manning, "Baselines and Bigrams", ACL 2012.
    """
    from sklearn.feature_extraction.text import CountVectorizer  # here: it takes a second to import
    from sklearn.linear_model import LogisticRegression

    places = {label: place for place, label in enumerate(labels)}
    truth, dev_truth = (np.array([places[each.label] for each in part]) for part in (train, dev))
    counter = CountVectorizer(token_pattern=WORDS, binary=True)
    try:
        words = counter.fit_transform([each.text for each in train])
    except ValueError:  # no training sentence has a word: nothing is left but the labels
        return majority(train, dev, len(test), labels)
    dev_words, test_words = counter.transform([each.text for each in dev]), counter.transform(test)
    best = None
    for strength in STRENGTHS:
        with warnings.catch_warnings():
            # The weakest regularisation is near its optimum; there may be many labels for few sentences.
            warnings.simplefilter("ignore", UserWarning)
            model = LogisticRegression(C=strength, max_iter=1000).fit(words, truth)
        accuracy = float((model.predict(dev_words) == dev_truth).mean())
        if best is None or accuracy > best[0]:
            best = accuracy, strength, model.predict(test_words)
    assert best is not None
    return Predictions(best[2], best[0], f"C = {best[1]:g}")


def majority(
    train: Sequence[LabelledSentence], dev: Sequence[LabelledSentence], tests: int, labels: Sequence[str]
) -> Predictions:
    """The most frequent label of the training sentences, the first of equal ones, for every test sentence."""
    counts = Counter(each.label for each in train)
    label = max(labels, key=lambda one: counts[one])
    found = sum(each.label == label for each in dev) / len(dev)
    return Predictions(np.full(tests, labels.index(label)), found, f"“{label}”")

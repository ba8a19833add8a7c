"""One linear probe: scikit-learn's logistic regression on the vectors of one layer, and its controls.

To get the accuracy that a page states from the kept vectors, with nothing but scikit-learn::

    vectors = safetensors.numpy.load_file(file)["words"][layer]
    scaler = StandardScaler().fit(vectors[training.rows])
    probe = LogisticRegression(C=strength, tol=TOLERANCE, max_iter=MOST_ITERATIONS)
    probe.fit(scaler.transform(vectors[training.rows]), training.labels)
    probe.score(scaler.transform(vectors[test.rows]), test.labels)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from minibert.evaluation.probing.examples import Examples

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

STRENGTHS = (0.003, 0.03, 0.3)
"""Inverse strengths of regularisation C: the sum of losses, times C, plus half the squared norm of the weights"""
CODE_STRENGTH = 0.03
"""C of the probes of the online code, which sender and receiver have agreed on: near the best for every task"""
TOLERANCE, MOST_ITERATIONS = 1e-3, 500
FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1)
"""Of the training examples: where the blocks of the online code end (Voita and Titov, 2020)"""


@dataclass(frozen=True)
class ProbeResult:
    """What one probe reads from one layer."""

    strength: float
    """C, chosen on the development part"""
    development_accuracy: float
    right: int
    """Test examples that the probe labels right"""
    test: int
    control_accuracy: float | None
    """Of the same probe on the control task; None if it was not asked"""
    code_length: float
    """Bits for an example of the training part, in the online code"""
    unfinished: int
    """Fits that were stopped before they had converged"""

    @property
    def accuracy(self) -> float:
        return self.right / self.test


def probe_layer(
    vectors: np.ndarray, examples: Examples, strengths: Sequence[float] = STRENGTHS, control: bool = True
) -> ProbeResult:
    """Fit the probes of a task on the vectors (W, D) of one layer.

    Vectors are standardised on the training part. Of the ``strengths``, the one with the lowest cross-entropy on
    the development part is taken, for the control task as well.
    """
    features = _standardised(vectors, examples)
    training, development, test = examples.parts
    fits = [fit_probe(features[0], training.labels, strength) for strength in strengths]
    losses = [_cross_entropy(probe, features[1], development.labels) for probe in fits]
    best = int(np.argmin(losses))
    probe, control_accuracy = fits[best], None
    if control and len(np.unique(training.control)) > 1:
        fits.append(fit_probe(features[0], training.control, strengths[best]))
        control_accuracy = _right(fits[-1], features[2], test.control) / len(test.rows)
    elif control:  # few types, that have all drawn one label
        control_accuracy = float(np.mean(test.control == training.control[0]))
    bits = online_code_length(features[0], training.labels, len(examples.classes))
    return ProbeResult(
        strengths[best],
        _right(probe, features[1], development.labels) / len(development.rows),
        _right(probe, features[2], test.labels),
        len(test.rows),
        control_accuracy,
        bits / len(training.rows),
        sum(int(fit.n_iter_[0]) >= MOST_ITERATIONS for fit in fits),
    )


def _right(probe: "LogisticRegression", features: np.ndarray, labels: np.ndarray) -> int:
    """How many examples the probe labels right."""
    return int(np.sum(probe.predict(features) == labels))


def _cross_entropy(probe: "LogisticRegression", features: np.ndarray, labels: np.ndarray) -> float:
    """Mean over examples, in nats. The probe knows every class.

    Not from ``predict_log_proba``, which takes the logarithm of probabilities that have become 0 in float32.
    """
    scores = np.asarray(probe.decision_function(features), np.float64)
    if scores.ndim == 1:  # of the second of two classes, against the first
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    losses = np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(labels)), labels]
    return float(losses.mean())


def fit_probe(features: np.ndarray, labels: np.ndarray, strength: float) -> "LogisticRegression":
    """Multinomial logistic regression, with half the squared norm of the weights over ``strength`` as penalty."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, tol=TOLERANCE, max_iter=MOST_ITERATIONS).fit(features, labels)


def _standardised(vectors: np.ndarray, examples: Examples) -> list[np.ndarray]:
    """The features (E, D) of each part: mean 0 and variance 1 over the training part."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(vectors[examples.training.rows])
    return [np.asarray(scaler.transform(vectors[part.rows])) for part in examples.parts]


def online_code_length(
    features: np.ndarray, labels: np.ndarray, classes: int, strength: float = CODE_STRENGTH
) -> float:
    """Bits in which the labels are sent, block by block, to one who has the features.

    L = t₁ log₂ K - Σᵢ log₂ pᵢ(y of block i + 1): the first t₁ labels are sent in the uniform code over the K
    classes, each later block by the probe that was fitted to all before it. Blocks end at 0.1, 0.2, 0.4, 0.8, 1.6,
    3.2, 6.25, 12.5, 25, 50 and 100 % of the examples, in the order given.

    So that no class has probability zero before it has been seen, every probe is also fitted to one example of
    each class that lies at the mean of all features.

    Voita and Titov, "Information-Theoretic Probing with Minimum Description Length", EMNLP 2020.
    """
    ends = sorted({max(round(fraction * len(labels)), 1) for fraction in FRACTIONS})
    every = np.arange(classes)
    mean = np.zeros((classes, features.shape[1]), features.dtype)
    bits = ends[0] * math.log2(classes)
    for end, next_end in pairwise(ends):
        probe = fit_probe(np.concatenate([features[:end], mean]), np.concatenate([labels[:end], every]), strength)
        block = slice(end, next_end)
        bits += (next_end - end) * _cross_entropy(probe, features[block], labels[block]) / math.log(2)
    return bits


@dataclass(frozen=True)
class Baselines:
    """Accuracies on the test part of what does not look at vectors."""

    majority: float
    """The most frequent class of the training part"""
    word_tag: float
    """The most frequent class of each type in the training part; the majority class for new types"""


def baselines(examples: Examples) -> Baselines:
    """Both baselines; of equally frequent classes, the first in the alphabet."""
    training, _, test = examples.parts
    counts = np.zeros((1 + max(int(part.types.max()) for part in (training, test)), len(examples.classes)), int)
    np.add.at(counts, (training.types, training.labels), 1)
    majority = int(counts.sum(axis=0).argmax())
    by_type = np.where(counts.any(axis=1), counts.argmax(axis=1), majority)
    return Baselines(
        float((test.labels == majority).mean()),
        float((test.labels == by_type[test.types]).mean()),
    )

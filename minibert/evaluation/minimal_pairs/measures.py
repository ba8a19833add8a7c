"""How often the grammatical sentence of a pair is preferred: by a model, and by what knows no grammar."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.minimal_pairs import MinimalPair, read_minimal_pairs
from minibert.data.baselines import log_unigram_frequencies
from minibert.errors import MinibertError
from minibert.evaluation.inputs import asked_network, rows, texts
from minibert.evaluation.intervals import Interval, mean, mean_of_shares, share
from minibert.evaluation.pseudo_likelihood import Kind, SentenceScore, pseudo_log_likelihoods
from minibert.model.bert import MiniBERT


@dataclass(frozen=True)
class Preference:
    """How often the grammatical sentence of a pair has the higher score; equal scores count as half."""

    level: str
    """``paradigm``, ``field`` or ``all``"""
    name: str
    pairs: int
    accuracy: float
    low: float
    high: float
    """The 95 % interval (Wilson, 1927) over pairs; over paradigms, that of the mean of their accuracies"""
    ties: int
    field: str = ""
    """What a paradigm belongs to"""


@dataclass(frozen=True)
class Gain:
    """By how much one preference is more often right than another on the same pairs, with a 95 % interval."""

    level: str
    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairScores:
    """The score of the grammatical sentence less that of the other, of every pair that fits the model."""

    pairs: list[MinimalPair]
    model: np.ndarray
    """(P,) nats"""
    length: np.ndarray
    """(P,) word pieces that the grammatical sentence has fewer: untrained networks prefer the shorter sentence"""
    unigram: np.ndarray | None
    """(P,) nats, by the frequencies of the pieces alone; None without counts"""
    left_out: int
    """Pairs with a sentence that is longer than the model's positions"""
    unknown: int
    """Pairs with a word that the tokenizer does not know"""
    identical: int
    """Pairs whose two sentences are the same"""


@dataclass(frozen=True)
class SyntacticKnowledge:
    """What :func:`probe_syntactic_knowledge` returns: each list has the paradigms, the fields and ``all``."""

    model: list[Preference]
    length: list[Preference]
    """Preferring the sentence of fewer word pieces, as untrained networks do"""
    unigram: list[Preference]
    """Preferring the sentence whose words are more frequent; empty without counts"""
    left_out: int
    unknown: int
    identical: int


def probe_syntactic_knowledge(
    model: MiniBERT,
    tokenizer: Tokenizer,
    pairs: Sequence[MinimalPair] | str | Path,
    kind: Kind = "within_word",
    unigram_counts: np.ndarray | None = None,
    lanes: int = 2,
) -> SyntacticKnowledge:
    """The share of minimal pairs whose grammatical sentence has the higher pseudo-log-likelihood.

    ``kind``: see :func:`minibert.evaluation.pseudo_likelihood.pseudo_log_likelihoods`. ``unigram_counts`` (V,),
    those of the training text, are for the unigram baseline. Chance is 0.5. A field's accuracy, and that of
    ``all``, is the mean over its paradigms, as BLiMP has it.

    ``pairs``: also the path of a file or folder, or tuples such as ("grammatical", "other", "paradigm").

    Raises :class:`MinibertError` for no pairs, for what is no pair, and where none fits the model.

    Warstadt et al., "BLiMP: The Benchmark of Linguistic Minimal Pairs for English", TACL 2020.
    """
    model, tokenizer = asked_network(model, tokenizer)
    pairs = rows(pairs, MinimalPair, "pairs", read_minimal_pairs)
    for place, pair in enumerate(pairs):
        texts([pair.good, pair.bad], f"pairs[{place}]")  # one without words would always win
    if not pairs:
        raise MinibertError("minimal pairs: none were given. Give at least one.")
    scores = pseudo_log_likelihoods(model, tokenizer, sentences_of(pairs), kind, lanes)
    found = compare(pairs, scores, unigram_counts)
    if not found.pairs:
        raise MinibertError(
            f"minimal pairs: every pair has a sentence longer than model.max_length={model.config.max_length}."
        )
    return SyntacticKnowledge(
        preferences(found.pairs, found.model),
        preferences(found.pairs, found.length),
        [] if found.unigram is None else preferences(found.pairs, found.unigram),
        found.left_out,
        found.unknown,
        found.identical,
    )


def sentences_of(pairs: Sequence[MinimalPair]) -> list[str]:
    """The grammatical sentence and the other of every pair, in turn."""
    return [sentence for pair in pairs for sentence in (pair.good, pair.bad)]


def compare(
    pairs: Sequence[MinimalPair], scores: Sequence[SentenceScore], unigram_counts: np.ndarray | None = None
) -> PairScores:
    """The differences within each pair. ``scores`` are those of :func:`sentences_of`."""
    good, bad = scores[::2], scores[1::2]
    likelihoods = np.array([score.log_likelihood for score in scores])
    differences = likelihoods[::2] - likelihoods[1::2]
    fit = np.flatnonzero(~np.isnan(differences)).tolist()
    unigram = None
    if unigram_counts is not None:
        logs = log_unigram_frequencies(unigram_counts)
        sums = np.array([logs[list(score.pieces)].sum() for score in scores])
        # Sums over the same words in another order differ by rounding alone.
        unigram = np.round(sums[::2] - sums[1::2], 6)[fit]
    kept = [pairs[number] for number in fit]
    return PairScores(
        kept,
        differences[fit],
        np.array([bad[number].tokens - good[number].tokens for number in fit], float),
        unigram,
        len(pairs) - len(kept),
        sum(bool(good[number].unknown or bad[number].unknown) for number in fit),
        sum(pair.good == pair.bad for pair in kept),
    )


def preferences(pairs: Sequence[MinimalPair], differences: np.ndarray) -> list[Preference]:
    """By paradigm, by field and in all. differences (pairs,): score of the good sentence less the bad one's"""

    def of_paradigm(field: str, name: str, places: list[int]) -> Preference:
        return _preference(name, field, differences[places])

    return _at_all_levels(pairs, of_paradigm, mean_preference)


def above_paradigms(model: Sequence[Preference]) -> list[int]:
    """The places of the fields and of ``all`` in a list of preferences; of a single field, which is all, none."""
    places = [place for place, each in enumerate(model) if each.level != "paradigm"]
    return places if len(places) > 2 else places[-1:]


def gains(pairs: Sequence[MinimalPair], one: np.ndarray, other: np.ndarray) -> list[Gain]:
    """By paradigm, by field and in all: the mean over pairs of what is right under ``one`` but not ``other``.

    one, other (pairs,): differences as those of :func:`preferences`. Both are asked the same pairs, so the
    interval is that of a mean of differences, 1.96 s/√n; over paradigms, the root of the sum of squares by their
    number.
    """
    better = _right(one) - _right(other)

    def of_paradigm(_field: str, name: str, places: list[int]) -> Gain:
        own = better[places]
        found = mean(own) if len(own) > 1 else Interval(float(own[0]), float(own[0]) - 1, float(own[0]) + 1)
        return Gain("paradigm", name, *found)

    return _at_all_levels(pairs, of_paradigm, _mean_gain)


def _at_all_levels(
    pairs: Sequence[MinimalPair],
    of_paradigm: Callable[[str, str, list[int]], Any],
    mean: Callable[[str, str, list], Any],
) -> list:
    """The paradigms, the fields and all. ``of_paradigm``: of a field, a paradigm, and the places of its pairs"""
    places: dict[tuple[str, str], list[int]] = {}
    for place, pair in enumerate(pairs):
        places.setdefault((pair.field, pair.paradigm), []).append(place)
    by_paradigm = {key: of_paradigm(*key, own) for key, own in places.items()}
    fields = dict.fromkeys(field for field, _ in by_paradigm if field)
    by_field = [
        mean("field", name, [each for (field, _), each in by_paradigm.items() if field == name]) for name in fields
    ]
    return [*by_paradigm.values(), *by_field, mean("all", "all", list(by_paradigm.values()))]


def _right(differences: np.ndarray) -> np.ndarray:
    """1 where the grammatical sentence is preferred, 0 where the other is, a half for a tie."""
    return (np.sign(differences) + 1) / 2


def _preference(name: str, field: str, differences: np.ndarray) -> Preference:
    count, ties = len(differences), int((differences == 0).sum())
    return Preference("paradigm", name, count, *share(float(_right(differences).sum()), count), ties, field)


def mean_preference(level: str, name: str, parts: Sequence[Preference]) -> Preference:
    """The mean of their accuracies."""
    pairs, ties = sum(part.pairs for part in parts), sum(part.ties for part in parts)
    accuracy = mean_of_shares([Interval(part.accuracy, part.low, part.high) for part in parts])
    return Preference(level, name, pairs, *accuracy, ties)


def _mean_gain(level: str, name: str, parts: list[Gain]) -> Gain:
    value = float(np.mean([part.value for part in parts]))
    # Of independent means: the root of the sum of squares of theirs, by their number.
    half = float(np.linalg.norm([part.high - part.value for part in parts])) / len(parts)
    return Gain(level, name, value, value - half, value + half)

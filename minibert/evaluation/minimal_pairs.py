"""Which of two sentences a model prefers: the grammatical one, or the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.minimal_pairs import MinimalPair
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.tokenizer import encode_texts
from minibert.errors import MinibertError
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


@dataclass(frozen=True)
class SyntacticKnowledge:
    """What :func:`probe_syntactic_knowledge` returns: each list has the paradigms, the fields and ``all``."""

    model: list[Preference]
    length: list[Preference]
    """Preferring the sentence of fewer word pieces, as untrained networks do"""
    unigram: list[Preference]
    """Preferring the sentence whose words are more frequent; empty without counts"""
    left_out: int
    """Pairs with a sentence that is longer than the model's positions"""
    unknown: int
    """Pairs with a word that the tokenizer does not know"""
    identical: int
    """Pairs whose two sentences are the same"""


def probe_syntactic_knowledge(
    model: MiniBERT,
    tokenizer: Tokenizer,
    pairs: Sequence[MinimalPair],
    kind: Kind = "within_word",
    unigram_counts: np.ndarray | None = None,
    lanes: int = 2,
) -> SyntacticKnowledge:
    """The share of minimal pairs whose grammatical sentence has the higher pseudo-log-likelihood.

    ``kind``: see :func:`minibert.evaluation.pseudo_likelihood.pseudo_log_likelihoods`. ``unigram_counts`` (V,),
    those of the training text, are for the unigram baseline. Chance is 0.5. A field's accuracy, and that of
    ``all``, is the mean over its paradigms, as BLiMP has it.

    Raises :class:`MinibertError` for no pairs, and where none fits the model.

    Warstadt et al., "BLiMP: The Benchmark of Linguistic Minimal Pairs for English", TACL 2020.
    """
    if not pairs:
        raise MinibertError("minimal pairs: none were given. Give at least one.")
    sentences = [sentence for pair in pairs for sentence in (pair.good, pair.bad)]
    scores = pseudo_log_likelihoods(model, tokenizer, sentences, kind, lanes)
    good, bad = scores[::2], scores[1::2]
    fit = [number for number, both in enumerate(zip(good, bad, strict=True)) if not _too_long(*both)]
    if not fit:
        raise MinibertError(
            f"minimal pairs: every pair has a sentence longer than model.max_length={model.config.max_length}."
        )
    kept = [pairs[number] for number in fit]
    differences = np.array([good[number].log_likelihood - bad[number].log_likelihood for number in fit])
    fewer = np.array([bad[number].tokens - good[number].tokens for number in fit], float)
    unigram = []
    if unigram_counts is not None:
        logs = log_unigram_frequencies(unigram_counts)
        encoded = encode_texts(tokenizer, [sentence for pair in kept for sentence in (pair.good, pair.bad)])
        sums = np.array([logs[encoding.ids[1:-1]].sum() for encoding in encoded])
        # Sums over the same words in another order differ by rounding alone.
        unigram = preferences(kept, np.round(sums[::2] - sums[1::2], 6))
    return SyntacticKnowledge(
        preferences(kept, differences),
        preferences(kept, fewer),
        unigram,
        len(pairs) - len(kept),
        sum(bool(good[number].unknown or bad[number].unknown) for number in fit),
        sum(pair.good == pair.bad for pair in kept),
    )


def preferences(pairs: Sequence[MinimalPair], differences: np.ndarray) -> list[Preference]:
    """By paradigm, by field and in all. differences (pairs,): score of the good sentence less the bad one's"""
    paradigms = {(pair.field, pair.paradigm): [] for pair in pairs}
    for pair, difference in zip(pairs, differences, strict=True):
        paradigms[pair.field, pair.paradigm].append(difference)
    by_paradigm = {key: _preference(key[1], np.array(found)) for key, found in paradigms.items()}
    fields = dict.fromkeys(field for field, _ in by_paradigm if field)
    by_field = []
    for name in fields:
        own = (each for (field, _), each in by_paradigm.items() if field == name)
        by_field.append(_mean("field", name, own))
    return [*by_paradigm.values(), *by_field, _mean("all", "all", by_paradigm.values())]


def _preference(name: str, differences: np.ndarray) -> Preference:
    from statsmodels.stats.proportion import proportion_confint  # here: it takes a second to import

    ties = int((differences == 0).sum())
    right = (differences > 0).sum() + ties / 2
    bounds: Any = proportion_confint(right, len(differences), method="wilson")
    low, high = bounds
    return Preference(
        "paradigm", name, len(differences), float(right / len(differences)), float(low), float(high), ties
    )


def _mean(level: str, name: str, parts: Iterable[Preference]) -> Preference:
    """The mean over paradigms; its half interval is the root of the sum of squares of theirs, by their number."""
    parts = list(parts)
    accuracy = float(np.mean([part.accuracy for part in parts]))
    half = float(np.sqrt(sum(((part.high - part.low) / 2) ** 2 for part in parts)) / len(parts))
    pairs, ties = sum(part.pairs for part in parts), sum(part.ties for part in parts)
    return Preference(level, name, pairs, accuracy, max(accuracy - half, 0.0), min(accuracy + half, 1.0), ties)


def _too_long(good: SentenceScore, bad: SentenceScore) -> bool:
    return bool(np.isnan(good.log_likelihood) or np.isnan(bad.log_likelihood))

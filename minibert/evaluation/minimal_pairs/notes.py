"""What limits the answer: what was left out, and where a control is as good as the model."""

from collections.abc import Sequence

import numpy as np

from minibert.evaluation.minimal_pairs.measures import Gain, PairScores, gains

NAMED = 6
"""Paradigms that a note names, at most"""


def notes_on(name: str, scores: PairScores, untrained: np.ndarray, longest: int) -> list[str]:
    """Notes on a data set. ``untrained`` (P,): differences under the untrained network; ``longest``: positions of
    the model."""
    return [*_left_out(name, scores, longest), *_controls(name, scores, untrained)]


def _left_out(name: str, scores: PairScores, longest: int) -> list[str]:
    asked = len(scores.pairs)
    ties = int((scores.model == 0).sum())
    said = [
        (scores.left_out, f"have a sentence longer than the model's {longest} positions, and are left out"),
        (scores.unknown, "have a word that the tokenizer does not know"),
        (ties, f"are ties, and count as half ({scores.identical:,} of them have the same sentence twice)"),
    ]
    return [f"{name}: {count:,} of {asked + scores.left_out:,} pairs {what}." for count, what in said if count]


def _controls(name: str, scores: PairScores, untrained: np.ndarray) -> list[str]:
    """Where the model is not better than a control, by the interval of the difference."""
    notes = []
    over_untrained = gains(scores.pairs, scores.model, untrained)
    if over_untrained[-1].low <= 0:
        notes.append(
            f"{name}: the trained model is no better than the untrained one ({_interval(over_untrained[-1])})."
        )
    notes += _no_better(name, over_untrained, "the untrained network is as good as the model")
    by_length = gains(scores.pairs, scores.model, scores.length)
    # Where both sentences of all pairs are equally long, the baseline says nothing.
    unequal = {pair.paradigm for pair, fewer in zip(scores.pairs, scores.length, strict=True) if fewer}
    by_length = [gain for gain in by_length if gain.name in unequal]
    notes += _no_better(name, by_length, "the sentence of fewer word pieces is as good a guess as the model")
    if scores.unigram is not None:
        by_unigram = gains(scores.pairs, scores.model, scores.unigram)
        notes += _no_better(name, by_unigram, "the more frequent word pieces are as good a guess as the model")
    return notes


def _no_better(name: str, found: Sequence[Gain], what: str) -> list[str]:
    paradigms = [gain for gain in found if gain.level == "paradigm"]
    beaten = [gain.name for gain in paradigms if gain.low <= 0]
    if not beaten:
        return []
    more = f" and {len(beaten) - NAMED} more" if len(beaten) > NAMED else ""
    return [f"{name}: in {len(beaten)} of {len(paradigms)} paradigms {what}: {', '.join(beaten[:NAMED])}{more}."]


def _interval(gain: Gain) -> str:
    return f"{gain.value:+.1%}, 95 % interval {gain.low:+.1%} to {gain.high:+.1%}"

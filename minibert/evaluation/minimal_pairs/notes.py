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
    """Where the 95 % interval of the model's lead over a control reaches down to zero."""
    notes = []
    over_untrained = gains(scores.pairs, scores.model, untrained)
    if over_untrained[-1].low <= 0:
        lead = _interval(over_untrained[-1])
        notes.append(f"{name}: the trained model is not clearly better than the untrained one ({lead}).")
    notes += _not_better(name, over_untrained, "the untrained network")
    by_length = gains(scores.pairs, scores.model, scores.length)
    # Where both sentences of all pairs are equally long, the baseline says nothing.
    unequal = {pair.paradigm for pair, fewer in zip(scores.pairs, scores.length, strict=True) if fewer}
    by_length = [gain for gain in by_length if gain.name in unequal]
    notes += _not_better(name, by_length, "the choice of fewer word pieces")
    if scores.unigram is not None:
        by_unigram = gains(scores.pairs, scores.model, scores.unigram)
        notes += _not_better(name, by_unigram, "the choice of more frequent word pieces")
    return notes


def _not_better(name: str, found: Sequence[Gain], control: str) -> list[str]:
    paradigms = [gain for gain in found if gain.level == "paradigm"]
    beaten = [gain.name for gain in paradigms if gain.low <= 0]
    if not beaten:
        return []
    more = f" and {len(beaten) - NAMED} more" if len(beaten) > NAMED else ""
    return [
        f"{name}: in {len(beaten)} of {len(paradigms)} paradigms the model is not clearly better than {control}: "
        f"{', '.join(beaten[:NAMED])}{more}."
    ]


def _interval(gain: Gain) -> str:
    value, low, high = (100 * each for each in (gain.value, gain.low, gain.high))
    return f"{value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"

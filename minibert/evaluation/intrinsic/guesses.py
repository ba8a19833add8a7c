"""What a model guesses for masked tokens: examples to read."""

from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from minibert.data.batches import Batch
from minibert.data.masking import IGNORED
from minibert.data.packing import spread_evenly
from minibert.data.tokenizer import CLS, MASK, PAD, SEP
from minibert.model.bert import MiniBERT
from minibert.training.lanes import Lanes

AROUND = 10
"""Tokens of context shown on each side"""


class Example(NamedTuple):
    """A masked token in its context, and the best guesses."""

    before: str
    """The tokens before it as the model saw them, other masks included"""
    after: str
    truth: str
    probability: float
    """Of the truth"""
    guesses: list[tuple[str, float]]
    """Token and probability, the best first"""


def examples(
    model: MiniBERT, tokenizer: Tokenizer, batches: list[Batch], count: int, lanes: int = 2, best: int = 5
) -> list[Example]:
    """``count`` masked tokens of the batches with the ``best`` guesses, spread evenly over all that show [MASK].

    Tokens that the masking replaced by another or left alone are no examples: there, the model saw a word.
    """
    shown = ((batch, batch.input_ids == MASK) for batch in batches)
    asked = [(batch, *place) for batch, masks in shown for place in np.argwhere(masks & (batch.labels >= 0))]
    chosen = [asked[number] for number in spread_evenly(len(asked), count)]

    def guess(logits: np.ndarray, labels: np.ndarray) -> tuple[float, list[tuple[str, float]]]:
        scores = logits[0].astype(np.float64)
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        order = np.argsort(-probabilities, kind="stable")[:best]
        guesses = [(_token(tokenizer, int(token)), float(probabilities[token])) for token in order]
        return float(probabilities[labels[0]]), guesses

    with Lanes(model, lanes) as spread:
        found = spread.evaluate([_one(*each) for each in chosen], guess)
    return [_example(tokenizer, *each, *guessed) for each, guessed in zip(chosen, found, strict=True)]


def _one(batch: Batch, row: int, place: int) -> Batch:
    """A row of the batch, in which one token alone is predicted."""
    one = slice(row, row + 1)
    labels = np.full_like(batch.labels[one], IGNORED)
    labels[0, place] = batch.labels[row, place]
    positions = None if batch.position_ids is None else batch.position_ids[one]
    mask = None if batch.attention_mask is None else batch.attention_mask[one]
    return Batch(batch.input_ids[one], labels, mask, labels.size, 1, positions)


def _example(
    tokenizer: Tokenizer, batch: Batch, row: int, place: int, probability: float, guesses: list[tuple[str, float]]
) -> Example:
    before, after = _around(batch.input_ids[row], place)
    truth = _token(tokenizer, int(batch.labels[row, place]))
    return Example(_text(tokenizer, before), _text(tokenizer, after), truth, probability, guesses)


def _around(seen: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens beside a place that are of the same piece of text."""
    ends = np.flatnonzero(np.isin(seen, (PAD, CLS, SEP)))
    begin = max([end + 1 for end in ends if end < place], default=0)
    stop = min([end for end in ends if end > place], default=len(seen))
    return seen[max(begin, place - AROUND) : place], seen[place + 1 : min(stop, place + 1 + AROUND)]


def _text(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    return tokenizer.decode(ids.tolist(), skip_special_tokens=False)


def _token(tokenizer: Tokenizer, token: int) -> str:
    """The token itself: a model may have more outputs than its tokenizer has tokens."""
    return tokenizer.id_to_token(token) or f"[{token}]"

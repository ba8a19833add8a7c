"""The names of a run's checkpoints as revisions of one model: by the words that it had read."""

from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer

from minibert.config import Config
from minibert.data.prepared import prepare_data
from minibert.data.tokenizer import FIRST_ORDINARY, PAD
from minibert.errors import MinibertError
from minibert.serving.loading import SavedRun
from minibert.tracking.store import Store, store_errors

MILLION = 1_000_000
MILESTONES = (*range(1, 10), *range(10, 100, 10), *range(100, 1001, 100))
"""Millions of words at which the BabyLM challenge wants a checkpoint"""
NEAR = 0.05
"""Share of a milestone by which a checkpoint may be off and still bear its name"""
DIGITS = range(3, 9)
"""Significant digits of other names: the fewest that tell all checkpoints apart"""


def revision_names(words: Mapping[int, float]) -> dict[int, str]:
    """Step -> ``chck_<M>M``, M the millions of words that were read until then, repeated ones counted again.

    The checkpoint nearest to a milestone of the BabyLM challenge has its name (``chck_1M``), if it is no more than
    5 % off; all others have three digits (``chck_0.524M``), or as many more as tell them apart.

    >>> revision_names({0: 0.0, 10: 524_288.0, 20: 1_012_000.0})
    {0: 'chck_0M', 10: 'chck_0.524M', 20: 'chck_1M'}
    """
    named = {}
    for milestone in MILESTONES:
        off = {step: abs(count / (milestone * MILLION) - 1) for step, count in words.items()}
        nearest = min(off, key=lambda step: off[step])
        if off[nearest] <= NEAR:
            named[nearest] = f"chck_{milestone}M"
    others = {step: count / MILLION for step, count in words.items() if step not in named}
    for digits in DIGITS:
        found = named | {step: f"chck_{_short(count, digits)}M" for step, count in others.items()}
        if len(set(found.values())) == len(words):
            break
    return {step: found[step] for step in sorted(words)}


def words_read(saved: SavedRun, store: Store, steps: Sequence[int]) -> dict[int, float]:
    """Step -> words that the model had read: its tokens, times the share of them that begin a word.

    Tokens are those recorded as ``tokens_seen``, linear between two records; the share is that of the training
    text. Raises :class:`MinibertError` if no tokens were recorded, or if the text cannot be had.
    """
    with store_errors(store.uri, f"read run {saved.id}"):
        history = store.client.get_metric_history(saved.id, "tokens_seen")
    if not history:
        raise MinibertError(f"Run {saved.id} has no metric tokens_seen.")
    recorded = {0: 0.0} | {point.step: point.value for point in history}
    known = sorted(recorded)
    tokens = np.interp(steps, known, [recorded[step] for step in known])
    share = word_share(saved.config, saved.tokenizer)
    return {step: float(count) * share for step, count in zip(steps, tokens, strict=True)}


def word_share(config: Config, tokenizer: Tokenizer) -> float:
    """The share of the training text's tokens that begin a word: no ``##``, and at least one letter or digit."""
    ids = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length).train.input_ids
    begins = np.zeros(max(config.model.vocab_size, tokenizer.get_vocab_size()), bool)
    vocabulary = tokenizer.get_vocab().items()
    begins[[id for token, id in vocabulary if id >= FIRST_ORDINARY and _begins_word(token)]] = True
    return float(begins[ids].sum() / (ids != PAD).sum())


def _begins_word(token: str) -> bool:
    return not token.startswith("##") and any(map(str.isalnum, token))


def _short(value: float, digits: int) -> str:
    """So many significant digits, without an exponent and without zeros at the end."""
    return np.format_float_positional(value, digits, fractional=False, trim="-") if value else "0"

"""Which words are followed through training, and where they stand in the held-out text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from minibert.data.packing import Sequences, spread_evenly
from minibert.data.tokenizer import UNK, encode_texts
from minibert.evaluation.whole_words import Words, words_of

LEAST_CONTEXTS = 8
"""A word with fewer occurrences in the held-out text is left out, as by Chang and Bergen (2022)"""


@dataclass(frozen=True)
class Followed:
    """A word and its contexts in the held-out text."""

    word: str
    count: int
    """Occurrences in all of the text"""
    frequency: float
    """Share of all whole words of the text"""
    contexts: Words
    """Those occurrences that are looked at, spread evenly over all"""


def follow_words(
    tokenizer: Tokenizer,
    sequences: Sequences,
    continues: np.ndarray,
    wanted: Sequence[str],
    count: int,
    most: int,
) -> tuple[list[Followed], list[str]]:
    """The words that are followed, at ``most`` so many contexts of each, and notes on those left out.

    ``wanted`` names them; where it is empty, ``count`` words are taken whose frequencies are spread evenly by
    logarithm: words of letters with at least :data:`LEAST_CONTEXTS` occurrences. ``continues`` (V,) bool: tokens
    that continue a word. Nothing is drawn at random: every checkpoint and every run sees the same contexts.

    A wanted word is whatever the tokenizer makes of it: *don't* is three words of the tokenizer in a row, and its
    surprisal is that of all pieces together.
    """
    words = words_of(sequences, continues)
    if wanted:
        found, notes = _named(tokenizer, sequences, words, continues, wanted)
    else:
        found, notes = _frequent(tokenizer, sequences, words, count)
    followed = [
        Followed(word, len(places), len(places) / max(len(words), 1), _spread(places, most))
        for word, places in found
    ]
    return followed, notes


def _frequent(
    tokenizer: Tokenizer, sequences: Sequences, words: Words, count: int
) -> tuple[list[tuple[str, Words]], list[str]]:
    occurrences: dict[bytes, list[int]] = {}
    for number, (row, start, stop) in enumerate(zip(words.rows, words.starts, words.stops, strict=True)):
        occurrences.setdefault(sequences.input_ids[row, start:stop].tobytes(), []).append(number)
    enough = sorted(
        ((ids, numbers) for ids, numbers in occurrences.items() if len(numbers) >= LEAST_CONTEXTS),
        key=lambda each: (-len(each[1]), each[1][0]),
    )
    named = [(_spelt(tokenizer, ids), numbers) for ids, numbers in enough]
    named = [(word, numbers) for word, numbers in named if word.isalpha()]
    chosen = _even(np.log([len(numbers) for _, numbers in named]), count)
    notes = []
    if len(chosen) < count:
        notes.append(
            f"{len(chosen)} of {count} words: the held-out text has no more words of letters with at least "
            f"{LEAST_CONTEXTS} occurrences."
        )
    return [(named[place][0], words.chosen(np.array(named[place][1]))) for place in chosen], notes


def _named(
    tokenizer: Tokenizer, sequences: Sequences, words: Words, continues: np.ndarray, wanted: Sequence[str]
) -> tuple[list[tuple[str, Words]], list[str]]:
    found, unknown, rare = [], [], []
    for word, encoding in zip(wanted, encode_texts(tokenizer, wanted), strict=True):
        ids = np.array(encoding.ids[1:-1], np.int32)
        if not len(ids) or (ids == UNK).any():
            unknown.append(word)
            continue
        places = _occurrences(sequences, words, continues, ids)
        if len(places) < LEAST_CONTEXTS:
            rare.append(word)
        else:
            found.append((word, places))
    notes = []
    if unknown:
        notes.append(f"Left out, as the tokenizer does not know them: {', '.join(unknown)}.")
    if rare:
        notes.append(
            f"Left out, with fewer than {LEAST_CONTEXTS} occurrences in the held-out text: {', '.join(rare)}."
        )
    return found, notes


def _occurrences(sequences: Sequences, words: Words, continues: np.ndarray, ids: np.ndarray) -> Words:
    """Where the pieces stand in a row, from the beginning of a word to the end of one."""
    fits = words.starts + len(ids) < sequences.input_ids.shape[1]
    for offset, token in enumerate(ids):
        places = np.where(fits, words.starts + offset, 0)
        fits &= sequences.input_ids[words.rows, places] == token
    after = np.where(fits, words.starts + len(ids), 0)
    fits &= ~continues[sequences.input_ids[words.rows, after]]
    return Words(words.rows[fits], words.starts[fits], words.starts[fits] + len(ids))


def _even(values: np.ndarray, count: int) -> list[int]:
    """``count`` places of falling ``values``, those nearest to evenly spaced values, each once; all, if fewer."""
    if len(values) <= count:
        return list(range(len(values)))
    chosen: list[int] = []
    for number, target in enumerate(np.linspace(values[0], values[-1], count)):
        least = chosen[-1] + 1 if chosen else 0
        nearest = int(np.abs(values - target).argmin())
        # So many places must be left for the targets that follow.
        chosen.append(min(max(nearest, least), len(values) - count + number))
    return chosen


def _spread(places: Words, most: int) -> Words:
    return places.chosen(spread_evenly(len(places), most))


def _spelt(tokenizer: Tokenizer, ids: bytes) -> str:
    tokens = (tokenizer.id_to_token(int(token)) or "" for token in np.frombuffer(ids, np.int32))
    return "".join(token.removeprefix("##") for token in tokens)

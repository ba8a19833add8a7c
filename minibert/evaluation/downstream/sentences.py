"""Labelled sentences as batches: drawn in balance, encoded, cut to the positions, and put together by length."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from minibert.config import ModelConfig
from minibert.data.annotated.classified import (
    MOST_LABELS,
    PARTS,
    LabelledSentence,
    read_labelled_parts,
    read_labelled_sentences,
)
from minibert.data.batches import Batch
from minibert.data.tokenizer import PAD, encode_texts
from minibert.errors import MinibertError, listed
from minibert.evaluation.inputs import rows, shown
from minibert.model.passes import IGNORED
from minibert.randomness import generator

GROUP = 16
"""Batches whose sentences are sorted by length together: enough to leave little padding, few enough that a
sentence meets others in every epoch"""
SCORED_AT_ONCE = 64


class Splits(NamedTuple):
    """Labelled sentences to train on, to choose settings with, and to report."""

    train: Sequence[LabelledSentence]
    dev: Sequence[LabelledSentence]
    test: Sequence[LabelledSentence]


def as_splits(given: Any) -> Splits:
    """The three parts: as they are, by their names, or of a folder with a table for each.

    Raises :class:`MinibertError` for anything else.
    """
    if isinstance(given, str | Path):
        given = read_labelled_parts(given)
    elif isinstance(given, tuple | list) and len(given) == len(PARTS):
        given = dict(zip(PARTS, given, strict=True))
    if not (isinstance(given, Mapping) and set(given) == set(PARTS)):
        raise MinibertError(
            f"splits: {shown(given)} was given. Allowed: a folder with train.tsv, dev.tsv and test.tsv, or Splits("
            "train, dev, test), as such or as a dictionary."
        )
    return Splits(**{part: labelled(given[part], part) for part in PARTS})


def labelled(given: Any, name: str) -> list[LabelledSentence]:
    """Labelled sentences: as they are, as tuples (text, label), or of a table. A number as a label is its text.

    Raises :class:`MinibertError` for anything else, and for an empty sentence or label.
    """
    found = [
        each._replace(label=str(each.label)) if isinstance(each.label, int | float | np.number) else each
        for each in rows(given, LabelledSentence, name, read_labelled_sentences, numbers=("label",))
    ]
    for place, each in enumerate(found):
        if not (each.text.strip() and each.label.strip()):
            raise MinibertError(
                f"{name}[{place}]: {shown(tuple(each))} was given. Allowed: a sentence and its label."
            )
    return found


@dataclass(frozen=True)
class EncodedSentences:
    ids: list[np.ndarray]
    """[CLS] text [SEP] of each, (n,) int32"""
    classes: np.ndarray
    """(S,) int64: the place of each label among the labels"""
    cut: int
    """Sentences that were longer than the model's positions, and were cut"""
    unknown: int
    """Pieces that are [UNK]"""
    pieces: int
    """Pieces in all, [CLS] and [SEP] left out"""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(ids) for ids in self.ids])

    def batch(self, rows: np.ndarray) -> Batch:
        """These sentences, padded to the longest. The label of a sentence stands at its first position."""
        lengths = np.array([len(self.ids[row]) for row in rows])
        input_ids = np.full((len(rows), lengths.max()), PAD, np.int32)
        for place, row in enumerate(rows):
            input_ids[place, : lengths[place]] = self.ids[row]
        labels = np.full(input_ids.shape, IGNORED, np.int32)
        labels[:, 0] = self.classes[rows]
        real = np.arange(input_ids.shape[1]) < lengths[:, None]
        return Batch(input_ids, labels, None if real.all() else real, int(lengths.sum()), len(rows))


def label_names(sentences: Sequence[LabelledSentence]) -> list[str]:
    """The labels that occur, sorted. Raises :class:`MinibertError` for fewer than two, and for too many."""
    labels = sorted({sentence.label for sentence in sentences})
    if len(labels) < 2:
        raise MinibertError(
            f"labelled sentences: {len(sentences)} with the label {labels[0]} alone. Allowed: two labels or more."
            if labels
            else "labelled sentences: none were given. Give some of each label."
        )
    if len(labels) > MOST_LABELS:
        raise MinibertError(f"labelled sentences: have {len(labels):,} labels. Allowed: 2 to {MOST_LABELS}.")
    return labels


def shared_texts(sentences: Sequence[LabelledSentence], train: Sequence[LabelledSentence]) -> int:
    """How many sentences are training sentences too, but for capital letters and white space."""
    known = {" ".join(each.text.casefold().split()) for each in train}
    return sum(" ".join(each.text.casefold().split()) in known for each in sentences)


def draw(sentences: Sequence[LabelledSentence], most: int | None, seed: int = 0) -> list[LabelledSentence]:
    """``most`` of the sentences, in their order, with the shares of the labels kept; all where there are fewer.

    Of n sentences with a label, n · most / S, rounded down, and one more for the largest remainders until there
    are ``most``; at least one. Raises :class:`MinibertError` for fewer than there are labels.
    """
    if most is None or most >= len(sentences):
        return list(sentences)
    counts = Counter(sentence.label for sentence in sentences)
    if most < len(counts):
        raise MinibertError(
            f"max_samples={most}: fewer than the {len(counts)} labels. Allowed: one of each, or more."
        )
    exact = {label: count * most / len(sentences) for label, count in counts.items()}
    taken = {label: max(int(share), 1) for label, share in exact.items()}
    while (short := most - sum(taken.values())) != 0:
        step = 1 if short > 0 else -1
        allowed = [label for label in sorted(taken) if step > 0 or taken[label] > 1]
        chosen = max(allowed, key=lambda label: step * (exact[label] - taken[label]))
        taken[chosen] += step
    order, rows = generator(seed).permutation(len(sentences)), []
    for place in order:
        label = sentences[place].label
        if taken[label]:
            taken[label] -= 1
            rows.append(int(place))
    return [sentences[row] for row in sorted(rows)]


def encode(
    tokenizer: Tokenizer,
    sentences: Sequence[LabelledSentence],
    labels: Sequence[str],
    config: ModelConfig,
    name: str,
) -> EncodedSentences:
    """Encode the sentences; those longer than the model's positions are cut, and end with [SEP] all the same.

    Raises :class:`MinibertError` for no sentences, and for labels that are not among ``labels``; ``name`` says
    which sentences these are.
    """
    if not sentences:
        raise MinibertError(f"{name}: holds no sentence. Give at least one.")
    places = {label: place for place, label in enumerate(labels)}
    if strange := sorted({sentence.label for sentence in sentences} - set(places)):
        raise MinibertError(
            f"{name}: has labels without a training sentence: {', '.join(listed(strange))}. "
            f"Allowed: {', '.join(listed(labels, 20))}."
        )
    unknown = tokenizer.token_to_id("[UNK]")
    whole = [np.array(each.ids, np.int32) for each in encode_texts(tokenizer, [each.text for each in sentences])]
    longest = config.max_length if config.position.has_table else max(map(len, whole))
    return EncodedSentences(
        [ids if len(ids) <= longest else np.append(ids[: longest - 1], ids[-1]) for ids in whole],
        np.array([places[sentence.label] for sentence in sentences]),
        sum(len(ids) > longest for ids in whole),
        sum(int((ids == unknown).sum()) for ids in whole),
        sum(len(ids) - 2 for ids in whole),
    )


class SentenceBatches:
    """The batch of any step of training, as a pure function of the seed and the step.

    Each epoch has its own random order. Runs of :data:`GROUP` batches are sorted by length before they are cut
    into batches, whose order is random again. The last batch of the sentences may be smaller.
    """

    def __init__(self, sentences: EncodedSentences, batch_size: int, seed: int):
        self.sentences, self.batch_size, self.seed = sentences, batch_size, seed
        self.per_epoch = -(-len(sentences) // batch_size)
        """Steps that an epoch takes"""
        self._epoch = lru_cache(maxsize=1)(self._draw_epoch)

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        return self.sentences.batch(self.rows(step))

    def rows(self, step: int) -> np.ndarray:
        """Which sentences are in it."""
        epoch, place = divmod(step, self.per_epoch)
        return self._epoch(epoch)[place]

    def _draw_epoch(self, epoch: int) -> list[np.ndarray]:
        random, lengths = generator(self.seed, epoch), self.sentences.lengths
        order = random.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), GROUP * self.batch_size):
            group = order[start : start + GROUP * self.batch_size]
            group = group[np.argsort(lengths[group], kind="stable")]
            batches += [group[first : first + self.batch_size] for first in range(0, len(group), self.batch_size)]
        return [batches[place] for place in random.permutation(len(batches))]


def by_length(sentences: EncodedSentences) -> list[np.ndarray]:
    """All sentences once, the short ones first, in parts that are scored together."""
    order = np.argsort(sentences.lengths, kind="stable")
    return [order[start : start + SCORED_AT_ONCE] for start in range(0, len(order), SCORED_AT_ONCE)]

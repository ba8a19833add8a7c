"""What a pass over the network takes: the inputs, which rows are computed, and how it is computed."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from minibert.errors import MinibertError
from minibert.model.auxiliary_heads import AuxiliaryTask, Measured
from minibert.model.dropout import DropoutMasks
from minibert.model.words import WordSample
from minibert.model.workspace import NEW_ARRAYS, NewArrays, Workspace

IGNORED = -100
"""The label of a position where nothing is predicted."""


class Inputs(NamedTuple):
    """The sequences that a pass reads."""

    ids: np.ndarray
    """(B, T) ints"""
    mask: np.ndarray | None = None
    """(B, T) bool, True at real tokens, or (B, T, T) bool, True where i may attend to j; None: all is real"""
    segments: np.ndarray | None = None
    """(B, T) ints, for a model with segment embeddings"""
    positions: np.ndarray | None = None
    """(B, T) ints; None: 0 to T - 1 in every row"""
    sequences: slice = slice(None)
    """Which sequences of the batch these are"""

    def part(self, sequences: slice) -> "Inputs":
        """Some of the sequences of a batch."""
        mask, segments, positions = (None if array is None else array[sequences] for array in self[1:4])
        return Inputs(self.ids[sequences], mask, segments, positions, sequences)

    def checked(self) -> "Inputs":
        """The same as NumPy arrays. Raises :class:`MinibertError` for arrays that do not fit each other."""
        ids = np.asarray(self.ids)
        if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
            raise MinibertError(
                f"input_ids: shape {ids.shape} and type {ids.dtype} were given. "
                "Allowed: integers of shape (batch, tokens)."
            )
        if not ids.size:
            raise MinibertError(f"input_ids: shape {ids.shape} was given. Allowed: at least one token.")
        batch, tokens = ids.shape
        mask, segments, positions = self.mask, self.segments, self.positions
        if mask is not None:
            mask = np.asarray(mask, bool)
            check_shape("attention_mask", mask, (batch, tokens), (batch, tokens, tokens))
        if segments is not None:
            segments = np.asarray(segments)
            check_shape("segment_ids", segments, (batch, tokens))
        if positions is not None:
            positions = np.asarray(positions)
            check_shape("position_ids", positions, (batch, tokens))
        return Inputs(ids, mask, segments, positions, self.sequences)


class Targets(NamedTuple):
    """What a loss is computed on."""

    labels: np.ndarray
    """(B, T) ints: the original id where it is predicted, :data:`IGNORED` elsewhere"""
    auxiliary: Mapping[str, AuxiliaryTask] = {}
    """Tasks of the network's auxiliary heads, by name"""
    count: int | None = None
    """Predictions in the whole batch, of which these are a part; None: these are all of it"""

    def predicted(self, shape: tuple[int, ...], vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Which positions are predicted, ``shape`` bool, and their labels (P,).

        Raises :class:`MinibertError` for labels of another shape or type, or outside of the vocabulary.
        """
        labels = np.asarray(self.labels)
        if not np.issubdtype(labels.dtype, np.integer):
            raise MinibertError(f"labels: type {labels.dtype} was given. Allowed: integers.")
        check_shape("labels", labels, shape)
        predicted = labels != IGNORED
        chosen = labels[predicted]
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < vocab_size):
            raise MinibertError(
                f"labels: values from {chosen.min()} to {chosen.max()} were given. "
                f"Allowed: 0 to {vocab_size - 1}, and {IGNORED} where nothing is predicted."
            )
        return predicted, chosen

    @property
    def asked(self) -> np.ndarray | None:
        """(B, T) bool: what the auxiliary heads are asked about; None without them."""
        if not self.auxiliary:
            return None
        return np.logical_or.reduce([task.labels >= 0 for task in self.auxiliary.values()])


class Selection(NamedTuple):
    """Which rows of the last layer, and which words of the vocabulary, a pass needs."""

    predicted: np.ndarray | None = None
    """(B, T) bool: the positions that the MLM head scores; None: all"""
    asked: np.ndarray | None = None
    """(B, T) bool, beside ``predicted``: positions that auxiliary heads are asked about"""
    everywhere: bool = False
    """Whether the last layer is computed at all positions, even where only some are read. Except for rounding,
    loss and gradients do not depend on it"""
    words: WordSample | None = None
    """What is scored of the vocabulary; None: all. The labels must be in it"""

    def checked(self, shape: tuple[int, ...]) -> "Selection":
        """The same as a NumPy array. Raises :class:`MinibertError` where ``predicted`` has another shape."""
        if self.predicted is None:
            return self
        predicted = np.asarray(self.predicted, bool)
        check_shape("predicted", predicted, shape)
        return self._replace(predicted=predicted)

    @property
    def read(self) -> np.ndarray | None:
        """(B, T) bool: the positions that any head reads; None: all"""
        if self.predicted is None or self.asked is None:
            return self.predicted
        return self.predicted | self.asked


class Pass(NamedTuple):
    """How a pass is computed, and what is kept of it."""

    masks: DropoutMasks | None = None
    """None switches dropout off"""
    work: NewArrays | Workspace = NEW_ARRAYS
    """Where arrays come from"""
    checkpoint_activations: bool = False
    """Whether only the layers' inputs are kept. The backward pass computes the rest again, to the same bits: less
    memory, and one more forward pass"""
    measured: Measured | None = None
    """Where loss and right predictions of ``"mlm"`` and of every auxiliary task are added"""
    caches: list | None = None
    """Where the cache of the forward pass is appended"""


ALL_ROWS, DEFAULT_PASS = Selection(), Pass()
"""Every position, scored by the MLM head; without dropout, in new arrays, with everything kept"""


def check_shape(name: str, array: np.ndarray, *allowed: tuple[int, ...]) -> None:
    """Raise :class:`MinibertError` for an array of another shape than those allowed."""
    if array.shape not in allowed:
        shapes = " or ".join(map(str, allowed))
        raise MinibertError(f"{name}: shape {array.shape} was given. Allowed: {shapes}, to go with input_ids.")

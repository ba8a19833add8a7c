"""Dropout masks that depend on the step and the sequence alone, never on lanes or history."""

import numpy as np

from minibert.model.workspace import NEW_ARRAYS
from minibert.randomness import require_seed


class DropoutMasks:
    """The masks of one pass over some sequences, drawn in the order in which the network asks for them.

    Every sequence of every draw has its own part of a Philox random stream: (step, sequence, number of the draw).
    One random byte decides one value, so a rate is rounded to 1/256 (and below 1). The kept values are scaled by
    the rounded rate, which keeps the mean exact.
    """

    def __init__(self, seed: int | None, step: int, first_sequence: int):
        self.step = step
        self.first_sequence = first_sequence
        if seed is not None:
            require_seed(seed)
        self._bits = np.random.Philox(key=seed)
        self._state = self._bits.state
        self.draws = 0
        """How many masks have been drawn"""

    def rewind(self, draws: int) -> None:
        """Go back to where ``draws`` masks had been drawn: the next ones are the same again."""
        self.draws = draws

    def draw(self, rate: float, shape: tuple[int, ...], dtype, work=NEW_ARRAYS) -> np.ndarray | None:
        """A mask of ``shape`` = (sequences, ...) that is 0 with probability ``rate``, else 1/(1 - rate)."""
        self.draws += 1
        dropped = min(round(rate * 256), 255)
        if dropped == 0:
            return None
        size = int(np.prod(shape[1:]))
        random_bytes = work.empty((shape[0], -(-size // 8)), np.uint64)
        for sequence in range(shape[0]):
            self._place(self.first_sequence + sequence)
            random_bytes[sequence] = self._bits.random_raw(random_bytes.shape[1])
        keep = random_bytes.view(np.uint8)[:, :size] >= dropped
        scale = np.dtype(dtype).type(256 / (256 - dropped))
        return np.multiply(keep, scale, out=work.empty((shape[0], size), dtype)).reshape(shape)

    def _place(self, sequence: int) -> None:
        """Move the generator to this draw of this sequence. A new generator would take ten times as long."""
        self._state["state"]["counter"][:] = (0, self.draws, sequence, self.step)
        self._state["buffer_pos"] = 4  # nothing is left over from another draw
        self._bits.state = self._state

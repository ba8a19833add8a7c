"""Where the arrays of a forward and backward pass come from.

Layers ask for arrays with ``work.empty(shape, dtype)``. By default each is a new one. A training lane hands
in a :class:`Workspace` instead: one block of memory, given out from the front, that every step reuses, so
that a step allocates nothing and touches the same warm memory again.
"""

from contextlib import contextmanager, nullcontext

import numpy as np

ALIGNMENT = 64  # bytes: a cache line


class NewArrays:
    """Every array is a new one: what a caller gets may be kept."""

    def empty(self, shape, dtype) -> np.ndarray:
        return np.empty(shape, dtype)

    used = 0

    def scratch(self, start: int | None = None):
        """Arrays taken within this context are not needed after it."""
        return nullcontext()


class Workspace:
    """Arrays from one reused block: valid until :meth:`reset`, which starts the next step.

    A step that needs more than there is gets new arrays for the rest, and the block grows at the next reset.
    Memory that is :meth:`reserved <reserve>` is taken from the machine only where arrays are written.
    """

    def __init__(self):
        self._memory = np.empty(0, np.uint8)
        self._used = 0
        self.peak = 0
        """Most bytes in use since the start"""
        self._depth = 0
        self.kept = 0
        """Most bytes in use outside of any :meth:`scratch` since the start: what a backward pass finds"""

    @property
    def nbytes(self) -> int:
        return self._memory.nbytes

    @property
    def used(self) -> int:
        """Bytes in use: where the next array begins"""
        return self._used

    def reset(self) -> None:
        self._used = self._depth = 0
        if self.peak > self._memory.nbytes:
            self.reserve(self.peak)

    def reserve(self, size: int) -> None:
        """Make the block ``size`` bytes large, unless it is. No array given out before is valid after it."""
        if size > self._memory.nbytes:
            memory = np.empty(size + ALIGNMENT, np.uint8)
            self._memory = memory[-memory.ctypes.data % ALIGNMENT :]

    def empty(self, shape, dtype) -> np.ndarray:
        shape = tuple(shape) if np.iterable(shape) else (shape,)
        dtype = np.dtype(dtype)
        size = dtype.itemsize
        for length in shape:
            size *= int(length)
        start = self._used
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        self.peak = max(self.peak, self._used)
        if not self._depth:
            self.kept = max(self.kept, self._used)
        if self._used > self._memory.nbytes:
            return np.empty(shape, dtype)
        return self._memory[start : start + size].view(dtype).reshape(shape)

    @contextmanager
    def scratch(self, start: int | None = None):
        """Arrays taken within this context are not needed after it: their memory is given out again.

        With ``start``, a former :attr:`used`, they also take the memory of all arrays given out since then, which
        are not needed any more.
        """
        used = self._used
        if start is not None:
            self._used = start
        self._depth += 1
        yield
        self._depth -= 1
        self._used = used


NEW_ARRAYS: NewArrays | Workspace = NewArrays()
"""What a pass takes unless a workspace is given"""

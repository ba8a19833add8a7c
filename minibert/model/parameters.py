"""All parameters of a network as one flat vector with named views.

Norms, updates and checkpoints work on the vector; people work on the names. Weights come first in the
vector, gains and biases after them, so that what weight decay applies to is one slice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Block:
    """One contiguous array of the vector. Several names share a block side by side, along its last axis.

    Query, key and value stand in one (D, 3D) block: three names, and one matrix product for all of them.
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.parts or (self.name,)


def linear_blocks(
    name: str, inputs: int, outputs: int, bias: bool = True, parts: tuple[str, ...] = ()
) -> list[Block]:
    """The parameters of y = x W + b, or of y = x W; ``parts`` are the names that share them side by side."""
    weight = Block(f"{name}.weight", (inputs, outputs), tuple(f"{part}.weight" for part in parts))
    return [weight, Block(f"{name}.bias", (outputs,), tuple(f"{part}.bias" for part in parts))][: 1 + bias]


class Layout:
    """Where each name stands in the vector: the same for parameters, gradients and optimizer state."""

    def __init__(self, blocks: list[Block]):
        self.names = tuple(name for block in blocks for name in block.names)
        """All names in the order of the network, from the embeddings to the head"""
        weights = [block for block in blocks if block.name.endswith(".weight")]
        others = [block for block in blocks if not block.name.endswith(".weight")]
        self.blocks = weights + others
        self.offsets: dict[str, int] = {}
        size = 0
        for block in self.blocks:
            self.offsets[block.name] = size
            size += int(np.prod(block.shape))
        self.size = size
        self.decayed = slice(0, sum(int(np.prod(block.shape)) for block in weights))
        """Weights, which decay; gains and biases, behind them, do not."""

    def views(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Name -> view of ``vector``; the joint blocks under their own names as well."""
        views = {}
        for block in self.blocks:
            start = self.offsets[block.name]
            array = vector[start : start + int(np.prod(block.shape))].reshape(block.shape)
            views[block.name] = array
            if block.parts:
                views.update(zip(block.parts, np.split(array, len(block.parts), axis=-1), strict=True))
        return views


class Parameters(Mapping):
    """A flat vector in a layout: ``params["mlm_head.bias"]`` is a view, ``params.vector`` is all of it."""

    def __init__(self, layout: Layout, dtype="float32", vector: np.ndarray | None = None):
        self.layout = layout
        self.vector = np.zeros(layout.size, dtype) if vector is None else vector
        self._views = layout.views(self.vector)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout.names)

    def __len__(self) -> int:
        return len(self.layout.names)

    def __setitem__(self, name: str, value) -> None:
        self._views[name][...] = value

    @property
    def groups(self) -> tuple[str, ...]:
        """The parts of the network, as prefixes of names: embeddings, layers.0, layers.1, ..., mlm_head."""
        parts = (name.split(".") for name in self.layout.names)
        return tuple(dict.fromkeys(".".join(part[: 2 if part[0] == "layers" else 1]) for part in parts))

    def norm(self, prefix: str = "") -> float:
        """‖θ‖₂ over all names that start with ``prefix``."""
        arrays = (array for name, array in self.items() if name.startswith(prefix))
        return float(np.sqrt(sum(float(np.vdot(array, array)) for array in arrays)))


class Gradients(Parameters):
    """Gradients in the layout of the parameters. Adding to a name accumulates, until :meth:`clear`.

    The first addition after ``clear`` writes instead of adding: nothing has to be zeroed first, and a
    matrix product is written directly into the gradient. Names that nothing was added to count as zero
    (:meth:`fill_untouched` writes those zeros).
    """

    def __init__(self, layout: Layout, dtype="float32"):
        super().__init__(layout, dtype)
        self._parts = {block.name: block.names for block in layout.blocks if block.parts}
        self._touched: set[str] = set()

    def clear(self) -> None:
        self._touched.clear()

    def fill_untouched(self) -> None:
        """Write zeros to every name that nothing was added to since :meth:`clear`."""
        for name in self.layout.names:
            if name not in self._touched:
                self[name] = 0
                self._touched.add(name)

    def add(self, name: str, value: np.ndarray) -> None:
        """grad[name] += value"""
        if self._is_first(name):
            self[name] = value
        else:
            self[name] += value

    def add_product(self, name: str, left: np.ndarray, right: np.ndarray) -> None:
        """grad[name] += left @ right"""
        if self._is_first(name):
            np.matmul(left, right, out=self[name])
        else:
            self[name] += left @ right

    def add_rows(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        """grad[name][rows[i]] += values[i] for every i, with repeated rows summed.

        A sparse product: the (distinct rows, i) matrix of ones times the values. ``np.add.at`` takes ten times
        as long.
        """
        if self._is_first(name):
            self[name] = 0
        from scipy.sparse import csr_array  # here, because a command that trains nothing does without it

        distinct, inverse = np.unique(rows, return_inverse=True)
        ones = np.ones(len(rows), values.dtype)
        summing = csr_array((ones, (inverse, np.arange(len(rows)))), shape=(len(distinct), len(rows)))
        self[name][distinct] += summing @ values

    def add_where(self, name: str, index, value: np.ndarray) -> None:
        """grad[name][index] += value, for an index without repeats; the first addition zeroes the rest"""
        if self._is_first(name):
            self[name] = 0
        self[name][index] += value

    def _is_first(self, name: str) -> bool:
        names = self._parts.get(name, (name,))
        fresh = [part for part in names if part not in self._touched]
        if 0 < len(fresh) < len(names):
            for part in fresh:
                self[part] = 0
        self._touched.update(names)
        return len(fresh) == len(names)

"""Random numbers that depend on what they are for, never on when they are drawn.

A run has four independent streams (``seeds.init``, ``seeds.data``, ``seeds.masking``, ``seeds.dropout``).
Every draw is keyed by its stream and by its place (step, sequence, ...), so that it depends neither on the
number of threads nor on what was drawn before, and a resumed run continues bit for bit.

The generator is Philox 4x64-10, a counter-based one: Salmon et al., "Parallel Random Numbers: As Easy as
1, 2, 3", SC 2011.
"""

from collections.abc import Iterable, Iterator
from numbers import Integral

import numpy as np

from minibert.errors import MinibertError, shown

STREAMS = ("init", "data", "masking", "dropout")
ABOVE_SEEDS = 2**128
"""Seeds are below it: the key of Philox has 128 bits"""


def require_seed(seed: object) -> None:
    """Raises :class:`MinibertError` for a seed that is no whole number from 0 to 2¹²⁸ - 1."""
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= int(seed) < ABOVE_SEEDS:
        raise MinibertError(
            f"seed: {shown(seed)} was given. Allowed: a whole number, at least 0 and below 2**128."
        )


def derive_seeds(seed: int) -> dict[str, int]:
    """The seed of every stream, derived from one seed: {"init": ..., "data": ..., ...}, each below 2**32.

    Raises as :func:`require_seed` does.
    """
    require_seed(seed)
    return {
        stream: int(np.random.SeedSequence(entropy=seed, spawn_key=(index,)).generate_state(1)[0])
        for index, stream in enumerate(STREAMS)
    }


def generator(seed: int, *place: int) -> np.random.Generator:
    """A generator for one place of a stream: ``generator(seeds.masking, step, sequence)``.

    The seed is Philox's key; the place (at most three non-negative integers below 2**64) fills the upper
    words of its counter, so that each place owns 2**64 blocks of its own. Raises as :func:`require_seed` does.

    >>> generator(0, 3).random() == generator(0, 3).random()
    True
    """
    require_seed(seed)
    return np.random.Generator(np.random.Philox(key=seed, counter=_counter(place)))


def generators(seed: int, places: Iterable[tuple[int, ...]]) -> Iterator[np.random.Generator]:
    """:func:`generator` of every place in turn; each may be used until the next is taken.

    It is the same object, moved on: this takes an eighth of the time of making one for every row of a batch.
    """
    require_seed(seed)
    philox = np.random.Philox(key=seed)
    one, start = np.random.Generator(philox), philox.state
    for place in places:
        start["state"]["counter"] = np.array(_counter(place), np.uint64)
        philox.state = start
        yield one


def _counter(place: tuple[int, ...]) -> list[int]:
    if len(place) > 3:
        raise ValueError(f"a place has at most three numbers, got {len(place)}: {place}")
    return [0] + [0] * (3 - len(place)) + list(reversed(place))

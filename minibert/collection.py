"""When Python's garbage collector looks for circles of objects.

It looks after so many new objects, and then at all of them: most often while modules are imported or many rows are
read, where next to nothing is garbage.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Pause the garbage collector. While a million texts are read, it takes longer than the reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def importing() -> Iterator[None]:
    """Import modules without the garbage collector, and let it pass over their objects for good: they last.

    Where nothing is left to import, what it looks at stays as it was.
    """
    known = len(sys.modules)
    with without_collection():
        yield
        if len(sys.modules) > known:
            gc.freeze()

"""Values and names that the store does not take are left out and reported; everything else is stored."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from minibert.tracking.retries import at_once
from minibert.tracking.store import Store

LEFT_OUT = "minibert.left_out"
"""The tag that lists what was left out, and why"""
LONGEST_LIST = 8000

_logger = logging.getLogger(__name__)


def as_number(value: Any) -> float:
    """A real number as a float. Raises :class:`TypeError` or :class:`ValueError` for all else, texts too."""
    if isinstance(value, np.ndarray | np.generic) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, str | bytes | complex) or value is None:
        raise TypeError(f"{value!r:.100} is not a number")
    return float(value)


class LeftOut:
    """What was left out of a record: one warning for each name, and all of them in a tag of the run."""

    def __init__(self, store: Store, id: str, earlier: str = ""):
        """``earlier`` is the tag as an earlier process has written it."""
        self.store = store
        self.id = id
        self._lines = dict.fromkeys(earlier.splitlines())
        self._named: set[str] = set()
        self._untold = False

    def add(self, reasons: Mapping[str, str]) -> None:
        """Report names with why they were left out; those that were reported before are passed over."""
        new = {name: reason for name, reason in reasons.items() if name not in self._named}
        for name, reason in new.items():
            _logger.warning("left out of run %s, everything else is stored: %s: %s", self.id, name, reason)
            self._lines[f"{name}: {reason}".replace("\n", " ")] = None
        self._named.update(new)
        self._untold |= bool(new)
        with at_once():
            self.tell()

    def tell(self) -> None:
        """Write the tag, if there is something new. A store that is away is told later."""
        if not self._untold:
            return
        try:
            self.store.client.set_tag(self.id, LEFT_OUT, "\n".join(self._lines)[:LONGEST_LIST])
            self._untold = False
        except Exception as error:
            _logger.debug("the tag %s could not be written: %s", LEFT_OUT, error)

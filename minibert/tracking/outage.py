"""Whether a server answers, and when it is asked again."""

import logging
import time

from minibert.tracking.explanations import explain
from minibert.tracking.retries import WAITS_SECONDS

FIRST_SECONDS, LONGEST_SECONDS = 2.0, 60.0
"""Between two tries: each wait is twice as long as the one before, because a try may take long to fail"""
PATIENCE_SECONDS = sum(WAITS_SECONDS)
"""So long a server may take to restart"""

_logger = logging.getLogger(__name__)


class Outage:
    """Begins with an error that says that the server is away, and ends with an answer."""

    def __init__(self, uri: str, kept_in: object):
        self._uri = uri
        self._kept_in = kept_in
        self._since: float | None = None
        self._answered = False
        self._tried = 0.0
        self._wait = 0.0
        self.number = 0
        """Of outages so far"""
        self.error: Exception | None = None
        """What the last try ended with, while the server is away"""

    @property
    def is_due(self) -> bool:
        """Whether the server is to be asked."""
        return self._since is None or time.monotonic() - self._tried >= self._wait

    @property
    def is_long(self) -> bool:
        """Whether the server has been away for longer than a restart takes, or was never there."""
        if self._since is None:
            return False
        return not self._answered or time.monotonic() - self._since > PATIENCE_SECONDS

    def begin(self, error: Exception) -> None:
        self.error, self._tried = error, time.monotonic()
        if self._since is None:
            self.number += 1
            self._since, self._wait = self._tried, FIRST_SECONDS
            _logger.warning(
                "tracking store %s does not answer. What is recorded is kept in %s and sent later. %s",
                self._uri, self._kept_in, explain(self._uri, error),
            )  # fmt: skip
        else:
            self._wait = min(2 * self._wait, LONGEST_SECONDS)

    def end(self) -> None:
        if self._since is not None:
            _logger.warning("tracking store %s answers again", self._uri)
        self._since, self.error, self._answered = None, None, True

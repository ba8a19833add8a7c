"""A batch of which the store refuses some items: these are found, and all others are stored."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from minibert.tracking.explanations import explain
from minibert.tracking.retries import is_refusal

Item = TypeVar("Item")


def send(items: Sequence[Item], call: Callable[[Sequence[Item]], Any]) -> list[tuple[Item, str]]:
    """``call(items)``; if the store refuses that, each half of them. Returns the items refused alone, with
    reasons.

    MLflow takes a batch as a whole or not at all, and names one culprit at a time. All other errors are raised.
    """
    try:
        call(items)
    except Exception as error:
        if not is_refusal(error):
            raise
        if len(items) == 1:
            return [(items[0], explain("", error))]
        middle = len(items) // 2
        return send(items[:middle], call) + send(items[middle:], call)
    return []

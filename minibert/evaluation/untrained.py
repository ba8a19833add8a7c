"""What instruments find of the network before its first step: a control that all checkpoints of a run share."""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from minibert.evaluation.instruments import Subject
from minibert.model.bert import MiniBERT

Found = TypeVar("Found")
_KEPT: dict[str, tuple[str, Any]] = {}
"""Name of what is measured -> a hash of all that it depends on, and what was found last"""


def of_untrained(subject: Subject, name: str, asked: object, measure: Callable[[MiniBERT], Found]) -> Found:
    """What ``measure`` finds of the network before its first step; measured anew where it is asked otherwise.

    ``asked``: what ``measure`` depends on besides the subject, without its model, as values whose ``repr`` tells
    all of them. The last finding of each ``name`` is kept in memory, and is not to be changed.
    """
    network = subject.untrained()
    key = hashlib.sha256(network.params.vector.tobytes())
    key.update(repr((network.config, subject.seed, subject.quick, asked)).encode())
    key.update(subject.tokenizer.to_str().encode())
    text = () if subject.held_out is None else tuple(vars(subject.held_out).values())
    for array in (*text, subject.unigram_counts):
        key.update(b"none" if array is None else f"{array.shape}{array.dtype}".encode() + array.tobytes())
    if name not in _KEPT or _KEPT[name][0] != key.hexdigest():
        _KEPT[name] = key.hexdigest(), measure(network)
    return _KEPT[name][1]

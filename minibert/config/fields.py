"""What a field of the schema allows, stated beside it as metadata."""

from collections.abc import Mapping
from dataclasses import field


def number(default, *, at_least=None, above=None, at_most=None, below=None, only_with: Mapping | None = None):
    """A numeric field with its bounds.

    ``only_with``: neighbouring fields -> the values under which this one is read; one of them is enough. ``True``
    stands for every value but zero, false and null.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below, "only_with": only_with}
    return field(default=default, metadata={key: value for key, value in bounds.items() if value is not None})


def choice(default, *allowed):
    """A field that takes one of the names given."""
    return field(default=default, metadata={"choices": allowed})


def setting(default, *, only_with: Mapping):
    """Another field that is read only with some values of its neighbours (see :func:`number`)."""
    return field(default=default, metadata={"only_with": only_with})

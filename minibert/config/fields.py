"""What a field of the schema allows, stated beside it as metadata."""

from dataclasses import field


def number(default, *, at_least=None, above=None, at_most=None, below=None):
    """A numeric field with its bounds."""
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    return field(default=default, metadata={key: value for key, value in bounds.items() if value is not None})


def choice(default, *allowed):
    """A field that takes one of the names given."""
    return field(default=default, metadata={"choices": allowed})

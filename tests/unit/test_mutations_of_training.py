"""Mistakes in data, averages, Lookahead, AdamW and Muon, each made on purpose: a named test must turn red."""

import pytest
from support.mutations import assert_caught, named_test

from minibert.mistakes.catalogue import MISTAKES
from minibert.mistakes.entries import EXPLORER

HERE = [
    name
    for name, mistake in MISTAKES.items()
    if mistake.test.startswith("unit/") and not mistake.test.startswith(EXPLORER)
]


@pytest.mark.parametrize("name", HERE)
def test_a_mistake_is_caught(name):
    mistake = MISTAKES[name]
    assert_caught(mistake, named_test(mistake), **mistake.arguments)

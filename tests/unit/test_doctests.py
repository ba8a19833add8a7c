"""The examples in docstrings do what they say."""

import doctest
import re
from importlib import import_module

import pytest
from test_floors import MODULES

WITH_EXAMPLES = [name for name, file in MODULES.items() if re.search(r"^ *>>> ", file.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_hold(name):
    result = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0

"""The suite proves itself: every mistake of the gallery is made on purpose, and for each a named test must fail.

:mod:`minibert.mistakes` holds the list, and puts a mistake into the source of one function or method. The test,
one of the other files', is called directly. Mistakes that the tests of another folder catch are tried there.
"""

import pytest
from support.mutations import assert_caught, named_test

from minibert.mistakes import layers
from minibert.mistakes.catalogue import MISTAKES, PARTS, ROOMS
from minibert.mistakes.entries.norms import BACKWARD, GAIN_OUTSIDE
from minibert.mistakes.gradient_check import assert_right
from minibert.mistakes.injection import injected

HERE = [name for name, mistake in MISTAKES.items() if mistake.test.startswith("mathematical/")]


@pytest.mark.parametrize("name", HERE)
def test_a_mistake_is_caught(name):
    mistake = MISTAKES[name]
    assert_caught(mistake, named_test(mistake), **mistake.arguments)


def test_a_gain_outside_the_means_is_invisible_while_gains_are_one():
    """Why parameters are moved away from where they start: a check at initialisation passes this mistake."""
    with injected(BACKWARD, GAIN_OUTSIDE):
        assert_right(layers.layer_norm(gain=1.0))
        with pytest.raises(AssertionError, match="x: gradient"):
            assert_right(layers.layer_norm())


def test_a_mistake_in_text_that_is_not_there_is_refused():
    with pytest.raises(LookupError, match="holds 0 times"), injected(BACKWARD, {"no such text": ""}):
        pass


def test_the_code_is_right_again_after_a_mistake_also_where_it_raised():
    with pytest.raises(ZeroDivisionError), injected(BACKWARD, GAIN_OUTSIDE):
        raise ZeroDivisionError
    assert_right(layers.layer_norm())


def test_every_mistake_has_a_name_of_its_own_and_a_part():
    listed = [mistake for room in ROOMS for mistake in room.MISTAKES]
    assert len({mistake.name for mistake in listed}) == len(listed) == len(MISTAKES)
    assert {mistake.part for mistake in listed} == set(PARTS)

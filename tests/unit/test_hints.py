"""What is guessed of a misspelt name, and what is not."""

import pytest

from minibert.command_line.settings import closest, settings, unknown_key
from minibert.errors import most_similar, nearest
from minibert.running.plan import _reason


@pytest.mark.parametrize(
    ("given", "meant"), [("modle", "model"), ("modul", "diagnostics.modules"), ("sed", "seed"), ("zzzz", None)]
)
def test_a_misspelt_key_is_guessed_only_if_something_is_similar(given, meant):
    assert closest(given, given, settings()) == meant
    assert ("did you mean" in str(unknown_key(f"{given}=1", given))) == (meant is not None)


def test_no_name_is_suggested_that_has_little_in_common():
    assert nearest("quux", ["rope", "alibi"]) == ""
    assert nearest("roep", []) == ""
    assert most_similar("roep", ["absolute", "rope"]) == "rope"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Could not override 'a'.\nTo append use +a=1", "Could not override 'a'. To append use +a=1"),
        ("In 'a': Could not load 'b'.\n\nConfig search path:\n\tprovider=x", "In 'a': Could not load 'b'"),
        ("Multiple values for a:\n\nfirst\nsecond", "Multiple values for a: first second"),
        ("a bare colon:", "a bare colon"),
        ("", "ValueError"),
    ],
)  # fmt: skip
def test_an_error_of_hydra_is_told_whole_and_never_ends_in_a_colon(text, told):
    assert _reason(ValueError(text)) == told

"""Paths that begin with the home of a user whom this machine does not know, wherever a path is given."""

import pytest
from support.subjects import tiny_network

from minibert import MiniBERT, MinibertError
from minibert.diagnostics import track_weight_changes
from minibert.evaluation.word_learning.babylm import read_word_contexts
from minibert.files import expanded
from minibert.tracking.store import find_place, open_existing_store

HOME = "~nobody-of-this-name"
SAID = f"the home folder {HOME} is not known on this machine"
WORDS = {
    "run": (["data.path"], ["data.cache"], ["tracking.folder"], ["tracking.uri"]),
    "search": (["+search"],),
    "evaluate": (["run=last", "tracking.folder"], ["evaluation=minimal_pairs", "checkpoint"]),
    "explore": (["run=last", "html"], ["checkpoint"], ["run=last", "tracking.folder"]),
    "gallery": (["rope", "html"], ["rope", "folder"]),
    "watch": (["run=last", "tracking.folder"], ["run=next", "tracking.uri"]),
    "inspect": (["run=last", "tracking.folder"],),
    "reproduce": (["run=last", "tracking.folder"],),
    "export": (["run=last", "folder"], ["run=last", "folder=a", "tracking.folder"]),
    "report": (["last", "tracking.folder"],),
    "sweeps": (["list", "tracking.folder"], ["relocate", "artifacts"]),
}
"""Door -> words, the last of which names such a path"""
CALLS = [(door, words) for door, each in WORDS.items() for words in each]


@pytest.mark.parametrize(
    ("called", "words"), CALLS, ids=lambda value: value if isinstance(value, str) else value[-1]
)
def test_every_word_that_names_a_path_refuses_an_unknown_home(door, small_settings, called, words):
    *others, key = words
    path = f"sqlite:///{HOME}/mlflow.db" if key == "tracking.uri" else f"{HOME}/x.yaml"
    before = small_settings if called == "run" else []
    found = door(*before, *others, f"{key}={path}", module=f"minibert.{called}")
    assert found.returncode in (1, 2)
    assert f"{path}: {SAID}" in found.stderr and "Traceback" not in found.stderr


@pytest.mark.parametrize(
    "call",
    [
        MiniBERT.from_pretrained,
        lambda path: tiny_network(40).save_pretrained(path),
        read_word_contexts,
        lambda path: track_weight_changes([path]),
    ],
)
def test_functions_refuse_an_unknown_home_and_what_is_no_path(call):
    for path in (f"{HOME}/x", None, 5, ""):
        with pytest.raises(MinibertError):
            call(path)


def test_a_path_is_told_with_the_word_that_named_it():
    with pytest.raises(MinibertError, match=f"^output={HOME}/x: {SAID}. Give the whole path, from / on.$"):
        expanded(f"{HOME}/x", "output")


@pytest.mark.parametrize("address", [f"sqlite:///{HOME}/x.db", f"sqlite+pysqlite:///file:{HOME}/x.db?uri=true"])
def test_an_address_is_told_as_it_was_given(address):
    with pytest.raises(MinibertError) as raised:
        find_place(address, None)
    assert str(raised.value).startswith(f"tracking.uri={address}: {SAID}.")


def test_a_store_that_is_not_there_is_told_in_the_words_that_named_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, told in (
        (("sqlite:///no/such.db", None), f"tracking.uri=sqlite:///no/such.db: there is no {tmp_path}/no/such.db."),
        ((None, "no/such"), "tracking.folder=no/such: there is no mlflow.db in it."),
        (("sqlite:///", None), "tracking.uri=sqlite:///: names no file."),
    ):
        with pytest.raises(MinibertError) as raised:
            open_existing_store(*words)
        assert str(raised.value).startswith(told)


def test_a_long_path_is_told_to_its_end():
    path = f"{HOME}/{'folder/' * 20}model"
    with pytest.raises(MinibertError) as raised:
        MiniBERT.from_pretrained(path)
    assert path in str(raised.value)

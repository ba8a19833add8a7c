"""Held-out text that stands in training as well."""

import numpy as np
import pytest

from minibert.data.corpora import Document
from minibert.data.overlap import RUN, hash_runs, separate, shares_in_training

RANDOM = np.random.default_rng(0)


def words(count: int) -> list[str]:
    return [f"w{number}" for number in RANDOM.integers(0, 10**9, count)]


OWN, COMMON = words(1000), words(60)
ORIGINAL = Document("original", " ".join([*words(100), *COMMON, *words(100)]))


def copy(before: int, common: int = 60) -> Document:
    return Document(f"copy{before}", " ".join([*OWN[:before], *(word.upper() for word in COMMON[:common])]))


@pytest.mark.parametrize("window", [1, 2, 3, 50, 64])
def test_runs_have_the_same_hash_only_if_they_are_the_same(window):
    ids = RANDOM.integers(0, 3, 200)
    hashes = hash_runs(ids, window)
    runs = np.lib.stride_tricks.sliding_window_view(ids, window)
    assert len(hashes) == len(runs)
    _, by_run = np.unique(runs, axis=0, return_inverse=True)
    _, by_hash = np.unique(hashes, return_inverse=True)
    assert len({*zip(by_run.ravel(), by_hash.ravel(), strict=True)}) == by_run.max() + 1 == by_hash.max() + 1


def test_what_is_shorter_than_a_run_has_none():
    assert len(hash_runs(np.arange(3), 4)) == 0


def test_the_share_counts_the_words_in_common_runs_whatever_their_case():
    shares, total = shares_in_training([ORIGINAL], [copy(40), copy(940), Document("own", " ".join(OWN))])
    assert shares == pytest.approx([0.6, 0.06, 0])
    assert total == pytest.approx(120 / 2100)


def test_runs_that_are_too_short_do_not_count():
    shares, _ = shares_in_training([ORIGINAL], [copy(40, common=RUN - 1), copy(40, common=RUN)])
    assert shares == pytest.approx([0, RUN / (RUN + 40)])


def test_a_document_that_repeats_training_text_is_trained_on_instead():
    own = Document("own", " ".join(OWN[500:]))
    training, held_out, total, moved = separate([ORIGINAL], [copy(40), own], largest=0.05)
    assert [document.name for document in training] == ["original", "copy40"]
    assert [document.name for document in held_out] == ["own"]
    assert (total, moved) == (0, ("copy40",))


def test_documents_that_repeat_a_moved_one_move_too():
    chain = [copy(40), Document("second", " ".join([*OWN[:40], *words(10)])), Document("own", " ".join(OWN[500:]))]
    chain[1] = Document("second", " ".join([*(copy(40).text.split()[:55]), *words(10)]))
    _, held_out, _, moved = separate([ORIGINAL], chain, largest=0.05)
    assert moved == ("copy40", "second")
    assert [document.name for document in held_out] == ["own"]


def test_one_document_always_stays_and_one_lets_all_stay():
    _, held_out, total, _ = separate([ORIGINAL], [copy(40), copy(10)], largest=0.05)
    assert [document.name for document in held_out] == ["copy40"] and total > 0.5
    _, held_out, _, moved = separate([ORIGINAL], [copy(40), copy(10)], largest=1.0)
    assert len(held_out) == 2 and not moved

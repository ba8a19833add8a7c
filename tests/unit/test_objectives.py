"""Questions beside masked words, their answers, and what is done to the text to ask them."""

import numpy as np
import pytest

from minibert.config.data import TASKS, ObjectiveConfig
from minibert.data import add_auxiliary_tasks
from minibert.data.batches import Batches
from minibert.data.masking import IGNORED, UniformMasking
from minibert.data.objectives import rotate
from minibert.data.packing import cut_documents, pack_documents
from minibert.data.pairs import join_documents, pair_documents
from minibert.data.tokenizer import CLS, FIRST_ORDINARY, PAD, SEP, UNK
from minibert.errors import MinibertError
from minibert.running.plan import plan

VOCAB, LENGTH, BATCH = 400, 32, 64
COUNTS = np.where(np.arange(VOCAB) < FIRST_ORDINARY, 0, 1 + 2000 // (1 + np.arange(VOCAB)))


def documents(sizes=(70, 3, 500, 41, 1, 200, 129), seed=0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    texts = [random.integers(FIRST_ORDINARY, VOCAB, size).astype(np.int32) for size in sizes]
    texts[0][7] = UNK
    return texts


def batches(sequences=None, rate=0.15, **settings):
    sequences = pack_documents(documents(), LENGTH) if sequences is None else sequences
    tasks = add_auxiliary_tasks(ObjectiveConfig(**settings), sequences, COUNTS)
    return Batches(tasks.sequences, UniformMasking(VOCAB, rate, rate), BATCH, 1, 2, auxiliary=tasks)


def restored(batch) -> np.ndarray:
    """The ids before masking."""
    return np.where(batch.labels >= 0, batch.labels, batch.input_ids)


# --- documents and pairs


@pytest.mark.parametrize("arrange", [pack_documents, cut_documents])
def test_documents_are_put_together_again(arrange):
    texts = documents()
    joined = join_documents(arrange(texts, LENGTH))
    assert [text.tolist() for text in joined] == [text.tolist() for text in texts]


@pytest.mark.parametrize("length", [5, 6, 16, 33])
def test_pairs_hold_each_token_of_a_document_once_in_order(length):
    texts = documents()
    rows = pair_documents(pack_documents(texts, length)).in_order()
    text = [row[(row != PAD) & (row != CLS) & (row != SEP)] for row in rows.input_ids]
    for number, original in enumerate(texts):
        mine = [part for part, document in zip(text, rows.documents, strict=True) if document == number]
        if length > 6:
            kept = original.tolist() if len(original) > 1 else []
            assert np.concatenate([np.empty(0, int), *mine]).tolist() == kept
        else:  # half a row is one token: an odd document leaves one out
            assert sum(map(len, mine)) == len(original) // 2 * 2
    assert (rows.lengths == (rows.input_ids != PAD).sum(axis=1)).all()


def test_the_layout_of_a_pair_and_of_a_swapped_one():
    pairs = pair_documents(pack_documents([np.arange(10, 15, dtype=np.int32)], 9))
    natural, segments = pairs.rows(np.array([0]), np.array([0]), np.array([False]))
    assert natural.tolist() == [[CLS, 10, 11, 12, SEP, 13, 14, SEP, PAD]]
    assert segments.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 0]]
    swapped, segments = pairs.rows(np.array([0]), np.array([0]), np.array([True]))
    assert swapped.tolist() == [[CLS, 13, 14, SEP, 10, 11, 12, SEP, PAD]]
    assert segments.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1, 0]]


def test_a_random_second_segment_is_of_another_document_and_each_is_equally_likely():
    pairs = pair_documents(pack_documents(documents(), LENGTH))
    indices = np.repeat(np.arange(len(pairs)), 400)
    drawn = pairs.from_another_document(indices, np.random.default_rng(0).random(len(indices)))
    assert (pairs.documents[drawn] != pairs.documents[indices]).all()
    first = np.bincount(drawn[indices == 0], minlength=len(pairs))
    others = pairs.documents != pairs.documents[0]
    assert (first[others] > 0).all() and not first[~others].any()
    alone = pair_documents(pack_documents(documents((50,)), LENGTH))
    assert (alone.from_another_document(np.zeros(9, int), np.linspace(0, 0.999, 9)) < len(alone)).all()


# --- pair tasks


def halves(row) -> tuple[list[int], list[int]]:
    one, two = np.flatnonzero(row == SEP)
    return row[1:one].tolist(), row[one + 1 : two].tolist()


@pytest.mark.parametrize("task", TASKS)
def test_one_factor_weighs_whatever_task_is_asked(task):
    plain, weighed = batches(**{task: 0.5}).at(0), batches(**{task: 0.5}, weight=0.3).at(0)
    assert plain.auxiliary[task].weight == 0.5 and weighed.auxiliary[task].weight == 0.15
    np.testing.assert_array_equal(plain.input_ids, weighed.input_ids)
    np.testing.assert_array_equal(plain.auxiliary[task].labels, weighed.auxiliary[task].labels)


def test_a_weight_without_a_task_to_weigh_is_refused():
    with pytest.raises(MinibertError, match=r"objective.weight=0.3: has no effect with .*objective.sop=1"):
        plan(["objective.weight=0.3", "tracking.folder=."], multirun=False)
    words = ["objective=sop", "objective.weight=0.3", "tracking.folder=."]
    assert plan(words, multirun=False).jobs[0].config.objective.weight == 0.3


def test_sentence_order_labels_say_which_rows_are_swapped():
    training = batches(sop=0.7)
    answers = []
    for step in range(10):
        batch = training.at(step)
        originals = training.sequences.input_ids[training.indices(step)]
        questions = batch.auxiliary["sop"]
        assert questions.weight == 0.7
        assert (questions.labels[:, 1:] == IGNORED).all()
        assert questions.count == BATCH
        for row, original, answer in zip(restored(batch), originals, questions.labels[:, 0], strict=True):
            expected = halves(original)
            assert halves(row) == (expected[::-1] if answer else expected)
        answers += questions.labels[:, 0].tolist()
    # 640 draws of one half have a deviation of 0.02.
    assert abs(np.mean(answers) - 0.5) < 5 * 0.02


def test_next_sentence_labels_say_which_second_segments_are_random():
    training = batches(nsp=1.0)
    seconds = {
        tuple(halves(row)[1]): document
        for row, document in zip(training.sequences.input_ids, training.sequences.documents, strict=True)
    }
    answers = []
    for step in range(10):
        batch, indices = training.at(step), training.indices(step)
        answer = batch.auxiliary["nsp"].labels[:, 0]
        for row, index, wrong in zip(restored(batch), indices, answer, strict=True):
            first, second = halves(row)
            own = halves(training.sequences.input_ids[index])
            assert first == own[0]
            assert (second == own[1]) != wrong
            assert (seconds[tuple(second)] == training.sequences.documents[index]) != wrong
        answers += answer.tolist()
    assert abs(np.mean(answers) - 0.5) < 5 * 0.02


@pytest.mark.parametrize("task", ["nsp", "sop"])
def test_segments_and_lengths_fit_the_rows(task):
    batch = batches(**{task: 1.0}).at(3)
    ids = restored(batch)
    after = np.cumsum(ids == SEP, axis=1) - (ids == SEP)  # separators before each token
    assert (batch.segment_ids == ((after == 1) & (ids != PAD))).all()
    assert batch.tokens == (ids != PAD).sum()
    assert (batch.attention_mask == (ids != PAD)).all()


# --- token tasks


def test_rotation_by_hand():
    ids = np.array([[CLS, 10, 11, 12, SEP, CLS, 20, 21, SEP]])
    moved = np.array([[0, 1, 1, 1, 0, 0, 1, 0, 0]], bool)
    piece = np.cumsum(ids == CLS, axis=1)
    order = np.array([[0, 0.9, 0.1, 0.5, 0, 0, 0.3, 0, 0]])
    # In order 11, 12, 10: each takes the place of the next. 20 has nobody to change places with.
    assert rotate(ids, moved, piece, order).tolist() == [[CLS, 12, 10, 11, SEP, CLS, 20, 21, SEP]]


def test_token_order_labels_say_where_another_token_stands_now():
    sequences = pack_documents(documents(), LENGTH)
    training = batches(sequences, token_order=1.0, moved=0.3)
    yes = asked = 0
    for step in range(10):
        batch, original = training.at(step), sequences.input_ids[training.indices(step)]
        labels = batch.auxiliary["token_order"].labels
        assert (labels[labels >= 0] == (batch.input_ids != original)[labels >= 0]).all()
        assert ((labels >= 0) == ((original >= FIRST_ORDINARY) & (batch.labels == IGNORED))).all()
        piece = np.cumsum(original == CLS, axis=1)
        untouched = batch.labels == IGNORED
        for row in range(BATCH):
            for number in range(1, piece[row].max() + 1):
                inside = (piece[row] == number) & untouched[row]
                assert sorted(batch.input_ids[row][inside]) == sorted(original[row][inside])
        yes, asked = yes + (labels == 1).sum(), asked + (labels >= 0).sum()
    # Some cannot move, alone in their piece, and some meet their like.
    assert 0.27 < yes / asked < 0.302


def test_replaced_token_labels_say_where_another_token_stands_now():
    sequences = pack_documents(documents(), LENGTH)
    training = batches(sequences, replaced_token=1.0, replaced=0.2)
    yes = asked = 0
    drawn = []
    for step in range(40):
        batch, original = training.at(step), sequences.input_ids[training.indices(step)]
        labels = batch.auxiliary["replaced_token"].labels
        assert (labels[labels >= 0] == (batch.input_ids != original)[labels >= 0]).all()
        assert ((labels >= 0) == ((original >= FIRST_ORDINARY) & (batch.labels == IGNORED))).all()
        drawn += batch.input_ids[labels == 1].tolist()
        yes, asked = yes + (labels == 1).sum(), asked + (labels >= 0).sum()
    assert abs(yes / asked - 0.2) < 0.01
    # By frequency: 3,000 to 15,000 draws, of which the most frequent token takes a share of its count.
    shares = np.bincount(drawn, minlength=VOCAB) / len(drawn)
    expected = COUNTS / COUNTS.sum()
    deviation = np.sqrt(expected * (1 - expected) / len(drawn))
    assert np.abs(shares - expected)[expected > 0].max() < 5 * deviation.max() + 0.003
    assert not shares[:FIRST_ORDINARY].any()


def test_two_token_tasks_do_not_ask_about_what_the_other_did():
    sequences = pack_documents(documents(), LENGTH)
    training = batches(sequences, replaced_token=1.0, token_order=1.0, moved=0.3, replaced=0.3)
    batch, original = training.at(0), sequences.input_ids[training.indices(0)]
    moved, replaced = (batch.auxiliary[name].labels for name in ("token_order", "replaced_token"))
    assert not ((moved == 1) & (replaced >= 0)).any()
    assert not ((replaced == 1) & (moved >= 0)).any()
    assert (moved == 1).any() and (replaced == 1).any()
    changed = (batch.input_ids != original) & (batch.labels == IGNORED)
    assert (changed == ((moved == 1) | (replaced == 1))).all()


def test_without_masked_words_nothing_is_masked():
    training = batches(mlm=False, replaced_token=1.0)
    batch = training.at(0)
    assert batch.predictions == 0
    labels = batch.auxiliary["replaced_token"].labels
    assert ((labels >= 0) == (training.sequences.input_ids[training.indices(0)] >= FIRST_ORDINARY)).all()
    assert batch.asked == (labels >= 0).sum()


# --- all of them


@pytest.mark.parametrize("settings", [{"sop": 1.0}, {"nsp": 1.0, "token_order": 1.0}, {"replaced_token": 1.0}])
def test_a_batch_is_a_function_of_seeds_and_step(settings):
    walked, fresh = batches(**settings), batches(**settings)
    for step in range(4):
        one = walked.at(step)
    other = fresh.at(3)
    assert (one.input_ids == other.input_ids).all() and (one.labels == other.labels).all()
    for name, questions in one.auxiliary.items():
        assert (questions.labels == other.auxiliary[name].labels).all()
    assert not np.array_equal(fresh.at(2).input_ids, other.input_ids)


def test_masks_are_the_same_as_without_token_tasks():
    sequences = pack_documents(documents(), LENGTH)
    plain = Batches(sequences, UniformMasking(VOCAB, 0.15, 0.15), BATCH, 1, 2).at(4)
    assert np.array_equal(plain.labels, batches(sequences, replaced_token=1.0).at(4).labels)


def test_masked_words_alone_need_no_tasks():
    assert add_auxiliary_tasks(ObjectiveConfig(), pack_documents(documents(), LENGTH), COUNTS) is None

"""Easy sequences first, and in the end all of them: reproducible from seeds, step and scores."""

import numpy as np
import pytest

from minibert.config.data import CurriculumConfig, LossCurriculumConfig, PacedCurriculumConfig
from minibert.data import implement_curriculum_learning
from minibert.data.batches import Batches
from minibert.data.curriculum import PACINGS, Curriculum, LossCurriculum, rarity, sentence_length
from minibert.data.masking import UniformMasking
from minibert.data.packing import cut_documents, pack_documents
from minibert.data.vocabulary import Vocabulary
from minibert.errors import MinibertError

COUNT, BATCH, STEPS = 103, 4, 200
SCORES = np.random.default_rng(0).permutation(COUNT).astype(float)
STOP, WONDER = 5, 6


def curriculum(scores=SCORES, seed=1, **settings) -> Curriculum:
    config = PacedCurriculumConfig(**{"name": "rarity", "start": 0.2, "share": 0.5, "stages": 4} | settings)
    return Curriculum(config, scores, BATCH, seed, STEPS)


# --- pacing


@pytest.mark.parametrize(
    ("pacing", "expected"),
    [("linear", [0.2, 0.6, 1.0]), ("root", [0.2, np.sqrt(0.52), 1.0]), ("step", [0.2, 0.2, 1.0])],
)
def test_the_share_goes_from_its_start_to_one(pacing, expected):
    assert [PACINGS[pacing](0.2, done) for done in (0, 0.5, 1)] == pytest.approx(expected)


@pytest.mark.parametrize("pacing", PACINGS)
def test_only_the_easiest_share_is_drawn_from(pacing):
    course = curriculum(pacing=pacing)
    for step in range(STEPS):
        # Stages begin at steps 0, 25, 50, 75 and 100, of 200.
        share = PACINGS[pacing](0.2, min(step // 25, 4) / 4)
        assert SCORES[course.indices(step)].max() < np.ceil(share * COUNT)
        assert course.settings(step)["curriculum/share"] == pytest.approx(share, abs=1 / COUNT)


def test_at_least_one_batch_may_be_drawn_from():
    course = curriculum(start=0.001)
    assert sorted(SCORES[course.indices(0)]) == [0, 1, 2, 3]


# --- the order


def test_after_the_pacing_each_epoch_has_every_sequence_once():
    course = curriculum()
    taken = np.concatenate([course.indices(step) for step in range(100, 100 + COUNT)])
    for epoch in taken.reshape(4, COUNT):
        assert sorted(epoch) == list(range(COUNT))


def test_within_a_stage_nothing_is_drawn_twice_before_all_that_is_allowed_was_drawn_once():
    course = curriculum(pacing="step", start=0.5)  # 52 sequences, 13 steps
    taken = np.concatenate([course.indices(step) for step in range(25)])
    assert sorted(SCORES[taken[:52]]) == list(range(52))
    assert taken[:52].tolist() != taken[52:100].tolist()


def test_every_sequence_is_met_in_a_run():
    course = curriculum()
    assert set(np.concatenate([course.indices(step) for step in range(STEPS)])) == set(range(COUNT))


def test_the_order_is_a_function_of_seed_and_step():
    walked = curriculum()
    for step in range(150):
        last = walked.indices(step)
    assert last.tolist() == curriculum().indices(149).tolist()
    assert last.tolist() != curriculum(seed=2).indices(149).tolist()


def test_equally_hard_sequences_stand_in_random_order():
    def allowed(seed):
        course = curriculum(np.zeros(COUNT), seed, start=0.5, pacing="step")
        return set(np.concatenate([course.indices(step) for step in range(20)]))

    assert allowed(1) != set(range(52))
    assert allowed(1) != allowed(2)


# --- scores


def vocabulary(counts=None) -> Vocabulary:
    ends = np.zeros(50, bool)
    ends[[STOP, WONDER]] = True
    return Vocabulary(np.zeros(50, bool), ends, np.zeros(50, int) if counts is None else counts)


def test_sentence_length_by_hand():
    """Four sentences of 3, 2, 4 and 1 tokens in one row, two of them ended by the row's pieces; then one each."""
    first = np.array([10, 11, STOP, 12, 13], np.int32)
    second = np.array([14, 15, WONDER, WONDER, 1], np.int32)  # [UNK] is text
    packed = pack_documents([first, second], 14)
    assert sentence_length(packed, vocabulary()).tolist() == [(3 + 2 + 4 + 1) / 4]
    cut = cut_documents([np.array([10, STOP], np.int32), np.arange(10, 16, dtype=np.int32)], 8)
    assert sentence_length(cut, vocabulary()).tolist() == [2, 6]


def test_rarity_by_hand():
    """Counts 3 and 1 of two tokens, smoothed by one over 45 ordinary tokens: p = 4/49 and 2/49."""
    counts = np.zeros(50, int)
    counts[10], counts[11] = 3, 1
    rows = cut_documents([np.array([10, 11, 10], np.int32), np.array([11, 1], np.int32)], 5)
    expected = [-(2 * np.log(4 / 49) + np.log(2 / 49)) / 3, -np.log(2 / 49)]
    np.testing.assert_allclose(rarity(rows, vocabulary(counts)), expected)


# --- the network's own loss


def measured_curriculum(losses, stride=8):
    """And the list of what was asked for."""
    asked = []

    def probe(indices):
        asked.append(indices)
        return indices

    config = LossCurriculumConfig(name="loss", start=0.2, share=0.5, stages=4, stride=stride)
    return LossCurriculum(config, SCORES, BATCH, 1, STEPS, probe), asked, lambda indices: losses[indices]


def test_the_loss_is_measured_where_a_stage_begins_that_leaves_some_out():
    course, asked, score = measured_curriculum(np.arange(COUNT, dtype=float))
    measured_at = []
    for step in range(1, STEPS + 1):
        course.observe(step, None, score)
        if len(asked) > len(measured_at):
            measured_at.append(step)
    assert measured_at == [25, 50, 75]  # from step 100 on, all take part


def test_one_sequence_is_measured_for_its_neighbours():
    losses = np.arange(COUNT, dtype=float)[::-1].copy()
    course, asked, score = measured_curriculum(losses)
    course.observe(25, None, score)
    assert asked[0].tolist() == [4, 12, 20, 28, 36, 44, 52, 60, 68, 76, 84, 92, 100]
    # The last ones have the smallest losses: what is allowed is among them, up to a group of neighbours.
    assert course.indices(25).min() >= COUNT - course.allowed[1] - 8


def test_rarity_stands_in_before_the_first_measurement():
    course, _, _ = measured_curriculum(SCORES, stride=1)
    assert (course.indices(3) == curriculum(pacing="root").indices(3)).all()


def test_measured_scores_are_all_the_state_there_is():
    losses = np.random.default_rng(5).random(COUNT)
    one, _, score = measured_curriculum(losses)
    one.observe(25, None, score)
    other, _, _ = measured_curriculum(losses)
    other.indices(30)
    other.state["scores"][...] = one.state["scores"]
    other.restored()
    for step in range(25, 50):
        assert one.indices(step).tolist() == other.indices(step).tolist()


# --- put together


def test_batches_hold_the_sequences_that_the_curriculum_names():
    rows = pack_documents([np.random.default_rng(0).integers(7, 50, 10 * COUNT).astype(np.int32)], 12)
    course = curriculum()
    batches = Batches(rows, UniformMasking(50, 0.15, 0.15), BATCH, 1, 2, course)
    batch, original = batches.at(30), rows.input_ids[course.indices(30)]
    assert (np.where(batch.labels >= 0, batch.labels, batch.input_ids) == original).all()
    assert batch.settings == course.settings(30)
    assert batches.adapting == []


@pytest.mark.parametrize(
    ("name", "schema"),
    [("length", PacedCurriculumConfig), ("rarity", PacedCurriculumConfig), ("loss", LossCurriculumConfig)],
)
def test_every_name_gives_a_curriculum(name, schema):
    rows = pack_documents([np.random.default_rng(0).integers(5, 50, 10 * COUNT).astype(np.int32)], 12)
    course = implement_curriculum_learning(schema(name=name), rows, vocabulary(), BATCH, 1, STEPS, None)
    assert len(set(course.indices(0))) == BATCH


def test_no_curriculum_is_none_and_a_wrong_name_is_answered():
    assert implement_curriculum_learning(CurriculumConfig(), None, None, BATCH, 1, STEPS, None) is None
    with pytest.raises(MinibertError, match=r"curriculum.name=lenght: not allowed .did you mean 'length'"):
        implement_curriculum_learning(CurriculumConfig(name="lenght"), None, None, BATCH, 1, STEPS, None)

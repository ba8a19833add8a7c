"""Order of words, roles, negation and phrases: what a shuffle keeps, and networks whose answers are known."""

import json
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from minibert.config import PositionConfig
from minibert.config.evaluation import CompositionConfig
from minibert.data.annotated.composition import (
    KINDS,
    NEGATION,
    ROLE_FRAMES,
    ROLES,
    CompositionCase,
    composition_cases,
)
from minibert.data.packing import Sequences, cut_documents, pack_documents
from minibert.data.tokenizer import (
    CLS,
    FIRST_ORDINARY,
    MASK,
    SEP,
    UNK,
    encode_documents,
    encode_texts,
    train_tokenizer,
)
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation.composition.contrasts import divergence, measure_contrasts
from minibert.evaluation.composition.instrument import INSTRUMENT
from minibert.evaluation.composition.measures import measure_compositional_understanding
from minibert.evaluation.composition.phrases import measure_phrases
from minibert.evaluation.composition.word_order import (
    FEWEST_WORDS,
    WORDS_PER_MASK,
    _masked_row,
    measure_word_order,
    shuffle_row,
    shuffled_order,
    words_of,
)
from minibert.evaluation.word_vectors import continuing
from minibert.model.passes import IGNORED
from minibert.randomness import generator
from tests.support.subjects import tiny_network, tiny_subject

FRAMES = "the [ MASK ] will be may by last year we know that is not also a ."


@pytest.fixture(scope="module")
def english():
    words = {word for triple in ROLES[:12] for word in triple}
    words |= {word for kind, things in list(KINDS.items())[:4] for word in (kind, *things[:3])}
    return train_tokenizer([f"{' '.join(sorted(words))} {FRAMES} " * 20], 500, lowercase=True)


@pytest.fixture(scope="module")
def text(english):
    """Documents in which *last year* stands together more often than by chance"""
    draws = np.random.default_rng(1)
    words = [
        "senate",
        "people",
        "president",
        "treaty",
        "signed",
        "elected",
        "will",
        "that",
        "governorly",
        "know",
        ".",
    ]
    pairs = ["last year", "senate treaty", "people will", "president signed"]
    texts = [" ".join(draws.choice([*words, "last", "year", *pairs * 3], 60)) for _ in range(12)]
    return pack_documents(encode_documents(english, texts), 64)


# --- order of words


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_units_are_kept_and_fixed_words_stay(size):
    fixed = np.zeros(50, bool)
    fixed[[7, 8, 31]] = True
    order = shuffled_order(fixed, size, generator(0))
    assert sorted(order) == list(range(50))
    assert (order[fixed] == np.flatnonzero(fixed)).all()
    units = [tuple(range(start, min(start + size, 50))) for start in range(0, 50, size)]
    found, place = [], 0
    while place < 50:
        unit = next(unit for unit in units if unit[0] == order[place])
        assert tuple(order[place : place + len(unit)]) == unit
        if fixed[list(unit)].any():
            assert place == unit[0]  # a unit with a fixed word stays as a whole
        found.append(unit)
        place += len(unit)
    assert sorted(found) == units and found != units


def test_no_unit_passes_a_unit_that_stays():
    fixed = np.zeros(30, bool)
    fixed[15] = True
    order = shuffled_order(fixed, 1, generator(0))
    assert sorted(order[:15]) == list(range(15)) and sorted(order[16:]) == list(range(16, 30))


def test_words_are_grouped_from_their_pieces():
    continues = np.zeros(20, bool)
    continues[[8, 9]] = True
    ids = np.array([CLS, 9, 7, 8, 9, 6, SEP, CLS, 5, 8, SEP, 0, 0])
    found = words_of(ids, continues)
    assert [[list(word) for word in piece] for piece in found] == [[[1], [2, 3, 4], [5]], [[8, 9]]]


def word_spellings(ids, continues) -> Counter:
    return Counter(tuple(ids[word]) for piece in words_of(ids, continues) for word in piece)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_shuffling_keeps_tokens_predictions_and_their_positions(english, text, size):
    continues = continuing(english, english.get_vocab_size())
    moved = 0
    for number, ids in enumerate(text.input_ids):
        row = _masked_row(ids, continues, generator(0, number))
        shuffled, moved_here, movable = shuffle_row(row, size, generator(0, number, size))
        assert Counter(shuffled) == Counter(row.ids)
        special = ids < FIRST_ORDINARY
        assert (shuffled[special & (ids != UNK)] == ids[special & (ids != UNK)]).all()
        masked = row.labels != IGNORED
        assert (shuffled[masked] == MASK).all() and (row.labels[masked] == ids[masked]).all()
        assert (shuffled == MASK).sum() == masked.sum()
        restored = np.where(masked, ids, shuffled)
        assert word_spellings(restored, continues) == word_spellings(ids, continues)
        moved += moved_here
        assert moved_here <= movable
    assert moved > 0


def test_one_word_of_thirty_two_is_masked_with_all_its_pieces(english):
    continues = continuing(english, english.get_vocab_size())
    documents = [
        " ".join(["governorly"] * 64),
        "senate " * (FEWEST_WORDS - 1),
        "senate " * FEWEST_WORDS,
        "猫 " * 20,
    ]
    texts = [cut_documents(encode_documents(english, [document]), 400) for document in documents]
    masked = [_masked_row(rows.input_ids[0], continues, generator(0)).labels != IGNORED for rows in texts]
    pieces = len(encode_texts(english, ["governorly"])[0].ids) - 2
    assert pieces > 1
    assert [row.sum() for row in masked] == [64 // WORDS_PER_MASK * pieces, 0, 1, 0]


def test_a_network_without_positions_does_not_notice_the_order(english, text):
    model = tiny_network(english.get_vocab_size(), dtype="float64", position=PositionConfig("none"), max_length=64)
    found = measure_word_order(model, english, text, levels=(1, 3))
    assert found is not None
    for level in found.shuffled:
        assert level.moved > 0.5 and abs(level.increase.value) < 1e-9
    other = measure_word_order(tiny_network(english.get_vocab_size(), max_length=64), english, text, levels=(1, 3))
    assert other is not None and abs(other.shuffled[0].increase.value) > 1e-4


def alphabet(letters: np.ndarray, count: int, seed: int) -> Sequences:
    """Rows in which every letter follows the one before it in the alphabet"""
    starts = np.random.default_rng(seed).integers(len(letters), size=(count, 1))
    ids = letters[(starts + np.arange(24)) % len(letters)]
    rows = np.concatenate([np.full((count, 1), CLS), ids, np.full((count, 1), SEP)], axis=1).astype(np.int32)
    return Sequences(rows, np.full(count, 26, np.int32), np.arange(count, dtype=np.int32))


def test_a_network_that_reads_its_neighbours_loses_more_by_smaller_units():
    tokenizer = train_tokenizer(["a b c d e f g h i j k l"], 17 + 12, lowercase=True)
    letters = np.array([tokenizer.token_to_id(letter) for letter in "abcdefghijkl"])
    model = tiny_network(29, hidden_size=24, layers=1, feed_forward_size=32, init_gain=1.0)
    rows, first, second = alphabet(letters, 64, 0), 0.0, 0.0
    for step in range(250):
        random = np.random.default_rng(step)
        chosen = rows.input_ids[random.integers(64, size=8)]
        masked = (random.random(chosen.shape) < 0.15) & (chosen >= FIRST_ORDINARY)
        labels = np.where(masked, chosen, IGNORED)
        _, grads = model.loss_and_gradients(np.where(masked, MASK, chosen), labels)
        first = 0.9 * first + 0.1 * grads.vector
        second = 0.99 * second + 0.01 * grads.vector**2
        rate = 0.01 * np.sqrt(1 - 0.99 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        model.params.vector[...] -= rate * first / (np.sqrt(second) + 1e-8)
    counts = np.zeros(29, int)
    counts[letters] = 1000
    found = measure_word_order(model, tokenizer, alphabet(letters, 40, 1), unigram_counts=counts)
    assert found is not None and found.intact.value < 1
    one, *_, four, eight = (level.loss for level in found.shuffled)
    assert one > four > eight > found.intact.value
    assert all(level.increase.low > 0 for level in found.shuffled)
    assert found.unigram == pytest.approx(np.log(12), abs=0.01)


# --- roles and negation


def test_cases_are_of_whole_words_and_balanced(english):
    cases = composition_cases(english)
    kinds = Counter(case.kind for case in cases)
    assert kinds["role_reversal_active"] == kinds["role_reversal_passive"] == 12 * len(ROLE_FRAMES) / 2
    for case in cases:
        for sentence in (case.prompt, case.changed, case.control):
            (encoding,) = encode_texts(english, [sentence])
            assert encoding.ids.count(MASK) == 1 and UNK not in encoding.ids
            assert not any(token.startswith("##") for token in encoding.tokens)
        if case.kind != NEGATION:
            assert Counter(case.prompt.split()) == Counter(case.changed.split()) != Counter(case.control.split())
    denied = Counter((case.answer, case.foil) for case in cases if case.kind == NEGATION)
    assert denied and all(denied[answer, foil] == denied[foil, answer] for answer, foil in denied)
    assert composition_cases(train_tokenizer(["nothing of it " * 9], 60, lowercase=True)) == []


def test_a_network_without_positions_does_not_tell_roles_apart(english):
    model = tiny_network(english.get_vocab_size(), dtype="float64", position=PositionConfig("none"))
    active, passive, negation = measure_contrasts(model, english, composition_cases(english))
    for each in (active, passive):
        assert each.accuracy.value == 0.5 and each.same_guess.value == 1
        assert each.divergence.value < 1e-12 < each.control_divergence.value
        assert min(each.cosines.values()) > 1 - 1e-9 > max(each.control_cosines.values())
    assert negation.divergence.value > 1e-6


def test_a_network_of_frequencies_alone_is_at_chance(english):
    """Whatever it prefers, it prefers as often wrongly."""
    model = tiny_network(english.get_vocab_size())
    model.params["embeddings.token.weight"][...] = 0
    model.params["mlm_head.bias"] = np.random.default_rng(0).normal(size=english.get_vocab_size())
    negation = measure_contrasts(model, english, composition_cases(english))[-1]
    assert (negation.accuracy.value, negation.affirmed.value, negation.denied.value) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("gain", "every"), [(10.0, 5), (60.0, 2)])
def test_contrasts_are_those_of_one_sentence_at_a_time(english, gain, every):
    model = tiny_network(english.get_vocab_size(), dtype="float64", init_gain=gain)
    cases = [case for case in composition_cases(english) if case.kind == NEGATION][::every]  # not balanced

    def log(text: str) -> np.ndarray:
        ids = np.array(encode_texts(english, [text])[0].ids)
        scores = model.forward(ids[None])[0][0, ids == MASK][0]
        return scores - np.log(np.exp(scores).sum())

    prompts, changed = (np.array([log(case[side]) for case in cases]) for side in (1, 2))
    rows = np.arange(len(cases))
    answers, foils = (np.array([english.token_to_id(case[side]) for case in cases]) for side in (3, 4))
    there, here = (each[rows, answers] - each[rows, foils] for each in (prompts, changed))
    (found,) = measure_contrasts(model, cases, english)
    expected = [(there > here).mean(), (there > 0).mean(), (here < 0).mean()]
    assert len(set(expected)) == 3
    assert [found.accuracy.value, found.affirmed.value, found.denied.value] == pytest.approx(expected)
    assert found.same_guess.value == np.mean(prompts.argmax(axis=1) == changed.argmax(axis=1))
    by_hand = [divergence(one, other) for one, other in zip(prompts, changed, strict=True)]
    assert found.divergence.value == pytest.approx(np.mean(by_hand))


def test_a_case_that_cannot_be_asked_is_counted(english):
    asked = CompositionCase("own", "the [MASK] .", "that [MASK] .", "senate")
    cases = [
        asked, asked._replace(answer="governorly"), asked._replace(changed="猫 [MASK]"),
        asked._replace(prompt=f"{'the ' * 40} [MASK]"), asked._replace(kind="none", changed="猫 [MASK] ."),
    ]  # fmt: skip
    model = tiny_network(english.get_vocab_size(), position=PositionConfig("absolute"))
    own, none = measure_contrasts(model, cases, english)
    assert (own.cases, own.left_out, none.cases, none.left_out) == (1, 3, 0, 1)
    assert np.isnan([own.affirmed.value, own.control_divergence.value, none.accuracy.value]).all()
    assert own.control_cosines == {}
    with pytest.raises(MinibertError, match=r"has 2 \[MASK\]. Allowed: exactly one"):
        measure_contrasts(model, english, [asked._replace(prompt="[MASK] [MASK]")])


def test_divergences_are_those_computed_by_hand():
    with np.errstate(divide="ignore"):
        certain, even, other = np.log([1.0, 0.0]), np.log([0.5, 0.5]), np.log([0.0, 1.0])
    assert divergence(certain, certain) == 0 and divergence(certain, other) == pytest.approx(1)
    assert divergence(certain, even) == pytest.approx(0.811278 - 0.5, abs=1e-6)  # H(3/4, 1/4) - (0 + 1) / 2


# --- phrases


def test_without_positions_the_first_vector_of_a_phrase_is_the_sum_of_its_words(english, text):
    model = tiny_network(english.get_vocab_size(), max_length=64)
    found = measure_phrases(model, english, text)
    assert found is not None and {"last year", "president signed"} <= set(found.phrases)
    assert not any("governor" in phrase or "." in phrase for phrase in found.phrases)
    first, *_, last = found.places
    assert first.cosine.value == pytest.approx(1) and first.nearest == 1
    assert first.random.value < 0.7 and last.cosine.value < 1
    assert first.gain.value == pytest.approx(first.cosine.value - first.random.value)
    assert found == measure_phrases(model, english, text)
    assert found != measure_phrases(model, english, text, seed=1)
    assert measure_phrases(model, english, cut_documents([np.full(9, 7)], 16)) is None


# --- all of it


def test_nothing_to_ask_is_told(english, text):
    model = tiny_network(english.get_vocab_size(), max_length=64)
    for cases in ([], [CompositionCase("own", "the [MASK] .", "that [MASK] .", "governorly")]):
        with pytest.raises(Unavailable, match=f"none of {len(cases)} test cases can be asked"):
            measure_compositional_understanding(model, cases, english)
    found = measure_compositional_understanding(model, [], english, text)
    assert found.word_order is not None and found.contrasts == []
    short = cut_documents(encode_documents(english, ["the senate ."]), 16)
    with pytest.raises(Unavailable):
        measure_compositional_understanding(model, [], english, short)


@pytest.mark.parametrize("quick", [False, True])
def test_the_instrument_states_its_controls(english, text, tmp_path, quick):
    subject = tiny_subject(english, ["the senate . " * 20], tmp_path, held_out=text, quick=quick)
    found = INSTRUMENT.measure(subject, CompositionConfig(sequences=8))
    assert found == INSTRUMENT.measure(subject, CompositionConfig(sequences=8))
    json.dumps(asdict(found), allow_nan=False)
    wanted = {
        f"composition/{who}{quantity}"
        for who in ("", "untrained_")
        for quantity in (
            "loss_intact", "loss_shuffled/1", "loss_increase/8", "accuracy/role_reversal_active",
            "accuracy/negation", "denied_accuracy/negation", "divergence/negation", "phrase_cosine/layer_1",
            "random_phrase_cosine/layer_1",
        )
    }  # fmt: skip
    assert {*wanted, "composition/unigram_loss"} <= set(found.metrics)
    assert any("no better than the control" in note for note in found.notes)
    for table in found.tables:
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
    one, several = INSTRUMENT.conclude({9: found}), INSTRUMENT.conclude({0: found, 9: found})
    assert set(one.figures) == {"word_order", "roles_and_negation", "phrases"}
    over_steps = {"word_order_over_steps", "roles_and_negation_over_steps"}
    assert set(several.figures) == {*one.figures, *over_steps}


def test_without_text_or_words_the_rest_is_asked_and_the_missing_named(english, text, tmp_path):
    found = INSTRUMENT.measure(tiny_subject(english, [], tmp_path), CompositionConfig())
    assert "composition/accuracy/negation" in found.metrics and "composition/loss_intact" not in found.metrics
    assert any("no held-out text" in note for note in found.notes)
    assert set(INSTRUMENT.conclude({0: found}).figures) == {"roles_and_negation"}
    other = train_tokenizer(["one two three four five six seven eight nine ten " * 9], 80, lowercase=True)
    found = INSTRUMENT.measure(
        tiny_subject(other, ["one two three four five six " * 9], tmp_path), CompositionConfig()
    )
    assert "composition/loss_intact" in found.metrics
    assert any("lacks the words of the templates" in note for note in found.notes)
    assert set(INSTRUMENT.conclude({0: found}).figures) >= {"word_order"}

"""Fine-tuning: what is drawn, trained, chosen and scored, on a language whose answer is known."""

from collections.abc import Sequence

import numpy as np
import pytest
from support import sentiment

from minibert.config import PositionConfig
from minibert.config.evaluation import DownstreamConfig
from minibert.data.annotated.classified import LabelledSentence
from minibert.data.tokenizer import CLS, PAD, SEP
from minibert.errors import MinibertError
from minibert.evaluation.downstream import Recipe, Splits, classify, finetune, finetune_sst2
from minibert.evaluation.downstream.controls import bag_of_words, majority
from minibert.evaluation.downstream.finetuning import (
    Diverged,
    class_scores,
    head_scores,
    pooled_states,
    train_classifier,
    train_head,
)
from minibert.evaluation.downstream.scores import score
from minibert.evaluation.downstream.sentences import SentenceBatches, draw, encode, label_names
from minibert.model.classifier import SentenceClassifier

LABELS = ["bad", "good"]
FULL, FROZEN = ("trained", "full"), ("trained", "frozen")


@pytest.fixture(scope="module")
def tokenizer():
    return sentiment.tokenizer()


@pytest.fixture(scope="module")
def encoded(tokenizer):
    return encode(tokenizer, sentiment.splits().train, LABELS, sentiment.network().config, "train")


def settings(**changed) -> DownstreamConfig:
    return DownstreamConfig(**{"epochs": 6, "seeds": 2, "rates": [3e-3], "frozen_rates": [1e-1]} | changed)


@pytest.fixture(scope="module")
def compared(tokenizer):
    return finetune(
        sentiment.knowing(tokenizer), tokenizer, sentiment.splits(), settings(), sentiment.network(), lanes=2
    )


# --- what is reached


def test_a_network_that_knows_the_words_is_above_all_controls(compared):
    reached = {key: one.accuracy.value for key, one in compared.fine_tuned.items()}
    assert reached[FULL] > 0.95
    assert reached[FROZEN] > 0.95
    assert reached["untrained", "full"] < 0.7
    assert reached["untrained", "frozen"] < 0.7
    assert compared.controls["bag_of_words"].score.accuracy < 0.7
    assert compared.controls["majority"].score.accuracy == 0.5
    assert compared.controls["majority"].score.macro_f1 == pytest.approx(1 / 3)


def test_the_learned_layer_is_returned_with_its_network(compared, tokenizer):
    one = compared.fine_tuned[FULL]
    assert set(one.classifiers) == set(one.scores) == {0, 1}
    test = sentiment.splits().test
    said = classify(one.classifiers[1], tokenizer, [each.text for each in test])
    right = np.mean([label == each.label for label, each in zip(said, test, strict=True)])
    assert right == one.scores[1].accuracy
    assert not compared.fine_tuned["untrained", "full"].classifiers


def test_a_third_label_is_learnt(tokenizer):
    parts = sentiment.splits()
    neutral = [LabelledSentence(f"the {word} film", "none") for word in sentiment.FILLERS for _ in range(8)]
    three = Splits(*([*part, *neutral] for part in parts))
    chosen = settings(encoders=["full"], seeds=1, epochs=12)
    found = finetune(sentiment.knowing(tokenizer), tokenizer, three, chosen).fine_tuned[FULL]
    assert found.scores[0].accuracy > 0.95
    assert found.scores[0].macro_f1 > 0.95


# --- what is chosen, and with what


class Counted(Sequence):
    """Counts how often all of it is read."""

    def __init__(self, items):
        self.items, self.reads = list(items), 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, place):
        raise AssertionError("read one by one")

    def __iter__(self):
        self.reads += 1
        return iter(self.items)


def test_dev_chooses_the_rate_and_test_is_read_once(tokenizer):
    parts, model = sentiment.splits(), sentiment.knowing(tokenizer)
    chosen = settings(encoders=["full"], epochs=3, rates=[1e-6, 3e-3])
    test = Counted(parts.test)
    found = finetune(model, tokenizer, parts._replace(test=test), chosen).fine_tuned[FULL]
    assert test.reads == 1
    assert found.rate == max(found.dev, key=lambda rate: found.dev[rate]) == 3e-3
    swapped = {"good": "bad", "bad": "good"}
    wrong = [LabelledSentence(each.text, swapped[each.label]) for each in parts.test]
    other = finetune(model, tokenizer, parts._replace(test=wrong), chosen).fine_tuned[FULL]
    assert (other.rate, other.dev) == (found.rate, found.dev)
    for seed in (0, 1):
        assert other.scores[seed].accuracy == pytest.approx(1 - found.scores[seed].accuracy)
        assert other.classifiers[seed].params.vector.tobytes() == found.classifiers[seed].params.vector.tobytes()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rate_that_ends_in_no_number_does_not_end_the_others(tokenizer):
    chosen = settings(seeds=1, epochs=2, rates=[1e35, 3e-3], frozen_rates=[1e38, 1e-1])
    found = finetune(sentiment.knowing(tokenizer), tokenizer, sentiment.splits(), chosen).fine_tuned
    for key, best in ((FULL, 3e-3), (FROZEN, 1e-1)):
        assert found[key].rate == best
        assert np.isnan(max(found[key].dev.items())[1])
        assert len(found[key].scores) == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_where_every_rate_fails_there_is_no_score_and_the_reason_is_told(tokenizer):
    chosen = settings(encoders=["full"], seeds=2, rates=[1e35])
    found = finetune(sentiment.knowing(tokenizer), tokenizer, sentiment.splits(), chosen)
    one = found.fine_tuned[FULL]
    assert (one.rate, one.scores, one.classifiers) == (None, {}, {})
    assert "rate 1e+35, seed 0: " in one.failures[0]
    assert "finite" in one.failures[0]
    assert np.isnan(one.accuracy.value)


# --- the same again


def test_the_same_seed_gives_the_same_bits_with_any_number_of_lanes(tokenizer, compared):
    model, untrained = sentiment.knowing(tokenizer), sentiment.network()
    again = finetune(model, tokenizer, sentiment.splits(), settings(), untrained, lanes=1)
    for key, one in compared.fine_tuned.items():
        other = again.fine_tuned[key]
        assert other.scores == one.scores
        for seed, classifier in one.classifiers.items():
            assert classifier.params.vector.tobytes() == other.classifiers[seed].params.vector.tobytes()
    first, second = compared.fine_tuned[FULL].classifiers.values()
    assert first.params.vector.tobytes() != second.params.vector.tobytes()


def test_one_training_over_several_lanes_is_the_same_up_to_rounding(tokenizer, encoded):
    model, recipe = sentiment.knowing(tokenizer, dtype="float64"), Recipe(3e-3, epochs=1)
    one, two = (train_classifier(model, LABELS, encoded, recipe, lanes).params.vector for lanes in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-12)


def test_the_network_given_is_not_changed(tokenizer):
    model, untrained = sentiment.knowing(tokenizer), sentiment.network()
    before = model.params.vector.copy(), untrained.params.vector.copy()
    finetune(model, tokenizer, sentiment.splits(), settings(epochs=1, seeds=1), untrained)
    assert model.params.vector.tobytes() == before[0].tobytes()
    assert untrained.params.vector.tobytes() == before[1].tobytes()


# --- full and frozen


def test_a_frozen_encoder_keeps_its_bits(tokenizer, encoded):
    model, recipe = sentiment.knowing(tokenizer), Recipe(1e-1)
    states = pooled_states(SentenceClassifier(model, LABELS), encoded)
    learnt = train_head(model, LABELS, encoded, states, recipe)
    assert learnt.encoder().params.vector.tobytes() == model.params.vector.tobytes()
    begun = recipe.classifier(model, LABELS)
    moved = [name for name in learnt.params if (learnt.params[name] != begun.params[name]).any()]
    assert moved == ["classification_head.out.weight", "classification_head.out.bias"]
    np.testing.assert_allclose(head_scores(learnt, states), class_scores(learnt, encoded), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_all_is_trained_but_the_head_that_nothing_reads(tokenizer, encoded, tied):
    model = sentiment.knowing(tokenizer, tie_word_embeddings=tied)
    learnt = train_classifier(model, LABELS, encoded, Recipe(3e-3, epochs=1)).params
    kept = [name for name in model.params if model.params[name].tobytes() == learnt[name].tobytes()]
    assert kept == [name for name in model.params if name.startswith("mlm_head.")]


def test_the_loss_of_a_frozen_encoder_falls_as_its_gradient_says(tokenizer, encoded):
    """One step of plain size: the first step of AdamW goes by the rate against the sign of each gradient."""
    model = sentiment.knowing(tokenizer)
    recipe = Recipe(1e-3, epochs=1, batch_size=len(encoded))
    begun = recipe.classifier(model, LABELS)
    states = pooled_states(begun, encoded)
    learnt = train_head(model, LABELS, encoded, states, recipe)
    scores = head_scores(begun, states)
    slopes = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    slopes[np.arange(len(scores)), encoded.classes] -= 1
    name = "classification_head.out.weight"
    step = (learnt.params[name] - begun.params[name]) / 1e-3
    np.testing.assert_allclose(step, -np.sign(states.T @ slopes), atol=0.05)


def test_divergence_has_an_error_of_its_own(tokenizer, encoded):
    model = sentiment.knowing(tokenizer)
    classifier = SentenceClassifier(model, LABELS)
    classifier.params["classification_head.out.bias"] = np.inf
    with pytest.raises(Diverged, match="scores of the classes are not finite"):
        class_scores(classifier, encoded)


# --- sentences


def some(counts: dict[str, int]) -> list[LabelledSentence]:
    return [
        LabelledSentence(f"{label} {number}", label) for label, count in counts.items() for number in range(count)
    ]


@pytest.mark.parametrize(
    ("counts", "most", "expected"),
    [
        ({"a": 60, "b": 30, "c": 10}, 20, {"a": 12, "b": 6, "c": 2}),
        ({"a": 5, "b": 3, "c": 2}, 4, {"a": 2, "b": 1, "c": 1}),
        ({"a": 97, "b": 2, "c": 1}, 10, {"a": 8, "b": 1, "c": 1}),
        ({"a": 5, "b": 5}, 3, {"a": 2, "b": 1}),
        ({"a": 3, "b": 2}, 5, {"a": 3, "b": 2}),
        ({"a": 3, "b": 2}, None, {"a": 3, "b": 2}),
    ],
)
def test_a_sample_keeps_the_balance_of_the_labels(counts, most, expected):
    sentences = some(counts)
    taken = draw(sentences, most, seed=1)
    assert {label: sum(each.label == label for each in taken) for label in counts} == expected
    assert taken == sorted(set(taken), key=sentences.index)
    assert taken == draw(sentences, most, seed=1)


def test_another_seed_draws_others():
    sentences = some({"a": 50, "b": 50})
    assert draw(sentences, 20, 0) != draw(sentences, 20, 1)


def test_fewer_samples_than_labels_are_refused():
    with pytest.raises(MinibertError, match="max_samples=2: fewer than the 3 labels"):
        draw(some({"a": 5, "b": 3, "c": 2}), 2)


def test_every_sentence_is_in_every_epoch_once_and_beside_others_of_its_length(encoded):
    batches = SentenceBatches(encoded, 8, seed=1)
    epochs = [[batches.rows(step) for step in range(start, start + batches.per_epoch)] for start in (0, 20)]
    for epoch in epochs:
        assert sorted(np.concatenate(epoch)) == list(range(len(encoded)))
    assert [rows.tolist() for rows in epochs[0]] != [rows.tolist() for rows in epochs[1]]
    spread = np.mean([np.ptp(encoded.lengths[rows]) for rows in epochs[0]])
    assert spread < np.ptp(encoded.lengths) / 2
    again = SentenceBatches(encoded, 8, seed=1)
    assert again.rows(20).tolist() == epochs[1][0].tolist()
    last = SentenceBatches(encoded, 100, seed=1)
    assert [len(last.rows(step)) for step in range(last.per_epoch)] in ([100, 60], [60, 100])


def test_a_batch_is_padded_and_its_classes_stand_first(tokenizer):
    sentences = [LabelledSentence("the film", "good"), LabelledSentence("it", "bad")]
    batch = encode(tokenizer, sentences, LABELS, sentiment.network().config, "train").batch(np.array([0, 1]))
    the, film, it = (tokenizer.token_to_id(word) for word in ("the", "film", "it"))
    assert batch.input_ids.tolist() == [[CLS, the, film, SEP], [CLS, it, SEP, PAD]]
    assert batch.attention_mask is not None
    assert batch.attention_mask.tolist() == [[True] * 4, [True] * 3 + [False]]
    assert batch.labels.tolist() == [[1, -100, -100, -100], [0, -100, -100, -100]]
    assert (batch.tokens, batch.predictions) == (7, 2)


def test_a_sentence_longer_than_the_positions_is_cut_and_counted(tokenizer):
    short = sentiment.network(max_length=6, position=PositionConfig("absolute"))
    sentences = [LabelledSentence("the film was a plot with it", "good"), LabelledSentence("it was", "bad")]
    found = encode(tokenizer, sentences, LABELS, short.config, "train")
    assert (found.cut, [len(ids) for ids in found.ids]) == (1, [6, 4])
    assert found.ids[0][-1] == SEP
    whole = encode(tokenizer, sentences, LABELS, sentiment.network(max_length=6).config, "train")
    assert (whole.cut, len(whole.ids[0])) == (0, 9)
    assert encode(tokenizer, [LabelledSentence("it 猫", "bad")], LABELS, short.config, "train").unknown == 1


def test_what_cannot_be_trained_on_is_refused(tokenizer):
    model, parts = sentiment.network(), sentiment.splits()
    with pytest.raises(MinibertError, match="test: has labels without a training sentence: odd"):
        finetune(model, tokenizer, parts._replace(test=[LabelledSentence("it", "odd")]))
    with pytest.raises(MinibertError, match="dev: holds no sentence"):
        finetune(model, tokenizer, parts._replace(dev=[]))
    with pytest.raises(MinibertError, match="2 with the label good alone"):
        label_names([LabelledSentence("it", "good")] * 2)
    with pytest.raises(MinibertError, match="none were given"):
        label_names([])


def test_settings_out_of_range_are_refused_before_anything_is_read(tokenizer):
    for wrong, message in (
        ({"epochs": 0}, r"evaluation\.downstream\.epochs=0: out of range"),
        ({"encoders": ["all"]}, r"downstream\.encoders: all is no way to train. Allowed: full, frozen"),
        ({"rates": []}, r"downstream\.rates: \[\] was given. Allowed: one or more"),
        ({"rates": [1e-3, 1e-3]}, r"downstream\.rates: .* each once"),
        ({"frozen_rates": [0.0]}, r"downstream\.frozen_rates: 0.0 is out of range"),
        ({"pooling": "max"}, r"downstream\.pooling=max: not allowed"),
    ):
        with pytest.raises(MinibertError, match=message):
            finetune_sst2(sentiment.network(), tokenizer, data="nowhere", **wrong)


# --- scores and controls


def test_accuracy_and_f1_by_hand():
    """F1 is 1/2 of the first label and 2/3 of the second; a third that never occurs has 0."""
    truth, said = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    found = score(said, truth, 2)
    assert (found.accuracy, found.macro_f1) == (0.6, pytest.approx(7 / 12))
    assert score(said, truth, 3).macro_f1 == pytest.approx(7 / 18)
    seven = score(np.ones(10, int), np.r_[np.ones(7, int), np.zeros(3, int)], 2)
    assert (seven.low, seven.high) == (pytest.approx(0.3968, abs=1e-4), pytest.approx(0.8922, abs=1e-4))


def test_a_bag_of_words_reads_words_alone():
    train = [LabelledSentence(f"{word} film !", label) for word, label in (("Good", "p"), ("bad", "n"))] * 10
    found = bag_of_words(train, train, ["GOOD , good", "a bad one"], ["n", "p"])
    assert found.classes.tolist() == [1, 0]
    assert (found.dev_accuracy, found.setting) == (1.0, "C = 0.01")  # of equal ones the strongest
    order = [LabelledSentence(text, label) for text, label in (("a b", "p"), ("b a", "n"))] * 10
    assert bag_of_words(order, order, ["a b", "b a"], ["n", "p"]).dev_accuracy == 0.5


def test_the_majority_is_that_of_the_training_sentences():
    train, dev = some({"a": 2, "b": 3}), some({"a": 3, "b": 1})
    found = majority(train, dev, 4, ["a", "b"])
    assert (found.classes.tolist(), found.dev_accuracy) == ([1, 1, 1, 1], 0.25)

"""The sentence classifier: its head alone, the whole network, and what holds between ways to compute it."""

import numpy as np
import pytest
from test_model_gradients import SAME

from minibert.errors import MinibertError
from minibert.mistakes import networks
from minibert.mistakes.gradient_check import assert_right, scattered_parameters
from minibert.mistakes.networks import (
    BATCH,
    HIDDEN,
    LABELS,
    LENGTHS,
    TOKENS,
    build,
    classifier,
    loss_of,
    sentences,
)
from minibert.model.auxiliary_heads import Measured
from minibert.model.classifier import HEAD, SentenceClassifier, classification_head, classification_head_blocks
from minibert.model.ops import prediction_losses
from minibert.model.passes import IGNORED


@pytest.mark.parametrize("dropout", [0.0, 0.25], ids=["no dropout", "dropout"])
def test_classification_head(dropout):
    assert_right(networks.classification_head(dropout))


def test_the_head_reads_the_mean_of_each_sentence():
    params, _ = scattered_parameters(classification_head_blocks(HIDDEN, len(LABELS)))
    x = np.random.default_rng(5).normal(size=(LENGTHS.sum(), HIDDEN))
    means = np.stack([x[:2].mean(axis=0), x[2], x[3:].mean(axis=0)])
    expected = means @ params[f"{HEAD}.weight"] + params[f"{HEAD}.bias"]
    np.testing.assert_allclose(classification_head(x, LENGTHS, params)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.25], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("recompute", [False, True], ids=["caches kept", "computed again"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_loss_and_gradients(norm, pooling, recompute, dropout):
    model = classifier(pooling, norm=norm, dropout=dropout, attention_dropout=dropout)
    problem = loss_of(model, sentences(), dropout > 0, checkpoint_activations=recompute)
    unread = [name for name in model.params if name.startswith("mlm_head")]
    assert_right(problem._replace(zero=[*problem.zero, *unread]))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_loss_is_that_of_the_formula(pooling):
    model, batch = classifier(pooling), sentences()
    loss, _ = model.loss_and_gradients(**batch)
    labels = batch.pop("labels")
    states = model.encoder().forward(**batch)[1].hidden_states[-1]
    real = batch["attention_mask"].copy()
    if pooling == "cls":
        real[:, 1:] = False
    means = np.stack([own[there].mean(axis=0) for own, there in zip(states, real, strict=True)])
    logits = means @ model.params[f"{HEAD}.weight"] + model.params[f"{HEAD}.bias"]
    assert loss == pytest.approx(prediction_losses(logits, labels[:, 0]).mean(), rel=1e-12)


def test_padding_changes_nothing():
    model, batch = classifier(), sentences()
    scores, labels = model.score(**batch)
    assert labels.tolist() == [2, 0, 2]
    alone, _ = model.score(batch["input_ids"][1:2, :4], batch["labels"][1:2, :4])
    np.testing.assert_allclose(scores[1:2], alone, rtol=1e-11)
    more = {name: np.pad(array, [(0, 0), (0, 2)]) for name, array in batch.items()}
    more["labels"][:, TOKENS:] = IGNORED
    np.testing.assert_allclose(model.score(**more)[0], scores, rtol=1e-11)


def test_parts_of_a_batch_sum_to_the_whole():
    model, batch = classifier(), sentences()
    measured, whole_measured = Measured(), Measured()
    whole, grads = model.loss_and_gradients(**batch, measured=whole_measured)
    total, parts = 0.0, None
    for part in (slice(0, 1), slice(1, 3)):
        share = {name: array[part] for name, array in batch.items()}
        loss, parts = model.loss_and_gradients(**share, grads=parts, count=BATCH, measured=measured)
        total += loss
    assert total == pytest.approx(whole, rel=1e-12)
    assert measured["classification"] == pytest.approx(whole_measured["classification"], rel=1e-12)
    np.testing.assert_allclose(parts.vector, grads.vector, **SAME)


def test_the_encoder_is_the_network_that_was_given():
    model = build()
    copied = SentenceClassifier(model, LABELS)
    assert copied.encoder().params.vector.tobytes() == model.params.vector.tobytes()
    assert copied.encoder().params.layout is model.params.layout
    assert copied.params.groups == (*model.params.groups, "classification_head")
    before = model.params.vector.copy()
    copied.params.vector[...] = 1
    assert model.params.vector.tobytes() == before.tobytes()
    np.testing.assert_array_equal(copied.encoder().params.vector, 1)


def test_the_head_depends_on_its_seed_alone():
    one, same, other = (SentenceClassifier(build(), LABELS, seed).params[f"{HEAD}.weight"] for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes() != other.tobytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ["good"]}, "labels: list .'good'. was given"),
        ({"labels": LABELS, "pooling": "max"}, "pooling=max: no way to pool. Allowed: mean, cls"),
    ],
)
def test_what_makes_no_classifier_is_refused(settings, message):
    with pytest.raises(MinibertError, match=message):
        SentenceClassifier(build(), **settings)


def test_labels_and_masks_that_fit_no_sentence_are_refused():
    model, batch = classifier(), sentences()
    with pytest.raises(MinibertError, match="labels: values from 0 to 3"):
        model.loss_and_gradients(**batch | {"labels": np.where(batch["labels"] == 2, 3, batch["labels"])})
    with pytest.raises(MinibertError, match="a sentence without a token"):
        model.score(**batch | {"attention_mask": np.zeros((BATCH, TOKENS), bool)})

"""The whole network: every parameter's gradient of the loss, and what holds between ways to compute it."""

import numpy as np
import pytest

from minibert.config import RelativeConfig, RopeConfig
from minibert.mistakes import networks, outputs
from minibert.mistakes.gradient_check import Problem, assert_right, of_layer
from minibert.mistakes.layers import EVERY_SCHEME
from minibert.mistakes.networks import (
    BATCH,
    TOKENS,
    VOCABULARY,
    build,
    examples,
    key_biases,
    loss_of,
    masks,
    sampled,
)
from minibert.model.ops import cross_entropy
from minibert.model.parameters import Gradients
from minibert.model.words import WordSample
from minibert.model.workspace import NEW_ARRAYS, Workspace

SAME = {"rtol": 1e-11, "atol": 1e-13}
"""The same sum in another order, in float64."""
SCHEMES = [position for name, position in EVERY_SCHEME.items() if name != "absolute"]
"""All but ``absolute``, which the other tests are about"""
UNBIASED = {"attention_bias": False, "feed_forward_bias": False, "norm_bias": False, "head_bias": False}
EMBEDDED = {"embedding_norm": True, "first_attention_norm": False}
PARTS = [
    {"norm": "pre", "norm_kind": "rms_norm"}, {"norm": "post", "norm_kind": "rms_norm"}, {"activation": "swiglu"},
    {"activation": "geglu", "match_feed_forward": True}, {"attention": "gated"}, {"qk_norm": True},
    UNBIASED, UNBIASED | {"norm": "post", "decoder_bias": False}, {"tie_word_embeddings": False},
    {"embedding_norm": True}, EMBEDDED, {"attention_window": 2, "global_every": 2},
    {"attention_window": 3, "global_every": 0, "attention": "gated"},
    UNBIASED | EMBEDDED | {
        "activation": "geglu", "tie_word_embeddings": False, "attention_window": 4, "global_every": 2,
        "hidden_size": 8, "position": RopeConfig(base=50.0, local_base=7.0),
    },
    {
        "norm": "post", "norm_kind": "rms_norm", "activation": "swiglu", "attention": "gated", "qk_norm": True,
        "position": RelativeConfig(distance=2), "segments": 0,
    },
]  # fmt: skip
"""Networks of other norms, feed-forward networks and attention"""


def scheme_name(position) -> str:
    return position.name


@pytest.mark.parametrize("dropout", [0.0, 0.25], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_loss_and_gradients(norm, activation, dropout):
    assert_right(networks.loss(norm, activation, dropout))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_forward_and_backward(norm):
    """Random upstream gradients at all positions, padding included; every position looks at a set of its own."""
    model, batch = build(norm=norm), examples()
    pairs = np.random.default_rng(1).random((BATCH, TOKENS, TOKENS)) < 0.6
    pairs |= np.eye(TOKENS, dtype=bool)

    def run():
        return model.forward(batch["input_ids"], pairs, batch["segment_ids"])

    def backward(dlogits):
        return model.backward(dlogits, run()[1])

    assert_right(of_layer(lambda: run()[0], backward, model.params, key_biases(model)))


@pytest.mark.parametrize("dropout", [0.0, 0.25], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("position", SCHEMES, ids=scheme_name)
def test_loss_and_gradients_of_every_position_scheme(position, dropout):
    assert_right(networks.loss_of_position(position, dropout))


@pytest.mark.parametrize("dropout", [0.0, 0.25], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("fields", PARTS, ids=str)
def test_loss_and_gradients_of_other_parts(fields, dropout):
    assert_right(networks.loss_of_parts(fields, dropout))


OUTPUTS = [{}, {"tie_word_embeddings": False}, {"decoder_bias": False}]
"""What a sample of words may be scored with"""


@pytest.mark.parametrize("fields", OUTPUTS, ids=str)
def test_loss_and_gradients_over_a_sample_of_words(fields):
    assert_right(networks.sampled_loss(fields))


@pytest.mark.parametrize("fields", OUTPUTS, ids=str)
def test_the_loss_over_a_sample_of_words_is_that_of_the_formula(fields):
    """-log e^{s_y} / Σ_j e^{s_j} / π_j over the sample, of the scores of all words."""
    model, batch = build(**fields), examples()
    words, run = sampled(model)
    labels = batch.pop("labels")
    logits, _ = model.forward(**batch, predicted=labels >= 0)
    sums = (np.exp(logits[:, words.ids]) * np.exp(words.raised)).sum(axis=1)
    expected = np.log(sums) - logits[np.arange(len(logits)), labels[labels >= 0]]
    assert run()[0] == pytest.approx(expected.mean(), rel=1e-13)


def test_a_sample_of_all_words_is_the_whole_vocabulary():
    model = build()
    _, run = sampled(model)
    loss, grads = run(WordSample(np.arange(VOCABULARY), np.zeros(VOCABULARY)))
    expected_loss, expected = model.loss_and_gradients(**examples())
    assert loss == pytest.approx(expected_loss, rel=1e-13)
    np.testing.assert_allclose(grads.vector, expected.vector, **SAME)


def test_one_layer_network():
    """Its only layer is also the last: embeddings get their gradient straight from the trimmed layer."""
    assert_right(loss_of(build(layers=1), examples()))


def test_one_predicted_token():
    batch = examples()
    batch["labels"][:] = -100
    batch["labels"][1, 2] = 3
    assert_right(loss_of(build(), batch))


def test_every_token_predicted():
    batch = examples()
    batch["labels"] = np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, TOKENS))
    assert_right(loss_of(build(), batch))


def test_sequences_of_one_token():
    """A token that looks only at itself has weight 1: queries and keys of all layers get no gradient."""
    model, batch = build(), examples(tokens=1)

    def run():
        return model.loss_and_gradients(**batch)

    unused = [name for name in model.params if ".query." in name or ".key." in name]
    # Both segments are there, and all tokens stand at position 0.
    assert_right(Problem(lambda: run()[0], model.params, run()[1], unused))


def test_positions_that_may_look_nowhere():
    """One position of the second sequence and all of the first: the gradient is that of what is computed."""
    batch = examples()
    batch["attention_mask"] = np.ones((BATCH, TOKENS, TOKENS), bool)
    batch["attention_mask"][1, 1] = batch["attention_mask"][0] = False
    assert_right(loss_of(build(), batch))


def test_no_prediction_gives_loss_zero_and_zero_gradients():
    batch = examples()
    batch["labels"][:] = -100
    model = build()
    grads = Gradients(model.params.layout, "float64")
    grads.vector[:] = np.nan
    loss, grads = model.loss_and_gradients(**batch, grads=grads)
    assert loss == 0
    assert not grads.vector.any()


@pytest.mark.parametrize("way", ["loss_and_gradients", "backward"])
def test_accumulating_twice_doubles(way):
    found = outputs.accumulated(way)
    np.testing.assert_allclose(found["after two passes"], 2 * found["after clearing and one more"], **SAME)


@pytest.mark.parametrize("dropout", [0.0, 0.25], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_trimmed_last_layer_equals_the_full_computation(norm, dropout):
    check_trimmed(build(norm=norm, dropout=dropout, attention_dropout=dropout))


@pytest.mark.parametrize("position", SCHEMES, ids=scheme_name)
def test_a_trimmed_last_layer_equals_the_full_computation_in_every_position_scheme(position):
    check_trimmed(build(position=position, hidden_size=8, attention_dropout=0.25))


@pytest.mark.parametrize("fields", PARTS[:-1], ids=str)
def test_a_trimmed_last_layer_equals_the_full_computation_with_other_parts(fields):
    check_trimmed(build(**fields, dropout=0.25, attention_dropout=0.25))


def check_trimmed(model):
    """All logits, then the cross-entropy at predicted positions, against computing these positions only."""
    batch = examples()
    loss, grads = model.loss_and_gradients(**batch, masks=masks())

    labels = batch.pop("labels")
    predicted = labels != -100
    logits, cache = model.forward(**batch, masks=masks())
    expected_loss, scored = cross_entropy(logits[predicted], labels[predicted], predicted.sum())
    dlogits = np.zeros_like(logits)
    dlogits[predicted] = scored
    expected = model.backward(dlogits, cache)

    assert loss == pytest.approx(expected_loss, rel=1e-13)
    assert cache.layers[-1].feed_forward.input.shape[0] == BATCH * TOKENS
    for name in model.params:
        np.testing.assert_allclose(grads[name], expected[name], **SAME, err_msg=name)


def test_the_last_layer_computes_no_more_rows_than_predictions_need():
    """At most three predictions in a sequence: three rows of each, instead of all six."""
    model, batch = build(), examples()
    predicted = batch.pop("labels") != -100
    logits, cache = model.forward(**batch, predicted=predicted)
    assert logits.shape == (4, VOCABULARY)
    assert cache.layers[-1].feed_forward.input.shape[0] == BATCH * 3
    assert cache.layers[-1].attention.weights.shape == (BATCH, 2, 3, TOKENS)


@pytest.mark.parametrize("dropout", [0.0, 0.25], ids=["no dropout", "dropout"])
def test_parts_of_a_batch_sum_to_the_whole(dropout):
    """One part has no prediction at all; each divides by the predictions of the whole batch."""
    model, found = build(dropout=dropout, attention_dropout=dropout), outputs.parts_of_a_batch(dropout)
    loss, grads = model.loss_and_gradients(**examples(), masks=masks())
    assert found["loss"].item() == pytest.approx(loss, rel=1e-13)
    for name in grads:
        np.testing.assert_allclose(found[name], grads[name], **SAME, err_msg=name)


def test_input_in_any_memory_order_gives_the_same_bits():
    """Every second column, transposed arrays and lists hold the same numbers as contiguous arrays."""
    model, batch = build(), examples()
    loss, grads = model.loss_and_gradients(**batch)
    strided = {name: np.repeat(array, 2, axis=1)[:, ::2] for name, array in batch.items()}
    transposed = {name: np.asfortranarray(array) for name, array in batch.items()}
    lists = {name: batch[name].tolist() for name in ("input_ids", "labels", "attention_mask")}
    for other in (strided, transposed, batch | lists):
        other_loss, other_grads = model.loss_and_gradients(**other)
        assert other_loss == loss
        np.testing.assert_array_equal(other_grads.vector, grads.vector)


def test_an_upstream_gradient_in_any_memory_order_gives_the_same_gradients():
    model, batch = build(), examples()
    logits, cache = model.forward(batch["input_ids"])
    expected = model.backward(np.cos(logits), cache)
    logits, cache = model.forward(batch["input_ids"])
    grads = model.backward(np.asfortranarray(np.cos(logits)), cache)
    np.testing.assert_allclose(grads.vector, expected.vector, **SAME)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_workspace_gives_the_same_bits_as_new_arrays(norm, dtype):
    check_workspace(build(norm=norm, dtype=dtype, dropout=0.25, attention_dropout=0.25))


@pytest.mark.parametrize("position", SCHEMES, ids=scheme_name)
def test_a_workspace_gives_the_same_bits_as_new_arrays_in_every_position_scheme(position):
    check_workspace(build(position=position, hidden_size=8, dtype="float32", dropout=0.25, attention_dropout=0.25))


@pytest.mark.parametrize("fields", PARTS[:-1], ids=str)
def test_a_workspace_gives_the_same_bits_as_new_arrays_with_other_parts(fields):
    check_workspace(build(**fields, dtype="float32", dropout=0.25, attention_dropout=0.25))


def check_workspace(model):
    """Over steps of changing shape, with what the last step left behind replaced by NaN."""
    dtype = model.config.dtype
    work, reused = Workspace(), Gradients(model.params.layout, dtype)
    for step, tokens in enumerate((6, 3, 6, 8, 1)):
        batch = examples(tokens)
        loss, grads = model.loss_and_gradients(**batch, masks=masks(step))
        work.empty(work.nbytes, np.uint8).fill(255)
        work.reset()
        reused.vector[:] = np.nan
        reused.clear()
        reused_loss, _ = model.loss_and_gradients(**batch, masks=masks(step), grads=reused, work=work)
        assert reused_loss == loss
        np.testing.assert_array_equal(reused.vector, grads.vector)
    assert work.nbytes > 0


@pytest.mark.parametrize("position", EVERY_SCHEME.values(), ids=scheme_name)
def test_packed_rows_equal_rows_of_their_own_in_loss_and_all_gradients(position):
    """Pieces of 4, 2 and 3 tokens: in one row of 9, and padded in three rows of 4."""
    model = build(position=position, hidden_size=8)
    random = np.random.default_rng(5)
    pieces = [random.integers(0, model.config.vocab_size, size) for size in (4, 2, 3)]
    labels = [np.where(random.random(len(piece)) < 0.6, piece, -100) for piece in pieces]
    number = np.repeat([0, 1, 2], [4, 2, 3])
    packed_loss, packed = model.loss_and_gradients(
        np.concatenate(pieces)[None],
        np.concatenate(labels)[None],
        (number[:, None] == number)[None],
        position_ids=np.concatenate([np.arange(4), np.arange(2), np.arange(3)])[None],
    )

    def padded(rows, filler):
        return np.array([[*row, *[filler] * (4 - len(row))] for row in rows])

    loss, own = model.loss_and_gradients(padded(pieces, 0), padded(labels, -100), padded(pieces, -1) >= 0)
    assert abs(packed_loss - loss) < 1e-12
    np.testing.assert_allclose(packed.vector, own.vector, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("position", SCHEMES, ids=scheme_name)
def test_positions_between_pieces_count_where_no_mask_keeps_them_apart(position):
    """The middle tokens of two pieces swap places in the row, each with its position: nothing else changes."""
    model = build(position=position, hidden_size=8, segments=0)
    input_ids, position_ids = np.array([[3, 5, 7, 9, 11, 13]]), np.array([[0, 1, 2, 0, 1, 2]])
    order = [0, 4, 2, 3, 1, 5]
    logits, _ = model.forward(input_ids, position_ids=position_ids)
    swapped, _ = model.forward(input_ids[:, order], position_ids=position_ids[:, order])
    np.testing.assert_allclose(swapped, logits[:, order], **SAME)
    if position.name != "none":
        apart, _ = model.forward(input_ids)
        assert np.abs(apart - logits).max() > 1e-3


@pytest.mark.parametrize("workspace", [False, True])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_checkpointed_activations_give_the_same_bits(norm, workspace):
    check_checkpointed(build(norm=norm, dropout=0.25, attention_dropout=0.25, layers=3), workspace)


@pytest.mark.parametrize("position", SCHEMES, ids=scheme_name)
def test_checkpointed_activations_give_the_same_bits_in_every_position_scheme(position):
    model = build(position=position, hidden_size=8, dropout=0.25, attention_dropout=0.25, layers=3)
    check_checkpointed(model, workspace=True)


@pytest.mark.parametrize("fields", PARTS[:-1], ids=str)
def test_checkpointed_activations_give_the_same_bits_with_other_parts(fields):
    check_checkpointed(build(**fields, dropout=0.25, attention_dropout=0.25, layers=3), True)


def check_checkpointed(model, workspace):
    batch = examples()
    plain_loss, plain = model.loss_and_gradients(**batch, masks=masks())
    work = Workspace() if workspace else NEW_ARRAYS
    loss, grads = model.loss_and_gradients(**batch, masks=masks(), work=work, checkpoint_activations=True)
    assert loss == plain_loss
    assert grads.vector.tobytes() == plain.vector.tobytes()

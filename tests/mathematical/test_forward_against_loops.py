"""The forward pass against the textbook formulas, written number by number with plain loops.

b counts sequences, h heads, i and j positions, and d and e the entries of a vector. Nothing here shares code
with the network.
"""

import math

import numpy as np
import pytest
from gradient_check import scatter

from minibert.config import ModelConfig
from minibert.model.bert import MiniBERT
from minibert.model.ops import activation, layer_norm, softmax

INPUT_IDS = np.array([[7, 2, 2, 5], [1, 0, 7, 8]])
SEGMENT_IDS = np.array([[0, 0, 1, 1], [0, 1, 1, 1]])
PADDING = np.array([[True, True, True, False], [True, True, True, True]])
PAIRS = np.array(
    [
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]],
        [[0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0], [1, 0, 1, 1]],
    ],
    bool,
)


def add(x, y):
    return [x[d] + y[d] for d in range(len(x))]


def loop_layer_norm(x, gain, bias, epsilon):
    mean = sum(x) / len(x)
    variance = sum((value - mean) ** 2 for value in x) / len(x)
    return [(x[d] - mean) / math.sqrt(variance + epsilon) * gain[d] + bias[d] for d in range(len(x))]


def loop_linear(x, weight, bias):
    return [sum(x[d] * weight[d, e] for d in range(len(x))) + bias[e] for e in range(len(bias))]


def loop_activation(name, x):
    if name == "relu":
        return x if x > 0 else 0.0
    if name == "gelu":
        return x * (1 + math.erf(x / math.sqrt(2))) / 2
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def loop_attention(sequence, may_look, prefix, params, heads):
    """One sequence, a list of vectors. Position i averages the values of the j that it may look at."""
    query, key, value = (
        [loop_linear(x, params[f"{prefix}.{name}.weight"], params[f"{prefix}.{name}.bias"]) for x in sequence]
        for name in ("query", "key", "value")
    )
    head_size = len(sequence[0]) // heads
    attended = []
    for i in range(len(sequence)):
        context = []
        for h in range(heads):
            entries = range(h * head_size, (h + 1) * head_size)
            exponentials = {}
            for j in range(len(sequence)):
                if may_look[i, j]:
                    score = sum(query[i][d] * key[j][d] for d in entries) / math.sqrt(head_size)
                    exponentials[j] = math.exp(score)
            total = sum(exponentials.values())
            for d in entries:
                context.append(sum(exponentials[j] / total * value[j][d] for j in exponentials))
        attended.append(loop_linear(context, params[f"{prefix}.output.weight"], params[f"{prefix}.output.bias"]))
    return attended


def loop_feed_forward(x, prefix, params, activation_name):
    inner = loop_linear(x, params[f"{prefix}.in.weight"], params[f"{prefix}.in.bias"])
    active = [loop_activation(activation_name, value) for value in inner]
    return loop_linear(active, params[f"{prefix}.out.weight"], params[f"{prefix}.out.bias"])


def loop_model(input_ids, segment_ids, may_look, params, config):
    """Logits of one sequence: (T, V)."""

    def norm(x, name):
        return loop_layer_norm(x, params[f"{name}.gain"], params[f"{name}.bias"], config.norm_epsilon)

    def residual_block(sequence, branch, name):
        if config.norm == "pre":
            changes = branch([norm(x, name) for x in sequence])
            return [add(x, change) for x, change in zip(sequence, changes, strict=True)]
        return [norm(add(x, change), name) for x, change in zip(sequence, branch(sequence), strict=True)]

    token, position, segment = (params[f"embeddings.{name}.weight"] for name in ("token", "position", "segment"))
    sequence = []
    for t in range(len(input_ids)):
        summed = add(add(token[input_ids[t]], position[t]), segment[segment_ids[t]])
        sequence.append(norm(summed, "embeddings.norm") if config.norm == "post" else summed)
    for index in range(config.layers):
        attend, feed = f"layers.{index}.attention", f"layers.{index}.feed_forward"

        def attention_branch(xs, prefix=attend):
            return loop_attention(xs, may_look, prefix, params, config.heads)

        def feed_forward_branch(xs, prefix=feed):
            return [loop_feed_forward(x, prefix, params, config.activation) for x in xs]

        sequence = residual_block(sequence, attention_branch, f"{attend}.norm")
        sequence = residual_block(sequence, feed_forward_branch, f"{feed}.norm")
    logits = []
    for x in sequence:
        if config.norm == "pre":
            x = norm(x, "final_norm")
        x = loop_linear(x, params["mlm_head.transform.weight"], params["mlm_head.transform.bias"])
        x = norm([loop_activation(config.activation, value) for value in x], "mlm_head.norm")
        logits.append(loop_linear(x, token.T, params["mlm_head.bias"]))
    return np.array(logits)


def build(norm="pre", activation_name="gelu") -> MiniBERT:
    """Epsilon is large enough to show whether it stands inside the root."""
    model = MiniBERT(
        ModelConfig(
            vocab_size=16, hidden_size=6, layers=2, heads=2, feed_forward_size=5, max_length=6, segments=2,
            norm=norm, norm_epsilon=0.05, activation=activation_name, dtype="float64",
        )  # fmt: skip
    )
    scatter(model.params)
    return model


@pytest.mark.parametrize("activation_name", ["relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_logits_equal_the_textbook_formulas(norm, activation_name):
    model = build(norm, activation_name)
    logits, _ = model.forward(INPUT_IDS, segment_ids=SEGMENT_IDS)
    everywhere = np.ones((4, 4), bool)
    for b in range(2):
        expected = loop_model(INPUT_IDS[b], SEGMENT_IDS[b], everywhere, model.params, model.config)
        np.testing.assert_allclose(logits[b], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mask", [PADDING, PAIRS], ids=["padding", "pairs"])
def test_masked_positions_take_no_part_in_the_softmax(mask):
    model = build()
    logits, _ = model.forward(INPUT_IDS, mask, SEGMENT_IDS)
    for b in range(2):
        may_look = mask[b] if mask.ndim == 3 else np.repeat(mask[b][None], 4, axis=0)
        expected = loop_model(INPUT_IDS[b], SEGMENT_IDS[b], may_look, model.params, model.config)
        np.testing.assert_allclose(logits[b], expected, rtol=0, atol=1e-12)


def test_scored_predictions_equal_the_textbook_formulas_and_so_does_the_loss():
    """Sequence 0 predicts position 2, sequence 1 positions 0 and 3: the last layer computes two rows of each."""
    model = build()
    labels = np.array([[-100, -100, 0, -100], [5, -100, -100, 11]])
    logits, targets = model.score(INPUT_IDS, labels, PAIRS, SEGMENT_IDS)
    loss, _ = model.loss_and_gradients(INPUT_IDS, labels, PAIRS, SEGMENT_IDS)
    everything = [
        loop_model(INPUT_IDS[b], SEGMENT_IDS[b], PAIRS[b], model.params, model.config) for b in range(2)
    ]
    expected = [everything[0][2], everything[1][0], everything[1][3]]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-12)
    assert targets.tolist() == [0, 5, 11]

    surprise = 0.0
    for scores, label in zip(expected, (0, 5, 11), strict=True):
        surprise -= math.log(math.exp(scores[label]) / sum(math.exp(score) for score in scores))
    assert loss == pytest.approx(surprise / 3, rel=1e-13)


@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_tanh"])
def test_activations_equal_their_formulas(name):
    x = np.linspace(-6, 6, 49).reshape(7, 7)
    expected = [[loop_activation(name, float(value)) for value in row] for row in x]
    np.testing.assert_allclose(activation(x, name)[0], expected, rtol=0, atol=1e-14)


def test_layer_norm_of_a_row_worked_out_by_hand():
    """x = (1, 3): mean 2, variance 1; with ε = 3 divided by 2: x̂ = (-½, ½). With ε = 0: x̂ = (-1, 1)."""
    x, gain, bias = np.array([[1.0, 3.0]]), np.array([2.0, 4.0]), np.array([10.0, 20.0])
    assert layer_norm(x, gain, bias, 3.0)[0].tolist() == [[9.0, 22.0]]
    assert layer_norm(x, gain, bias, 0.0)[0].tolist() == [[8.0, 24.0]]


def test_softmax_of_large_scores_is_finite():
    """exp(0) : exp(log 3) is 1 : 3, whatever is added to both."""
    for shift in (-1000.0, 0.0, 1000.0):
        np.testing.assert_allclose(softmax(np.array([[0.0, math.log(3)]]) + shift), [[0.25, 0.75]], rtol=1e-12)

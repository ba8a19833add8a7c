"""The forward pass against the textbook formulas, written number by number with plain loops.

b counts sequences, h heads, i and j positions, and d and e the entries of a vector. Nothing here shares code
with the network.
"""

import math

import numpy as np
import pytest

from minibert.config import PositionConfig, RelativeBiasConfig, RelativeConfig, RopeConfig
from minibert.mistakes.outputs import INPUT_IDS, PADDING, PAIRS, PREDICTED, SCORED, SEGMENT_IDS
from minibert.mistakes.outputs import textbook_network as build
from minibert.model.norms import layer_norm, rms_norm
from minibert.model.ops import activation, softmax


def add(x, y):
    return [x[d] + y[d] for d in range(len(x))]


def loop_layer_norm(x, gain, bias, epsilon):
    mean = sum(x) / len(x)
    variance = sum((value - mean) ** 2 for value in x) / len(x)
    bias = [0.0] * len(x) if bias is None else bias
    return [(x[d] - mean) / math.sqrt(variance + epsilon) * gain[d] + bias[d] for d in range(len(x))]


def loop_rms_norm(x, gain, epsilon):
    root = math.sqrt(sum(value**2 for value in x) / len(x) + epsilon)
    return [value / root * gain[d] for d, value in enumerate(x)]


def loop_sigmoid(x):
    return 1 / (1 + math.exp(-x))


def loop_linear(x, weight, bias):
    bias = [0.0] * weight.shape[1] if bias is None else bias
    return [sum(x[d] * weight[d, e] for d in range(len(x))) + bias[e] for e in range(len(bias))]


def loop_activation(name, x):
    if name == "relu":
        return x if x > 0 else 0.0
    if name in ("gelu", "geglu"):
        return x * (1 + math.erf(x / math.sqrt(2))) / 2
    if name in ("silu", "swiglu"):
        return x * loop_sigmoid(x)
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class LoopOrder:
    """What a position scheme changes, for one vector or one pair of positions at a time."""

    def __init__(self, position, params, heads, local=False):
        self.position, self.params, self.heads = position, params, heads
        self.base = getattr(position, "base", None)
        if local and getattr(position, "local_base", None) is not None:
            self.base = position.local_base

    def turned(self, vector, i):
        """One head's query or key at position i: entries 2p and 2p + 1 turn by the angle i · base^(-p / pairs)."""
        if self.position.name != "rope":
            return vector
        turned, pairs = list(vector), int(len(vector) * self.position.fraction) // 2
        for p in range(pairs):
            angle = i * self.base ** (-p / pairs)
            a, b = vector[2 * p], vector[2 * p + 1]
            turned[2 * p] = a * math.cos(angle) - b * math.sin(angle)
            turned[2 * p + 1] = a * math.sin(angle) + b * math.cos(angle)
        return turned

    def beside(self, which, prefix, vector, i, j):
        """A key or value of position j, as position i sees it."""
        if self.position.name != "relative":
            return vector
        limit = self.position.distance
        row = max(-limit, min(limit, j - i)) + limit
        return add(vector, self.params[f"{prefix}.relative_{which}.weight"][row])

    def bias(self, i, j, h):
        if self.position.name == "alibi":
            return -abs(i - j) * 2 ** (-8 * (h + 1) / self.heads)  # for a power of two
        if self.position.name != "relative_bias":
            return 0.0
        # The formula of T5: half of the buckets for each direction, half of those for one distance each.
        bucket, size, apart = 0, self.position.buckets // 2, abs(j - i)
        exact = size // 2
        if j > i:
            bucket += size
        if apart < exact:
            bucket += apart
        else:
            grown = math.log(apart / exact) / math.log(self.position.farthest / exact) * (size - exact)
            bucket += min(exact + int(grown), size - 1)
        return self.params["embeddings.relative_bias.weight"][bucket, h]


def loop_attention(sequence, may_look, prefix, params, config, order):
    """One sequence, a list of vectors. Position i averages the values of the j that it may look at."""
    query, key, value = (
        [loop_linear(x, params[f"{prefix}.{name}.weight"], params.get(f"{prefix}.{name}.bias")) for x in sequence]
        for name in ("query", "key", "value")
    )
    heads, head_size = config.heads, config.hidden_size // config.heads

    def normed(vector, name):
        if not config.qk_norm:
            return vector
        return loop_rms_norm(vector, params[f"{prefix}.{name}_norm.gain"], config.norm_epsilon)

    attended = []
    for i in range(len(sequence)):
        context = []
        for h in range(heads):
            entries = range(h * head_size, (h + 1) * head_size)
            exponentials, values = {}, {}
            asked = order.turned(normed([query[i][d] for d in entries], "query"), i)
            for j in range(len(sequence)):
                if may_look[i, j]:
                    seen = order.turned(normed([key[j][d] for d in entries], "key"), j)
                    seen = order.beside("key", prefix, seen, i, j)
                    score = sum(asked[d] * seen[d] for d in range(head_size)) / math.sqrt(head_size)
                    exponentials[j] = math.exp(score + order.bias(i, j, h))
                    values[j] = order.beside("value", prefix, [value[j][d] for d in entries], i, j)
            total, gate = sum(exponentials.values()), 1.0
            if config.attention == "gated":
                gate_weight, gate_bias = params[f"{prefix}.gate.weight"], params[f"{prefix}.gate.bias"]
                gate = loop_sigmoid(loop_linear(sequence[i], gate_weight, gate_bias)[h])
            for d in range(head_size):
                context.append(gate * sum(exponentials[j] / total * values[j][d] for j in exponentials))
        weight, bias = params[f"{prefix}.output.weight"], params.get(f"{prefix}.output.bias")
        attended.append(loop_linear(context, weight, bias))
    return attended


def loop_feed_forward(x, prefix, params, activation_name):
    inner = loop_linear(x, params[f"{prefix}.in.weight"], params.get(f"{prefix}.in.bias"))
    if activation_name in ("swiglu", "geglu"):
        gate = loop_linear(x, params[f"{prefix}.gate.weight"], params.get(f"{prefix}.gate.bias"))
        active = [loop_activation(activation_name, gate[f]) * inner[f] for f in range(len(inner))]
    else:
        active = [loop_activation(activation_name, value) for value in inner]
    return loop_linear(active, params[f"{prefix}.out.weight"], params.get(f"{prefix}.out.bias"))


def loop_model(input_ids, segment_ids, may_look, params, config):
    """Logits of one sequence: (T, V)."""

    def norm(x, name):
        if config.norm_kind == "rms_norm":
            return loop_rms_norm(x, params[f"{name}.gain"], config.norm_epsilon)
        return loop_layer_norm(x, params[f"{name}.gain"], params.get(f"{name}.bias"), config.norm_epsilon)

    def residual_block(sequence, branch, name):
        if config.norm == "pre":
            bare = name == "layers.0.attention.norm" and not config.first_attention_norm
            changes = branch([x if bare else norm(x, name) for x in sequence])
            return [add(x, change) for x, change in zip(sequence, changes, strict=True)]
        return [norm(add(x, change), name) for x, change in zip(sequence, branch(sequence), strict=True)]

    token, segment = (params[f"embeddings.{name}.weight"] for name in ("token", "segment"))
    sequence = []
    for t in range(len(input_ids)):
        summed = add(token[input_ids[t]], segment[segment_ids[t]])
        if config.position.name == "absolute":
            summed = add(summed, params["embeddings.position.weight"][t])
        if config.position.name == "sinusoidal":
            size = config.hidden_size
            angles = [t / 10000 ** (2 * (d // 2) / size) for d in range(size)]
            waves = [math.cos(angle) if d % 2 else math.sin(angle) for d, angle in enumerate(angles)]
            summed = add(summed, [config.init_scale * wave for wave in waves])
        normed = config.norm == "post" or config.embedding_norm
        sequence.append(norm(summed, "embeddings.norm") if normed else summed)
    for index in range(config.layers):
        local = config.attention_window is not None and (config.global_every == 0 or index % config.global_every)
        order, allowed = LoopOrder(config.position, params, config.heads, local), may_look.copy()
        for i in range(len(sequence)):
            for j in range(len(sequence)):
                if local and abs(i - j) > config.attention_window / 2:
                    allowed[i, j] = False
        attend, feed = f"layers.{index}.attention", f"layers.{index}.feed_forward"

        def attention_branch(xs, prefix=attend, allowed=allowed, order=order):
            return loop_attention(xs, allowed, prefix, params, config, order)

        def feed_forward_branch(xs, prefix=feed):
            return [loop_feed_forward(x, prefix, params, config.activation) for x in xs]

        sequence = residual_block(sequence, attention_branch, f"{attend}.norm")
        sequence = residual_block(sequence, feed_forward_branch, f"{feed}.norm")
    logits = []
    for x in sequence:
        if config.norm == "pre":
            x = norm(x, "final_norm")
        x = loop_linear(x, params["mlm_head.transform.weight"], params.get("mlm_head.transform.bias"))
        x = norm([loop_activation(config.activation, value) for value in x], "mlm_head.norm")
        output = token.T if config.tie_word_embeddings else params["mlm_head.weight"]
        logits.append(loop_linear(x, output, params.get("mlm_head.bias")))
    return np.array(logits)


@pytest.mark.parametrize("activation_name", ["relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_logits_equal_the_textbook_formulas(norm, activation_name):
    model = build(norm, activation_name)
    logits, _ = model.forward(INPUT_IDS, segment_ids=SEGMENT_IDS)
    everywhere = np.ones((4, 4), bool)
    for b in range(2):
        expected = loop_model(INPUT_IDS[b], SEGMENT_IDS[b], everywhere, model.params, model.config)
        np.testing.assert_allclose(logits[b], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "position",
    [
        PositionConfig("sinusoidal"), RelativeConfig(distance=2), RelativeBiasConfig(buckets=8, farthest=3),
        RopeConfig(base=20.0), RopeConfig(base=20.0, fraction=0.5),
        PositionConfig("alibi"), PositionConfig("none"),
    ],
    ids=lambda position: f"{position.name} {getattr(position, 'fraction', '')}",
)  # fmt: skip
def test_logits_of_every_position_scheme_equal_the_textbook_formulas(position):
    model = build(position=position, hidden_size=8)
    logits, _ = model.forward(INPUT_IDS, PAIRS, SEGMENT_IDS)
    trimmed, _ = model.forward(INPUT_IDS, PAIRS, SEGMENT_IDS, predicted=PREDICTED)
    for b in range(2):
        expected = loop_model(INPUT_IDS[b], SEGMENT_IDS[b], PAIRS[b], model.params, model.config)
        np.testing.assert_allclose(logits[b], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(trimmed, logits[PREDICTED], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "fields",
    [
        {"norm_kind": "rms_norm"}, {"norm_kind": "rms_norm", "norm": "post"}, {"activation": "swiglu"},
        {"activation": "geglu", "match_feed_forward": True}, {"attention": "gated"}, {"qk_norm": True},
        {"qk_norm": True, "attention": "gated", "position": RopeConfig(base=20.0), "hidden_size": 8},
        {"attention_bias": False}, {"feed_forward_bias": False, "activation": "swiglu"}, {"norm_bias": False},
        {"head_bias": False, "norm": "post"}, {"decoder_bias": False}, {"tie_word_embeddings": False},
        {"embedding_norm": True}, {"embedding_norm": True, "first_attention_norm": False},
        {"attention_window": 2, "layers": 3, "global_every": 2}, {"attention_window": 5, "global_every": 0},
        {"attention_window": 2, "position": RopeConfig(base=20.0, local_base=3.0), "hidden_size": 8},
    ],
    ids=str,
)  # fmt: skip
def test_logits_of_other_parts_equal_the_textbook_formulas(fields):
    model = build(**fields)
    logits, _ = model.forward(INPUT_IDS, PAIRS, SEGMENT_IDS)
    for b in range(2):
        expected = loop_model(INPUT_IDS[b], SEGMENT_IDS[b], PAIRS[b], model.params, model.config)
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
    logits, targets = model.score(INPUT_IDS, SCORED, PAIRS, SEGMENT_IDS)
    loss, _ = model.loss_and_gradients(INPUT_IDS, SCORED, PAIRS, SEGMENT_IDS)
    everything = [loop_model(INPUT_IDS[b], SEGMENT_IDS[b], PAIRS[b], model.params, model.config) for b in range(2)]
    expected = [everything[0][2], everything[1][0], everything[1][3]]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-12)
    assert targets.tolist() == [0, 5, 11]

    surprise = 0.0
    for scores, label in zip(expected, (0, 5, 11), strict=True):
        surprise -= math.log(math.exp(scores[label]) / sum(math.exp(score) for score in scores))
    assert loss == pytest.approx(surprise / 3, rel=1e-13)


@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_tanh", "silu"])
def test_activations_equal_their_formulas(name):
    x = np.linspace(-6, 6, 49).reshape(7, 7)
    expected = [[loop_activation(name, float(value)) for value in row] for row in x]
    np.testing.assert_allclose(activation(x, name)[0], expected, rtol=0, atol=1e-14)


def test_layer_norm_of_a_row_worked_out_by_hand():
    """x = (1, 3): mean 2, variance 1; with ε = 3 divided by 2: x̂ = (-½, ½). With ε = 0: x̂ = (-1, 1)."""
    x, gain, bias = np.array([[1.0, 3.0]]), np.array([2.0, 4.0]), np.array([10.0, 20.0])
    assert layer_norm(x, gain, bias, 3.0)[0].tolist() == [[9.0, 22.0]]
    assert layer_norm(x, gain, bias, 0.0)[0].tolist() == [[8.0, 24.0]]


def test_root_mean_square_norm_of_a_row_worked_out_by_hand():
    """x = (1, 7): mean square 25; with ε = 24 divided by 7. The mean stays."""
    x, gain = np.array([[1.0, 7.0]]), np.array([5.0, 10.0])
    np.testing.assert_allclose(rms_norm(x, gain, 0.0)[0], [[1.0, 14.0]], rtol=1e-15)
    np.testing.assert_allclose(rms_norm(x, gain, 24.0)[0], [[5 / 7, 10.0]], rtol=1e-15)


def test_softmax_of_large_scores_is_finite():
    """exp(0) : exp(log 3) is 1 : 3, whatever is added to both."""
    for shift in (-1000.0, 0.0, 1000.0):
        np.testing.assert_allclose(softmax(np.array([[0.0, math.log(3)]]) + shift), [[0.25, 0.75]], rtol=1e-12)

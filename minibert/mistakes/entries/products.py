"""Mistakes in linear layers, activations, the feed-forward network and the head."""

from minibert.mistakes import layers, outputs
from minibert.mistakes.entries import LAYERS, LOOPS
from minibert.mistakes.mistake import Mistake, Sighting

LINEAR, FEED_FORWARD = "model.ops:linear_backward", "model.feed_forward:feed_forward_backward"

MISTAKES = [
    Mistake(
        "linear.bias_averaged", "the gradient of the bias is averaged over rows, not summed",
        "The loss is a mean, so a mean looks natural here. But the loss has been divided by the count already, "
        "and each row of dy holds its share; the weight's gradient, a matrix product, sums without a word.",
        LINEAR, {"column_sums(dy)": "column_sums(dy) / len(dy)"}, f"{LAYERS}test_linear", layers.linear,
        seen=(
            Sighting(
                "notes (kvfrans)", 2025, "a page on backpropagation took the mean for one bias; a "
                "reader found it by comparing with automatic differentiation",
                "https://github.com/kvfrans/notes/issues/5",
            ),
            Sighting(
                "cs231n (dengfy)", 2015, "a reader asks for the mean where the sum is right",
                "https://github.com/dengfy/cs231n/issues/1",
            ),
            Sighting(
                "stat453", 2022, "a lecture's softmax regression summed the bias gradient over the classes as "
                "well",
                "https://github.com/rasbt/stat453-deep-learning-ss21/issues/5",
            ),
        ),
        told=True,
    ),
    Mistake(
        "linear.bias_forgotten", "the bias has no gradient",
        "A network learns without it: the weights do the work of most biases.",
        LINEAR, {'grads.add(f"{name}.bias", column_sums(dy))': "pass"}, f"{LAYERS}test_linear", layers.linear,
    ),
    Mistake(
        "activation.gelu_without_density", "the slope of the GELU is Φ(x), without x φ(x)",
        "It looks like the slope of a gate that is held fixed, and lies within 0.25 of the true one everywhere.",
        "model.ops:gelu",
        {
            "np.add(cumulative, x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi), out=x)":
            "x[...] = cumulative",
        },
        f"{LAYERS}test_activation", layers.activation, {"name": "gelu"},
    ),
    Mistake(
        "activation.cubic_slope_without_three", "the slope of the cubic term of the tanh GELU lacks its factor 3",
        "Near 0, where activations start, the cubic term is nothing.",
        "model.ops:gelu_tanh", {"square *= 3 * cubic  # now u'": "square *= cubic"},
        f"{LAYERS}test_activation", layers.activation, {"name": "gelu_tanh"},
    ),
    Mistake(
        "activation.relu_slope_of_one", "the slope of the ReLU is 1 everywhere",
        "It is right for half of the entries.",
        "model.ops:relu", {"np.greater(x, 0, out=x)": "x[...] = 1"},
        f"{LAYERS}test_activation", layers.activation, {"name": "relu"},
    ),
    Mistake(
        "activation.silu_without_second_term", "the slope of the SiLU is σ(x), without y (1 - σ(x))",
        "It treats the gate as fixed; at 0 and far above it, that is right.",
        "model.ops:silu", {"x *= y": "x *= 0"}, f"{LAYERS}test_activation", layers.activation, {"name": "silu"},
    ),
    Mistake(
        "feed_forward.gate_path_forgotten", "the gradient through the gate does not reach the input",
        "The gate's own weights learn, so that the gate seems to be there.",
        FEED_FORWARD, {"dx += linear_backward(": "linear_backward("},
        f"{LAYERS}test_feed_forward", layers.feed_forward, {"name": "swiglu"},
    ),
    Mistake(
        "feed_forward.gate_without_value", "the gate's gradient is not multiplied by what the gate lets through",
        "Of the product rule, one factor is easily kept and the other lost.",
        FEED_FORWARD, {"dactive *= cache.value": "pass"},
        f"{LAYERS}test_feed_forward", layers.feed_forward, {"name": "geglu"},
    ),
    Mistake(
        "feed_forward.activation_on_value", "the activation is on the value, not on the gate",
        "The unit is symmetric but for this: a network that is trained so learns as well. Under automatic "
        "differentiation its gradient is right, too; only weights that come from elsewhere show it.",
        "model.feed_forward:feed_forward",
        {
            "= activation(pre_gate, GATED": "= activation(inner, GATED",
            "value = inner": "value = pre_gate",
        },
        f"{LOOPS}test_logits_of_other_parts_equal_the_textbook_formulas", outputs.logits_of_parts,
        {"fields": {"activation": "swiglu"}},
        seen=(
            Sighting(
                "AiDotNet.Tensors", 2026, "of four gated kernels, one gated the right half and three the other; "
                "a review of the change pointed at it",
                "https://github.com/ooples/AiDotNet.Tensors/pull/46",
            ),
        ),
        told=True,
    ),
    Mistake(
        "feed_forward.activation_left_out", "the backward pass of the activation is left out",
        "Shapes agree, and of a ReLU half of the entries are right. The gradient keeps enough of its direction "
        "for the loss to fall.",
        FEED_FORWARD, {"dinner = activation_backward(dactive, cache.slope)": "dinner = dactive"},
        f"{LAYERS}test_feed_forward", layers.feed_forward, {"name": "gelu"},
        seen=(
            Sighting(
                "Smile", 2020, "the other factor was lost: the backward pass of the ReLU wrote the slope, 0 or "
                "1, over the gradient that came from above",
                "https://github.com/haifengl/smile/issues/528",
            ),
            Sighting(
                "numpy_neural_network", 2020, "the backward pass of a tanh returned a slope alone, and that of "
                "the gradient instead of the input",
                "https://github.com/yizt/numpy_neural_network/issues/6",
            ),
        ),
        told=True,
    ),
    Mistake(
        "mlm_head.activation_left_out", "the backward pass of the activation in the head is left out",
        "The head has one activation between two products, which is easily passed over.",
        "model.heads:mlm_head_backward", {"activation_backward(dx, cache.slope)": "dx"},
        f"{LAYERS}test_mlm_head", layers.mlm_head, {"name": "gelu", "kind": "layer_norm"},
    ),
]  # fmt: skip

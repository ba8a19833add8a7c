"""Mistakes in softmax and attention, its gates, its normalised keys and its windows."""

from minibert.config import RopeConfig
from minibert.mistakes import layers, outputs
from minibert.mistakes.entries import LAYERS, LOOPS
from minibert.mistakes.layers import ROWS
from minibert.mistakes.mistake import Mistake, Sighting

SOFTMAX, BACKWARD = "model.ops:softmax_backward", "model.attention:attention_backward"
PROJECTIONS, GATES = "model.projections:project_backward", "model.gating:gate_heads_backward"
ATTENTION = f"{LAYERS}test_attention"
PARTS = f"{LAYERS}test_attention_with_gates_and_normalised_queries_and_keys"
PARTS_IN_LOOPS = f"{LOOPS}test_logits_of_other_parts_equal_the_textbook_formulas"
ALL_ROWS = {"mask": "none", "rows": None, "rate": 0.0}
SOME_ROWS = {"mask": "pairs", "rows": ROWS, "rate": 0.0}
GATED = {"kind": "gated", "qk_norm": False, "scheme": "none", "mask": "none", "rows": None, "rate": 0.0}
NORMED_KEYS = GATED | {"kind": "softmax", "qk_norm": True}
WINDOW = {"fields": {"attention_window": 2, "layers": 3, "global_every": 2}}

MISTAKES = [
    Mistake(
        "softmax.without_second_term", "each score's gradient is that of its own weight alone",
        "Of the Jacobian, w (1 - w) on the diagonal is what everybody remembers, and w dw looks like any other "
        "element-wise activation. An upstream gradient of ones gives w here, where the true gradient is 0; but a "
        "check that only asks whether the code runs is content.",
        SOFTMAX, {"dweights -= row_dot": "pass"}, f"{LAYERS}test_softmax", layers.softmax,
        seen=(
            Sighting(
                "libnd4j", 2017, "the derivative of the softmax was that of the diagonal alone: the sum over the "
                "other classes was missing",
                "https://github.com/deeplearning4j/libnd4j/issues/440",
            ),
            Sighting(
                "darknet", 2017, "a request to mend it says that the layer handed the gradient on as it came",
                "https://github.com/pjreddie/darknet/pull/96",
            ),
        ),
        told=True,
    ),
    Mistake(
        "softmax.without_weights", "the gradient is not multiplied by the weights",
        "What is left is centred, as a softmax's gradient should be.",
        SOFTMAX, {"dweights *= weights": "pass"}, f"{LAYERS}test_softmax", layers.softmax,
    ),
    Mistake(
        "attention.row_term_zero", "the sum over a row, which the softmax takes off, is zero",
        "It is computed from the contexts, far from the softmax, and its absence breaks no shape.",
        BACKWARD, {"context_heads)[..., None]": "context_heads)[..., None] * 0"},
        ATTENTION, layers.attention, ALL_ROWS,
    ),
    Mistake(
        "attention.mask_after_softmax", "the mask is multiplied onto the weights after the softmax",
        "Nothing flows from masked positions, as wanted. But their scores stand in the denominator, so the other "
        "weights sum to less than 1, by an amount that depends on padding. Under automatic "
        "differentiation its gradient is right, and no gradient check sees it.",
        "model.attention:attention",
        {
            "weights = softmax(scores, bias)": "weights = softmax(scores)",
            "mask = masks and masks.draw(":
            "weights = weights if bias is None else weights * (bias == 0)\n    mask = masks and masks.draw(",
        },
        f"{LOOPS}test_masked_positions_take_no_part_in_the_softmax", outputs.masked_logits,
        {"mask": outputs.PADDING},
        seen=(
            Sighting(
                "timm", 2024, "the mask of a vision transformer came after the softmax",
                "https://github.com/huggingface/pytorch-image-models/pull/2236",
            ),
            Sighting(
                "good-features", 2023, "the scores themselves were multiplied by the mask: e⁰ = 1 then takes "
                "part; with batches of one, as in the paper, there was no padding to show it",
                "https://github.com/georg-wolflein/good-features/pull/1",
            ),
        ),
        told=True,
    ),
    Mistake(
        "attention.unscaled_backward", "1/√K is missing from the backward pass",
        "It is a constant, so that the direction of the gradients of queries and keys is right, and Adam hides a "
        "scale.",
        BACKWARD, {"dscores *= dy.dtype.type(head_size**-0.5)": "pass"}, ATTENTION, layers.attention, ALL_ROWS,
        seen=(
            Sighting(
                "flash-sparse-attention", 2025, "the opposite: the queries' gradient was scaled twice",
                "https://github.com/HKUSTDial/flash-sparse-attention/pull/203",
            ),
        ),
    ),
    Mistake(
        "attention.query_unscaled", "1/√K is missing from the queries' gradient alone",
        "Much code scales the queries beforehand, and then the two gradients take the factor at different places.",
        BACKWARD, {"np.matmul(dscores, key": "np.matmul(dscores * head_size**0.5, key"},
        ATTENTION, layers.attention, ALL_ROWS,
    ),
    Mistake(
        "attention.query_and_key_swapped", "the gradients of queries and keys are swapped",
        "Both have one shape where every position asks.",
        BACKWARD, {"key, out=dquery)": "key, out=dkey)", "query, out=dkey)": "query, out=dquery)"},
        ATTENTION, layers.attention, ALL_ROWS,
    ),
    Mistake(
        "attention.key_not_transposed", "the scores' gradient is not transposed for the keys",
        "Scores are square where every position asks, so the product runs. It sums over the keys that a query "
        "reads, where it should sum over the queries that read a key.",
        BACKWARD, {"dscores.transpose(0, 1, 3, 2), query": "dscores, query"},
        ATTENTION, layers.attention, ALL_ROWS,
        seen=(
            Sighting(
                "diffusers", 2026, "keys and values were transposed twice on the way back; in a test with as many "
                "positions as heads, all shapes agree",
                "https://github.com/huggingface/diffusers/pull/14341",
            ),
            Sighting(
                "AiDotNet.Tensors", 2026, "the engine's attention backward gave wrong gradients of all three, "
                "which a numerical check found and a plain rewrite mended",
                "https://github.com/ooples/AiDotNet.Tensors/issues/49",
            ),
        ),
        told=True,
    ),
    Mistake(
        "attention.value_not_transposed", "the weights are not transposed for the values' gradient",
        "Weights are square where every position asks.",
        BACKWARD, {"cache.dropped_weights.transpose(0, 1, 3, 2)": "cache.dropped_weights"},
        ATTENTION, layers.attention, ALL_ROWS,
    ),
    Mistake(
        "attention.query_path_forgotten", "in a layer of some rows, the gradient through the queries is forgotten",
        "Keys and values give every position a gradient, so that none is zero.",
        PROJECTIONS, {"add_at_rows(dx, rows, dquery_input)": "pass"}, ATTENTION, layers.attention, SOME_ROWS,
    ),
    Mistake(
        "attention.mask_rows_not_picked", "a layer of some rows takes the mask of the first rows",
        "The shape is that of the scores, and with a mask that is the same for all queries nothing changes.",
        "model.attention:attention",
        {
            "_take_queries(bias, rows)": "bias[:, :, : scores.shape[2]]",
        },
        f"{LOOPS}test_scored_predictions_equal_the_textbook_formulas_and_so_does_the_loss", outputs.scored_logits,
    ),
    Mistake(
        "gate.not_in_context_gradient", "the context's gradient is not multiplied by the gate",
        "Gates start near ½: a factor that the next norm takes off again.",
        GATES, {"_heads(dgated, gate)[...] *= gate[..., None]": "pass"}, PARTS, layers.attention, GATED,
    ),
    Mistake(
        "gate.without_slope", "the gate's own slope, g (1 - g), is left out",
        "The gradient of the product is there, and reaches the gate's parameters. A sigmoid's slope is ¼ at its "
        "middle, so the mistake looks like a learning rate four times as large.",
        GATES, {"dgate *= gate * (1 - gate)": "pass"}, PARTS, layers.attention, GATED,
        seen=(
            Sighting(
                "RNN-LSTM-in-numpy", 2023, "a lesson's forget gate was multiplied by its value on the way back, "
                "where its slope belongs; a reader asked",
                "https://github.com/CaptainE/RNN-LSTM-in-numpy/issues/1",
            ),
        ),
        told=True,
    ),
    Mistake(
        "gate.input_path_forgotten", "the gradient through the gate does not reach the layer's input",
        "The gate's parameters have theirs.",
        PROJECTIONS, {"np.add(dx, dquery_more, out=dx)": "dx"}, PARTS, layers.attention, GATED,
    ),
    Mistake(
        "gate.input_path_of_rows_forgotten", "in a layer of some rows, the gradient through the gate does not "
        "reach the input",
        "It is another branch of the code than that for all rows.",
        PROJECTIONS, {"dquery_input += dquery_more": "pass"}, PARTS, layers.attention, GATED | {"rows": ROWS},
    ),
    Mistake(
        "gate.output_reads_ungated", "the output projection's gradient reads the context before the gate",
        "Both arrays are in the cache, and without a gate they are one.",
        BACKWARD, {"dy, cache.gated_context": "dy, cache.context"}, PARTS, layers.attention, GATED,
    ),
    Mistake(
        "qk_norm.left_out", "the backward pass of the norms on queries and keys is left out",
        "A norm keeps the shape, and gradients stay of one size.",
        BACKWARD, {"if norm_cache is not None:": "if False:"}, PARTS, layers.attention, NORMED_KEYS,
    ),
    Mistake(
        "qk_norm.turned_back_too_late", "gradients pass the norms before they are turned back by the positions",
        "Forward, norm and turn may change places, up to the gains. Backward they may not: what the norm keeps "
        "is unturned.",
        BACKWARD,
        {
            "    places.rotate_backward(dquery, dkey)\n": "",
            "    return project_backward(": "    places.rotate_backward(dquery, dkey)\n"
            "    return project_backward(",
        },
        PARTS, layers.attention, NORMED_KEYS | {"scheme": "rope"},
    ),
    Mistake(
        "window.twice_as_wide", "the window reaches w to each side, not w / 2",
        "The setting may mean either, and a short text fits into both.",
        "model.windows:windowed", {"config.attention_window // 2": "config.attention_window"},
        PARTS_IN_LOOPS, outputs.logits_of_parts, WINDOW,
        seen=(
            Sighting(
                "transformers", 2025, "one attention backend took the width for each side, so that windows "
                "differed by a token from those of the others",
                "https://github.com/huggingface/transformers/issues/39408",
            ),
        ),
    ),
    Mistake(
        "window.in_global_layers", "the local layers see everything, the global ones a window",
        "There are layers of both kinds, as wanted, and the model runs at the same speed. Weights that were "
        "trained with the one order give fluent text with the other, as long as texts are shorter than the "
        "window.",
        "model.windows:is_local", {"index % every > 0": "index % every == 0"},
        PARTS_IN_LOOPS, outputs.logits_of_parts, WINDOW,
        seen=(
            Sighting(
                "transformers", 2024, "Gemma 2's sliding layers were the odd ones, where the model has the even "
                "ones",
                "https://github.com/huggingface/transformers/pull/31775",
            ),
        ),
        told=True,
    ),
    Mistake(
        "window.mask_forgotten", "inside the window, padding is no longer masked",
        "The window is a mask, and there is one mask to give. Without padding it is the right one.",
        "model.windows:windowed", {"if attention_mask is None:": "if True:"},
        PARTS_IN_LOOPS, outputs.logits_of_parts, WINDOW,
        seen=(
            Sighting(
                "Megatron-LM", 2026, "the branch for sliding windows put its own mask in the place of the one "
                "given: padding and other documents were attended to, and nothing said so",
                "https://github.com/NVIDIA/Megatron-LM/issues/7039",
            ),
        ),
    ),
    Mistake(
        "window.local_base_forgotten", "layers with a window turn by the base of the global ones",
        "Within a window of a few tokens, the two bases differ little.",
        "model.positions.rotary:RotaryPositions.local_places", {"base is None": "True"},
        PARTS_IN_LOOPS, outputs.logits_of_parts,
        {"fields": {"attention_window": 2, "position": RopeConfig(base=20.0, local_base=3.0), "hidden_size": 8}},
        seen=(
            Sighting(
                "Ollama", 2025, "the scale of rotary positions was not kept apart for global and local layers of "
                "Gemma 3",
                "https://github.com/ollama/ollama/pull/13452",
            ),
        ),
    ),
]  # fmt: skip

"""The suite proves itself: classic mistakes are made on purpose, and for each a named check must fail.

A mutation replaces text in the source of one function or method. The changed function takes the place of the
original wherever a module holds it, and the check, one of the other files' tests, is called directly. When the
network is rewritten and a text is no longer found, its mutation has to be rewritten with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import test_auxiliary_gradients as auxiliary
import test_classifier_gradients as classifiers
import test_forward_against_loops as loops
import test_layer_gradients as layers
import test_model_gradients as whole
from support.mutations import failure, inject

from minibert.config import PositionConfig, RelativeBiasConfig, RelativeConfig, RopeConfig

ROWS = layers.ROWS


@dataclass(frozen=True)
class Mutation:
    mistake: str
    target: str
    """module:function or module:Class.method, inside minibert.model"""
    replacements: dict[str, str]
    check: Callable
    """The test that must fail"""
    arguments: dict = field(default_factory=dict)


LAYER_NORM, SOFTMAX = "norms:layer_norm_backward", "ops:softmax_backward"
ATTENTION, LAYER = "attention:attention_backward", "encoder:layer_backward"
PROJECTIONS = "projections:project_backward"
ALL_ROWS = {"mask": "none", "rows": None, "rate": 0.0}
PRE_NORM = {"norm": "pre", "rows": None, "rate": 0.0}
REPEATED_IDS = {"norm": "pre", "segments": 0, "rate": 0.0}
WHOLE = {"norm": "pre", "activation": "gelu", "dropout": 0.0}
DROPPED = {"mask": "none", "rows": None, "rate": 0.3}
SOME_ROWS = {"mask": "pairs", "rows": ROWS, "rate": 0.0}

ROTATED = {"scheme": "rope", "position_ids": None, "rows": None, "rate": 0.0}
RELATIVE = ROTATED | {"scheme": "relative"}
BUCKETS = ROTATED | {"scheme": "relative_bias"}
GATES = {"kind": "gated", "qk_norm": False, "scheme": "none", "mask": "none", "rows": None, "rate": 0.0}
NORMED_KEYS = GATES | {"kind": "softmax", "qk_norm": True}
RMS_NORM, ROWS_OF_NORM = "norms:rms_norm_backward", {"epsilon": 0.1, "shape": (4, layers.HIDDEN)}
PARTS_OF_ATTENTION = layers.test_attention_with_gates_and_normalised_queries_and_keys
OTHER_PARTS, PARTS_IN_LOOPS = (
    whole.test_loss_and_gradients_of_other_parts,
    loops.test_logits_of_other_parts_equal_the_textbook_formulas,
)
SAMPLED = {"fields": {}}
WINDOW = {"fields": {"attention_window": 2, "layers": 3, "global_every": 2}}
IN_LOOPS = loops.test_logits_of_every_position_scheme_equal_the_textbook_formulas

GAIN_OUTSIDE = {
    "dy @ (gain / size)": "dy.mean(axis=1)",
    "product @ (gain / size)": "product.mean(axis=1)",
    "np.multiply(dy, gain, out=dy)": "dy.copy()",
    "dx *= inverse_deviation": "dx *= inverse_deviation * gain",
}
"""dx = g (dy - mean(dy) - x̂ mean(dy x̂)) / σ, in several public transformers"""

MUTATIONS = [
    # layer norm
    Mutation("layer norm with its gain outside the means", LAYER_NORM, GAIN_OUTSIDE, layers.check_layer_norm),
    Mutation(
        "layer norm without the mean of dx̂", LAYER_NORM, {"dx -= mean_dx_hat[:, None]": "pass"},
        layers.check_layer_norm,
    ),
    Mutation(
        "layer norm without the slope of its deviation", LAYER_NORM,
        {"dx -= np.multiply(normalized, mean_product[:, None], out=product)": "pass"}, layers.check_layer_norm,
    ),
    Mutation(
        "layer norm not divided by the deviation", LAYER_NORM, {"dx *= inverse_deviation": "pass"},
        layers.check_layer_norm,
    ),
    Mutation(
        "gain gradient from dy instead of dy x̂", LAYER_NORM, {"column_sums(product)": "column_sums(dy)"},
        layers.check_layer_norm,
    ),
    Mutation(
        "epsilon outside the root", "norms:layer_norm",
        {"(1 / np.sqrt(variance + x.dtype.type(epsilon)))": "(1 / (np.sqrt(variance) + x.dtype.type(epsilon)))"},
        loops.test_logits_equal_the_textbook_formulas, {"norm": "pre", "activation_name": "gelu"},
    ),
    Mutation(
        "variance over size - 1", "norms:layer_norm",
        {"normalized, normalized) / size": "normalized, normalized) / (size - 1)"}, layers.check_layer_norm,
    ),
    # root mean square norm
    Mutation(
        "root mean square norm with its gain outside the mean", RMS_NORM,
        {
            "product @ (gain / size)": "product.mean(axis=-1)",
            "np.multiply(dy, gain, out=dy)": "dy.copy()",
            "dx *= inverse_root": "dx *= inverse_root * gain",
        },
        layers.test_rms_norm, ROWS_OF_NORM,
    ),
    Mutation(
        "root mean square norm without the slope of its root", RMS_NORM,
        {"dx -= np.multiply(normalized, mean_product[..., None], out=product)": "pass"},
        layers.test_rms_norm, ROWS_OF_NORM,
    ),
    Mutation(
        "root mean square norm that takes the mean off", "norms:rms_norm",
        {"mean_square = ": "x = x - x.mean(axis=-1, keepdims=True); mean_square = "},
        loops.test_logits_of_other_parts_equal_the_textbook_formulas, {"fields": {"norm_kind": "rms_norm"}},
    ),
    # linear
    Mutation(
        "bias gradient averaged instead of summed", "ops:linear_backward",
        {"column_sums(dy)": "column_sums(dy) / len(dy)"}, layers.test_linear,
    ),
    Mutation(
        "bias gradient forgotten", "ops:linear_backward", {'grads.add(f"{name}.bias", column_sums(dy))': "pass"},
        layers.test_linear,
    ),
    # activations
    Mutation(
        "GELU slope without x φ(x)", "ops:gelu",
        {
            "np.add(cumulative, x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi), out=x)":
            "x[...] = cumulative",
        },
        layers.test_activation, {"name": "gelu"},
    ),
    Mutation(
        "tanh GELU without the 3 of its cubic's slope", "ops:gelu_tanh",
        {"square *= 3 * cubic  # now u'": "square *= cubic"}, layers.test_activation, {"name": "gelu_tanh"},
    ),
    Mutation(
        "ReLU slope of one everywhere", "ops:relu", {"np.greater(x, 0, out=x)": "x[...] = 1"},
        layers.test_activation, {"name": "relu"},
    ),
    Mutation(
        "SiLU slope without y (1 - σ(x))", "ops:silu", {"x *= y": "x *= 0"},
        layers.test_activation, {"name": "silu"},
    ),
    Mutation(
        "gated unit: gradient through its gate forgotten", "feed_forward:feed_forward_backward",
        {"dx += linear_backward(": "linear_backward("}, layers.test_feed_forward, {"name": "swiglu"},
    ),
    Mutation(
        "gated unit: gate's gradient without the value", "feed_forward:feed_forward_backward",
        {"dactive *= cache.value": "pass"}, layers.test_feed_forward, {"name": "geglu"},
    ),
    Mutation(
        "gated unit: activation on the value instead of the gate", "feed_forward:feed_forward",
        {
            "= activation(pre_gate, GATED": "= activation(inner, GATED",
            "value = inner": "value = pre_gate",
        },
        loops.test_logits_of_other_parts_equal_the_textbook_formulas, {"fields": {"activation": "swiglu"}},
    ),
    Mutation(
        "activation's backward pass left out", "feed_forward:feed_forward_backward",
        {"dinner = activation_backward(dactive, cache.slope)": "dinner = dactive"},
        layers.test_feed_forward, {"name": "gelu"},
    ),
    Mutation(
        "activation's backward pass left out of the head", "heads:mlm_head_backward",
        {"activation_backward(dx, cache.slope)": "dx"},
        layers.test_mlm_head, {"name": "gelu", "kind": "layer_norm"},
    ),
    # softmax and attention
    Mutation("softmax without its second term", SOFTMAX, {"dweights -= row_dot": "pass"}, layers.test_softmax),
    Mutation("softmax not times its weights", SOFTMAX, {"dweights *= weights": "pass"}, layers.test_softmax),
    Mutation(
        "attention's row term left at zero", ATTENTION,
        {"context_heads)[..., None]": "context_heads)[..., None] * 0"}, layers.test_attention, ALL_ROWS,
    ),
    Mutation(
        "mask applied after the softmax", "attention:attention",
        {
            "weights = softmax(scores, bias)": "weights = softmax(scores)",
            "mask = masks and masks.draw(":
            "weights = weights if bias is None else weights * (bias == 0)\n    mask = masks and masks.draw(",
        },
        loops.test_masked_positions_take_no_part_in_the_softmax, {"mask": loops.PADDING},
    ),
    Mutation(
        "1/√K missing from the backward pass", ATTENTION, {"dscores *= dy.dtype.type(head_size**-0.5)": "pass"},
        layers.test_attention, ALL_ROWS,
    ),
    Mutation(
        "1/√K missing from the query's gradient alone", ATTENTION,
        {"np.matmul(dscores, key": "np.matmul(dscores * head_size**0.5, key"}, layers.test_attention, ALL_ROWS,
    ),
    Mutation(
        "dQ and dK swapped", ATTENTION,
        {"key, out=dquery)": "key, out=dkey)", "query, out=dkey)": "query, out=dquery)"},
        layers.test_attention, ALL_ROWS,
    ),
    Mutation(
        "scores' gradient not transposed for dK", ATTENTION,
        {"dscores.transpose(0, 1, 3, 2), query": "dscores, query"}, layers.test_attention, ALL_ROWS,
    ),
    Mutation(
        "weights' gradient not transposed for dV", ATTENTION,
        {"cache.dropped_weights.transpose(0, 1, 3, 2)": "cache.dropped_weights"}, layers.test_attention, ALL_ROWS,
    ),
    Mutation(
        "trimmed layer: gradient through the queries forgotten", PROJECTIONS,
        {"add_at_rows(dx, rows, dquery_input)": "pass"}, layers.test_attention, SOME_ROWS,
    ),
    Mutation(
        "trimmed layer: rows of a mask not picked", "attention:attention",
        {
            "_take_queries(bias, rows)": "bias[:, :, : scores.shape[2]]",
        },
        loops.test_scored_predictions_equal_the_textbook_formulas_and_so_does_the_loss,
    ),
    # gates, normalised queries and keys
    Mutation(
        "gate not in the context's gradient", "gating:gate_heads_backward",
        {"_heads(dgated, gate)[...] *= gate[..., None]": "pass"}, PARTS_OF_ATTENTION, GATES,
    ),
    Mutation(
        "gate without its own slope", "gating:gate_heads_backward", {"dgate *= gate * (1 - gate)": "pass"},
        PARTS_OF_ATTENTION, GATES,
    ),
    Mutation(
        "gradient through the gate to the layer's input forgotten", PROJECTIONS,
        {"np.add(dx, dquery_more, out=dx)": "dx"}, PARTS_OF_ATTENTION, GATES,
    ),
    Mutation(
        "trimmed layer: gradient through the gate forgotten", PROJECTIONS,
        {"dquery_input += dquery_more": "pass"}, PARTS_OF_ATTENTION, GATES | {"rows": ROWS},
    ),
    Mutation(
        "gate read by the output projection's input gradient alone", ATTENTION,
        {"dy, cache.gated_context": "dy, cache.context"}, PARTS_OF_ATTENTION, GATES,
    ),
    Mutation(
        "normalised queries and keys: backward pass left out", ATTENTION,
        {"if norm_cache is not None:": "if False:"}, PARTS_OF_ATTENTION, NORMED_KEYS,
    ),
    Mutation(
        "keys turned before they are normalised in the backward pass", ATTENTION,
        {
            "    places.rotate_backward(dquery, dkey)\n": "",
            "    return project_backward(": "    places.rotate_backward(dquery, dkey)\n"
            "    return project_backward(",
        },
        PARTS_OF_ATTENTION, NORMED_KEYS | {"scheme": "rope"},
    ),
    # dropout
    Mutation(
        "dropout on attention weights not in their gradient", ATTENTION,
        {"dropout(dweights, cache.dropout)": "pass"}, layers.test_attention, DROPPED,
    ),
    Mutation(
        "dropout on attention weights not in dV", ATTENTION,
        {"cache.dropped_weights.transpose": "cache.weights.transpose"}, layers.test_attention, DROPPED,
    ),
    Mutation(
        "dropout on a branch not in its gradient", "encoder:_undrop", {"if mask is None:": "if True:"},
        layers.test_layer, {"norm": "pre", "rows": None, "rate": 0.3},
    ),
    Mutation(
        "trimmed layer: dropout of the first rows, not of the rows computed", "encoder:_drop",
        {"take_rows(mask, rows)": "mask[: rows.size]"},
        whole.test_a_trimmed_last_layer_equals_the_full_computation, {"norm": "pre", "dropout": 0.25},
    ),
    Mutation(
        "dropout on the embeddings not in their gradient", "embeddings:embeddings_backward",
        {"dropout(dx.reshape(batch, tokens, -1), cache.dropout)": "pass"},
        layers.test_embeddings_with_repeated_ids, {"norm": "pre", "segments": 2, "rate": 0.3},
    ),
    # residual paths and norms of a layer
    Mutation(
        "residual path around attention forgotten", LAYER, {"dbranch += dy": "pass"},
        layers.test_layer, PRE_NORM,
    ),
    Mutation(
        "residual path around the feed-forward network forgotten", LAYER,
        {"np.add(dbranch, dz, out=dbranch)": "dbranch"}, layers.test_layer, PRE_NORM,
    ),
    Mutation(
        "residual path of a trimmed layer forgotten", LAYER,
        {"add_at_rows(dbranch, cache.attention.rows, dy)": "pass"},
        layers.test_layer, {"norm": "post", "rows": ROWS, "rate": 0.0},
    ),
    Mutation(
        "residual path written over by the branch", LAYER,
        {
            "dbranch = _undrop(dz, cache.feed_forward_dropout, work)":
            "dbranch = dz = _undrop(dz, cache.feed_forward_dropout, work)",
        },
        layers.test_layer, {"norm": "pre", "rows": None, "rate": 0.3},
    ),
    Mutation(
        "final norm's backward pass left out", "encoder:final_norm_backward",
        {"dx if cache is None else": "dx if True else"},
        layers.test_final_norm, {"norm": "pre", "kind": "layer_norm"},
    ),
    # what a network may leave out, and local layers
    Mutation(
        "attention norm of every layer left out of the backward pass, not the first's alone", LAYER,
        {"if pre and cache.attention_norm is not None:": "if False:"},
        OTHER_PARTS, {"fields": whole.EMBEDDED, "dropout": 0.0},
    ),
    Mutation(
        "norm on the embeddings of a pre-norm network: backward pass left out", "embeddings:embeddings_backward",
        {"if cache.norm is not None:": "if False:"}, OTHER_PARTS, {"fields": whole.EMBEDDED, "dropout": 0.0},
    ),
    Mutation(
        "untied weights: the embeddings in the head's backward pass", "heads:mlm_head_backward",
        {"cache.output_weight.T": 'params["embeddings.token.weight"]'},
        OTHER_PARTS, {"fields": {"tie_word_embeddings": False}, "dropout": 0.0},
    ),
    Mutation(
        "untied weights: gradient given to the embeddings", "heads:mlm_head_backward",
        {'untied, h = "mlm_head.weight" in params': "untied, h = False"},
        OTHER_PARTS, {"fields": {"tie_word_embeddings": False}, "dropout": 0.0},
    ),
    Mutation(
        "window of twice the width", "windows:windowed",
        {"config.attention_window // 2": "config.attention_window"},
        PARTS_IN_LOOPS, WINDOW,
    ),
    Mutation(
        "window in the global layers", "windows:is_local", {"index % every > 0": "index % every == 0"},
        PARTS_IN_LOOPS, WINDOW,
    ),
    Mutation(
        "mask forgotten inside the window", "windows:windowed", {"if attention_mask is None:": "if True:"},
        PARTS_IN_LOOPS, WINDOW,
    ),
    Mutation(
        "base of the local layers forgotten", "positions.rotary:RotaryPositions.local_places",
        {"base is None": "True"}, PARTS_IN_LOOPS,
        {"fields": {"attention_window": 2, "position": RopeConfig(base=20.0, local_base=3.0), "hidden_size": 8}},
    ),
    # embeddings and tied weights
    Mutation(
        "repeated ids lost by grad[ids] += d", "parameters:Gradients.add_rows",
        {
            "self[name][distinct] += summing @ values":
            "self[name][rows] += values",
        },
        layers.test_embeddings_with_repeated_ids, REPEATED_IDS,
    ),
    Mutation(
        "embedding norm's backward pass left out", "embeddings:embeddings_backward",
        {"if cache.norm is not None:": "if False:"},
        layers.test_embeddings_with_repeated_ids, {"norm": "post", "segments": 0, "rate": 0.0},
    ),
    Mutation(
        "position gradient of the first sequence alone", "positions.absolute:AbsolutePositions.embed_backward",
        {"dx.sum(axis=0, out=gradient[: dx.shape[1]])": "gradient[: dx.shape[1]] = dx[0]"},
        layers.test_embeddings_with_repeated_ids, REPEATED_IDS,
    ),
    Mutation(
        "position gradient averaged over the batch", "positions.absolute:AbsolutePositions.embed_backward",
        {"dx.sum(axis=0": "dx.mean(axis=0"}, layers.test_embeddings_with_repeated_ids, REPEATED_IDS,
    ),
    Mutation(
        "segment gradient forgotten", "embeddings:embeddings_backward",
        {"if cache.segment_ids is not None:": "if False:"},
        layers.test_embeddings_with_repeated_ids, {"norm": "pre", "segments": 2, "rate": 0.0},
    ),
    Mutation(
        "tied embeddings: the head's part forgotten", "heads:mlm_head_backward",
        {"grads.add_product(name, left, right)": "pass"},
        whole.test_loss_and_gradients, WHOLE,
    ),
    Mutation(
        "tied embeddings: the input's part forgotten", "embeddings:embeddings_backward",
        {'grads.add_rows("embeddings.token.weight", cache.input_ids.reshape(-1), dx)': "pass"},
        whole.test_loss_and_gradients, WHOLE,
    ),
    # a sample of the vocabulary
    Mutation(
        "sampled words: scores not raised by -log π", "heads:mlm_head",
        {"bias[words.ids] + words.raised": "bias[words.ids]"},
        whole.test_the_loss_over_a_sample_of_words_is_that_of_the_formula, SAMPLED,
    ),
    Mutation(
        "sampled words: gradient of the first rows of the table", "heads:mlm_head_backward",
        {"(slice(None), ids) if untied else ids": "np.arange(len(ids))"},
        whole.test_loss_and_gradients_over_a_sample_of_words, SAMPLED,
    ),
    Mutation(
        "sampled words: untied gradient of the first columns", "heads:mlm_head_backward",
        {"(slice(None), ids) if untied else ids": "(slice(None), np.arange(len(ids)))"},
        whole.test_loss_and_gradients_over_a_sample_of_words, {"fields": {"tie_word_embeddings": False}},
    ),
    Mutation(
        "sampled words: gradient of the first biases", "heads:mlm_head_backward",
        {'"mlm_head.bias", ids': '"mlm_head.bias", np.arange(len(ids))'},
        whole.test_loss_and_gradients_over_a_sample_of_words, SAMPLED,
    ),
    Mutation(
        "sampled words: labels not found in the sample", "words:WordSample.places",
        {"np.searchsorted(self.ids, labels)": "labels % len(self.ids)"},
        whole.test_the_loss_over_a_sample_of_words_is_that_of_the_formula, SAMPLED,
    ),
    # positions
    Mutation(
        "rotary gradients turned on instead of back", "positions.rotary:RotaryPlaces.rotate_backward",
        {"self.query_turns.conj()": "self.query_turns"}, layers.test_attention_that_knows_positions, ROTATED,
    ),
    Mutation(
        "rotary gradients of the keys not turned back", "positions.rotary:RotaryPlaces.rotate_backward",
        {"_turn(dkey, self.key_turns.conj())": "pass"}, layers.test_attention_that_knows_positions, ROTATED,
    ),
    Mutation(
        "trimmed layer: queries turned as the first positions", "positions.rotary:RotaryPlaces.at",
        {"take_queries(self.query_turns, rows)": "self.query_turns[:, : rows.shape[1]]"},
        whole.test_a_trimmed_last_layer_equals_the_full_computation_in_every_position_scheme,
        {"position": RopeConfig(base=50.0)},
    ),
    Mutation(
        "rotary frequencies of another exponent", "positions.rotary:RotaryPositions._turning",
        {"np.arange(pairs) / pairs": "np.arange(pairs) / (2 * pairs)"},
        IN_LOOPS, {"position": RopeConfig(base=20.0)},
    ),
    Mutation(
        "relative keys not in the query's gradient", "positions.relative:RelativePlaces.add_to_scores_backward",
        {"dquery += np.matmul(dproducts, params[name])": "pass"},
        layers.test_attention_that_knows_positions, RELATIVE,
    ),
    Mutation(
        "relative values not in the weights' gradient",
        "positions.relative:RelativePlaces.add_to_context_backward",
        {"dweights += ": "_ = "}, layers.test_attention_that_knows_positions, RELATIVE,
    ),
    Mutation(
        "relative gradient of one head alone", "positions.relative:RelativePlaces.add_to_scores_backward",
        {"query).sum(axis=(0, 1))": "query)[:, 0].sum(axis=0)"},
        layers.test_attention_that_knows_positions, RELATIVE,
    ),
    Mutation(
        "distances from key to query", "positions.scheme:distances",
        {"plain = columns - columns[:, None]": "plain = columns[:, None] - columns"},
        IN_LOOPS, {"position": RelativeConfig(distance=2)},
    ),
    Mutation(
        "distances across a packed row", "positions.scheme:distances",
        {"return given if differ.any() else plain[None]": "return plain[None]"},
        whole.test_positions_between_pieces_count_where_no_mask_keeps_them_apart,
        {"position": RelativeConfig(distance=2)},
    ),
    Mutation(
        "gradient of a bias not times √K", "positions.biases:LearnedBiasPlaces.add_to_scores_backward",
        {"self.scale * sums": "sums"}, layers.test_attention_that_knows_positions, BUCKETS,
    ),
    Mutation(
        "gradient of a bias of the first sequence alone",
        "positions.biases:LearnedBiasPlaces.add_to_scores_backward",
        {"np.ones((1, batch), dscores.dtype)": "np.eye(1, batch, dtype=dscores.dtype)"},
        layers.test_attention_that_knows_positions, BUCKETS,
    ),
    Mutation(
        "one bucket for both directions", "positions.biases:RelativeBiasPositions.bucket",
        {"(apart > 0) * len(edges)": "0"}, IN_LOOPS, {"position": RelativeBiasConfig(buckets=8, farthest=3)},
    ),
    Mutation(
        "a penalty on keys behind the query alone", "positions.biases:AlibiPositions.places",
        {"np.abs(": "np.maximum(0, "}, IN_LOOPS, {"position": PositionConfig("alibi")},
    ),
    Mutation(
        "a penalty divided by √K", "positions.biases:AlibiPositions.places",
        {" * np.sqrt(config.hidden_size // config.heads)": ""}, IN_LOOPS, {"position": PositionConfig("alibi")},
    ),
    Mutation(
        "cosines before sines", "positions.absolute:SinusoidalPositions.table",
        {"[np.sin(angles), np.cos(angles)]": "[np.cos(angles), np.sin(angles)]"},
        IN_LOOPS, {"position": PositionConfig("sinusoidal")},
    ),
    # loss and accumulation
    Mutation(
        "cross-entropy gradient not divided by the count", "ops:cross_entropy",
        {"(total * logits.dtype.type(count))": "total", "logits.dtype.type(1 / count)": "1"},
        layers.test_cross_entropy, {"count": 4},
    ),
    Mutation(
        "cross-entropy divided by its own rows instead of the count", "ops:cross_entropy",
        {"losses = np.empty(len(labels))": "count = len(labels); losses = np.empty(count)"},
        whole.test_parts_of_a_batch_sum_to_the_whole, {"dropout": 0.0},
    ),
    Mutation(
        "cross-entropy without its one-hot part", "ops:cross_entropy",
        {"block[rows, wanted] -= logits.dtype.type(1 / count)": "pass"}, layers.test_cross_entropy, {"count": 4},
    ),
    Mutation(
        "gradients of scored rows put in front instead of in place", "bert:MiniBERT._unchoose",
        {"full[chosen.reshape(-1)] = dx": "full[: len(dx)] = dx"}, whole.test_loss_and_gradients, WHOLE,
    ),
    Mutation(
        "a second gradient replaces the first", "parameters:Gradients.add",
        {"self[name] += value": "self[name] = value"}, whole.test_accumulating_twice_doubles, {"way": "backward"},
    ),
    Mutation(
        "a gradient adds to what was there before it was cleared", "parameters:Gradients.clear",
        {"self._touched.clear()": "pass"}, whole.test_accumulating_twice_doubles, {"way": "loss_and_gradients"},
    ),
    Mutation(
        "a second product replaces the first", "parameters:Gradients.add_product",
        {"self[name] += left @ right": "self[name] = left @ right"},
        layers.test_gradients_accumulate_until_they_are_cleared,
    ),
    # auxiliary heads
    Mutation(
        "auxiliary head without the slope of its tanh", "auxiliary_heads:auxiliary_head_backward",
        {"dx *= 1 - cache.pooled**2": "pass"}, auxiliary.test_auxiliary_head,
    ),
    Mutation(
        "weight of an auxiliary task in its loss alone", "auxiliary_heads:auxiliary_losses",
        {"dlogits *= x.dtype.type(task.weight)": "pass"},
        auxiliary.test_a_task_alone_without_masked_words, {"name": "sop"},
    ),
    Mutation(
        "gradient of one auxiliary task over that of another", "auxiliary_heads:auxiliary_losses",
        {"dx[rows] += auxiliary_head_backward": "dx[rows] = auxiliary_head_backward"},
        auxiliary.test_loss_and_gradients_with_auxiliary_tasks,
        {"norm": "pre", "recompute": False, "dropout": 0.0},
    ),
    Mutation(
        "gradient of the auxiliary heads instead of the MLM head's", "bert:MiniBERT.backward",
        {"dread[cache.predicted] += dhead": "pass"},
        auxiliary.test_loss_and_gradients_with_auxiliary_tasks,
        {"norm": "pre", "recompute": False, "dropout": 0.0},
    ),
    # classification head
    Mutation(
        "gradient of a sentence's mean not divided by its length", "classifier:classification_head_backward",
        {"dpooled /= cache.lengths[:, None].astype(dpooled.dtype)": "pass"},
        classifiers.test_classification_head, {"dropout": 0.0},
    ),
    Mutation(
        "gradient of a sentence's mean divided by the mean length", "classifier:classification_head_backward",
        {"cache.lengths[:, None]": "cache.lengths.mean(keepdims=True)[:, None]"},
        classifiers.test_classification_head, {"dropout": 0.0},
    ),
    Mutation(
        "dropout before the classes in the forward pass alone", "classifier:classification_head_backward",
        {"dropout(dpooled, cache.dropout)": "pass"}, classifiers.test_classification_head, {"dropout": 0.25},
    ),
    Mutation(
        "padding in the mean of a sentence", "classifier:SentenceClassifier._read",
        {"read = np.asarray(inputs.mask, bool)": "pass"}, classifiers.test_padding_changes_nothing,
    ),
]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.mistake)
def test_a_mistake_is_caught(mutation, monkeypatch):
    """Red with the mistake, green without it."""
    with monkeypatch.context() as patch:
        inject(patch, mutation.target, mutation.replacements)
        found = failure(mutation.check, **mutation.arguments)
    assert found, f"{mutation.check.__name__}{mutation.arguments} passes although: {mutation.mistake}"
    assert failure(mutation.check, **mutation.arguments) is None


def test_a_gain_outside_the_means_is_invisible_while_gains_are_one(monkeypatch):
    """Why parameters are moved away from where they start: a check at initialisation passes this mistake."""
    inject(monkeypatch, LAYER_NORM, GAIN_OUTSIDE)
    assert failure(layers.check_layer_norm, gain=1.0) is None
    assert failure(layers.check_layer_norm)


def test_a_mutation_of_text_that_is_not_there_is_refused(monkeypatch):
    with pytest.raises(AssertionError, match="holds 0 times"):
        inject(monkeypatch, LAYER_NORM, {"no such text": ""})


def test_every_mutation_has_its_own_name():
    assert len({mutation.mistake for mutation in MUTATIONS}) == len(MUTATIONS)

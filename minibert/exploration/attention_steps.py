"""The steps of one layer's attention."""

from collections.abc import Iterator

import numpy as np

from minibert.exploration.steps import Step, steps_of
from minibert.model.attention import AttentionCache
from minibert.model.bert import MiniBERT
from minibert.model.norms import rms_norm
from minibert.model.ops import linear
from minibert.model.positions import Places
from minibert.model.projections import project
from minibert.model.windows import is_local


def attention_steps(model: MiniBERT, kept: AttentionCache, place: str, index: int) -> Iterator[Step]:
    """Queries, keys and values; scores and what positions add to them; weights, context, output."""
    step, params, config, places = steps_of(place), model.params, model.config, type(kept.places)
    bias = " + b" if config.attention_bias else ""
    size = config.hidden_size // config.heads
    _, query, key, value = project(kept.input, kept.input, 1, None, place, params, config)
    for name, letter, array, said in (
        ("query", "Q", query, "What each token asks for."),
        ("key", "K", key, "What each token answers to."),
        ("value", "V", value, "What each token gives to those that attend to it."),
    ):
        yield step(name, f"{letter} = x W_{letter}{bias}", "H T K", array[0].copy(), said)
    if config.qk_norm:
        query, _ = rms_norm(query, params[f"{place}.query_norm.gain"], config.norm_epsilon)
        key, _ = rms_norm(key, params[f"{place}.key_norm.gain"], config.norm_epsilon)
        yield step("query_norm", "Q / rms(Q) · gain", "H T K", query[0].copy(), "Queries of one length.")
        yield step("key_norm", "K / rms(K) · gain", "H T K", key[0].copy(), "Keys of one length.")
    if places.rotate is not Places.rotate:
        said = "Pairs of entries turned by the token's position: products then know the distance."
        yield step("query_turned", "Q e^{itω}", "H T K", kept.query[0], said)
        yield step("key_turned", "K e^{itω}", "H T K", kept.key[0], said)
    products = np.matmul(kept.query, kept.key.transpose(0, 1, 3, 2))
    formula = "Q Kᵀ"
    if places.add_to_scores is not Places.add_to_scores:
        yield step("products", formula, "H T T", products[0].copy(), "How well each question meets each key.")
        kept.places.add_to_scores(products, kept.query, place, params)
        formula = "(Q Kᵀ + positions)"
    products *= products.dtype.type(size**-0.5)
    said = "How well each question meets each key, at a scale that does not grow with the size of a head."
    yield step("scores", f"S = {formula} / √{size}", "H T T", products[0], said)
    window = ", 0 beyond the window" if is_local(index, config) else ""
    said = "Row i is what token i attends to: shares that sum to one."
    yield step("weights", f"A = softmax(S){window}", "H T T", kept.weights[0], said)
    context = kept.context.reshape(-1, config.heads, size).transpose(1, 0, 2)
    extra = " + A R" if kept.weights_by_distance is not None else ""
    yield step("context", f"C = A V{extra}", "H T K", context, "Each token's mean of the values, by its weights.")
    read = "C"
    if kept.gate is not None:
        gated = kept.gated_context.reshape(-1, config.heads, size).transpose(1, 0, 2)
        said = "One number for each head and token: how much of the head passes."
        yield step("gate", "g = σ(x W_gate + b)", "H T", kept.gate.T, said)
        yield step("gated_context", "g · C", "H T K", gated, "What passes the gate.")
        read = "g · C"
    y, _ = linear(kept.gated_context, params[f"{place}.output.weight"], params.get(f"{place}.output.bias"))
    said = "The heads side by side, mixed: what attention adds to each token."
    yield step("output", f"y = concat({read}) W_O{bias}", "T D", y, said)

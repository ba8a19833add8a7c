"""The formulas of a transformer layer, worked through on given arrays, with everything on the way."""

from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np

from minibert.config import ModelConfig
from minibert.diagnostics.activations.measures import (
    ActivationStatistics,
    TopTokens,
    UnitActivity,
    compute_activation_statistics,
    compute_unit_activity,
    find_top_tokens,
    real_positions,
)
from minibert.errors import MinibertError
from minibert.model.attention import attention_bias
from minibert.model.bert import MiniBERT
from minibert.model.feed_forward import GATED, feed_forward
from minibert.model.norms import layer_norm
from minibert.model.ops import softmax


@dataclass(frozen=True)
class Intermediate:
    """One array on the way, with what it is and how large its numbers are."""

    formula: str
    array: np.ndarray
    statistics: ActivationStatistics

    @classmethod
    def of(cls, formula: str, array: np.ndarray) -> "Intermediate":
        return cls(formula, array, compute_activation_statistics(array))


class Computation:
    """A frozen dataclass of intermediates, in the order in which they are computed; printed, a table of them."""

    @property
    def intermediates(self) -> dict[str, Intermediate]:
        """All of them by name, in order."""
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "formula", "shape", "mean", "deviation", "minimum", "maximum")]
        for name, each in self.intermediates.items():
            found = each.statistics
            numbers = (found.mean, found.deviation, found.minimum, found.maximum)
            rows.append((name, each.formula, str(found.shape), *(f"{number:.4g}" for number in numbers)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True)
class AttentionComputation(Computation):
    """softmax(QKᵀ / √K) V from its parts to its end."""

    query: Intermediate
    """(..., R, K)"""
    key: Intermediate
    """(..., T, K)"""
    value: Intermediate
    """(..., T, K)"""
    scores: Intermediate
    """(..., R, T)"""
    scaled_scores: Intermediate
    """(..., R, T): the division keeps the deviation of K summands near that of one"""
    weights: Intermediate
    """(..., R, T): every row sums to one"""
    entropy: Intermediate
    """(..., R) nats: 0 where all weight is on one token, log T where it is spread evenly"""
    context: Intermediate
    """(..., R, K)"""


@dataclass(frozen=True)
class LayerNormComputation(Computation):
    """x̂ γ + β from its parts to its end."""

    before: Intermediate
    """(..., D)"""
    row_mean: Intermediate
    """(...)"""
    row_variance: Intermediate
    """(...)"""
    normalized: Intermediate
    """(..., D): each row with mean 0 and variance 1"""
    after: Intermediate
    """(..., D)"""


@dataclass(frozen=True)
class FeedForwardPatterns:
    """What the units of one feed-forward layer respond to."""

    layer: int
    activation: str
    responses: Intermediate
    """(N, F): what the activation function gives, in a gated unit the gate; active where it is positive"""
    activity: UnitActivity
    """``share``, ``selectivity``, ``dead_units``, ...:
    :func:`minibert.diagnostics.activations.measures.compute_unit_activity`"""
    top_tokens: TopTokens | None
    """None where it is not known which token each row is of"""
    words: list[list[str]] | None
    """The same as text, where there is a tokenizer"""

    def __str__(self) -> str:
        activity, units = self.activity, len(self.activity.share)
        lines = [
            f"layer {self.layer}, {units} units ({self.activation}) over {activity.positions} positions",
            f"responses: {self.responses.statistics}",
            f"active: {activity.active_share:.1%} of all pairs of unit and position; "
            f"units from {activity.share.min():.1%} to {activity.share.max():.1%}",
            f"dead: {len(activity.dead_units)} of {units}",
            f"selectivity (0 everywhere alike, 1 one position only): mean {activity.mean_selectivity:.3f}",
        ]
        if self.top_tokens is not None:
            lines.append("the most selective units, and the tokens that they respond to most:")
            for unit in np.argsort(-np.nan_to_num(activity.selectivity, nan=-1), kind="stable")[:5]:
                named = self.words[unit] if self.words else map(str, self.top_tokens.tokens[unit])
                pairs = zip(named, self.top_tokens.responses[unit], strict=True)
                tokens = ", ".join(f"{token} {response:.3g}" for token, response in pairs)
                lines.append(f"  unit {unit} ({activity.selectivity[unit]:.3f}): {tokens}")
        return "\n".join(lines)


class MathematicalAnalyzer:
    """Works through the formulas of a layer, and keeps every array on the way, with its shape and statistics.

    Attention and layer norm take any arrays; the feed-forward layer is that of the ``model``. With a
    ``tokenizer``, tokens are shown as text. What the methods return can be printed, and has everything as fields.

    >>> model = create_model("tiny")  # doctest: +SKIP
    >>> input_ids = np.arange(5, 37).reshape(2, 16)  # doctest: +SKIP
    >>> _, cache = model.forward(input_ids)  # doctest: +SKIP
    >>> analyzer = MathematicalAnalyzer(model)  # doctest: +SKIP
    >>> seen = cache.layers[0].attention  # doctest: +SKIP
    >>> print(analyzer.analyze_attention_computation(seen.query, seen.key, seen.value))  # doctest: +SKIP
    >>> gain, bias = model.params["final_norm.gain"], model.params["final_norm.bias"]  # doctest: +SKIP
    >>> print(analyzer.analyze_layer_norm_statistics(cache.hidden_states[1], gain, bias))  # doctest: +SKIP
    >>> print(analyzer.analyze_ffn_activation_patterns(input_ids, layer=0))  # doctest: +SKIP

    Of a tracked run: ``run = load_run(run_id)``, then ``MathematicalAnalyzer(run.model, run.tokenizer)``.
    """

    def __init__(self, model: MiniBERT | None = None, tokenizer=None):
        self.model = model
        self.tokenizer = tokenizer

    def analyze_attention_computation(self, Q, K, V, attention_mask=None) -> AttentionComputation:
        """softmax(QKᵀ / √K) V: Q (..., R, K), K and V (..., T, K) -> context (..., R, K).

        ``attention_mask`` (B, T) bool, True at real tokens, or (B, R, T), as for :meth:`MiniBERT.forward`; it goes
        with queries (B, H, R, K). What a position scheme adds to the scores is no part of the formula: with the
        query and key of a cache, the weights are those of the network where the scheme is absolute, sinusoidal,
        rope or none.

        Vaswani et al., "Attention Is All You Need", NeurIPS 2017. Raises :class:`MinibertError` for shapes that do
        not go together.
        """
        query, key, value = (_floats(array) for array in (Q, K, V))
        if (
            min(query.ndim, key.ndim) < 2
            or key.shape != value.shape
            or (query.shape[:-2] + query.shape[-1:] != key.shape[:-2] + key.shape[-1:])
        ):
            raise MinibertError(
                f"Q, K, V: shapes {query.shape}, {key.shape}, {value.shape} were given. "
                "Allowed: (..., R, K), (..., T, K), (..., T, K)."
            )
        size = query.shape[-1]
        scores = query @ np.swapaxes(key, -1, -2)
        scaled = scores * scores.dtype.type(size**-0.5)
        bias = None
        if attention_mask is not None:
            attention_mask = np.asarray(attention_mask, bool)
            batch, asking, tokens = scores.shape[0], *scores.shape[-2:]
            if scores.ndim != 4 or attention_mask.shape not in ((batch, tokens), (batch, asking, tokens)):
                raise MinibertError(
                    f"attention_mask: shape {attention_mask.shape} was given with scores {scores.shape}. "
                    "Allowed: (B, T) or (B, R, T), with scores (B, H, R, T)."
                )
            bias = attention_bias(attention_mask, scores.dtype)
        weights = softmax(scaled.copy(), bias)
        logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
        return AttentionComputation(
            Intermediate.of("Q", query),
            Intermediate.of("K", key),
            Intermediate.of("V", value),
            Intermediate.of("S = Q Kᵀ", scores),
            Intermediate.of(f"S / √{size}", scaled),
            Intermediate.of("A = softmax(S / √K)", weights),
            Intermediate.of("-Σ A log A", -(weights * logs).sum(axis=-1)),
            Intermediate.of("A V", weights @ value),
        )

    def analyze_layer_norm_statistics(self, x, gamma, beta, epsilon: float | None = None) -> LayerNormComputation:
        """y = x̂ γ + β with x̂ = (x - mean(x)) / √(var(x) + ε), over the last axis.    x (..., D) -> y (..., D)

        ``gamma`` and ``beta`` (D,); ``epsilon`` is that of the model, or of the default configuration.

        Ba, Kiros and Hinton, "Layer Normalization", 2016. Raises :class:`MinibertError` for shapes that do not go
        together.
        """
        x, gamma, beta = _floats(x), np.asarray(gamma), np.asarray(beta)
        if not x.ndim or gamma.shape != x.shape[-1:] or beta.shape != x.shape[-1:]:
            raise MinibertError(
                f"x, gamma, beta: shapes {x.shape}, {gamma.shape}, {beta.shape} were given. "
                "Allowed: (..., D), (D,), (D,)."
            )
        if epsilon is None:
            epsilon = (self.model.config if self.model else ModelConfig()).norm_epsilon
        y, cache = layer_norm(x.reshape(-1, x.shape[-1]), gamma.astype(x.dtype), beta.astype(x.dtype), epsilon)
        return LayerNormComputation(
            Intermediate.of("x", x),
            Intermediate.of("mean(x)", x.mean(axis=-1)),
            Intermediate.of("var(x)", x.var(axis=-1)),
            Intermediate.of("(x - mean(x)) / √(var(x) + ε)", cache.normalized.reshape(x.shape)),
            Intermediate.of("normalized · γ + β", y.reshape(x.shape)),
        )

    def analyze_ffn_activation_patterns(
        self, x, layer: int, token_ids=None, attention_mask=None, top: int = 5
    ) -> FeedForwardPatterns:
        """How often, how selectively and at which tokens the units of feed-forward layer ``layer`` are active.

        ``x`` is either token ids (B, T), which the network reads first, with ``attention_mask`` and without
        dropout; or what the feed-forward layer reads, (N, D) or (B, T, D), as in
        ``cache.layers[layer].feed_forward.input``. Then ``token_ids``, N of them, may say which token each row is
        of. Of each unit, the ``top`` tokens are kept.
        :func:`minibert.diagnostics.activations.measures.compute_unit_activity` has the definitions.

        Raises :class:`MinibertError` without a model, for a layer that there is none of, and for shapes that do
        not fit the model.
        """
        if self.model is None:
            raise MinibertError("MathematicalAnalyzer(): has no model. Give one: MathematicalAnalyzer(model).")
        config, x = self.model.config, np.asarray(x)
        if not 0 <= layer < config.layers:
            raise MinibertError(f"layer={layer}: there is none. Allowed: 0 to {config.layers - 1}.")
        if np.issubdtype(x.dtype, np.integer):
            _, cache = self.model.forward(x, attention_mask)
            read, token_ids = cache.layer(layer).feed_forward, x.reshape(-1)
        elif x.ndim > 1 and x.shape[-1] == config.hidden_size:
            rows = np.ascontiguousarray(x.reshape(-1, config.hidden_size), config.dtype)
            _, read = feed_forward(rows, f"layers.{layer}.feed_forward", self.model.params, config)
        else:
            raise MinibertError(
                f"x: shape {x.shape} and type {x.dtype} were given. Allowed: token ids (B, T), or rows "
                f"(N, {config.hidden_size}) that the feed-forward layer reads."
            )
        responses = read.active if read.gate is None else read.gate
        real = real_positions(attention_mask)
        if attention_mask is not None and real is not None:
            if real.size != len(responses):
                raise MinibertError(
                    f"attention_mask: shape {np.shape(attention_mask)} was given with {len(responses)} rows. "
                    "Allowed: (B, T) or (B, T, T), with B·T rows."
                )
            responses = responses[real.reshape(-1)]
            token_ids = None if token_ids is None else np.asarray(token_ids).reshape(-1)[real.reshape(-1)]
        found = None if token_ids is None else find_top_tokens(responses, token_ids, top)
        words = None
        if found is not None and self.tokenizer is not None:
            words = [[self.tokenizer.id_to_token(int(token)) for token in row] for row in found.tokens]
        formula = (
            f"{GATED[config.activation]}(x W_gate + b)"
            if read.gate is not None
            else f"{config.activation}(x W_in + b)"
        )
        return FeedForwardPatterns(
            layer,
            config.activation,
            Intermediate.of(formula, responses),
            compute_unit_activity(responses),
            found,
            words,
        )


def _floats(array) -> np.ndarray:
    array = np.asarray(array)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)

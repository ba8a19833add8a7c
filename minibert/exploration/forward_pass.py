"""The forward pass on one sentence, formula by formula, with every array."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minibert.diagnostics.activations.measures import compute_activation_statistics
from minibert.errors import unknown_name
from minibert.exploration.attention_steps import attention_steps
from minibert.exploration.guesses import log_softmax
from minibert.exploration.sentence import Sentence
from minibert.exploration.steps import Step, norm_steps, steps_of
from minibert.model.bert import MiniBERT
from minibert.model.caches import ForwardCache
from minibert.model.embeddings import has_embedding_norm
from minibert.model.encoder import final_norm
from minibert.model.feed_forward import GATED, FeedForwardCache, head_activation
from minibert.model.norms import norm
from minibert.model.ops import activation, linear
from minibert.model.positions import PositionScheme


@dataclass(frozen=True)
class ForwardPass:
    """Every step of a pass over one sentence, in the order in which they are computed."""

    sentence: Sentence
    steps: list[Step]

    @property
    def places(self) -> list[str]:
        """The parts of the network, in order: embeddings, layers.0.attention, ..., mlm_head."""
        return list(dict.fromkeys(step.place for step in self.steps))

    def at(self, place: str) -> list[Step]:
        """The steps of one part. Raises :class:`MinibertError` for a part that is not there."""
        if place not in self.places:
            raise unknown_name("place", place, self.places)
        return [step for step in self.steps if step.place == place]

    def step(self, place: str, name: str) -> Step:
        """One step. Raises :class:`MinibertError` for one that is not there."""
        found = {step.name: step for step in self.at(place)}
        if name not in found:
            raise unknown_name("step", name, found)
        return found[name]

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("place", "step", "formula", "shape", "mean", "deviation", "minimum", "maximum")
        ]
        for step in self.steps:
            found = compute_activation_statistics(step.array)
            numbers = (found.mean, found.deviation, found.minimum, found.maximum)
            rows.append((step.place, step.name, step.formula, step.shape, *(f"{each:.4g}" for each in numbers)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)


class _Stream(NamedTuple):
    """The steps of a block, and the hidden states (T, D) that it hands on."""

    steps: list[Step]
    states: np.ndarray


def walk(model: MiniBERT, sentence: Sentence) -> ForwardPass:
    """All steps: what the cache of a pass holds is taken from it, the rest is computed by the same functions.

    Raises :class:`MinibertError` where scores are not finite.
    """
    scores, cache = model.forward(sentence.ids[None])
    logs = log_softmax(scores[0])
    config = model.config
    steps = list(_embedding_steps(model, sentence, cache))
    states = cache.hidden_states[0][0]
    for index in range(config.layers):
        for block in (_attention_block, _feed_forward_block):
            found = block(model, cache, index, states)
            steps += found.steps
            states = found.states
    if config.norm == "pre":
        states, norm_cache = final_norm(states, model.params, config)
        steps += norm_steps("final_norm", "h", norm_cache, states)
    return ForwardPass(sentence, [*steps, *_head_steps(model, cache, scores[0], logs)])


def _embedding_steps(model: MiniBERT, sentence: Sentence, cache: ForwardCache) -> Iterator[Step]:
    step, params, config = steps_of("embeddings"), model.params, model.config
    tokens = params["embeddings.token.weight"][sentence.ids]
    yield step(
        "token_ids", "i = id(token)", "T", sentence.ids, "The row of the embedding table that each token has."
    )
    yield step("token", "E[i]", "T D", tokens, "One learned vector for each token of the vocabulary.")
    terms, total = ["E[i]"], tokens
    if type(model.position).embed is not PositionScheme.embed:
        places = np.zeros((1, *tokens.shape), tokens.dtype)
        model.position.embed(places, None, params)
        yield step("position", "P", "T D", places[0], "What the position scheme adds to each place.")
        terms, total = [*terms, "P"], total + places[0]
    if config.segments:
        segments = np.repeat(params["embeddings.segment.weight"][:1], len(tokens), axis=0)
        yield step("segment", "S[0]", "T D", segments, "The vector of the first segment.")
        terms, total = [*terms, "S[0]"], total + segments
    if len(terms) > 1:
        yield step("sum", " + ".join(terms), "T D", total, "All of it is added up.")
    if has_embedding_norm(config):
        yield from norm_steps("embeddings", "x", cache.embeddings.norm, cache.hidden_states[0][0])


def _attention_block(model: MiniBERT, cache: ForwardCache, index: int, states: np.ndarray) -> _Stream:
    kept = cache.layer(index)
    return _block(
        model,
        f"layers.{index}.attention",
        states,
        kept.attention_norm,
        kept.attention.input,
        lambda place: attention_steps(model, kept.attention, place, index),
    )


def _feed_forward_block(model: MiniBERT, cache: ForwardCache, index: int, states: np.ndarray) -> _Stream:
    kept = cache.layer(index)
    return _block(
        model,
        f"layers.{index}.feed_forward",
        states,
        kept.feed_forward_norm,
        kept.feed_forward.input,
        lambda place: _feed_forward_steps(model, kept.feed_forward, place),
    )


def _block(model: MiniBERT, place: str, states, norm_cache, read, branch) -> _Stream:
    """A norm, the branch and the sum; or the branch, the sum and a norm.

    ``read`` (T, D) is what the branch reads; ``branch(place)`` gives its steps, of which the last one is added.
    """
    step, steps = steps_of(place), []
    if model.config.norm == "pre" and norm_cache is not None:
        steps += norm_steps(place, "x", norm_cache, read)
    steps += branch(place)
    total = states + steps[-1].array
    steps.append(step("residual", "x + y", "T D", total, "The branch is added to what came in."))
    if model.config.norm == "post":
        total, norm_cache = norm(total, f"{place}.norm", model.params, model.config)
        steps += norm_steps(place, "(x + y)", norm_cache, total)
    return _Stream(steps, total)


def _feed_forward_steps(model: MiniBERT, kept: FeedForwardCache, place: str) -> Iterator[Step]:
    step, params, config = steps_of(place), model.params, model.config

    def projected(name: str, read: np.ndarray) -> np.ndarray:
        return linear(read, params[f"{place}.{name}.weight"], params.get(f"{place}.{name}.bias"))[0]

    bias = " + b" if config.feed_forward_bias else ""
    inner = projected("in", kept.input)
    yield step("inner", f"h = x W_in{bias}", "T F", inner, "Each token by itself, to the inner size F.")
    if kept.gate is not None:
        before = projected("gate", kept.input)
        yield step("gate_input", f"g = x W_gate{bias}", "T F", before, "What decides how far each gate opens.")
        name = GATED[config.activation]
        yield step("gate", f"{name}(g)", "T F", kept.gate, "How much of each inner value passes.")
        yield step("active", f"a = {name}(g) · h", "T F", kept.active, "What passes the gates.")
    else:
        name = config.activation
        yield step("active", f"a = {name}(h)", "T F", kept.active, "The units that respond to a token.")
    y = projected("out", kept.active)
    yield step("output", f"y = a W_out{bias}", "T D", y, "What the feed-forward network adds to each token.")


def _head_steps(model: MiniBERT, cache: ForwardCache, scores: np.ndarray, logs: np.ndarray) -> Iterator[Step]:
    step, params, config, kept = steps_of("mlm_head"), model.params, model.config, cache.head
    bias = " + b" if config.head_bias else ""
    hidden, _ = linear(kept.input, params["mlm_head.transform.weight"], params.get("mlm_head.transform.bias"))
    yield step("transform", f"u = h W{bias}", "T D", hidden, "The head's own layer, before the vocabulary.")
    active, _ = activation(hidden.copy(), head_activation(config))
    yield step("active", f"a = {head_activation(config)}(u)", "T D", active, "Its activation.")
    yield from norm_steps("mlm_head", "a", kept.norm, kept.transformed)
    weight = "Eᵀ" if config.tie_word_embeddings else "U"
    shift = " + c" if "mlm_head.bias" in params else ""
    yield step("scores", f"z = y {weight}{shift}", "T V", scores, "A score for every token of the vocabulary.")
    yield step("probabilities", "p = softmax(z)", "T V", np.exp(logs), "Scores as shares: each row sums to one.")

"""Where a NaN or an infinity arose: the first one of a training step, in the order of computation."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from minibert.errors import MinibertError
from minibert.model.auxiliary_heads import auxiliary_head, auxiliary_losses
from minibert.model.bert import IGNORED, ForwardCache, MiniBERT
from minibert.model.dropout import DropoutMasks
from minibert.model.encoder import LayerCache
from minibert.model.ops import cross_entropy, linear
from minibert.model.parameters import Gradients
from minibert.model.passes import Pass, Selection

SEQUENCES_AT_ONCE = 32
"""A batch is repeated in parts of so many: one that was computed in parts to save memory still fits."""


class Range(NamedTuple):
    """The smallest and the largest finite entry of an array."""

    name: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class NonFiniteLocation:
    """The first array of a step that holds a NaN or an infinity."""

    step: int
    """Optimizer steps done before: the batch is that of the next"""
    stage: str
    """``parameters``: they were bad before the pass; ``forward``, the loss included; ``gradients``;
    ``gradient_norm``: every gradient is finite, but the sum of their squares is not"""
    array: str
    """``layers.0.attention.weights``: named as the parameters around it and the cache that holds it"""
    entries: int
    """Of the array, for the whole batch"""
    nans: int
    infinities: int
    sequences: tuple[int, ...]
    """Rows of the batch that are concerned; empty where it is none in particular"""
    before: Range | None
    """What the array was computed from"""

    @property
    def layer(self) -> int | None:
        """The number of the layer, from 0; None in embeddings and heads."""
        name = self.before.name if self.before and self.stage == "gradient_norm" else self.array
        words = name.split(".")
        return int(words[1]) if words[0] == "layers" else None


def locate_nonfinite(model: MiniBERT, batch: Any, dropout_seed: int, step: int) -> NonFiniteLocation | None:
    """The first array that is not finite when the step that follows ``step`` is computed again; None if all are.

    The pass is that of training: the same dropout, predictions and auxiliary tasks; whether activations were
    checkpointed makes no difference. Parameters are checked first, then every activation from the embeddings to
    the loss, then every gradient as the backward pass adds to it. What the network writes over (pre-activations,
    the output of a branch) is computed once more from what stands before it.

    Sums are taken in another order than over several lanes. So a number close to the largest float32
    (3.4e38) may stay finite here; then nothing is found.

    Parameters
    ----------
    model : the network with the parameters of ``step``; it is not changed
    batch : what the step was computed on, a :class:`minibert.data.batches.Batch`
    dropout_seed : ``seeds.dropout`` of the run
    step : optimizer steps done before

    Raises :class:`MinibertError` when inputs and labels of the batch do not fit each other or the model.
    """
    if np.ndim(batch.input_ids) != 2 or np.shape(batch.labels) != np.shape(batch.input_ids):
        raise MinibertError(
            f"batch: input_ids of shape {np.shape(batch.input_ids)} and labels of shape {np.shape(batch.labels)} "
            "were given. Allowed: both (sequences, tokens), as the step was computed on them."
        )
    with np.errstate(all="ignore"):
        for name, array in model.params.items():
            if not np.isfinite(array).all():
                return _location(step, "parameters", [Activation(name, array)])
        count = len(batch.input_ids)
        starts = range(0, count, SEQUENCES_AT_ONCE)
        parts = [_Part(model, batch, dropout_seed, step, start, start + SEQUENCES_AT_ONCE) for start in starts]
        earliest = min(part.first_bad() for part in parts)
        if earliest < math.inf:
            return _location(step, "forward", [part.activation(int(earliest)) for part in parts])
        gradients = _WatchedGradients(model.params.layout, model.config.dtype)
        for part in parts:
            if (gradient := part.first_bad_gradient(gradients)) is not None:
                alone = [_Part(model, batch, dropout_seed, step, row, row + 1) for row in range(count)]
                rows = [each.start for each in alone if each.first_bad_gradient() is not None]
                return _location(step, "gradients", [gradient._replace(rows=np.array(rows, int))])
        if np.isfinite(gradients.vector @ gradients.vector):
            return None
        norm = Activation("gradient_norm", np.array(np.inf), sources=tuple(gradients.items()))
        return _location(step, "gradient_norm", [norm])


def describe(location: NonFiniteLocation | None) -> str:
    """One or two sentences, for the message of a run that had to stop."""
    if location is None:
        return "Computed once more, the step is finite: a number was close to the largest that its type can hold."
    before = location.before
    if before and location.stage == "gradient_norm":
        return (
            "Every gradient is finite, but the sum of their squares is not: the largest, that of "
            f"{before.name}, goes from {before.minimum:.3g} to {before.maximum:.3g}."
        )
    kinds = (location.nans, "NaN", "NaNs"), (location.infinities, "infinity", "infinities")
    bad = " and ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in kinds if count)
    kind = {"parameters": "the parameter ", "gradients": "the gradient of "}.get(location.stage, "")
    text = f"The first array that is not finite is {kind}{location.array}"
    text += f": {bad}" + (f" among {location.entries:,} entries" if location.entries > 1 else "")
    if location.sequences:
        listed = ", ".join(map(str, location.sequences[:8])) + (", …" if len(location.sequences) > 8 else "")
        text += f", in sequence{'s' if len(location.sequences) > 1 else ''} {listed} of the batch"
    if location.stage == "parameters":
        return f"{text}. It was so before the pass, after {location.step:,} updates."
    if before is None:
        return f"{text}."
    return f"{text}. It was computed from {before.name}, from {before.minimum:.3g} to {before.maximum:.3g}."


def to_dict(location: NonFiniteLocation | None) -> dict:
    """The location as JSON data, with its layer and its description."""
    if location is None:
        return {"description": describe(None)}
    before = location.before._asdict() if location.before else None
    return asdict(location) | {"before": before, "layer": location.layer, "description": describe(location)}


class Activation(NamedTuple):
    """An array that a pass computes."""

    name: str
    array: np.ndarray
    rows: np.ndarray | None = None
    """The sequence of the batch that each row of the array belongs to; None where they belong to none"""
    sources: tuple[tuple[str, np.ndarray], ...] = ()
    """What it is computed from, with names"""


class _Part:
    """The training pass over some sequences of a batch."""

    def __init__(self, model: MiniBERT, batch: Any, dropout_seed: int, step: int, start: int, stop: int):
        self.model, self.dropout_seed, self.step, self.start = model, dropout_seed, step, start
        span = slice(start, stop)
        self.inputs, self.targets = batch.part(span), batch.targets(span)
        self.labels, self.tasks = self.targets.labels, self.targets.auxiliary
        self.predicted = self.labels != IGNORED
        self.words = batch.words
        self.answers = self.labels[self.predicted]
        if self.words is not None:
            self.answers = self.words.places(self.answers)

    def forward(self) -> tuple[np.ndarray, ForwardCache]:
        masks = DropoutMasks(self.dropout_seed, self.step, self.start)
        selection = Selection(self.predicted, self.targets.asked, words=self.words)
        return self.model.forward_pass(self.inputs, selection, Pass(masks=masks))

    def first_bad(self) -> float:
        """The number, in the order of computation, of the first activation that is not finite; or infinity."""
        numbered = enumerate(self._activations(*self.forward()))
        return next((number for number, each in numbered if not np.isfinite(each.array).all()), math.inf)

    def activation(self, number: int) -> Activation:
        return next(islice(self._activations(*self.forward()), number, None))

    def first_bad_gradient(self, gradients: "_WatchedGradients | None" = None) -> Activation | None:
        """The gradient to which the backward pass first adds what leaves it not finite.

        ``gradients`` are those that the other parts have added to.
        """
        gradients = gradients or _WatchedGradients(self.model.params.layout, self.model.config.dtype)
        logits, cache = self.forward()
        _, dlogits = cross_entropy(logits, self.answers, self.targets.count)
        try:
            dread = None
            if self.tasks:
                _, dread = auxiliary_losses(cache.read, cache.asked, self.tasks, self.model.params, gradients)
            self.model.backward(dlogits, cache, gradients, dread=dread)
        except _BadGradientError as found:
            sources = tuple((found.what, array) for array in found.added)
            return Activation(found.name, found.gradient, sources=sources)
        return None

    def _activations(self, logits: np.ndarray, cache: ForwardCache) -> Iterator[Activation]:
        """Everything from the embeddings to the loss, in the order of computation."""
        params = self.model.params
        table = ("embeddings.token.weight", params["embeddings.token.weight"])
        before = Activation("embeddings", cache.hidden_states[0], self._rows(cache.hidden_states[0]), (table,))
        yield before
        for each in self._after_embeddings(logits, cache):
            rows = self._rows(each.array) if each.rows is None else each.rows
            before = each._replace(rows=rows, sources=each.sources or ((before.name, before.array),))
            yield before

    def _rows(self, array: np.ndarray) -> np.ndarray:
        """(B, ...) or (B·R, ...): every sequence has as many rows, in order."""
        count = len(self.labels)
        return self.start + np.repeat(np.arange(count), len(array) // count)

    def _after_embeddings(self, logits: np.ndarray, cache: ForwardCache) -> Iterator[Activation]:
        params, post = self.model.params, self.model.config.norm == "post"
        for index in range(len(cache.layers)):
            yield from _layer_activations(f"layers.{index}", cache.layer(index), params, post)
            is_last = index == len(cache.layers) - 1
            name = "final_norm" if is_last and not post else f"layers.{index}"
            yield Activation(name, cache.hidden_states[index + 1])
        head, rows = cache.head, self.start + np.nonzero(self.predicted)[0]
        yield Activation("mlm_head.input", head.input, rows)
        yield Activation("mlm_head.transform", _linear(head.input, "mlm_head.transform", params), rows)
        yield Activation("mlm_head.transformed", head.transformed, rows)
        yield Activation("mlm_head.logits", logits, rows)
        yield Activation("mlm_loss", _losses(logits, self.answers), rows)
        for name, task in self.tasks.items():
            labels = task.labels[cache.asked]
            read = cache.read[labels >= 0]
            answers, _ = auxiliary_head(read, f"{name}_head", params)
            rows = self.start + np.nonzero(task.labels >= 0)[0]
            yield Activation(f"{name}_head.logits", answers, rows, ((f"{name}_head.input", read),))
            yield Activation(f"{name}_loss", _losses(answers, labels[labels >= 0]), rows)


def _layer_activations(prefix: str, layer: LayerCache, params, post: bool) -> Iterator[Activation]:
    name, kept = f"{prefix}.attention", layer.attention
    entered = ((f"{name}.input", kept.input),)
    yield Activation(*entered[0])
    for part in ("query", "key", "value"):
        yield Activation(f"{name}.{part}", getattr(kept, part), sources=entered)
    compared = ((f"{name}.query", kept.query), (f"{name}.key", kept.key))
    yield Activation(f"{name}.weights", kept.weights, sources=compared)
    yield Activation(f"{name}.context", kept.context, sources=((f"{name}.value", kept.value),))
    if kept.gate is not None:
        yield Activation(f"{name}.gate", kept.gate, sources=((f"{name}.input", kept.query_input),))
        yield Activation(f"{name}.gated_context", kept.gated_context, sources=((f"{name}.context", kept.context),))
    yield Activation(f"{name}.output", _linear(kept.gated_context, f"{name}.output", params))
    if post:
        yield Activation(f"{name}.norm", layer.attention_norm.normalized)
    name, kept = f"{prefix}.feed_forward", layer.feed_forward
    entered = ((f"{name}.input", kept.input),)
    yield Activation(*entered[0])
    for part in ("in",) if kept.gate is None else ("gate", "in"):
        yield Activation(f"{name}.{part}", _linear(kept.input, f"{name}.{part}", params), sources=entered)
    yield Activation(f"{name}.active", kept.active)
    yield Activation(f"{name}.out", _linear(kept.active, f"{name}.out", params))


class _BadGradientError(Exception):
    def __init__(self, name: str, gradient: np.ndarray, what: str, added: tuple[np.ndarray, ...]):
        super().__init__(name)
        self.name, self.gradient, self.what, self.added = name, gradient, what, added


class _WatchedGradients(Gradients):
    """Gradients that are checked after every addition: the order of additions is that of the backward pass."""

    def add(self, name: str, value: np.ndarray) -> None:
        super().add(name, value)
        self._look(name, "what was added to it", value)

    def add_product(self, name: str, left: np.ndarray, right: np.ndarray) -> None:
        super().add_product(name, left, right)
        self._look(name, "the larger factor of a product", left.T, right)

    def add_rows(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        super().add_rows(name, rows, values)
        self._look(name, "what was added to it", values)

    def add_where(self, name: str, index, value: np.ndarray) -> None:
        super().add_where(name, index, value)
        self._look(name, "what was added to it", value)

    def _look(self, name: str, what: str, *added: np.ndarray) -> None:
        if not np.isfinite(self[name]).all():
            raise _BadGradientError(name, self[name], what, added)


def _linear(x: np.ndarray, name: str, params) -> np.ndarray:
    return linear(x, params[f"{name}.weight"], params.get(f"{name}.bias"))[0]


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The loss of each prediction, as the sum of them is computed."""
    return np.array([cross_entropy(logits[[row]], labels[[row]], 1)[0] for row in range(len(labels))])


def _location(step: int, stage: str, parts: list[Activation]) -> NonFiniteLocation:
    """Of one array, in the parts of the batch that it was computed in."""
    sequences, ranges = set(), {}
    for _, array, rows, sources in parts:
        if rows is not None:
            if stage == "forward":
                rows = rows[~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))]
            sequences.update(int(row) for row in rows)
        for name, source in sources:
            finite = source[np.isfinite(source)]
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = min(low, finite.min(initial=np.inf)), max(high, finite.max(initial=-np.inf))
    # Of several, the one with the largest entry: it causes the overflow.
    ranged = [Range(name, float(low), float(high)) for name, (low, high) in ranges.items() if low <= high]
    return NonFiniteLocation(
        step,
        stage,
        parts[0].name,
        entries=sum(array.size for _, array, *_ in parts),
        nans=sum(int(np.isnan(array).sum()) for _, array, *_ in parts),
        infinities=sum(int(np.isinf(array).sum()) for _, array, *_ in parts),
        sequences=tuple(sorted(sequences)),
        before=max(ranged, key=lambda each: max(-each.minimum, each.maximum), default=None),
    )

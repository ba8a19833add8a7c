"""Diagnostics by name: functions that examine a training step, with what each asks for and when it runs.

A diagnostic is a function whose arguments are named after what it asks for::

    @diagnostic("logit_scale", every="log")
    def logit_scale(probe):
        return {"logit_scale/deviation": float(probe.logits.std())}

Only what is asked for is computed: ``after`` costs nothing unless a diagnostic asks for it. What the function
returns is recorded by its type: a number as a metric, an array in an .npz file, a matplotlib figure as a PNG, a
text as a tag, a list as JSON.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from minibert.errors import MinibertError, unknown_name

INGREDIENTS = {
    "step": "optimizer steps done, s",
    "model": "the network with its parameters",
    "config": "the run's configuration",
    "batch": "the batch of the step",
    "caches": "what the forward pass kept, a ForwardCache for each lane",
    "loss": "loss of the step, in nats a prediction",
    "gradients": "gradients by name, before clipping",
    "gradient_norm": "their norm",
    "initial": "parameters at initialisation, by name",
    "data": "tokenizer, unigram counts and baselines",
    "probe_batch": "held-out sequences, masked as in evaluation",
    "probe": "that batch with the cache and logits of a pass without dropout, over all positions",
    "lane_gradients": "flat gradients of each lane's share of the batch",
    "lane_predictions": "predictions in each share",
    "previous_gradient": "flat gradient of the step before",
    "params_before": "parameters before the update",
    "update": "what the optimizer added to them, by name; at the end of training, the last",
    "learning_rate": "of the update",
    "after": "loss and gradients on the same batch after the update",
    "record": "everything the run has recorded, at its end",
}
"""The names that an argument of a diagnostic may have, and what it is then given"""

LEVELS = ("light", "standard", "full")
"""Each has the diagnostics of those before it, and its own."""

AFTER_UPDATE = frozenset({"params_before", "update", "learning_rate", "after"})
AT_END = frozenset({"record"})
NEEDS_HISTORY = frozenset({"previous_gradient"})

Result = Mapping[str, object] | float


@dataclass(frozen=True)
class Diagnostic:
    """A registered function."""

    name: str
    every: int | str
    """``"log"``: at the log-spaced steps; ``"end"``: at the end; a number: every so many steps"""
    function: Callable[..., Result]
    asks: frozenset[str]
    level: str | None = None
    """The first of :data:`LEVELS` that it belongs to; None: it runs only if it is named"""
    metrics: tuple[str, ...] = ()
    """What the names of its metrics begin with, up to the first ``/``"""

    def due(self, step: int, steps: frozenset[int], last: int) -> bool:
        """Whether it runs on the network after ``step`` optimizer steps."""
        if self.asks & AT_END:
            return False
        if self.every == "end":
            # The last update leads to the last step: it is known right after it was made.
            return step == (last - 1 if self.asks & AFTER_UPDATE else last)
        if self.every == "log":
            return step in steps
        return step % int(self.every) == 0


_DIAGNOSTICS: dict[str, Diagnostic] = {}
_DRAWINGS: dict[tuple[str, str, str], Callable] = {}
"""Room, module and name of a function -> the function"""


def diagnostic(name: str, every: int | str = "log", level: str | None = None, metrics: tuple[str, ...] = ()):
    """Register a function as the diagnostic ``name``.

    Parameters
    ----------
    every : ``"log"``, at log-spaced steps; ``"end"``, at the end; or a number of steps
    level : the smallest of ``"light"``, ``"standard"`` and ``"full"`` that it is part of. Without a level it runs
        only if ``diagnostics.quantities`` or ``diagnostics.modules`` names it.
    metrics : what the names of its metrics begin with, up to the first ``/``

    Raises :class:`MinibertError` for an argument of the function that is none of :data:`INGREDIENTS`, for a value
    of ``every`` or ``level`` that is not allowed, and for a name that is taken.
    """
    if not (every in ("log", "end") or (isinstance(every, int) and every > 0)):
        raise MinibertError(
            f'@diagnostic("{name}", every={every!r}): not allowed. Allowed: "log", "end", or steps.'
        )
    if level is not None and level not in LEVELS:
        raise unknown_name(f"level of diagnostic {name}", level, LEVELS)

    def register(function: Callable[..., Result]):
        asks = tuple(inspect.signature(function).parameters)
        for argument in asks:
            if argument not in INGREDIENTS:
                raise unknown_name(f"argument of diagnostic {name}", argument, INGREDIENTS)
        taken = _DIAGNOSTICS.get(name)
        if taken and _origin(taken.function) != _origin(function):
            raise MinibertError(
                f'@diagnostic("{name}"): {taken.function.__module__} has registered this name. Choose another.'
            )
        _DIAGNOSTICS[name] = Diagnostic(name, every, function, frozenset(asks), level, tuple(metrics))
        return function

    return register


def drawing(room: str):
    """Register ``function(record) -> {name: Drawing}``: the figures of a room, drawn at the end of a run.

    The function leaves out a figure whose numbers are not recorded.
    """

    def register(function: Callable):
        _DRAWINGS[room, *_origin(function)] = function
        return function

    return register


def registered_diagnostics() -> dict[str, Diagnostic]:
    """Name -> diagnostic, of all modules that have been imported."""
    return dict(_DIAGNOSTICS)


def registered_drawings() -> list[tuple[str, Callable]]:
    """(room, function), of all modules that have been imported, sorted."""
    return [(room, function) for (room, *_), function in sorted(_DRAWINGS.items(), key=lambda item: item[0])]


def is_of(function: Callable, module: str) -> bool:
    """Whether the function is defined in the module, or in a module within it."""
    return f"{function.__module__}.".startswith(f"{module}.")


def _origin(function: Callable) -> tuple[str, str]:
    return function.__module__, function.__qualname__

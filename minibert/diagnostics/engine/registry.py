"""Diagnostics by name: functions that look at a training step, with what each asks for and when it looks.

A diagnostic is a function whose arguments are named after what it wants to see::

    @diagnostic("logit_scale", every="log")
    def logit_scale(probe):
        return {"logit_scale/deviation": float(probe.logits.std())}

Being asked for is what makes a thing be computed: nobody pays for ``after`` unless somebody wants it. What comes
back is recorded by its type: a number as a metric, an array in an .npz file, a matplotlib figure as a PNG, a text
as a tag, a list as JSON.
"""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
"""What the arguments of a diagnostic may be called, and what they then are."""

AFTER_UPDATE = frozenset({"params_before", "update", "learning_rate", "after"})
AT_END = frozenset({"record"})
NEEDS_HISTORY = frozenset({"previous_gradient"})

Result = Mapping[str, object] | float


@dataclass(frozen=True)
class Diagnostic:
    """A registered function."""

    name: str
    every: int | str
    """``"log"``: at the log-spaced steps of the schedule; ``"end"``: at the end; a number: every so many steps"""
    function: Callable[..., Result]
    asks: frozenset[str]

    def due(self, step: int, steps: frozenset[int], last: int) -> bool:
        """Whether it looks at the network that ``step`` optimizer steps have led to."""
        if self.asks & AT_END:
            return False
        if self.every == "end":
            # The last update leads to the last step: it is known right after it was made.
            return step == (last - 1 if self.asks & AFTER_UPDATE else last)
        if self.every == "log":
            return step in steps
        return step % self.every == 0


_DIAGNOSTICS: dict[str, Diagnostic] = {}
_DRAWINGS: dict[str, Callable] = {}


def diagnostic(name: str, every: int | str = "log"):
    """Register a function as the diagnostic ``name``.

    Raises :class:`MinibertError` for an argument that is none of :data:`INGREDIENTS`, for another ``every`` than a
    number of steps, ``"log"`` or ``"end"``, and for a name that is taken.
    """
    if not (every in ("log", "end") or (isinstance(every, int) and every > 0)):
        raise MinibertError(
            f'@diagnostic("{name}", every={every!r}): not allowed. Allowed: "log", "end", or steps.'
        )

    def register(function: Callable[..., Result]):
        asks = tuple(inspect.signature(function).parameters)
        for argument in asks:
            if argument not in INGREDIENTS:
                raise unknown_name(f"argument of diagnostic {name}", argument, INGREDIENTS)
        taken = _DIAGNOSTICS.get(name)
        if taken and (taken.function.__module__, taken.function.__qualname__) != (
            function.__module__,
            function.__qualname__,
        ):
            raise MinibertError(
                f'@diagnostic("{name}"): {taken.function.__module__} has registered this name. Choose another.'
            )
        _DIAGNOSTICS[name] = Diagnostic(name, every, function, frozenset(asks))
        return function

    return register


def drawing(room: str):
    """Register ``function(record) -> {name: Drawing}``: the figures of a room, drawn at the end of a run.

    What is not recorded is not drawn: a function returns what it finds the numbers for.
    """

    def register(function: Callable):
        _DRAWINGS[f"{room}/{function.__module__}.{function.__qualname__}"] = function
        return function

    return register


def drawings(rooms: Iterable[str] = ("all",)) -> list[tuple[str, Callable]]:
    """(room, function) of the registered drawings of these rooms, by room. Raises :class:`MinibertError` for others."""
    import minibert.diagnostics.catalogue  # noqa: F401  (drawings register themselves)

    found = [(key.split("/")[0], function) for key, function in sorted(_DRAWINGS.items())]
    known = {"all", *(room for room, _ in found)}
    for room in rooms:
        if room not in known:
            raise unknown_name("diagnostics.figures", room, sorted(known))
    return [(room, function) for room, function in found if "all" in rooms or room in rooms]


def choose(names: Iterable[str], modules: Iterable[str] = ()) -> list[Diagnostic]:
    """The diagnostics of these names, in order, and all that the modules, or modules within them, register.

    Raises :class:`MinibertError` for an unknown name, and for a module that cannot be imported or registers nothing.
    """
    import minibert.diagnostics.catalogue  # noqa: F401  (they register themselves)

    chosen = {}
    for module in modules:
        _import(module)
        own = {name: each for name, each in _DIAGNOSTICS.items() if _is_of(each.function, module)}
        if not own and not any(_is_of(function, module) for function in _DRAWINGS.values()):
            raise MinibertError(
                f"diagnostics.modules={module}: it registers nothing. Allowed: a module with functions under "
                "@diagnostic(name) or @drawing(room)."
            )
        chosen |= own
    for name in names:
        if name not in _DIAGNOSTICS:
            raise unknown_name("diagnostics.quantities", name, _DIAGNOSTICS)
        chosen[name] = _DIAGNOSTICS[name]
    return list(chosen.values())


def check_names(settings) -> None:
    """Refuse what the group ``diagnostics`` of a configuration names and cannot be had, before anything runs.

    Raises :class:`MinibertError` as :func:`choose` and :func:`drawings` do.
    """
    choose(settings.quantities, settings.modules)
    drawings(settings.figures)


def _is_of(function: Callable, module: str) -> bool:
    return f"{function.__module__}.".startswith(f"{module}.")


def _import(module: str) -> None:
    """Import a module of the user's; whatever goes wrong in it is one message."""
    allowed = "Allowed: a module on the Python path, such as a file in the working directory, without its .py."
    if not all(part.isidentifier() for part in module.split(".")):
        raise MinibertError(f"diagnostics.modules={module}: this is no name of a module. {allowed}")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # the command ``minibert`` does not look there, as ``python -m`` does
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise MinibertError(f"diagnostics.modules={module}: cannot be imported ({error}). {allowed}") from error
    except MinibertError as error:
        raise MinibertError(f"diagnostics.modules={module}: {error}") from error
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        # The message of a SyntaxError has a place; the last one of its traceback is Python's own.
        where = "" if isinstance(error, SyntaxError) else f" ({place.filename}, line {place.lineno})"
        raise MinibertError(
            f"diagnostics.modules={module}: its import ended in {type(error).__name__}: {error}{where}. "
            "Mend the module, or leave it out."
        ) from error

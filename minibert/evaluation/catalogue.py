"""All instruments by name, in the order of the page. Each is imported when it is asked for."""

from importlib import import_module

from minibert.config import EvaluationConfig
from minibert.evaluation.instruments import Instrument

MODULES = {
    "intrinsic": "minibert.evaluation.prediction_quality",
    "probing": "minibert.evaluation.probing.instrument",
    "minimal_pairs": "minibert.evaluation.preferences",
    "semantics": "minibert.evaluation.semantics",
    "facts": "minibert.evaluation.facts",
    "composition": "minibert.evaluation.composition",
    "downstream": "minibert.evaluation.downstream.instrument",
    "word_learning": "minibert.evaluation.word_learning",
}
"""Instrument -> the module whose ``INSTRUMENT`` it is"""


def instrument(name: str) -> Instrument:
    """The instrument of this name. ``name`` is a key of :data:`MODULES`."""
    return import_module(MODULES[name]).INSTRUMENT


def enabled(config: EvaluationConfig) -> dict[str, object]:
    """The settings of the instruments that are switched on, by name."""
    return {name: getattr(config, name) for name in MODULES if getattr(config, name).enabled}

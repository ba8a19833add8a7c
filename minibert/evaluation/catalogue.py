"""All instruments by name, in the order of the page. Each is imported when it is asked for."""

from importlib import import_module

from minibert.config import EvaluationConfig
from minibert.evaluation.instruments import Instrument

NAMES = (
    "intrinsic", "minimal_pairs", "semantics", "facts", "composition", "probing", "downstream", "word_learning"
)  # fmt: skip
"""Each is a folder here, with a module ``instrument``, and a dataclass of settings in the group ``evaluation``"""


def instrument(name: str) -> Instrument:
    """The instrument of this name, one of :data:`NAMES`."""
    return import_module(f"{__package__}.{name}.instrument").INSTRUMENT


def enabled(config: EvaluationConfig) -> dict[str, object]:
    """The settings of the instruments that are switched on, by name."""
    return {name: getattr(config, name) for name in NAMES if getattr(config, name).enabled}

"""Position schemes: how the network knows the order of tokens.

A scheme may *embed* (add a vector to the token embeddings), *rotate* queries and keys, *bias* the attention
scores, or add to what is attended to. Each is an object that does nothing for what it leaves out.

A new scheme is a file in this folder with a class that states its ``name``. Its settings are a schema in
:mod:`minibert.config.positions`.
"""

from importlib import import_module
from pkgutil import iter_modules

from minibert.config import ModelConfig, require_config
from minibert.model.positions.scheme import NOWHERE, NoPositions, Places, PositionScheme

__all__ = ["NOWHERE", "POSITIONS", "NoPositions", "Places", "PositionScheme", "build_positions"]

POSITIONS: dict[str, type[PositionScheme]] = {
    scheme.name: scheme
    for file in iter_modules(__path__)
    for scheme in vars(import_module(f"{__name__}.{file.name}")).values()
    if isinstance(scheme, type) and issubclass(scheme, PositionScheme) and "name" in vars(scheme)
}
"""Name -> class: every scheme of the files in this folder"""


def build_positions(config: ModelConfig) -> PositionScheme:
    """The scheme that ``config.position`` names.

    Raises :class:`MinibertError` for another configuration, and for values out of range.
    """
    require_config(config, ModelConfig, "model.")
    return POSITIONS[config.position.name](config)

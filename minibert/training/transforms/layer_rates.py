"""Learning rates that differ from parameter to parameter."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from minibert.config import require_config, require_option
from minibert.config.optimizers import DepthRatesConfig, LayerRatesConfig, RatioRatesConfig
from minibert.errors import MinibertError, unknown_name
from minibert.training.transforms.chains import Chain, Choice, Transform, norm, only_weights
from minibert.training.transforms.elements import scale_by


def compute_layer_wise_learning_rates(
    config: LayerRatesConfig,
    learning_rate: float,
    params: Mapping[str, Any],
    updates: Mapping[str, np.ndarray] | None = None,
) -> dict[str, float]:
    """The learning rate of every parameter: name -> η · factor.

    ``none``: the factor is 1.

    ``depth``: decay^(L - 1 - i) in layer i of L, decay^L for the embeddings, 1 for the final norm and the head:
    what is near the input is general and learns slowly. Meant for fine-tuning; from scratch it mostly slows the
    embeddings. Howard and Ruder, "Universal Language Model Fine-tuning", ACL 2018; Clark et al., "ELECTRA",
    ICLR 2020.

    ``ratio``: c ‖θ‖ / ‖u‖ of each weight, between 1/largest and largest, with ``updates`` u what the optimizer
    would add at rate 1; 1 where either norm is zero, and for gains and biases. You, Gitman and Ginsburg, "Large
    Batch Training of Convolutional Networks", 2017 (LARS).

    Raises :class:`MinibertError` for ``ratio`` without updates, another configuration, and values out of range.
    """
    require_config(config, LayerRatesConfig, "layer_rates.")
    if config.name == "depth":
        layers = len({name.split(".")[1] for name in params if name.startswith("layers.")})
        factors = {name: depth_factor(name, layers, cast(DepthRatesConfig, config)) for name in params}
    elif config.name == "ratio":
        if updates is None:
            raise MinibertError(
                "layer_rates.name=ratio: rates follow from measured updates. Give updates by name."
            )
        weights = {name for name in params if name.endswith(".weight")}
        factors = {
            name: ratio_factor(array, updates[name], cast(RatioRatesConfig, config)) if name in weights else 1.0
            for name, array in params.items()
        }
    else:
        factors = dict.fromkeys(params, 1.0)
    return {name: learning_rate * factor for name, factor in factors.items()}


def depth_factor(name: str, layers: int, config: DepthRatesConfig) -> float:
    """decay to the power of how many layers stand above the parameter"""
    part, *rest = name.split(".")
    above = {"embeddings": layers, "layers": layers - 1 - int(rest[0]) if part == "layers" else 0}.get(part, 0)
    return config.decay**above


def ratio_factor(weight: np.ndarray, update: np.ndarray, config: RatioRatesConfig) -> float:
    """c ‖θ‖ / ‖u‖ within its bounds, or 1 where that means nothing"""
    weight_norm, update_norm = norm(weight), norm(update)
    if weight_norm == 0 or update_norm == 0:
        return 1.0
    return min(max(config.coefficient * weight_norm / update_norm, 1 / config.largest), config.largest)


def scale_by_depth(config: DepthRatesConfig, names) -> Choice:
    """u = factor · u, the factor following from the name."""
    factors = compute_layer_wise_learning_rates(config, 1.0, dict.fromkeys(names))
    transforms = {factor: scale_by(factor) for factor in set(factors.values())}
    return Choice(lambda name, _: transforms[factors[name]])


def scale_by_ratio(config: RatioRatesConfig) -> Choice:
    """u = factor · u, the factor measured in every step."""

    def update(update, params, state, moment):
        update *= update.dtype.type(ratio_factor(params, update, config))

    return only_weights(Transform(update, whole=True))


LAYER_RATES = {
    "none": lambda config, names: (),
    "depth": lambda config, names: (scale_by_depth(config, names),),
    "ratio": lambda config, names: (scale_by_ratio(config),),
}


def build_layer_rates(config: LayerRatesConfig, names) -> Chain:
    """The link that stands between an optimizer and the learning rate; ``names`` are those of all parameters."""
    require_option(config, LayerRatesConfig, "layer_rates.")
    if config.name not in LAYER_RATES:
        raise unknown_name("layer_rates.name", config.name, LAYER_RATES)
    return LAYER_RATES[config.name](config, names)

"""How a gradient that is too large is shrunk, before the optimizer uses it."""

import numpy as np

from minibert.config import require_option
from minibert.config.optimizers import ClippingConfig
from minibert.errors import unknown_name
from minibert.training.transforms.chains import Chain, State, Transform, chain, scaling


def clip_by_global_norm(largest: float) -> Transform:
    """u = g · min(1, c / ‖g‖), with the norm over all parameters.

    Under Adam and its like, whose updates do not depend on the gradient's scale, it only takes weight from rare
    large gradients in the averages.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
    """

    return scaling(lambda state, moment: largest / max(moment.gradient_norm, largest))


def clip_by_percentile(percentile: float, window: int) -> Transform:
    """u = g · min(1, c / ‖g‖), with c the percentile of ‖g‖ in the last ``window`` steps, this one included.

    The norms are those before clipping, so the threshold follows them up and down. At the 90th percentile about
    one step in ten is clipped, whatever the scale of the loss.

    Seetharaman et al., "AutoClip: Adaptive Gradient Clipping for Source Separation Networks", MLSP 2020, which
    keeps all norms and takes the 10th percentile.
    """

    def prepare(state, moment):
        norms = state["recent_norms"]
        norms[(moment.step - 1) % window] = moment.gradient_norm
        state["largest_norm"][0] = np.percentile(norms[: moment.step], percentile)

    def factor(state, moment):
        largest = float(state["largest_norm"][0])
        return largest / moment.gradient_norm if moment.gradient_norm > largest else 1.0

    return scaling(factor, shared={"recent_norms": window, "largest_norm": 1}, prepare=prepare)


def clip_adaptively(ratio: float, smallest_norm: float) -> Transform:
    """uᵢ = gᵢ · min(1, λ max(‖θᵢ‖, ε) / ‖gᵢ‖) for each unit i: its gradient is held to a share of its weights.

    A unit is a *column* of an (in, out) weight, the weights of one output, where frameworks that store (out,
    in) take rows; a gain or bias is one unit as a whole. The paper leaves the last layer unclipped; here that
    is tied to the embeddings and clipped like them.

    Brock et al., "High-Performance Large-Scale Image Recognition Without Normalization", ICML 2021 (AGC).
    """

    def update(update, params, state, moment):
        gradient_norms, weight_norms = (np.sqrt(np.square(array).sum(axis=0)) for array in (update, params))
        largest = ratio * np.maximum(weight_norms, smallest_norm)
        clipped = gradient_norms > largest
        factors = np.where(clipped, largest / np.maximum(gradient_norms, largest), 1)
        update *= factors.astype(update.dtype)
        state["clipped"][...] = clipped

    return Transform(update, whole=True, arrays={"clipped": lambda shape: shape[1:] or (1,)})


CLIPPINGS = {
    "none": lambda config: (),
    "global_norm": lambda config: (clip_by_global_norm(config.norm),),
    "adaptive": lambda config: (clip_adaptively(config.ratio, config.smallest_norm),),
    "percentile": lambda config: (clip_by_percentile(config.percentile, config.window),),
}

CLIPPED_SHARES = {
    "none": lambda config, gradient_norm, state: None,
    "global_norm": lambda config, gradient_norm, state: float(gradient_norm > config.norm),
    "adaptive": lambda config, gradient_norm, state: _share_of_clipped_units(state),
    "percentile": lambda config, gradient_norm, state: float(gradient_norm > state["largest_norm"][0]),
}


def clipped_share(config: ClippingConfig, gradient_norm: float, state: State) -> float | None:
    """The share of units whose gradient the last step shrank; None where there is no clipping.

    Where the whole gradient is scaled at once it is the one unit, and its share 0 or 1: the mean over steps is the
    share of clipped steps. With ``adaptive`` the units are those of :func:`clip_adaptively`, each counted once,
    however many elements it has. ``gradient_norm`` is that of the step, ``state`` the optimizer's after it.
    """
    return CLIPPED_SHARES[config.name](config, gradient_norm, state)


def _share_of_clipped_units(state: State) -> float:
    units = np.concatenate([array.reshape(-1) for name, array in state.items() if name.startswith("clipped/")])
    return float(units.mean(dtype=np.float64))


def build_clipping(config: ClippingConfig) -> Chain:
    require_option(config, ClippingConfig, "clipping.")
    if config.name not in CLIPPINGS:
        raise unknown_name("clipping.name", config.name, CLIPPINGS)
    return chain(CLIPPINGS[config.name](config))

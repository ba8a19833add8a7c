"""Optimizers by name, each a chain of transforms, and what runs a chain over the parameters."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np

from minibert.config import Config, OptimizerConfig, require_option
from minibert.config.optimizers import (
    AdafactorConfig,
    AdamWConfig,
    LAMBConfig,
    LionConfig,
    LookaheadConfig,
    MuonConfig,
    SGDConfig,
)
from minibert.errors import MinibertError, unknown_name
from minibert.model.initializers import is_table
from minibert.model.parameters import Block, Parameters
from minibert.training.pieces import short_pieces
from minibert.training.transforms import (
    Chain,
    Choice,
    Moment,
    Transform,
    add_decayed_weights,
    add_to_parameters,
    build_clipping,
    build_layer_rates,
    chain,
    clip_by_root_mean_square,
    lookahead,
    scale_by,
    scale_by_adafactor,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_momentum,
    scale_by_muon,
    scale_by_parameter_size,
    scale_by_trust_ratio,
)
from minibert.training.transforms.averaging import averaged_weights, build_averaging
from minibert.training.transforms.chains import State, transforms_of
from minibert.training.transforms.elements import SLOW_WEIGHTS
from minibert.training.transforms.fused import fuse
from minibert.training.transforms.orthogonal import Polynomials


def adamw(config: AdamWConfig) -> Chain:
    return chain(
        scale_by_adam(config.beta1, config.beta2, config.epsilon), add_decayed_weights(config.weight_decay)
    )


def lion(config: LionConfig) -> Chain:
    return chain(scale_by_lion(config.beta1, config.beta2), add_decayed_weights(config.weight_decay))


def sgd(config: SGDConfig) -> Chain:
    return chain(add_decayed_weights(config.weight_decay), scale_by_momentum(config.momentum, config.nesterov))


def lamb(config: LAMBConfig) -> Chain:
    return chain(adamw(config), scale_by_trust_ratio(config.largest_norm))


def adafactor(config: AdafactorConfig) -> Chain:
    return chain(
        scale_by_adafactor(config.decay_exponent, config.epsilon),
        clip_by_root_mean_square(config.largest_update),
        scale_by_parameter_size(config.smallest_scale),
        add_decayed_weights(config.weight_decay),
    )


def muon(config: MuonConfig, heads: int = 1) -> Chain:
    """``heads``: of attention; each is a matrix of its own where ``config.heads_apart``."""
    for_others = scale_by_adam(config.beta1, config.beta2, config.epsilon)
    parts = heads if config.heads_apart else 1
    polynomials = cast(Polynomials, config.polynomials)
    for_matrices = {
        divided: scale_by_muon(config.momentum, config.nesterov, config.iterations, polynomials, divided)
        for divided in ((1, 1), (1, parts), (parts, 1))
    }

    def choose(name: str, parameter: np.ndarray) -> Transform:
        if not is_hidden_matrix(name, parameter):
            return for_others
        divided = {"query": (1, parts), "key": (1, parts), "value": (1, parts), "output": (parts, 1)}
        return for_matrices[divided.get(name.split(".")[-2], (1, 1))]

    choice = Choice(choose)
    own_rate = ()
    if config.adamw_learning_rate not in (None, config.learning_rate):
        scale = scale_by(config.adamw_learning_rate / config.learning_rate)
        own_rate = (Choice(lambda name, parameter: None if is_hidden_matrix(name, parameter) else scale),)
    return chain(choice, add_decayed_weights(config.weight_decay), own_rate)


def is_hidden_matrix(name: str, parameter: np.ndarray) -> bool:
    """Whether a parameter maps hidden states to hidden states, as neither tables to look up nor classifiers do."""
    is_classifier = name.endswith("_head.out.weight") or name == "mlm_head.weight"
    return name.endswith(".weight") and parameter.ndim == 2 and not (is_table(name) or is_classifier)


OPTIMIZERS = {"adamw": adamw, "lion": lion, "sgd": sgd, "lamb": lamb, "adafactor": adafactor, "muon": muon}
"""Name -> the chain from gradient to direction; learning rate and :func:`lookahead` come after it."""


def build_chain(config: Config, names: Iterable[str]) -> Chain:
    """Everything between a gradient and new parameters, which have these names:

        clipping, optimizer, layer-wise rates, learning rate, addition, lookahead where it wraps the optimizer,
        and the average of the weights

    Raises :class:`MinibertError` for an unknown name, and for Lookahead within Lookahead.
    """
    optimizer, slow = config.optimizer, ()
    if optimizer.name == "lookahead":
        wrapper = cast(LookaheadConfig, optimizer)
        slow = (lookahead(wrapper.period, wrapper.slow_rate, config.training.steps),)
        optimizer = wrapper.inner
        if optimizer.name == "lookahead":
            raise MinibertError(f"optimizer.inner=lookahead: wraps itself. Allowed: {', '.join(OPTIMIZERS)}.")
    return chain(
        build_clipping(config.clipping),
        build_direction(optimizer, config.model.heads),
        build_layer_rates(config.layer_rates, names),
        scale_by_learning_rate(),
        add_to_parameters(),
        slow,
        build_averaging(config.averaging, config.training.steps),
    )


def build_direction(config: OptimizerConfig, heads: int = 1) -> Chain:
    require_option(config, OptimizerConfig, "optimizer.")
    if isinstance(config, LookaheadConfig):
        raise MinibertError(
            "optimizer.name=lookahead: has no direction of its own, since it moves slow weights behind another "
            f"optimizer. Allowed: {', '.join(OPTIMIZERS)}; the one that it wraps is config.inner."
        )
    if config.name not in OPTIMIZERS:
        raise unknown_name("optimizer.name", config.name, OPTIMIZERS)
    return muon(config, heads) if isinstance(config, MuonConfig) else OPTIMIZERS[config.name](config)


@dataclass(frozen=True)
class Unit:
    """What one call of a chain works on: a piece of the vector, or the parameter of that name."""

    place: slice | str
    transforms: tuple[Transform, ...]
    state: State


class Optimizer:
    """A chain with its state, applied to units of the parameters, in any order and from several threads.

    Where a chain is element by element, neighbours share a run of elements that is cut into pieces; where it
    needs a parameter as a whole, that is a unit. Units share nothing, so the order of every sum, and with it
    every bit, is the same however the work is spread.
    """

    def __init__(self, links: Chain, params: Parameters, lanes: int = 1, fused: bool = True):
        """``lanes``: threads that the units are spread over. ``fused``: whether transforms run as one where they
        can (:mod:`minibert.training.transforms.fused`)."""
        self.layout = params.layout
        self.lanes, self._fused, self._dtype = lanes, fused, params.vector.dtype
        self.state: State = {}
        """Plain arrays by name: vectors in the layout of the parameters, and smaller ones"""
        chosen = {name: transforms_of(links, name, array) for name, array in params.items()}
        self._prepared = {link: None for transforms in chosen.values() for link in transforms if link.prepare}
        for transforms in chosen.values():
            self._add_vectors_and_shared(transforms, params)
        self.units = self._whole_units(chosen, params) + self._piece_units(chosen)

    def apply(
        self,
        params: np.ndarray,
        gradient: np.ndarray,
        step: int,
        learning_rate: float,
        gradient_norm: float,
        run: Callable[[Callable, Iterable], Iterable] = map,
    ) -> None:
        """One step on the vector of parameters; the gradient's vector is used up.

        ``run`` is a ``map``: a threaded one gives the same bits. Each lane takes another unit when it is free,
        which costs less than a task for each unit.
        """
        moment = Moment(step, learning_rate, gradient_norm)
        for transform in self._prepared:
            if transform.prepare is not None:
                transform.prepare(self.state, moment)
        named = isinstance(self.units[0].place, str)
        all_params, all_updates = (self.layout.views(vector) if named else {} for vector in (params, gradient))

        def update_unit(unit: Unit):
            if isinstance(unit.place, slice):
                unit_params, update = params[unit.place], gradient[unit.place]
            else:
                unit_params, update = all_params[unit.place], all_updates[unit.place]
            for transform in unit.transforms:
                transform.update(update, unit_params, unit.state, moment)

        # From both ends: one lane makes large matrices orthogonal while another goes through pieces. Two lanes at
        # the same kind of short calls hand the interpreter lock to and fro: this takes 0.8 of it with one layer.
        units = deque(self.units)

        def update_units(lane: int) -> None:
            take = units.pop if lane % 2 else units.popleft
            while units:
                try:
                    unit = take()
                except IndexError:  # another lane took the last one
                    return
                update_unit(unit)

        for _ in run(update_units, range(self.lanes)):
            pass

    def evaluated(self, params: Parameters) -> Parameters:
        """What is evaluated: the parameters themselves, their average over steps, or Lookahead's slow weights."""
        vector = self.state.get(SLOW_WEIGHTS, averaged_weights(self.state))
        return params if vector is None else Parameters(self.layout, vector=vector)

    def _add_vectors_and_shared(self, transforms: tuple[Transform, ...], params: Parameters) -> None:
        for transform in transforms:
            for key, start in transform.vectors.items():
                if key not in self.state:
                    self.state[key] = start(params.vector)
            for key, size in transform.shared.items():
                self.state.setdefault(key, np.zeros(size))

    def _whole_units(self, chosen: dict[str, tuple[Transform, ...]], params: Parameters) -> list[Unit]:
        """The parameters whose chain needs them whole, largest first, so that lanes end together."""
        units = []
        for block in self.layout.blocks:
            for name in block.names if self._is_divided(block, chosen) else ():
                state = self._state_of(chosen[name], lambda vector, name=name: self.layout.views(vector)[name])
                for transform in chosen[name]:
                    for key, shape in transform.arrays.items():
                        array = np.zeros(shape(params[name].shape), params.vector.dtype)
                        state[key] = self.state[f"{key}/{name}"] = array
                units.append(Unit(name, chosen[name], state))
        return sorted(units, key=lambda unit: -params[str(unit.place)].size)

    def _piece_units(self, chosen: dict[str, tuple[Transform, ...]]) -> list[Unit]:
        """All else: neighbours with the same transforms are one run of elements, cut into pieces."""
        runs: list[tuple[slice, tuple[Transform, ...]]] = []
        for block in self.layout.blocks:
            if self._is_divided(block, chosen):
                continue
            start, transforms = self.layout.offsets[block.name], chosen[block.names[0]]
            stop = start + int(np.prod(block.shape))
            if runs and runs[-1][1] == transforms and runs[-1][0].stop == start:
                start = runs.pop()[0].start
            runs.append((slice(start, stop), transforms))
        ways = {way: fuse(way, self._dtype) if self._fused else way for _, way in runs}
        return [
            Unit(piece, ways[transforms], self._state_of(transforms, lambda vector, piece=piece: vector[piece]))
            for run, transforms in runs
            for piece in short_pieces(run.start, run.stop)
        ]

    def _state_of(self, transforms: tuple[Transform, ...], part: Callable[[np.ndarray], np.ndarray]) -> State:
        """What these transforms keep for a part of the vectors, and what all share."""
        state = {key: part(self.state[key]) for transform in transforms for key in transform.vectors}
        return state | {key: self.state[key] for transform in transforms for key in transform.shared}

    @staticmethod
    def _is_divided(block: Block, chosen: dict[str, tuple[Transform, ...]]) -> bool:
        """Whether the names of a block are units of their own, for needing to be whole or for differing."""
        ways = {chosen[name] for name in block.names}
        return len(ways) > 1 or any(transform.whole for transforms in ways for transform in transforms)

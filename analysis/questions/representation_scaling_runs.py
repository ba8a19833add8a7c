"""Runs of networks of several sizes: what each knows, and which had the same tokens or the same compute."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..tracked_runs import TrackedRun

LOSS = "eval/loss"
GATED = ("swiglu", "geglu")
"""Activations whose feed-forward networks have a third matrix"""
TOLERANCE = 0.02
"""Runs count as of one budget whose tokens, or operations, differ by at most this share"""
FEWEST_SIZES = 3
"""That are compared at one budget"""
_PROBE = re.compile(r"probing/accuracy/(?P<kind>.+)/layer_(?P<layer>\d+)")
_PAIRS = re.compile(r"minimal_pairs/accuracy/(?P<data>[^/]+)")


@dataclass(frozen=True)
class Quality:
    """One score of a run's representations, and that of the same network before training. NaN: not recorded."""

    value: float
    untrained: float

    @property
    def gain(self) -> float:
        """Over the untrained network: a probe reads more from a wider one, trained or not."""
        return self.value - self.untrained


@dataclass(frozen=True)
class SizedRun:
    """One run."""

    run: TrackedRun
    weights: int
    """N: numbers in the matrices of the layers, without embeddings and head"""
    qualities: dict[str, Quality]
    """Name in words -> score"""
    rank: float
    """Effective rank of the hidden states after the last layer; NaN if it is not recorded"""
    width: int
    """Of the hidden states: the largest possible rank"""

    @property
    def loss(self) -> float:
        return self.run.final(LOSS)

    @property
    def steps(self) -> int:
        return int(self.run.parameters["training.steps"])

    @property
    def setting(self) -> str:
        """The value of the study's factor, which all its seeds share."""
        return self.run.value

    @property
    def rank_share(self) -> float:
        return self.rank / self.width


@dataclass(frozen=True)
class Budget:
    """Runs of several sizes that have used the same amount of something."""

    name: str
    """``equal tokens`` or ``equal compute``"""
    amount: float
    """The mean over the runs"""
    runs: tuple[SizedRun, ...]
    """By size, then by seed"""

    @property
    def sizes(self) -> list[int]:
        return sorted({run.weights for run in self.runs})

    def of_size(self, weights: int) -> list[SizedRun]:
        return [run for run in self.runs if run.weights == weights]

    def by_seed(self, weights: int, value: Callable[[SizedRun], float]) -> dict[tuple[str, ...], float]:
        """Replicate -> value, of one size"""
        return {run.run.replicate: value(run) for run in self.of_size(weights)}

    @property
    def spread(self) -> float:
        """The largest amount by the smallest, less 1"""
        amounts = [_amount(run, self.name) for run in self.runs]
        return max(amounts) / min(amounts) - 1


AMOUNTS = {"equal tokens": "tokens_seen", "equal compute": "flops"}
"""Name of a budget -> the metric that is equal"""


def read_sizes(runs: Iterable[TrackedRun]) -> list[SizedRun]:
    """The runs whose size and loss are recorded, by size and seed."""
    found = [_read(run) for run in runs if "model.hidden_size" in run.parameters]
    kept = [run for run in found if math.isfinite(run.loss)]
    return sorted(kept, key=lambda run: (run.weights, run.run.seed or 0))


def find_budgets(runs: Sequence[SizedRun]) -> list[Budget]:
    """The budgets that the most sizes have in common, where at least three have one.

    Which runs had the same tokens, or the same compute, is taken from what they recorded, not from their names.
    """
    return [found for name in AMOUNTS if (found := _budget(runs, name)) is not None]


def layer_weights(parameters: dict[str, str]) -> int:
    """N = L (4 D² + 2 D F): the matrices of attention and feed-forward networks; gated ones have three, 3 D F.

    Without embeddings, as in Kaplan et al., "Scaling Laws for Neural Language Models", 2020.
    """
    layers, hidden, inner = (
        int(parameters[f"model.{key}"]) for key in ("layers", "hidden_size", "feed_forward_size")
    )
    gated = parameters.get("model.activation") in GATED and parameters.get("model.match_feed_forward") != "True"
    return layers * (4 * hidden**2 + (3 if gated else 2) * hidden * inner)


def in_millions(weights: float) -> str:
    """``0.025 M``"""
    return f"{weights / 1e6:.2g} M"


def _read(run: TrackedRun) -> SizedRun:
    last = int(run.parameters["model.layers"]) - 1
    return SizedRun(
        run=run,
        weights=layer_weights(run.parameters),
        qualities=_probes(run) | _minimal_pairs(run),
        rank=run.final(f"hidden_effective_rank/layer_{last}"),
        width=int(run.parameters["model.hidden_size"]),
    )


def _probes(run: TrackedRun) -> dict[str, Quality]:
    """Of each kind, the accuracy in the layer with the shortest online code: that is of the probes' training part,
    so that the layer is not chosen by what it is then scored with. Untrained: the best of all layers."""
    layers: dict[str, int] = {}
    for metric in run.metrics:
        if found := _PROBE.fullmatch(metric):
            layers[found["kind"]] = max(layers.get(found["kind"], 0), int(found["layer"]) + 1)

    def values(quantity: str, kind: str) -> np.ndarray:
        return np.array([run.final(f"probing/{quantity}/{kind}/layer_{layer}") for layer in range(layers[kind])])

    found = {}
    for kind in layers:
        accuracy, codes = values("accuracy", kind), values("code_length", kind)
        best = int(np.nanargmin(codes)) if np.isfinite(codes).any() else int(np.nanargmax(accuracy))
        name = f"probe of {kind.replace('_', ' ')}"
        found[name] = Quality(float(accuracy[best]), float(np.max(values("untrained_accuracy", kind))))
    return found


def _minimal_pairs(run: TrackedRun) -> dict[str, Quality]:
    """By data set: their mean would depend on which of them could be had."""
    names = [found["data"] for metric in run.metrics if (found := _PAIRS.fullmatch(metric))]
    return {
        f"minimal pairs ({name})": Quality(
            run.final(f"minimal_pairs/accuracy/{name}"), run.final(f"minimal_pairs/untrained_accuracy/{name}")
        )
        for name in names
    }


def _amount(run: SizedRun, budget: str) -> float:
    return run.run.final(AMOUNTS[budget])


def _budget(runs: Sequence[SizedRun], name: str) -> Budget | None:
    def within(start: float) -> list[SizedRun]:
        return [run for run in runs if start <= _amount(run, name) <= start * (1 + TOLERANCE)]

    candidates = [within(_amount(run, name)) for run in runs]
    best = max(candidates, key=lambda found: (len({run.weights for run in found}), len(found)), default=[])
    if len({run.weights for run in best}) < FEWEST_SIZES:
        return None
    return Budget(name, float(np.mean([_amount(run, name) for run in best])), tuple(best))

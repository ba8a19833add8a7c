"""Studies in memory, as a report reads them from a store."""

from collections.abc import Mapping

import numpy as np

from analysis.study import BETWEEN, Study
from analysis.tracked_runs import SEPARATOR, Curve, TrackedRun

START = 8.0
"""The loss at step 0"""


def tracked_run(
    parts: tuple[str, ...], seed: int, final: float | None, status: str = "FINISHED", has_curve: bool = True
) -> TrackedRun:
    """A run whose loss falls in a straight line from :data:`START`; ``final`` is None if it recorded nothing."""
    steps = np.array([0, 50, 100])
    curves, metrics = {}, {}
    if final is not None:
        losses = START + (final - START) * steps / 100
        if has_curve:
            curves = {"eval/loss": Curve(steps, losses), "tokens_predicted": Curve(steps, steps * 10.0)}
        metrics = {"eval/loss": final}
    value = SEPARATOR.join(parts)
    return TrackedRun(
        id=f"{value} {seed}", name=f"{value} · seed {seed}", status=status, reason=None, value=value, setting=None,
        seed=seed, replicate=(f"seed={seed}",), metrics=metrics, curves=curves, parameters={"seed": str(seed)},
        tags={}, parts=parts,
    )  # fmt: skip


def study_of(
    losses: Mapping[tuple[str, ...], Mapping[int, float]],
    factors: tuple[str, ...] = ("rate",),
    others: tuple[TrackedRun, ...] = (),
    have_curves: bool = True,
    **stated,
) -> Study:
    """Values of the factors -> seed -> final loss. The first value of each factor is its baseline.

    ``others``: further runs, such as failed ones. ``stated``: fields of the study in place of these.
    """
    runs = [
        tracked_run(parts, seed, loss, has_curve=have_curves)
        for parts, by_seed in losses.items()
        for seed, loss in by_seed.items()
    ]
    first = dict(zip(factors, next(iter(losses)), strict=True))
    alone = len(factors) == 1
    fields = {
        "name": "planted", "sweep_id": "0", "question": None, "hypothesis": None, "factor": BETWEEN.join(factors),
        "label": BETWEEN.join(factors), "tuned": None, "baseline": first[factors[0]] if alone else None,
        "metric": "eval/loss", "target": None, "command": "", "opened": "2026-01-01T00:00:00", "planned": {},
        "runs": (*runs, *others), "factors": () if alone else factors, "first": first,
        "worked_out": "" if alone else "Two settings vary.",
    }  # fmt: skip
    return Study(**(fields | stated))

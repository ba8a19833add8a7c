"""Held-out losses against time: the table and the figure."""

from dataclasses import dataclass
from pathlib import Path

from minibert.diagnostics.plotting.style import COLOURS, finish, new_figure
from tests.benchmarks.trainings import Trained


@dataclass(frozen=True)
class Curve:
    name: str
    share: float
    """Of the minutes asked for"""
    rate: float
    """Learning rate of a peer; 0 for minibert, whose recipe holds it"""
    seed: int
    pace: float
    """Seconds a step"""
    trained: Trained

    @property
    def seconds(self) -> list[float]:
        return [step * self.pace for step in self.trained.steps]

    @property
    def final(self) -> float:
        return self.trained.losses[-1]


def first_below(curves: list[Curve], loss: float) -> float | None:
    """The fewest seconds after which any of the curves is at the loss or below it; None if none is."""
    reached = [
        second
        for curve in curves
        for second, value in zip(curve.seconds, curve.trained.losses, strict=True)
        if value <= loss
    ]
    return min(reached, default=None)


def own(curves: list[Curve], seed: int) -> list[Curve]:
    """Those of minibert's default with this seed."""
    return [curve for curve in curves if curve.name == "minibert" and curve.seed == seed]


def best_rates(curves: list[Curve]) -> list[Curve]:
    """Of each other contender and seed, the curve of the rate that ends lowest."""
    best: dict[tuple[str, int], Curve] = {}
    for curve in curves:
        if curve.name != "minibert":
            key = (curve.name, curve.seed)
            best[key] = min(best.get(key, curve), curve, key=lambda each: each.final)
    return list(best.values())


def alone(curves: list[Curve]) -> bool:
    """Whether minibert is beside nobody."""
    return all(curve.name == "minibert" for curve in curves)


def summary(curves: list[Curve]) -> list[dict[str, str]]:
    """A row a training; how soon minibert is there only where there are others."""
    rows = []
    for curve in curves:
        row = {
            "trained": curve.name + (f", rate {curve.rate:g}" if curve.rate else "") + f", seed {curve.seed}",
            "ms a step": f"{1e3 * curve.pace:.0f}",
            "steps": f"{curve.trained.steps[-1]}",
            "seconds": f"{curve.seconds[-1]:.0f}",
            "nats": f"{curve.final:.3f}",
            "bits a byte": f"{curve.final * curve.trained.bits_of_a_nat:.3f}",
        }
        if not alone(curves):
            soonest = first_below(own(curves, curve.seed), curve.final)
            row["minibert there after"] = "" if soonest is None else f"{soonest:.0f} s"
            row["ratio"] = "" if soonest is None else f"{curve.seconds[-1] / soonest:.1f}"
        rows.append(row)
    return rows


def draw(curves: list[Curve], file: Path) -> None:
    """Loss against seconds on a logarithmic axis. Of several rates or seeds, the best is drawn in full."""
    figure = new_figure(7.5, 4.5)
    panel = figure.subplots()
    names = list(dict.fromkeys(curve.name for curve in curves))
    best = {name: min(curve.final for curve in curves if curve.name == name) for name in names}
    for curve in curves:
        chosen = curve.final == best[curve.name]
        panel.plot(
            curve.seconds,
            curve.trained.losses,
            color=COLOURS[names.index(curve.name)],
            alpha=1.0 if chosen else 0.3,
            linestyle="-" if curve.share == 1 else "--",
            label=curve.name if chosen else None,
        )
    panel.set_xscale("log")
    panel.legend(frameon=False)
    finish(panel, "seconds of training: steps times seconds a step", "held-out loss, nats per masked token")
    figure.savefig(file, dpi=150)

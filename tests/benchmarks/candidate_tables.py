"""The tables of ``python -m tests.benchmarks.candidates``, made from what its store has."""

import re
from collections.abc import Callable, Sequence

from analysis.tables import Table
from minibert.tracking.status import Status
from minibert.tracking.tables import RunRow
from tests.benchmarks.candidate_list import CANDIDATES, DEFAULT

NOTE = (
    "Cost: processor time of a step, the default's is 1. One seed each; the development half. Nats are of a "
    "masked token, and compare within one vocabulary only. To the default: in bits a byte. Last column: the same "
    "tokens predicted, with a mask in place of each of them, so that none is shown as itself or as another word."
)
OF_THE_BEST = (
    " Rates are multiples of the default's, or of that in brackets. Bits and what follows are of the lowest loss."
)
GOES_ON = (Status.RUNNING, Status.KILLED)
"""What the same command will end"""
Trained = dict[str, dict[float, RunRow]]
"""Candidate -> times its learning rate -> the run that has ended"""


def run_name(title: str, budget: int, factor: float = 1) -> str:
    """What a run is called: in a store, each name is of one candidate, one rate and one processor time."""
    plain = " ".join(re.sub(r"[^\w ,.-]", "", title).split())  # the plan makes one space of two
    rate = "" if factor == 1 else f", rate times {factor:g},"
    return f"{plain}{rate} in {budget} steps of the default"


def tables(runs: Sequence[RunRow], costs: dict[str, float], score: Callable[[str], float]) -> list[Table]:
    """For every processor time in which the default has finished, a table for each number of rates.

    ``score``: id of a run -> its loss behind masks.
    """
    named = {run.name: run for run in sorted(runs, key=lambda run: (run.status == Status.FINISHED, run.started))}
    budgets = {
        int(name.removeprefix(DEFAULT).split()[1])
        for name, run in named.items()
        if re.fullmatch(rf"{DEFAULT} in \d+ steps of the default", name) and run.status == Status.FINISHED
    }
    return [
        table(budget, factors, trained, costs, score)
        for budget in sorted(budgets)
        for factors, trained in tuned_alike(budget, named).items()
    ]


def tuned_alike(budget: int, named: dict[str, RunRow]) -> dict[tuple[float, ...], Trained]:
    """Factors -> what was trained at them. The default is in every group, at no other factors than the rest."""
    every = {title: at_factors(title, budget, named) for title in CANDIDATES}
    used: dict[tuple[float, ...], set[float]] = {}
    for title, of in every.items():
        used.setdefault(CANDIDATES[title].factors, set()).update(of if title != DEFAULT else ())
    groups: dict[tuple[float, ...], Trained] = {}
    for title, of in every.items():
        factors = tuple(sorted(used[CANDIDATES[title].factors]))
        if of and title != DEFAULT:
            groups.setdefault(factors, {})[title] = of
    return {
        factors: {DEFAULT: {factor: every[DEFAULT][factor] for factor in factors if factor in every[DEFAULT]}}
        | group
        for factors, group in (groups or {(1,): {}}).items()
    }


def at_factors(title: str, budget: int, named: dict[str, RunRow]) -> dict[float, RunRow]:
    runs = {factor: named.get(run_name(title, budget, factor)) for factor in CANDIDATES[title].factors}
    return {factor: run for factor, run in runs.items() if run and run.status not in GOES_ON}


def table(
    budget: int,
    factors: tuple[float, ...],
    trained: Trained,
    costs: dict[str, float],
    score: Callable[[str], float],
) -> Table:
    """A row a candidate: its loss at each factor, and more of the lowest one, beside the default's lowest."""
    best = {title: lowest(list(of.values())) for title, of in trained.items()}
    default = best[DEFAULT]
    rows = []
    for title, of in trained.items():
        if not of:  # of the default, at none of the factors of others
            continue
        steps = next(iter(of.values())).parameters["training.steps"]
        losses = (loss(of.get(factor)) for factor in factors)
        chosen, to_default = best[title], ""
        if chosen is None:
            ends = ("", "", "")
        else:
            bits = chosen.metrics["eval/bits_per_byte"]
            if default and chosen is not default:
                to_default = f"{bits - default.metrics['eval/bits_per_byte']:+.3f}".replace("-", "−")
            ends = (f"{bits:.3f}", to_default, f"{score(chosen.id):.3f}")
        cost = f"{costs[title]:.2f}" if title in costs else ""
        rows.append((title, cost, f"{int(steps):,}", *losses, *ends))
    several = len(factors) > 1
    rates = (f"nats, rate × {factor:g}" for factor in factors) if several else ("nats",)
    columns = ("candidate", "cost of a step", "steps", *rates, "bits a byte", "to the default", "nats, all masked")
    under = {
        (run.tags["version.numpy"], run.tags["kernel.name"]) for of in trained.values() for run in of.values()
    }
    where = " and ".join(f"NumPy {numpy} on {kernel} kernels" for numpy, kernel in sorted(under))
    title = f"In the processor time of {budget:,} steps of the default"
    if several:
        title += f", each at {len(factors)} learning rates"
    return Table(title, columns, tuple(rows), f"{NOTE}{OF_THE_BEST if several else ''} {where}.")


def lowest(runs: Sequence[RunRow]) -> RunRow | None:
    finished = [run for run in runs if run.status == Status.FINISHED]
    return min(finished, key=lambda run: run.metrics["eval/loss"], default=None)


def loss(run: RunRow | None) -> str:
    if run is None:
        return ""
    return f"{run.metrics['eval/loss']:.3f}" if run.status == Status.FINISHED else "did not end"

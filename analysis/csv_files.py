"""The numbers of a report as tidy CSV files, for a spreadsheet or another program."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path

from .findings import Findings, axis_values
from .quantities import AXES, quantity
from .tracked_runs import RANGE_TEST, SMOOTHED, TrackedRun

RESULTS = ("eval/", "baseline/", "train/", RANGE_TEST, "effective_rank/", "attention_entropy/", "landscape/")
"""What the metrics in ``finals.csv`` begin with."""


def write_csv(findings: Findings, folder: Path) -> None:
    """``curves.csv`` (a row an evaluation), ``finals.csv`` (a row a run), ``comparisons.csv`` (a row a value).

    The curves of a range test have a row a step. The numbers of a comparison are of what its last column says.
    """
    study = findings.study
    metric, beside = (SMOOTHED, "train/") if study.is_range_test else (study.metric, "eval/")
    identity = ("run", "name", study.factor, "seed", "status")

    def identified(run: TrackedRun) -> tuple:
        return run.id, run.name, run.value, run.seed, run.status

    own = {study.metric, *(control.metric for control in findings.controls)}
    finals = sorted({key for run in study.runs for key in run.metrics if _is_result(key) or key in own})
    _write(
        folder / "finals.csv",
        (*identity, *finals),
        # What a run that did not finish recorded last is no result.
        (
            (*identified(run), *(run.metrics.get(key, "") if run.finished else "" for key in finals))
            for run in study.runs
        ),
    )

    drawn = [run for run in study.runs if metric in run.curves]
    evaluated = sorted({key for run in drawn for key in run.curves if key.startswith(beside)} - {metric})
    axes = [axis for axis in AXES if axis != "step"]
    columns = (*identity, "step", *axes, metric, *evaluated)

    def curve_rows() -> Iterable[tuple]:
        for run in drawn:
            curve = run.curves[metric]
            others = [axis_values(run, metric, key) for key in (*axes, metric, *evaluated)]
            for index, step in enumerate(curve.steps):
                yield (*identified(run), int(step), *(_number(values[index]) for values in others))

    _write(folder / "curves.csv", columns, curve_rows())

    columns = (
        study.factor,
        "seeds",
        "mean",
        "half_width",
        "baseline",
        "pairs",
        "difference",
        "difference_low",
        "difference_high",
        "p",
        "p_holm",
        "scale",
    )
    scale = f"log10 {study.metric}" if quantity(study.metric).logarithmic else study.metric

    def comparison_rows() -> Iterable[tuple]:
        groups = {group.value: group for group in findings.groups}
        for value in study.values:
            if value not in groups:
                yield value, 0
                continue
            group = groups[value]
            final = group.final
            row = (group.value, final.n, _number(final.mean), _number(final.half_width), study.baseline)
            found = group.difference
            numbers = (found.mean, found.low, found.high, found.p_value, group.adjusted_p) if found else ()
            compared = [_number(number) for number in numbers] or [""] * 5
            yield (*row, found.n if found else "", *compared, scale)

    _write(folder / "comparisons.csv", columns, comparison_rows())


def _write(path: Path, columns: tuple, rows: Iterable[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow((*row, *[""] * (len(columns) - len(row))))


def _is_result(key: str) -> bool:
    return key in AXES or key.startswith(RESULTS)


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else ""

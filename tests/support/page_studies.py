"""A study in memory of every kind whose report has parts of its own, and the page of such a report."""

from dataclasses import replace
from datetime import datetime
from itertools import product
from pathlib import Path

import numpy as np

from analysis.combinations import examine as examine_combinations
from analysis.evidence import Evidence
from analysis.figure_parts import save
from analysis.figures import draw
from analysis.findings import find
from analysis.page.render import render
from analysis.questions.representation_scaling import examine as examine_sizes
from analysis.study import Study
from analysis.tracked_runs import SMOOTHED, Curve, TrackedRun
from tests.support.studies import study_of, tracked_run

SEEDS = range(3)
LADDER = {"xxs": (2, 32, 6.1), "xs": (3, 64, 5.8), "s": (4, 96, 5.6), "m": (5, 160, 5.5)}
"""Size -> layers, width, final loss"""
FLOPS = 2.5e12
"""Of every run of :func:`sizes`"""


def two_factors() -> Study:
    """Masking rates and optimizers, with an interaction; one run failed."""
    cells = product(("0.15", "0.40"), ("adamw", "lion", "muon"))
    losses = {
        (rate, name): {seed: 5.5 - 0.4 * (rate == "0.40") * (name != "lion") + 0.05 * seed for seed in SEEDS}
        for rate, name in cells
    }
    failed = tracked_run(("0.40", "lion"), 9, None, "FAILED")
    return study_of(losses, ("masking.rate", "optimizer"), (failed,))


def tuned() -> Study:
    """Optimizers at three rates each, of which the best one counts."""
    runs = [
        replace(run, id=f"{run.id} {rate}", name=f"{run.name} at {rate}", setting=rate)
        for name, best in (("adamw", 1), ("sgd", 2))
        for place, rate in enumerate(("1e-3", "3e-3", "1e-2"))
        for seed in SEEDS
        for run in [tracked_run((name,), seed, 5.0 + 0.2 * best + 0.3 * abs(place - best) + 0.04 * seed)]
    ]
    stated = {"tuned": "optimizer.learning_rate", "metric": "eval/loss"}
    return study_of({("adamw",): {}}, ("optimizer.name",), tuple(runs), **stated)


def with_a_target() -> Study:
    """Initialisations that should reach a loss of 0.1, and of which one does."""
    finals = {("bert",): 0.02, ("xavier",): 0.4, ("orthogonal, scaled by the square root of the width",): 2.0}
    losses = {name: {seed: final + 0.01 * seed for seed in SEEDS} for name, final in finals.items()}
    return study_of(losses, ("model.init",), target=0.1, question="Does it fit one batch?", hypothesis="It does.")


def sizes() -> Study:
    """Networks of four sizes that had the same tokens and the same operations, asked what they know."""
    runs = [_sized(name, seed) for name in LADDER for seed in SEEDS]
    return study_of({("s",): {}}, ("recipe.name",), tuple(runs), name="representation_scaling")


def range_test() -> Study:
    """Range tests of the learning rate for two optimizers."""
    runs = [_range_tested(name, rate, seed) for name, rate in (("adamw", 6e-3), ("lion", 8e-4)) for seed in SEEDS]
    stated = {"metric": "lr_range/suggested_rate"}
    return study_of({("adamw",): {}}, ("optimizer.name",), tuple(runs), **stated)


KINDS = {
    "two factors": two_factors, "tuned": tuned, "target": with_a_target, "sizes": sizes, "range test": range_test,
}  # fmt: skip


def evidence_of(study: Study) -> Evidence:
    """What a report of the study consists of. What a question reads from a store, it does without."""
    findings = find(study)
    if len(study.factors) > 1:
        return Evidence(findings, examination=examine_combinations(findings))
    if study.name == "representation_scaling":
        return Evidence(findings, examination=examine_sizes(None, findings))
    return Evidence(findings)


def write_page(study: Study, folder: Path) -> str:
    """Write the page of the study's report, and return its address."""
    evidence, figures = evidence_of(study), {}
    for name, figure in draw(evidence).items():
        save(figure, folder / name)
        figures[name] = (folder / name).read_bytes()
    page = folder / "index.html"
    page.write_text(render(evidence, figures, datetime(2026, 1, 1)), encoding="utf-8")
    return page.as_uri()


def _sized(name: str, seed: int) -> TrackedRun:
    layers, width, loss = LADDER[name]
    run = tracked_run((name,), seed, loss + 0.02 * seed)
    steps = run.curves["eval/loss"].steps
    beside = {"tokens_seen": 1e6, "flops": FLOPS, "seconds": 60.0}
    shape = {"layers": layers, "hidden_size": width, "feed_forward_size": 4 * width, "activation": "gelu"}
    scores = {
        f"probing/{quantity}/part_of_speech/layer_{layer}": value + 0.01 * (layer + seed)
        for layer in range(layers + 1)
        for quantity, value in (("accuracy", 1.3 - loss / 10), ("code_length", 1), ("untrained_accuracy", 0.4))
    }
    scores |= {"minimal_pairs/accuracy/zorro": 0.9 - loss / 20, "minimal_pairs/untrained_accuracy/zorro": 0.5}
    return replace(
        run,
        curves=run.curves | {key: Curve(steps, end * steps / 100) for key, end in beside.items()},
        metrics=run.metrics | beside | scores | {f"hidden_effective_rank/layer_{layers - 1}": width**0.8},
        parameters=run.parameters
        | {f"model.{key}": str(value) for key, value in shape.items()}
        | {"training.steps": "100"},
    )


def _range_tested(name: str, rate: float, seed: int) -> TrackedRun:
    steps = np.arange(0, 101, 5)
    rates = np.geomspace(1e-5, 1.0, steps.size)
    losses = 6.5 - 1.5 * np.exp(-(np.log10(rates / rate) ** 2))
    curves = {SMOOTHED: Curve(steps, losses), "train/learning_rate": Curve(steps, rates)}
    metrics = {"lr_range/suggested_rate": rate * (1 + 0.1 * seed), "lr_range/divergence_rate": 10 * rate}
    return replace(tracked_run((name,), seed, None), curves=curves, metrics=metrics)

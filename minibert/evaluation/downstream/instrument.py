"""The instrument ``downstream``: fine-tuning with its controls, and what is forgotten on the way."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from minibert.config.evaluation import DownstreamConfig
from minibert.data.annotated.classified import read_labelled_parts
from minibert.data.annotated.downloads import dataset
from minibert.errors import MinibertError
from minibert.evaluation.downstream.comparison import TRAINED, Comparison, finetune, measure_controls
from minibert.evaluation.downstream.figures import plot_accuracies, plot_forgetting, plot_over_steps
from minibert.evaluation.downstream.finetuning import Recipe
from minibert.evaluation.downstream.forgetting import (
    OldTask,
    agreement,
    held_out_loss,
    measure_catastrophic_forgetting,
)
from minibert.evaluation.downstream.sentences import Splits, draw
from minibert.evaluation.downstream.summary import accuracies, headlines, limits, summary
from minibert.evaluation.instruments import Conclusion, Findings, Instrument, Subject, Table
from minibert.evaluation.untrained import of_untrained
from minibert.model.bert import MiniBERT
from minibert.model.classifier import Pooling

QUICK = {"train": 256, "dev": 200, "test": 400}
"""Sentences of each part that ``quick`` takes"""


def measure(subject: Subject, settings: DownstreamConfig) -> Findings:
    """Fine-tune on ``settings.data``, and measure forgetting at the rate that was chosen for ``full``."""
    parts = read_labelled_parts(dataset(settings.data, subject.cache, subject.note))
    splits, notes, used = Splits(**parts), [], {}
    if subject.quick:
        asked = settings
        splits, settings = quick(splits, settings)
        used = {name: value for name, value in vars(settings).items() if value != getattr(asked, name)}
        used["max_samples"] = min(len(splits.train), settings.max_samples or len(splits.train))
        sizes = ", ".join(f"{len(getattr(splits, name)):,} of {len(parts[name]):,} {name}" for name in QUICK)
        notes.append(f"Quick: {sizes} sentences, one rate for each way to train, {settings.seeds} seeds.")

    def note(message: str) -> None:
        subject.note(f"downstream: {message}")

    how = (subject.tokenizer, splits, settings)
    controls = of_untrained(
        subject,
        "downstream",
        (splits, settings),
        lambda network: measure_controls(network, *how, subject.seed, subject.lanes, note),
    )
    found = finetune(subject.model, *how, seed=subject.seed, lanes=subject.lanes, note=note, controls=controls)
    metrics, tables, values = accuracies(found)
    notes += limits(found, settings)
    full = found.fine_tuned.get((TRAINED, "full"))
    if settings.forgetting and full is not None and full.rate is not None:
        more, table, values["forgetting"], remark = _forgetting(subject, settings, found, full.rate)
        values["forgetting_rate"] = full.rate
        metrics, tables, notes = metrics | more, [*tables, table], notes + remark
    return Findings(summary(found), metrics, tables, notes, values, headlines=headlines(found), used=used)


def quick(splits: Splits, settings: DownstreamConfig) -> tuple[Splits, DownstreamConfig]:
    """Fewer sentences of each part, at most three epochs and two seeds, and the middle one of the rates."""
    smaller = replace(
        settings,
        epochs=min(settings.epochs, 3),
        seeds=min(settings.seeds, 2),
        rates=_middle(settings.rates),
        frozen_rates=_middle(settings.frozen_rates),
        forgetting=min(settings.forgetting, 4),
    )
    fewest = {name: len({each.label for each in getattr(splits, name)}) for name in QUICK}
    drawn = (draw(getattr(splits, name), max(most, fewest[name])) for name, most in QUICK.items())
    return Splits(*drawn), smaller


def _middle(values: list[float]) -> list[float]:
    return [sorted(values)[len(values) // 2]]


def _forgetting(
    subject: Subject, settings: DownstreamConfig, found: Comparison, rate: float
) -> tuple[dict[str, float], Table, dict[str, Any], list[str]]:
    tasks, notes = _old_tasks(subject)
    recipe = Recipe(
        rate, settings.epochs, settings.batch_size, settings.dropout, cast(Pooling, settings.pooling), subject.seed
    )
    old = measure_catastrophic_forgetting(
        subject.model, tasks, {"new": found.train}, subject.tokenizer, recipe, settings.forgetting, subject.lanes
    )

    def scores(network: MiniBERT) -> dict[str, float]:
        return {name: float(task.score(network)) for name, task in tasks.items()}

    floors = of_untrained(subject, "old tasks", (), scores)
    metrics, rows, values = {}, [], {}
    for name, curve in old.curves.items():
        floor = floors[name]
        metrics[f"downstream/forgetting/{name}"] = curve.forgetting
        rows.append(
            [
                _described(name, subject.quick),
                curve.values[0],
                curve.best,
                curve.values[-1],
                curve.forgetting,
                floor,
            ]
        )
        values[name] = {"steps": curve.steps, "values": curve.values, "untrained": floor}
    table = Table(
        "What is forgotten",
        f"Old tasks before and after {old.learnt['new']:,} steps of fine-tuning of all parameters, at rate "
        f"{rate:g}. Forgotten is the best value before the last step less the last one, of a loss the other way "
        "round (Chaudhry et al., 2018). An untrained network has nothing to forget. The pairs are the first ones "
        "of each template, and fewer than those of the part Minimal pairs, whose accuracy therefore differs.",
        ["", "before", "best", "after", "forgotten", "untrained network"],
        rows,
    )
    return metrics, table, values, notes


def _pairs(quick: bool) -> int:
    """Pairs of each template of agreement"""
    return 10 if quick else 50


def _described(name: str, quick: bool) -> str:
    """An old task, so that its values are not taken for those of another sample."""
    if name == "agreement":
        return f"subject-verb agreement, {_pairs(quick)} pairs of each template: accuracy"
    return "loss on held-out text, nats a token" if name == "held_out_loss" else name.replace("_", " ")


def _old_tasks(subject: Subject) -> tuple[dict[str, OldTask], list[str]]:
    tasks, notes = {}, []
    if subject.held_out is None:
        notes.append("Forgetting: the model's text is not known, so that the loss on held-out text is left out.")
    else:
        sequences = 32 if subject.quick else 128
        tasks["held_out_loss"] = held_out_loss(
            subject.held_out, subject.model.config.vocab_size, sequences, lanes=subject.lanes
        )
    try:
        tasks["agreement"] = agreement(subject.tokenizer, _pairs(subject.quick), subject.lanes)
    except MinibertError as error:
        notes.append(f"Forgetting: agreement is left out. {error}")
    return tasks, notes


def conclude(by_step: Mapping[int, Findings]) -> Conclusion:
    """The accuracies of the last checkpoint, what is forgotten there, and the accuracy over checkpoints."""
    values = {step: findings.values for step, findings in by_step.items() if findings.values.get("accuracies")}
    if not values:
        return Conclusion()
    last = values[max(values)]
    figures = {"accuracies": plot_accuracies(last)}
    if last.get("forgetting"):
        figures["forgetting"] = plot_forgetting(last)
    if len(values) > 1:
        figures["accuracy_over_steps"] = plot_over_steps(values)
    return Conclusion(figures)


INSTRUMENT = Instrument(
    "downstream",
    "How well does it learn to classify sentences, and what does it forget?",
    measure,
    conclude,
    (
        "Devlin et al., “BERT”, NAACL 2019",
        "Socher et al., “Recursive Deep Models for Semantic Compositionality”, EMNLP 2013 (SST-2)",
        "Mosbach et al., “On the Stability of Fine-tuning BERT”, ICLR 2021",
        "Chaudhry et al., “Riemannian Walk for Incremental Learning”, ECCV 2018",
    ),
)

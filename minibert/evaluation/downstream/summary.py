"""A comparison in words and tables: accuracies with their intervals, and what limits them."""

from collections import Counter
from typing import Any

import numpy as np

from minibert.config.evaluation import DownstreamConfig
from minibert.evaluation.downstream.comparison import TRAINED, UNTRAINED, Comparison, FineTuned
from minibert.evaluation.downstream.figures import LABELS
from minibert.evaluation.headlines import UNTRAINED as UNTRAINED_NETWORK
from minibert.evaluation.headlines import Headline, headline
from minibert.evaluation.instruments import Table
from minibert.evaluation.intervals import Interval, mean, mean_over_seeds

WORDS, MAJORITY = "bag of words", "most frequent label"
IN_WORDS = {
    WORDS: "a bag of words", MAJORITY: "the most frequent label",
    UNTRAINED_NETWORK: "an untrained network that is trained in the same way",
}  # fmt: skip
METRICS = {
    (TRAINED, "full"): "accuracy", (TRAINED, "frozen"): "frozen_accuracy",
    (UNTRAINED, "full"): "untrained_accuracy", (UNTRAINED, "frozen"): "untrained_frozen_accuracy",
}  # fmt: skip


def accuracies(found: Comparison) -> tuple[dict[str, float], list[Table], dict[str, Any]]:
    metrics, rows, kept = {}, [], {}
    for key, one in found.fine_tuned.items():
        name = METRICS[key]
        if not one.scores:
            continue
        accuracy, f1 = one.accuracy, one.macro_f1
        metrics |= {
            f"downstream/{name}": accuracy.value,
            f"downstream/{name.replace('accuracy', 'macro_f1')}": f1.value,
        }
        kept[name] = _kept(accuracy, [(each.accuracy, each.low, each.high) for each in one.scores.values()])
        gap = _gap(one, found)
        rows.append(
            [LABELS[name], f"rate {one.rate:g}", _best(one.dev), accuracy.value, _bounds(accuracy), f1.value, gap]
        )
    for name, control in found.controls.items():
        score, name = control.score, f"{name}_accuracy"
        metrics[f"downstream/{name}"] = score.accuracy
        kept[name] = _kept(mean_over_seeds([score.accuracy]), [(score.accuracy, score.low, score.high)])
        rows.append(
            [LABELS[name], control.setting, control.dev_accuracy, score.accuracy, None, score.macro_f1, None]
        )
    seeds = max((len(one.scores) for one in found.fine_tuned.values()), default=0)
    table = Table(
        "Sentences classified rightly",
        f"Mean over {seeds} seeds with its 95 % interval (Student's t). Settings were chosen on "
        f"{len(found.encoded['dev']):,} dev sentences; the {len(found.encoded['test']):,} test sentences were "
        "predicted once. The last column is the accuracy less that of a bag of words on the same test sentences, "
        "with the 95 % interval over sentences.",
        ["", "chosen", "dev accuracy", "test accuracy", "interval", "macro F1", "less bag of words"],
        rows,
    )
    return metrics, [table, _by_seed(found)], {"accuracies": kept, "tests": len(found.encoded["test"])}


def headlines(found: Comparison) -> list[Headline]:
    """Of each way to train. All are asked the same sentences: a control is beaten by the interval of the
    difference over sentences."""
    controls = {name: control.score.accuracy for name, control in found.controls.items()}
    headlines = []
    for encoder, about in (("full", "all parameters trained"), ("frozen", "the new layer alone trained")):
        one, untrained = (found.fine_tuned.get((network, encoder)) for network in (TRAINED, UNTRAINED))
        if one is None or not one.scores:
            continue
        accuracy = one.accuracy
        ends = (None if np.isnan(end) else min(max(end, 0.0), 1.0) for end in (accuracy.low, accuracy.high))
        beaten_by = [name for name, gap in _gaps(found, encoder).items() if not gap.low > 0]
        headlines.append(
            headline(
                about,
                "accuracy",
                f"downstream/{METRICS[TRAINED, encoder]}",
                (accuracy.value, *ends),
                len(found.encoded["test"]),
                "sentences",
                {
                    UNTRAINED_NETWORK: untrained.accuracy.value if untrained and untrained.scores else None,
                    WORDS: controls["bag_of_words"],
                    MAJORITY: controls["majority"],
                },
                beaten_by,
            )
        )
    return headlines


def _by_seed(found: Comparison) -> Table:
    rows = [
        [
            LABELS[METRICS[key]],
            seed,
            one.rate,
            score.accuracy,
            f"{score.low:.3f} to {score.high:.3f}",
            score.macro_f1,
        ]
        for key, one in found.fine_tuned.items()
        for seed, score in one.scores.items()
    ]
    caption = "With the 95 % interval over the test sentences (Wilson)."
    return Table("By seed", caption, ["", "seed", "rate", "test accuracy", "interval", "macro F1"], rows)


def _kept(accuracy: Interval, seeds: list[tuple[float, float, float]]) -> dict[str, Any]:
    low, high = (None if np.isnan(bound) else bound for bound in accuracy[1:])
    return {"mean": accuracy.value, "low": low, "high": high, "seeds": [list(one) for one in seeds]}


def _best(dev: dict[float, float]) -> float:
    return float(np.nanmax(list(dev.values())))


def _bounds(interval: Interval) -> str | None:
    """Within 0 and 1, which Student's t does not know of."""
    if np.isnan(interval.low):
        return None
    return f"{max(interval.low, 0.0):.3f} to {min(interval.high, 1.0):.3f}"


def _gap(one: FineTuned, found: Comparison) -> str:
    """Differences between seeds are averaged out: the interval is about the choice of test sentences."""
    gap = mean(one.right - found.controls["bag_of_words"].right)
    return f"{gap.value:+.3f}" + ("" if np.isnan(gap.low) else f" ({gap.low:+.3f} to {gap.high:+.3f})")


def summary(found: Comparison) -> str:
    parts = []
    for encoder, how in (("full", "all parameters trained"), ("frozen", "the new layer alone")):
        one, control = (found.fine_tuned.get((network, encoder)) for network in (TRAINED, UNTRAINED))
        if one is None or not one.scores:
            continue
        beside = f"{control.accuracy.value:.3f}" if control and control.scores else "failed"
        parts.append(f"{one.accuracy.value:.3f} with {how} (untrained network: {beside})")
    words, most = (found.controls[name].score.accuracy for name in ("bag_of_words", "majority"))
    reached = "; ".join(parts) or "no accuracy, because training failed with every rate"
    return (
        f"Trained on {len(found.train):,} sentences, the network reaches {reached}. "
        f"A bag of words reaches {words:.3f}, the most frequent label {most:.3f}."
    )


def limits(found: Comparison, settings: DownstreamConfig) -> list[str]:
    notes = []
    if len(found.train) < found.given:
        counts = Counter(sentence.label for sentence in found.train)
        shares = ", ".join(f"{counts[label]:,} with the label {label}" for label in found.labels)
        notes.append(f"{len(found.train):,} of {found.given:,} training sentences were drawn: {shares}.")
    for name, part in found.encoded.items():
        if part.cut:
            notes.append(
                f"{part.cut} of {len(part):,} {name} sentences are longer than the model's positions: cut."
            )
    for name, count in found.shared.items():
        if count:
            notes.append(
                f"{count:,} of {len(found.encoded[name]):,} {name} sentences are training sentences too: what is "
                "learnt by heart counts as known."
            )
    pieces = sum(part.pieces for part in found.encoded.values())
    if unknown := sum(part.unknown for part in found.encoded.values()):
        notes.append(f"{unknown:,} of {pieces:,} word pieces are unknown to the tokenizer.")
    for key, one in found.fine_tuned.items():
        name = LABELS[METRICS[key]]
        lost = [f"{rate:g}" for rate, accuracy in one.dev.items() if np.isnan(accuracy)]
        if lost:
            notes.append(f"{name}: training failed at rate {', '.join(lost)} (a loss that is not finite).")
        if one.rate is not None and len(one.dev) > 1 and one.rate in (min(one.dev), max(one.dev)):
            end = "lowest" if one.rate == min(one.dev) else "highest"
            notes.append(
                f"{name}: the rate chosen, {one.rate:g}, is the {end} of those tried. Others may be better."
            )
        if one.failures and one.scores:
            notes.append(f"{name}: left out because training failed: {'; '.join(one.failures)}.")
    for encoder in settings.encoders:
        notes += _no_better(found, encoder)
    if settings.seeds == 1:
        notes.append("One seed has no interval: differences between networks cannot be claimed.")
    return notes


def _gaps(found: Comparison, encoder: str) -> dict[str, Interval]:
    """Control -> by how much the trained network is more often right, on the same test sentences."""
    one, untrained = (found.fine_tuned[network, encoder] for network in (TRAINED, UNTRAINED))
    if not one.scores:
        return {}
    rights = {WORDS: found.controls["bag_of_words"].right, MAJORITY: found.controls["majority"].right}
    if untrained.scores:
        rights[UNTRAINED_NETWORK] = untrained.right
    return {name: mean(one.right - right) for name, right in rights.items()}


def _no_better(found: Comparison, encoder: str) -> list[str]:
    """Where the trained network does not beat a control: on these test sentences, the interval reaches zero."""
    name, notes = LABELS[METRICS[TRAINED, encoder]], []
    for control, gap in _gaps(found, encoder).items():
        if not gap.low > 0:  # NaN for a single sentence
            worse = "is worse than" if gap.high < 0 else "is not surely better than"
            difference = f"{gap.value:+.3f}".replace("-", "−")
            notes.append(f"{name}: {worse} {IN_WORDS[control]} (difference in accuracy {difference}).")
    return notes

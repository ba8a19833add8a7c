"""What an instrument's metric stands beside: the same of an untrained network, of simple counts, of chance."""

from collections.abc import Collection
from dataclasses import dataclass

from .quantities import quantity
from .tracked_runs import TrackedRun

TITLES = {
    "untrained": "untrained network", "unigram": "word frequencies", "length": "fewer pieces",
    "control": "control task", "word_tag": "most frequent tag of a word", "majority": "majority class",
    "bag_of_words": "bag of words", "frequent_answer": "most frequent answer", "nearest": "nearest word",
    "chance": "chance",
}  # fmt: skip
"""What the name of a control's metric begins with, as in ``minimal_pairs/untrained_accuracy`` -> its title"""
OF_SENTENCES = ("bag_of_words", "majority")
"""Controls that are the same for every way to train an encoder"""
KNOWN = {
    ("minimal_pairs", "accuracy"): ("chance", 0.5), ("composition", "accuracy"): ("chance", 0.5),
    ("semantics", "spearman"): ("chance", 0.0), ("probing", "selectivity"): ("learning by heart", 0.0),
    ("probing", "compression"): ("the uniform code", 1.0),
}  # fmt: skip
"""Instrument and quantity -> a control that no run records, and its value"""


@dataclass(frozen=True)
class Control:
    title: str
    metric: str | None
    """The recorded metric of it; None for a number that is known"""
    value: float | None = None

    def of(self, run: TrackedRun) -> float:
        """Its value beside a run; NaN where the run did not record it."""
        return run.final(self.metric) if self.metric is not None else float(self.value or 0)


def controls_of(metric: str, recorded: Collection[str]) -> list[Control]:
    """The controls of a score among the metrics that are recorded, and the known ones; none for other metrics.

    >>> [each.metric for each in controls_of("probing/accuracy/tense/layer_1",
    ...     ["probing/untrained_accuracy/tense/layer_1", "probing/majority_accuracy/tense", "eval/loss"])]
    ['probing/untrained_accuracy/tense/layer_1', 'probing/majority_accuracy/tense']
    """
    room, _, rest = metric.partition("/")
    measured, *parts = rest.split("/")
    if (
        not rest
        or quantity(metric).higher_is_better is None
        or measured.startswith(tuple(f"{name}_" for name in TITLES))
    ):
        return []
    # What depends on no layer of a network is recorded once for all of them.
    of_all_layers = parts[:-1] if parts and parts[-1].startswith("layer_") else parts
    found = []
    for name, title in TITLES.items():
        own = measured.removeprefix("frozen_") if name in OF_SENTENCES else measured
        for place in (parts, of_all_layers):
            candidate = "/".join([room, f"{name}_{own}", *place])
            if candidate in recorded:
                found.append(Control(title, candidate))
                break
    if (room, measured) in KNOWN:
        found.append(Control(KNOWN[room, measured][0], None, KNOWN[room, measured][1]))
    return found

"""Tables of what the layers know, and the formats of their numbers."""

from collections.abc import Callable, Sequence

from ..formatting import p_value, show_estimate
from ..quantities import Quantity
from ..statistics import Estimate
from ..tables import Table
from .layer_knowledge_measures import LEAST_GAIN, Known, Learnt, Order, adjusted, step_of
from .probe_records import words

ACCURACY = Quantity("accuracy", higher_is_better=True, least=0, most=1)
GAIN = Quantity("difference of accuracies")


def layers_table(kinds: Sequence[Known]) -> Table:
    """A row a kind: its best layer, against the embeddings and the next best layer."""
    differences = [difference for kind in kinds for difference in (kind.over_embeddings, kind.over_next)]
    p_values = iter(adjusted(differences))
    rows = []
    for kind in kinds:
        to_embeddings, to_next = next(p_values), next(p_values)
        rows.append(
            (
                words(kind.name),
                str(kind.best),
                show_estimate(kind.by_layer[kind.best], ACCURACY),
                gain(kind.over_embeddings),
                p_value(to_embeddings),
                str(kind.next_best),
                gain(kind.over_next),
                p_value(to_next),
                str(kind.shortest_code),
            )
        )
    columns = (
        "knowledge of", "best layer", "accuracy", "over the embeddings", "p (Holm)", "next best layer",
        "over the next best", "p (Holm)", "shortest code",
    )  # fmt: skip
    note = (
        "Accuracy of a linear probe on test sentences at the last checkpoint, in the layer with the highest "
        "mean over seeds; layer 0 is the output of the embeddings. Differences are paired by seed. ± and [low, "
        "high]: 95 % t intervals over seeds. p: paired t test, adjusted for all comparisons of this table. "
        "Shortest code: the layer from which the labels are sent in the fewest bits (online code), a second "
        "measure."
    )
    return Table("The layer that knows most", columns, tuple(rows), note)


def controls_table(kinds: Sequence[Known]) -> Table:
    """A row a kind: its best layer beside all controls."""
    p_values = adjusted([kind.over_untrained for kind in kinds])
    rows = tuple(
        (
            words(kind.name),
            show_estimate(kind.by_layer[kind.best], ACCURACY),
            gain(kind.selectivity),
            gain(kind.over_same_untrained),
            gain(kind.over_untrained),
            p_value(p),
            gain(kind.over_word_tag),
            gain(kind.over_majority),
        )
        for kind, p in zip(kinds, p_values, strict=True)
    )
    columns = (
        "knowledge of", "accuracy", "selectivity", "over the same layer, untrained", "over any layer, untrained",
        "p (Holm)", "over the word's most frequent label", "over the most frequent label",
    )  # fmt: skip
    note = (
        "The best layer beside its controls. Selectivity: accuracy less that of the control task, which has a "
        "random label for each word (Hewitt and Liang 2019). Untrained: the network of the same seed before its "
        "first step; any layer is the best of its layers. p: over any layer, untrained, adjusted for all kinds. "
        "The word of a sentence is its first one."
    )
    return Table("Beside the controls", columns, rows, note)


def times_table(times: Sequence[Learnt], found: Sequence[Order]) -> Table:
    """A row a kind: when it is learnt, and sooner than which others."""

    def sooner_than(name: str, counts: Callable[[Order], bool]) -> str:
        return ", ".join(words(each.later) for each in found if each.sooner == name and counts(each)) or "–"

    rows = tuple(
        (
            words(each.name),
            gain(each.gain),
            f"{each.time.n} of {len(each.by_seed)}",
            step(each.time) if each.time.n else "–",
            str(each.early),
            sooner_than(each.name, lambda order: order.told),
            sooner_than(each.name, lambda order: order.separated),
        )
        for each in times
    )
    columns = (
        "knowledge of", "last gain", "runs", "step of half of it", "before the first checkpoint", "sooner than",
        "sooner than (Holm)",
    )  # fmt: skip
    note = (
        "Gain: accuracy in the best layer less that of the same layer at step 0, where the network is untrained. "
        f"Runs: those whose last gain is at least {LEAST_GAIN}; the others have no such step. Steps are means of "
        "log₂(1 + step) with 95 % t intervals. Before the first checkpoint: runs of which no more is known than "
        "that. Sooner: the paired 95 % interval is on one side of 0; Holm: also after adjustment for all pairs."
    )
    return Table("When each kind is learnt", columns, rows, note)


def gain(estimate: Estimate) -> str:
    """``+0.120 [+0.110, +0.130]``; the mean alone of one seed, and a dash of none"""
    if not estimate.n:
        return "–"
    text = GAIN.show(estimate.mean, sign=True)
    if estimate.n < 2:
        return text
    return f"{text} [{GAIN.show(estimate.low, sign=True)}, {GAIN.show(estimate.high, sign=True)}]"


def step(time: Estimate) -> str:
    """``377 [355, 402]``"""
    text = f"{step_of(time.mean):,.0f}"
    if time.n < 2:
        return text
    return f"{text} [{max(step_of(time.low), 0):,.0f}, {step_of(time.high):,.0f}]"


def over(difference: Estimate) -> bool:
    """Whether its interval is above 0."""
    return difference.low > 0

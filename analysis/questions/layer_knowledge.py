"""Which layers learn which kinds of linguistic knowledge, and when?"""

from collections.abc import Sequence
from dataclasses import replace

from minibert.errors import sentence
from minibert.tracking import Store

from ..examination import Examination
from ..findings import SIGNIFICANCE, Findings
from ..formatting import count
from ..statistics import Difference
from . import layer_knowledge_figures
from .layer_knowledge_measures import Known, Learnt, Order, adjusted, known, learnt, orders
from .layer_knowledge_tables import controls_table, layers_table, over, step, times_table
from .probe_records import ProbedRun, read_probes, reasons, words

TITLE = "What the layers know"
NOTHING = "No run could be probed, so it cannot be said which layer knows what."
LIMITS = (
    "A linear probe shows that a property can be read from a layer, not that the network uses it. Selectivity and "
    "the untrained network say how much the probe brings itself.",
    "The best layer is chosen by the accuracies that it is then compared by, which flatters it a little. "
    "Sentences, their split and the control tasks are the same in every run: intervals are over seeds of "
    "training, and cover neither another treebank nor other test sentences.",
    "Between two checkpoints the accuracy is taken to change evenly over log₂(1 + step): the step of half of a "
    "gain is no more exact than the checkpoints are close. What is learnt before something else need not be its "
    "cause.",
    "One corpus, one size and one recipe.",
)


def examine(store: Store, findings: Findings) -> Examination | None:
    """The study's results on probes; None if no finished run has any, nor a reason for it."""
    runs = [run for group in findings.groups for run in group.runs]
    probed = {group.shown: read_probes(store, group.runs) for group in findings.groups}
    probed = {shown: found for shown, found in probed.items() if found}
    why = " ".join(map(sentence, reasons(runs, "probing")))
    if not probed:
        return Examination(TITLE, NOTHING, (why,), (), {}, (why,)) if why else None
    lacking = len(runs) - sum(map(len, probed.values()))
    left_out = f"{lacking} of {len(runs)} finished runs have no results of probes. {why}".strip()
    several = len(findings.groups) > 1
    parts = [
        _of_group(found, f"{findings.study.label} {shown}") if several else _examine(found)
        for shown, found in probed.items()
    ]
    return Examination(
        title=TITLE,
        answer=" ".join(part.answer for part in parts),
        sentences=tuple(each for part in parts for each in part.sentences),
        tables=tuple(each for part in parts for each in part.tables),
        figures={name: drawing for part in parts for name, drawing in part.figures.items()},
        limits=(*LIMITS, *([left_out] if lacking else [])),
    )


def _of_group(runs: Sequence[ProbedRun], group: str) -> Examination:
    """The same, with the name of the group in every part."""
    found = _examine(runs)
    suffix = "".join(letter if letter.isalnum() else "_" for letter in group)
    return Examination(
        title=TITLE,
        answer=f"At {group}: {found.answer}",
        sentences=tuple(f"At {group}: {each}" for each in found.sentences),
        tables=tuple(replace(table, title=f"{table.title}, {group}") for table in found.tables),
        figures={
            name.replace(".png", f"_{suffix}.png"): replace(drawing, caption=f"At {group}: {drawing.caption}")
            for name, drawing in found.figures.items()
        },
    )


def _examine(runs: Sequence[ProbedRun]) -> Examination:
    """The runs of one value of the factor."""
    kinds = known(runs)
    times = learnt(kinds)
    found = orders(times)
    return Examination(
        title=TITLE,
        answer=answer(kinds, found),
        sentences=tuple(description(kinds, times, found)),
        tables=(layers_table(kinds), controls_table(kinds), *([times_table(times, found)] if times else [])),
        figures=layer_knowledge_figures.draw(kinds, times),
    )


def answer(kinds: Sequence[Known], found: Sequence[Order]) -> str:
    """The sentences that answer the study's question, from the numbers alone: how sure the best layers are, and
    which they are."""
    by_layer: dict[int, list[str]] = {}
    for kind in kinds:
        by_layer.setdefault(kind.best, []).append(words(kind.name))
    best = "; from ".join(f"{_layer(layer)}: {', '.join(by_layer[layer])}" for layer in sorted(by_layer))
    compared = [difference for kind in kinds for difference in (kind.over_embeddings, kind.over_next)]
    embeddings, following = (_separated(compared)[place::2] for place in (0, 1))
    untrained = _separated([kind.over_untrained for kind in kinds])
    seeds = max(len(kind.runs) for kind in kinds)
    order = ""
    if found:
        told = sum(each.separated for each in found)
        order = f" Which is learnt first is told of {count(told)} of the {len(found)} pairs with a date."
    return (
        f"The best layer is above the untrained network in {count(sum(untrained))} of {len(kinds)} kinds of "
        f"knowledge, above the embeddings in {count(sum(embeddings))} and above the next best layer in "
        f"{count(sum(following))} ({seeds} seeds).{order} "
        f"A linear probe reads most from {best}."
    )


def description(kinds: Sequence[Known], times: Sequence[Learnt], found: Sequence[Order]) -> list[str]:
    """What single intervals say, when each kind is learnt, and of which kinds more is read than from each
    control."""
    controls = {
        "any layer of the untrained network": [over(kind.over_untrained) for kind in kinds],
        "the most frequent label of each word": [over(kind.over_word_tag) for kind in kinds],
        "the control task, whose labels are random": [over(kind.selectivity) for kind in kinds],
    }
    beside = [_beside(control, kinds, better) for control, better in controls.items()]
    return [text for text in (_single(kinds), _order(times, found), *beside) if text]


def _single(kinds: Sequence[Known]) -> str:
    above, apart, trained = (
        sum(over(getattr(kind, name)) for kind in kinds)
        for name in ("over_embeddings", "over_next", "over_untrained")
    )
    return (
        f"By the 95 % interval of each comparison alone, the best layer is above the embeddings in {count(above)} "
        f"of {len(kinds)} kinds of knowledge, above the next best layer in {count(apart)}, and above every layer "
        f"of the untrained network in {count(trained)}."
    )


def _beside(control: str, kinds: Sequence[Known], better: Sequence[bool]) -> str:
    named = [words(kind.name) for kind in kinds]
    above = ", ".join(name for name, is_above in zip(named, better, strict=True) if is_above)
    others = ", ".join(name for name, is_above in zip(named, better, strict=True) if not is_above)
    opening = f"The accuracy in the best layer is clearly above that of {control} for"
    if not (above and others):
        return f"{opening} {'every' if above else 'no'} kind."
    return f"{opening} {above}; not for {others}."


def _order(times: Sequence[Learnt], found: Sequence[Order]) -> str:
    dated = [each for each in times if each.dated]
    if len(dated) < 2:
        return ""
    listed = ", ".join(f"{words(each.name)} ({step(each.time)})" for each in dated)
    told, separated = sum(order.told for order in found), sum(order.separated for order in found)
    return (
        f"Half of the last gain over step 0 is reached at these steps: {listed}. Of any two of these kinds, "
        f"intervals decide which comes first in {count(told)} of {len(found)} pairs (Holm: {count(separated)})."
    )


def _separated(differences: Sequence[Difference]) -> list[bool]:
    """Which are above 0 after adjustment for all of them."""
    pairs = zip(differences, adjusted(differences), strict=True)
    return [p < SIGNIFICANCE and difference.mean > 0 for difference, p in pairs]


def _layer(layer: int) -> str:
    return f"layer {layer}" if layer else "the embeddings"

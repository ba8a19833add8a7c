"""Order, roles, negation and phrases as figures."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure
from minibert.evaluation.composition.measures import CompositionalUnderstanding
from minibert.evaluation.control_figures import Kind, as_triple, plain, plot_kinds, plot_places, plot_steps
from minibert.evaluation.instruments import Conclusion, Findings
from minibert.evaluation.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL, UNTRAINED = "model", "untrained"
INTACT = "intact"


def values_of(found: CompositionalUnderstanding, control: CompositionalUnderstanding) -> dict:
    """What :func:`conclude` reads, as JSON has it."""
    values: dict = {"order": {}, "contrasts": {}, "phrases": {}}
    for who, each in ((MODEL, found), (UNTRAINED, control)):
        if each.word_order is not None:
            intact = each.word_order.intact.value
            levels = {
                str(level.level): as_triple(_shifted(level.increase, intact)) for level in each.word_order.shuffled
            }
            increases = {str(level.level): as_triple(level.increase) for level in each.word_order.shuffled}
            values["order"][who] = {"losses": levels | {INTACT: [intact, None, None]}, "increases": increases}
            values["order"]["unigram"] = plain(each.word_order.unigram)
        if each.phrases is not None:
            for name in ("cosine", "random"):
                values["phrases"].setdefault(name, {})[who] = {
                    place.place: as_triple(getattr(place, name)) for place in each.phrases.places
                }
    for each, other in zip(found.contrasts, control.contrasts, strict=True):
        values["contrasts"][each.kind] = {
            "cases": each.cases,
            **{
                name: {MODEL: as_triple(getattr(each, name)), UNTRAINED: as_triple(getattr(other, name))}
                for name in ("accuracy", "affirmed", "denied")
            },
        }
    return values


def _shifted(interval: Interval, by: float) -> Interval:
    return Interval(*(value + by for value in interval))


def conclude(by_step: Mapping[int, Findings]) -> Conclusion:
    """Losses by units, accuracies and phrases at the last step; with several steps, the first two over them."""
    values = {step: findings.values for step, findings in by_step.items()}
    last = values[max(values)]
    figures = {}
    if last["order"]:
        figures["word_order"] = Drawing(
            _plot_order(last["order"]),
            "Masked loss on held-out text whose units of so many words are in random order; the masked words and "
            "their positions are the same throughout. Bars: 95 % interval of the increase over intact text.",
        )
    if last["contrasts"]:
        figures["roles_and_negation"] = Drawing(
            plot_kinds(_kinds(last["contrasts"]), "accuracy", 0.5),
            "How often a change of roles, or a negation, changes the prediction in the right direction; for the "
            "negation also how often the true word is preferred where it is affirmed, and the false one where it "
            "is denied. With 95 % intervals.",
        )
    if last["phrases"]:
        panels = {
            who: {"own words": last["phrases"]["cosine"][who], "other words": last["phrases"]["random"][who]}
            for who in (MODEL, UNTRAINED)
        }
        figures["phrases"] = Drawing(
            plot_places(panels, "cosine"),
            "Cosine of the vector of a phrase with the sum of its words' vectors, and with the sum of two other "
            "words, at every place; mean over phrases with 95 % intervals.",
        )
    return Conclusion(figures | (_over_steps(values) if len(values) > 1 else {}))


def _kinds(contrasts: Mapping[str, dict]) -> list[Kind]:
    kinds = []
    for kind, each in contrasts.items():
        name = kind.replace("_", " ")
        for part in ("accuracy", "affirmed", "denied"):
            if each[part][MODEL][0] is not None:
                label = f"{name} ({each['cases']})" if part == "accuracy" else f"{name}: {part}"
                kinds.append(Kind(label, each[part][MODEL], {UNTRAINED: each[part][UNTRAINED][0]}))
    return kinds


def _plot_order(order: Mapping) -> "Figure":
    figure = new_figure(6, 3.6)
    panel = figure.subplots()
    for number, who in enumerate((MODEL, UNTRAINED)):
        losses = order[who]["losses"]
        values, bars = [], []
        for value, low, high in losses.values():
            values.append(value)
            bars.append([0.0, 0.0] if low is None else [value - low, high - value])
        lengths = [list(side) for side in zip(*bars, strict=True)]
        panel.errorbar(range(len(values)), values, lengths, color=COLOURS[number], marker="os"[number], label=who)
    if order["unigram"] is not None:
        panel.axhline(order["unigram"], color="0.4", linestyle="--", linewidth=1, label="word frequencies")
    panel.set_xticks(range(len(order[MODEL]["losses"])), list(order[MODEL]["losses"]))
    finish(panel, "words in a unit that is moved as a whole", "masked loss (nats a token)")
    panel.legend(fontsize=8, frameon=False)
    return figure


def _over_steps(values: Mapping[int, dict]) -> dict[str, Drawing]:
    last = values[max(values)]
    figures = {}
    if last["order"]:
        panels = {
            "order of words": {
                f"units of {level}": {
                    step: each["order"][MODEL]["increases"][level] for step, each in values.items()
                }
                for level in last["order"][MODEL]["increases"]
            }
        }
        figures["word_order_over_steps"] = Drawing(
            plot_steps(panels, "increase of the loss (nats)"),
            "How much the masked loss rises with units of so many words in random order, at the kept checkpoints.",
        )
    if last["contrasts"]:
        panels = {
            "roles and negation": {
                kind.replace("_", " "): {
                    step: each["contrasts"][kind]["accuracy"][MODEL]
                    for step, each in values.items()
                    if kind in each["contrasts"]
                }
                for kind in last["contrasts"]
            }
        }
        figures["roles_and_negation_over_steps"] = Drawing(
            plot_steps(panels, "accuracy", 0.5),
            "Roles and negation at the kept checkpoints, with 95 % intervals over cases, not over seeds; chance "
            "is 0.5.",
        )
    return figures

"""Ranks and choices as figures."""

from collections.abc import Mapping

from minibert.diagnostics.plotting.style import Drawing
from minibert.evaluation.control_figures import Kind, as_triple, plain, plot_kinds, plot_steps
from minibert.evaluation.facts.measures import EVERY_RELATION, FactualKnowledge
from minibert.evaluation.facts.tables import asked_of
from minibert.evaluation.instruments import Conclusion, Findings


def values_of(found: FactualKnowledge, control: FactualKnowledge) -> dict:
    """What :func:`conclude` reads, as JSON has it."""
    return {
        each.relation: {
            "asked": each.asked,
            "ranks": {
                name: {"P@1": as_triple(scores.precision_at_1), "P@10": as_triple(scores.precision_at_10)}
                for name, scores in asked_of(each, other).items()
            },
            "choice": as_triple(each.choice),
            "choice_controls": {
                "untrained": plain(other.choice.value),
                "most frequent answer": plain(each.choice_by_frequency),
                "chance": plain(each.choice_by_chance),
            },
        }
        for each, other in zip(found.relations, control.relations, strict=True)
    }


def conclude(by_step: Mapping[int, Findings]) -> Conclusion:
    """P@10 and the choice among answers by relation at the last step; with several steps, both over them."""
    values = {step: findings.values for step, findings in by_step.items()}
    last = values[max(values)]
    ranked = [
        Kind(
            f"{relation.replace('_', ' ')} ({each['asked']:,})",
            each["ranks"]["model"]["P@10"],
            {name.replace("_", " "): both["P@10"][0] for name, both in each["ranks"].items() if name != "model"},
        )
        for relation, each in last.items()
    ]
    chosen = [
        Kind(f"{relation.replace('_', ' ')} ({each['asked']:,})", each["choice"], each["choice_controls"])
        for relation, each in last.items()
    ]
    figures = {
        "facts": Drawing(
            plot_kinds(ranked, "P@10"),
            "Share of prompts with a right word among the ten likeliest, by relation (prompts), with 95 % "
            "intervals.",
        ),
        "choice_among_answers": Drawing(
            plot_kinds(chosen, "accuracy"),
            "How often a right word is preferred to all other answers of the relation, with 95 % intervals.",
        ),
    }
    if len(values) > 1:
        every = {step: each[EVERY_RELATION] for step, each in values.items()}
        panels = {
            "among all words": {
                name: {step: each["ranks"]["model"][name] for step, each in every.items()}
                for name in ("P@1", "P@10")
            },
            "among the answers of the relation": {
                "accuracy": {step: each["choice"] for step, each in every.items()}
            },
        }
        figures["facts_over_steps"] = Drawing(
            plot_steps(panels, "share of prompts"),
            "Mean over relations at the kept checkpoints, with 95 % intervals over prompts, not over seeds.",
        )
    return Conclusion(figures)

"""Ranks, choices and completions as tables."""

from minibert.evaluation.control_figures import plain
from minibert.evaluation.facts.measures import FactualKnowledge, RelationKnowledge, Scores
from minibert.evaluation.headlines import with_bounds
from minibert.evaluation.instruments import Table

SHOWN = {"unigram": "frequent words"}
"""Controls that are called otherwise than their metrics"""
EXAMPLES = 12
"""Prompts that are shown"""


def asked_of(each: RelationKnowledge, other: RelationKnowledge) -> dict[str, Scores]:
    """The model and its controls"""
    scores = {"model": each.model, "untrained": other.model, "frequent_answer": each.most_frequent_answers}
    return scores | ({} if each.frequent_words is None else {"unigram": each.frequent_words})


def rank_table(found: FactualKnowledge, control: FactualKnowledge) -> Table:
    rows = []
    for each, other in zip(found.relations, control.relations, strict=True):
        for name, scores in asked_of(each, other).items():
            rows.append(
                [
                    each.relation.replace("_", " "), each.given, each.asked,
                    SHOWN.get(name, name.replace("_", " ")),
                    *with_bounds(scores.precision_at_1), *with_bounds(scores.precision_at_10),
                    plain(scores.mean_reciprocal_rank),
                ]
            )  # fmt: skip
    caption = (
        "P@k: the share of prompts with a right word among the k likeliest, with its 95 % interval (Wilson); "
        "reciprocal rank: the mean of 1 / rank. Untrained: the same network before its first step. Frequent "
        "answer: the words that are right most often in the relation, which knows the answers. "
        "Frequent words: the most frequent ones of the training text. Words of equal score come in random order. "
        "All: the mean over relations."
    )
    columns = [
        "relation",
        "prompts",
        "asked",
        "who",
        "P@1",
        "its interval",
        "P@10",
        "its interval",
        "reciprocal rank",
    ]
    return Table("Facts", caption, columns, rows)


def choice_table(found: FactualKnowledge, control: FactualKnowledge) -> Table:
    rows: list[list] = [
        [
            each.relation.replace("_", " "), each.asked, *with_bounds(each.choice), plain(other.choice.value),
            plain(each.choice_by_frequency), plain(each.choice_by_chance),
        ]
        for each, other in zip(found.relations, control.relations, strict=True)
    ]  # fmt: skip
    caption = "How often a right word is preferred to all other answers of the relation."
    columns = ["relation", "asked", "accuracy", "95 % interval", "untrained", "most frequent answer", "chance"]
    return Table("Choice among the answers of the relation", caption, columns, rows)


def example_table(found: FactualKnowledge) -> Table:
    """The prompts whose answers stand highest, and as many from the middle"""
    in_order = sorted(found.completions, key=lambda each: (each.rank, each.prompt))
    middle = max((len(in_order) - EXAMPLES // 2) // 2, EXAMPLES // 2)
    shown = [*in_order[: EXAMPLES // 2], *in_order[middle : middle + EXAMPLES // 2]]
    rows: list[list] = [
        [each.prompt, ", ".join(each.answers), each.guess, each.rank, f"{each.probability:.1e}"] for each in shown
    ]
    caption = "The prompts whose right word stands highest, and some from the middle of all."
    return Table(
        "Completions", caption, ["prompt", "right", "likeliest", "rank of the right", "its probability"], rows
    )

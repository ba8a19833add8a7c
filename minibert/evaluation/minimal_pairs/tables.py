"""Accuracies as tables: by field, and by paradigm."""

from collections.abc import Mapping

from minibert.evaluation.headlines import bounds
from minibert.evaluation.instruments import Table
from minibert.evaluation.minimal_pairs.measures import Preference, above_paradigms

COLUMNS = {"untrained": "untrained", "length": "fewer pieces", "unigram": "more frequent"}
"""Control -> its heading"""
ABOUT = (
    "Share of pairs whose grammatical sentence is preferred; a tie counts as half. 95 % interval: over "
    "pairs. Controls: the same network before training; always the sentence of fewer word pieces; always the "
    "sentence of more frequent pieces. Chance is 0.5."
)


def summary_table(found: Mapping[str, Mapping[str, list[Preference]]], overall: Mapping[str, Preference]) -> Table:
    """Each field and each data set, and their mean."""
    rows = []
    for name, parts in found.items():
        for place in above_paradigms(parts["model"]):
            each = parts["model"][place]
            label = "all paradigms" if each.level == "all" else each.name
            rows.append([name, label, *_cells({who: own[place] for who, own in parts.items()})])
    if len(found) > 1:
        rows.append(["all", "mean of the data sets", *_cells(overall)])
    caption = f"{ABOUT} A field is the mean over its paradigms, a data set the mean over all its paradigms."
    return Table("Accuracy by field", caption, ["data set", "field", *_headings(overall)], rows)


def paradigm_table(name: str, parts: Mapping[str, list[Preference]]) -> Table:
    """Each paradigm of a data set."""
    rows = [
        [each.field or None, each.name, *_cells({who: own[place] for who, own in parts.items()})]
        for place, each in enumerate(parts["model"])
        if each.level == "paradigm"
    ]
    return Table(f"Accuracy by paradigm: {name}", ABOUT, ["field", "paradigm", *_headings(parts)], rows)


def _headings(parts: Mapping) -> list[str]:
    return ["pairs", "ties", "accuracy", "95 % interval", *(COLUMNS[who] for who in parts if who != "model")]


def _cells(parts: Mapping[str, Preference]) -> list[str | float | int | None]:
    model = parts["model"]
    controls = [each.accuracy for who, each in parts.items() if who != "model"]
    return [model.pairs, model.ties, model.accuracy, bounds(model.low, model.high), *controls]

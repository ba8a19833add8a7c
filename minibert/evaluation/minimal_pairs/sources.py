"""The pairs of the data sets that a configuration names."""

from collections.abc import Sequence
from pathlib import Path

from minibert.config.evaluation import MinimalPairsConfig
from minibert.data.annotated.agreement import agreement_pairs
from minibert.data.annotated.downloads import dataset
from minibert.data.annotated.minimal_pairs import READERS, MinimalPair, read_minimal_pairs
from minibert.errors import MinibertError, Unavailable, sentence
from minibert.evaluation.instruments import Subject
from minibert.evaluation.metric_names import metric_part

AGREEMENT = "agreement"
AGREEMENT_PAIRS = 200
"""Of each template"""
QUICK_PAIRS = 20
"""Of each paradigm, at most"""


def load_data_sets(
    subject: Subject, settings: MinimalPairsConfig
) -> tuple[dict[str, list[MinimalPair]], list[str]]:
    """The pairs of each data set by its name, and notes on those that cannot be had.

    Raises :class:`Unavailable` where none can be had, and :class:`MinibertError` for a malformed file and for two
    data sets of one name.
    """
    limits = (settings.pairs, QUICK_PAIRS if subject.quick else None)
    most = min((limit for limit in limits if limit is not None), default=None)
    found: dict[str, list[MinimalPair]] = {}
    notes = []
    for given in settings.data:
        name = _name(given)
        if name in found:
            raise MinibertError(
                f"evaluation.minimal_pairs.data: two data sets are called {name}. Allowed: different names. "
                "Rename one file or folder."
            )
        try:
            pairs = _pairs(given, most, subject)
        except Unavailable as error:
            notes.append(f"{given} is left out: {sentence(error)}")
            continue
        found[name] = _named_apart(_first(pairs, most))
    if not found:
        raise Unavailable(" ".join(notes) or "evaluation.minimal_pairs.data: names no data set.")
    return found, notes


def _name(given: str) -> str:
    """What a data set is called: the name of its file or folder, without the ending of a format."""
    path = Path(given)
    return metric_part(path.stem if path.suffix in READERS else path.name)


def _pairs(given: str, most: int | None, subject: Subject) -> list[MinimalPair]:
    if given != AGREEMENT:
        return read_minimal_pairs(dataset(given, subject.cache, subject.note))
    try:
        return agreement_pairs(subject.tokenizer, min(AGREEMENT_PAIRS, most or AGREEMENT_PAIRS))
    except MinibertError as error:  # a vocabulary of another language, or a small one: no fault of the data
        raise Unavailable(str(error)) from error


def _first(pairs: Sequence[MinimalPair], most: int | None) -> list[MinimalPair]:
    """The first pairs of each paradigm."""
    taken: dict[tuple[str, str], int] = {}
    kept = []
    for pair in pairs:
        key = (pair.field, pair.paradigm)
        taken[key] = taken.get(key, 0) + 1
        if most is None or taken[key] <= most:
            kept.append(pair)
    return kept


def _named_apart(pairs: Sequence[MinimalPair]) -> list[MinimalPair]:
    """The pairs, with the field before the name of a paradigm that several fields have, as Zorro's files have
    it."""
    fields: dict[str, set[str]] = {}
    for pair in pairs:
        fields.setdefault(pair.paradigm, set()).add(pair.field)
    return [
        pair._replace(paradigm=f"{pair.field}-{pair.paradigm}") if len(fields[pair.paradigm]) > 1 else pair
        for pair in pairs
    ]

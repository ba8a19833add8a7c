"""Data that a command line names for the instruments: refused before anything is asked, if it is not there."""

import os
from collections.abc import Collection

from minibert.config.evaluation import EvaluationConfig
from minibert.data.annotated.analogies import GOOGLE_ANALOGIES
from minibert.data.annotated.downloads import SOURCES
from minibert.data.annotated.lines import as_path
from minibert.data.annotated.word_pairs import WORD_PAIRS
from minibert.errors import MinibertError, nearest
from minibert.evaluation.catalogue import enabled
from minibert.evaluation.facts.instrument import TEMPLATES
from minibert.evaluation.minimal_pairs.sources import AGREEMENT


def refuse_absent(settings: EvaluationConfig) -> None:
    """Raise :class:`MinibertError` for data of an instrument that are neither a name that it knows nor a path."""
    for instrument, own in enabled(settings).items():
        for key, names in _names().items():
            name, _, field = key.partition(".")
            if name == instrument:
                given = getattr(own, field)
                for each in given if isinstance(given, list) else [given]:
                    _check(f"evaluation.{key}", each, names)


def _names() -> dict[str, Collection[str]]:
    """Setting that names data -> what it may name beside paths."""
    datasets = sorted(file.stem for file in SOURCES.glob("*.yaml"))
    return {
        "intrinsic.treebank": datasets,
        "probing.treebank": datasets,
        "minimal_pairs.data": [AGREEMENT, *datasets],
        "semantics.data": [*WORD_PAIRS, GOOGLE_ANALOGIES],
        "facts.data": [TEMPLATES],
        "downstream.data": datasets,
    }


def _check(key: str, given: str | None, names: Collection[str]) -> None:
    if given is None or given in names:
        return
    try:
        path = as_path(given)
    except MinibertError as error:
        raise MinibertError(f"{key}: {error}") from None
    if not os.path.exists(path):  # also where a name is too long to be one
        raise MinibertError(
            f"{key}: {given}: is not there{nearest(given, names)}. Allowed: the path of a file or a folder, or "
            f"{', '.join(names)}."
        )

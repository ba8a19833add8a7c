"""The bands of predictions as tables, metrics and notes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minibert.evaluation.instruments import Table
from minibert.evaluation.intrinsic.measures import Band

CONTROLS = (
    "Word frequencies: each of these masked tokens is predicted by how often it is in the training text. Other "
    "parts of the page mask other tokens and so have other numbers; the unigram entropy that a run states is of "
    "all held-out tokens, by their own frequencies. "
    "Untrained: the same network before its first step. ±: half the 95 % interval over sequences."
)
TITLES = {
    "all": ("Loss of masked tokens", f"In nats a token. {CONTROLS}"),
    "frequency": ("Loss by frequency", "By how often the token is in the training text."),
    "position": ("Loss by position", "By the place in the text of a row, where [CLS] is 0."),
    "piece": ("Loss by piece of a word", "Whole: a word of one piece. First and later: pieces of a longer word."),
    "part_of_speech": (
        "Loss by part of speech",
        "In nats a word of the treebank, all of its pieces masked, while a seventh of its sentence is masked.",
    ),
}
"""Kind of tokens -> title and caption of its table"""


def band_table(kind: str, bands: Sequence[Band]) -> Table:
    """A row for each band; what is known of no band has no column."""
    columns: dict[str, list] = {
        "": [readable(band.name) for band in bands],
        "words" if kind == "part_of_speech" else "tokens": [band.tokens for band in bands],
        "loss": [band.loss for band in bands],
        "±": [None if np.isnan(band.error) else band.error for band in bands],
        "word frequencies": [band.unigram for band in bands],
        "untrained": [band.untrained for band in bands],
        "accuracy": [band.accuracy for band in bands],
    }
    known = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return Table(*TITLES[kind], list(known), [list(row) for row in zip(*known.values(), strict=True)])


def band_metrics(bands: Mapping[str, Sequence[Band]]) -> dict[str, float]:
    """``intrinsic/loss/frequency/10_to_99``, and ``intrinsic/loss/all`` of all predictions, of controls too; and
    accuracies."""
    return {
        f"intrinsic/{quantity}/{kind}" + ("" if kind == "all" else f"/{band.name}"): value
        for kind, each in bands.items()
        for band in each
        for quantity, value in (
            ("loss", band.loss),
            ("unigram_loss", band.unigram),
            ("untrained_loss", band.untrained),
            ("accuracy", band.accuracy),
        )
        if value is not None
    }


def no_better(bands: Mapping[str, Sequence[Band]]) -> list[str]:
    """A note for each control that the model does not beat over all predictions, or in some band."""
    notes = []
    for control, words in (("unigram", "word frequencies alone"), ("untrained", "the untrained network")):
        names = {
            kind: [
                f"{kind.replace('_', ' ')} {readable(band.name)} (n = {band.tokens:,})"
                for band in each
                if (other := getattr(band, control)) is not None and band.loss >= other
            ]
            for kind, each in bands.items()
        }
        if names.pop("all", []):
            notes.append(f"No better than {words}, over all predictions.")
        elif any(names.values()):
            notes.append(f"No better than {words}: {', '.join(name for each in names.values() for name in each)}.")
    return notes


def plain(bands: Mapping[str, Sequence[Band]]) -> dict[str, Any]:
    """Kind -> its bands as dictionaries, for JSON, which has no NaN."""
    return {
        kind: [band._replace(error=float(np.nan_to_num(band.error)))._asdict() for band in each]
        for kind, each in bands.items()
    }


def readable(band: str) -> str:
    """The name of a band as it is shown.

    >>> readable("1000_to_9999")
    '1,000 to 9,999'
    """
    low, to, high = band.partition("_to_")
    return f"{int(low):,} to {int(high):,}" if to else band

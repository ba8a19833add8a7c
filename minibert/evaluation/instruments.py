"""What an instrument is asked with, and what it finds.

An instrument measures one kind of knowledge of a model at one checkpoint (``measure``). Its figures, and what
only all checkpoints together show, are made from the findings alone (``conclude``): so a page can be made again
without the model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tokenizers import Tokenizer

from minibert.data.packing import Sequences
from minibert.diagnostics.plotting.style import Drawing
from minibert.evaluation.headlines import Headline
from minibert.model.bert import MiniBERT


@dataclass(frozen=True)
class Subject:
    """A model at one checkpoint, and all that its instruments may need beside it."""

    model: MiniBERT
    tokenizer: Tokenizer
    untrained: Callable[[], MiniBERT]
    """The same network before its first step: same sizes, same seed. It is not to be changed"""
    key: str
    """SHA-256 of the parameters and the tokenizer: what is cached of this model is cached under it"""
    cache: Path
    """Folder for downloads, and for what is computed once of a model"""
    seed: int = 0
    step: int = 0
    lanes: int = 2
    quick: bool = False
    """Take less data"""
    held_out: Sequences | None = None
    """The packed held-out text; None for a model whose text is not known"""
    unigram_counts: np.ndarray | None = None
    """(V,) of the training text"""
    bits_of_a_nat: float | None = None
    """Bits per byte of the held-out text for a loss of one nat a token"""
    note: Callable[[str], None] = print
    """Takes a message for the reader at the terminal"""


@dataclass(frozen=True)
class Table:
    """A table of a page."""

    title: str
    caption: str
    columns: list[str]
    rows: list[list[str | float | int | None]]
    """None is shown as a dash"""


@dataclass(frozen=True)
class Findings:
    """What an instrument found. All of it can be written as JSON."""

    summary: str
    """The answer in one or two sentences, with its control: what the page begins with"""
    metrics: dict[str, float] = field(default_factory=dict)
    """``<instrument>/<quantity>[/<part>]`` -> value"""
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Limits: what was left out and why, where a trained model is no better than its control"""
    values: dict[str, Any] = field(default_factory=dict)
    """Further plain values that ``conclude`` reads: lists, dictionaries, numbers, texts"""
    missing: list[str] = field(default_factory=list)
    """Data that could not be had, with the reason: asked again, such findings are not taken for complete"""
    headlines: list[Headline] = field(default_factory=list)
    """What the page and the table over the runs of a sweep begin with"""
    used: dict[str, Any] = field(default_factory=dict)
    """What was used in the place of a setting, or beside the settings, where ``quick`` takes less"""


@dataclass(frozen=True)
class Conclusion:
    """What is seen of the findings at all steps."""

    figures: dict[str, Drawing] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    """Recorded at the last of the steps"""
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Measure(Protocol):
    def __call__(self, subject: Subject, settings: Any) -> Findings:
        """Raises :class:`minibert.errors.Unavailable` for data that cannot be had: the other instruments go on
        without this one. :class:`MinibertError` for bad data."""
        ...


class Instrument(NamedTuple):
    """``settings`` in ``measure`` are those of the instrument in the group ``evaluation``."""

    name: str
    question: str
    """What it asks, in words: the title of its part of the page"""
    measure: Measure
    conclude: Callable[[Mapping[int, Findings]], Conclusion] = lambda by_step: Conclusion()
    """Step -> what was found there, in order of steps"""
    sources: Sequence[str] = ()
    """The papers it goes by"""

"""The groups that make batches of text: ``data``, ``masking``, ``curriculum`` and ``objective``."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from minibert.config.fields import choice, joins, number, option, setting

if TYPE_CHECKING:
    from minibert.config.run import Config

MASKINGS: dict[str, "type[MaskingConfig]"] = {}
CURRICULA: dict[str, "type[CurriculumConfig]"] = {}
TASKS = ("nsp", "sop", "token_order", "replaced_token")
"""What can be learned beside masked words"""
SPANS = {"name": ("span",), "chosen": ("span",)}
FREQUENCIES = {"name": ("frequency",), "chosen": ("frequency",)}


@joins(MASKINGS, "uniform", "whole_word")
@dataclass
class MaskingConfig:
    """Which tokens are predicted, and what the network sees in their place.

    ``corruption_rate`` is the share of ordinary tokens whose input is corrupted, ``prediction_rate`` the
    share that is predicted; both default to ``rate``. The smaller set lies inside the larger one.
    """

    name: str = option("uniform", MASKINGS)
    rate: float = number(0.25, above=0, below=1)
    corruption_rate: float | None = number(None, at_least=0, below=1)
    prediction_rate: float | None = number(None, above=0, below=1)
    mask: float = number(0.8, at_least=0, at_most=1)
    """Of the corrupted tokens, the share replaced by [MASK]."""
    random: float = number(0.1, at_least=0, at_most=1)
    """Of the corrupted tokens, the share replaced by a random ordinary token; the rest stays as it is."""

    def problems(self, config: "Config") -> Iterator[str]:
        """What the group refuses of the configuration that it is part of."""
        if self.mask + self.random > 1 + 1e-9:
            yield (
                f"masking.mask={self.mask} and masking.random={self.random}: "
                "their sum is out of range. Allowed: at most 1."
            )
        training = config.training
        tokens = training.steps * training.batch_size * training.sequence_length
        key = "rate" if self.prediction_rate is None else "prediction_rate"
        if config.objective.mlm and getattr(self, key) * tokens < 1:
            yield (
                f"masking.{key}={getattr(self, key)}: of the {tokens} tokens of this training, none would be "
                f"predicted. Allowed: at least {1 / tokens:.2g}."
            )


@joins(MASKINGS)
@dataclass
class SpanMaskingConfig(MaskingConfig):
    name: str = option("span", MASKINGS)
    p: float = number(0.2, above=0, below=1, only_with=SPANS)
    """Of the geometric distribution of lengths: the chance that a span ends after a word."""
    longest: int = number(10, at_least=1, only_with=SPANS)
    """Words in a span."""


@joins(MASKINGS)
@dataclass
class FrequencyMaskingConfig(MaskingConfig):
    name: str = option("frequency", MASKINGS)
    exponent: float = number(0.5, at_least=0, only_with=FREQUENCIES)
    """A word is drawn with probability proportional to its count to the power of −exponent."""


CHOICES = tuple(MASKINGS)
"""How a masking chooses tokens: the names of those so far, whose rate does not change"""


@dataclass
class ChangingMaskingConfig(SpanMaskingConfig, FrequencyMaskingConfig):
    """A rate that changes in the course of training: corruption and prediction both follow it."""

    chosen: str = choice("uniform", *CHOICES)
    """How tokens are chosen at the rate of the step."""

    def problems(self, config: "Config") -> Iterator[str]:
        yield from super().problems(config)
        for key in ("corruption_rate", "prediction_rate"):
            if getattr(self, key) not in (None, self.rate):
                yield (
                    f"masking.{key}={getattr(self, key)}: masking={self.name} changes one rate, which "
                    "corruption and prediction both follow. Allowed: null."
                )


@joins(MASKINGS)
@dataclass
class ScheduledMaskingConfig(ChangingMaskingConfig):
    """``rate`` is where it starts."""

    name: str = option("scheduled", MASKINGS)
    end: float = number(0.15, above=0, below=1)
    shape: str = choice("linear", "linear", "cosine")
    share: float = number(1.0, above=0, at_most=1)
    """Of all steps, the share over which the rate changes."""


@joins(MASKINGS)
@dataclass
class AdaptiveMaskingConfig(ChangingMaskingConfig):
    """``rate`` is where it starts."""

    name: str = option("adaptive", MASKINGS)
    target: float = number(0.3, above=0, below=1)
    """Masked accuracy on the training batches that the rate is to bring about."""
    gain: float = number(0.005, above=0)
    """Change of the rate a step, per unit of accuracy off the target."""
    memory: float = number(0.98, at_least=0, below=1)
    """Weight of the past in the running accuracy."""
    lowest: float = number(0.05, above=0, below=1)
    highest: float = number(0.6, above=0, below=1)

    def problems(self, config: "Config") -> Iterator[str]:
        yield from super().problems(config)
        yield from _needs_masked_words("masking=adaptive", config)
        if not self.lowest <= self.rate <= self.highest:
            yield (
                f"masking.rate={self.rate}: outside of its bounds. Allowed: masking.lowest={self.lowest} to "
                f"masking.highest={self.highest}."
            )


def _needs_masked_words(given: str, config: "Config") -> Iterator[str]:
    if not config.objective.mlm:
        yield (
            f"objective.mlm=false: {given} goes by how well masked words are predicted. "
            f"Allowed: objective.mlm=true, or another {given.partition('=')[0]}."
        )


@joins(CURRICULA)
@dataclass
class CurriculumConfig:
    """The order in which sequences are trained on."""

    name: str = option("none", CURRICULA)


@joins(CURRICULA, "length", "rarity")
@dataclass
class PacedCurriculumConfig(CurriculumConfig):
    """Easy sequences first: the share of them that may be drawn grows until it is all."""

    name: str = option("rarity", CURRICULA)
    pacing: str = choice("root", "linear", "root", "step")
    start: float = number(0.1, above=0, at_most=1)
    """Share of the sequences, the easiest, to begin with."""
    share: float = number(0.5, above=0, below=1)
    """Of all steps, the share until all sequences take part."""
    stages: int = number(10, at_least=1)
    """In how many stages the share grows."""


@joins(CURRICULA)
@dataclass
class LossCurriculumConfig(PacedCurriculumConfig):
    name: str = option("loss", CURRICULA)
    stride: int = number(8, at_least=1)
    """One of so many neighbouring sequences is scored, for all of them."""

    def problems(self, config: "Config") -> Iterator[str]:
        yield from _needs_masked_words("curriculum=loss", config)


@joins(CURRICULA)
@dataclass
class ShortRowsConfig(CurriculumConfig):
    """Short rows first, then whole ones: every step has as many tokens."""

    name: str = choice("short_rows")
    sequence_length: int = number(16, at_least=3)
    """Tokens of a short row, [CLS] and [SEP] included."""
    share: float = number(0.5, above=0, below=1)
    """Of all steps, the share that has short rows."""

    def problems(self, config: "Config") -> Iterator[str]:
        length, given = config.training.sequence_length, f"curriculum.sequence_length={self.sequence_length}"
        if self.sequence_length >= length:
            yield f"{given}: no shorter than whole rows. Allowed: less than training.sequence_length={length}."
        for task, needed in config.objective.shortest_rows.items():
            if self.sequence_length < needed <= length:
                yield f"{given}: too short for objective.{task}. Allowed: at least {needed}."
        if config.training.one_batch:
            yield (
                f"curriculum={self.name} with training.one_batch=true: the one batch would be of two lengths. "
                "Allowed: curriculum=none."
            )


@dataclass
class ObjectiveConfig:
    """What is learned: masked words, and beside them the tasks whose weight is not zero."""

    name: str = choice("mlm", "mlm", *TASKS)
    mlm: bool = True
    """Mask and predict words; without them, the tasks below are learned alone."""
    nsp: float = number(0.0, at_least=0)
    """Weight of: is the second segment of the row a random one?"""
    sop: float = number(0.0, at_least=0)
    """Weight of: are the two segments of the row swapped?"""
    token_order: float = number(0.0, at_least=0)
    """Weight of: was this token moved?"""
    replaced_token: float = number(0.0, at_least=0)
    """Weight of: was this token replaced?"""
    weight: float = number(1.0, above=0, only_with=dict.fromkeys(TASKS, True))
    """A factor on the weights of all tasks beside masked words."""
    moved: float = number(0.15, above=0, below=1, only_with={"token_order": True})
    """``token_order``: share of the ordinary tokens that change places."""
    replaced: float = number(0.15, above=0, below=1, only_with={"replaced_token": True})
    """``replaced_token``: share of the ordinary tokens that are replaced."""

    @property
    def tasks(self) -> list[str]:
        """The tasks beside masked words, each with a head of the network."""
        return [name for name in TASKS if getattr(self, name)]

    @property
    def shortest_rows(self) -> dict[str, int]:
        """Task -> tokens of the shortest row that it can ask about, [CLS] and [SEP] included."""
        lengths = {"nsp": 5, "sop": 5, "token_order": math.ceil(2 / self.moved) + 2}
        return {task: lengths[task] for task in self.tasks if task in lengths}

    def problems(self, config: "Config") -> Iterator[str]:
        """What the group refuses of the configuration that it is part of."""
        length = config.training.sequence_length
        if not (self.mlm or self.tasks):
            yield (
                "objective.mlm=false: nothing is left to learn. Give a task a weight: objective.replaced_token=1."
            )
        yield from self._pair_problems(config.model.segments, length)
        if self.token_order and self.moved * (length - 2) < 2:
            needed = self.shortest_rows["token_order"]
            yield (
                f"objective.token_order={self.token_order}: of a sequence of training.sequence_length={length}, "
                f"a share objective.moved={self.moved} is fewer than the two tokens that can change places. "
                f"Allowed: training.sequence_length of at least {needed}, or more moved."
            )
        if self.token_order and config.model.position.name == "none":
            yield (
                f"objective.token_order={self.token_order}: a network with position=none does not know where a "
                "token stands, so it cannot tell that it was moved. Allowed: any other position."
            )
        if self.token_order and self.replaced_token and self.moved + self.replaced >= 1:
            yield (
                f"objective.moved={self.moved} and objective.replaced={self.replaced}: "
                "together all tokens or more. Allowed: a sum below 1."
            )

    def _pair_problems(self, segments: int, length: int) -> Iterator[str]:
        paired = [task for task in ("nsp", "sop") if getattr(self, task)]
        if len(paired) == 2:
            yield (
                f"objective.nsp={self.nsp} and objective.sop={self.sop}: a row has one second segment, "
                "which is either replaced or swapped. Allowed: one of the two."
            )
        for task in paired:
            if segments < 2:
                yield (
                    f"objective.{task}={getattr(self, task)}: the network has to tell the two segments of a row "
                    f"apart, and model.segments is {segments}. Allowed: model.segments=2."
                )
            if length < self.shortest_rows[task]:
                yield (
                    f"objective.{task}={getattr(self, task)}: training.sequence_length={length} has no room for "
                    "two segments. Allowed: at least 5, for [CLS] a [SEP] b [SEP]."
                )


@dataclass
class DataConfig:
    name: str = MISSING
    """A corpus of :data:`minibert.data.corpora.CORPORA`, or, for ``hub``, the name of a dataset."""
    source: str = choice("sotu", "sotu", "text", "hub")
    path: str | None = setting(None, only_with={"source": ("text",)})
    """``text``: UTF-8 files, one document each: a file, a glob, or a folder (the glob ``folder/**/*.txt``)."""
    subset: str | None = setting(None, only_with={"source": ("hub",)})
    """``hub``: the name of the dataset's configuration, where it has several."""
    split: str = setting("train", only_with={"source": ("hub",)})
    """``hub``: which split of the dataset to read, also a slice such as ``train[:1%]``."""
    column: str = setting("text", only_with={"source": ("hub",)})
    """``hub``: the column that holds the text, one document a row."""
    revision: str | None = setting(None, only_with={"source": ("hub",)})
    """``hub``: the dataset's commit or tag."""
    evaluation_fraction: float = number(0.05, above=0, below=1)
    """Share of the documents held out for evaluation."""
    largest_overlap: float = number(0.05, at_least=0, at_most=1)
    """Share of a held-out document's words that may also occur, in runs of 50 words, in training documents. A
    document with more is trained on instead; 1 lets every document stay."""
    lowercase: bool = True
    strip_accents: bool = False
    """Take accents and other marks off letters, as uncased BERT does: é is e, が is か, Hindi कुल is कल."""
    longest_word: int = number(100, at_least=1, at_most=10_000)
    """Characters; a longer word becomes one [UNK]."""
    packed: bool = True
    """Fill rows with pieces of several documents, attention kept within each; else pad each row to its length."""
    cache: str = MISSING
    """Folder of tokenizers and encoded corpora."""

    def problems(self, config: "Config") -> Iterator[str]:
        if not self.cache.strip():
            yield "data.cache=: an empty name. Allowed: a folder; a dot is the current one."
        if "\0" in self.cache:
            yield "data.cache: has a zero byte. Allowed: a folder; a dot is the current one."
        if self.source == "text" and not self.path:
            yield "data.path=null: nothing to read. Give a file, a folder or a glob: data.path='books/*.txt'."

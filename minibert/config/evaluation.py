"""The group ``evaluation``: what a trained model is asked, and with which data.

Every instrument has a dataclass of its own, which an option of the group switches on: ``evaluation=probing``,
``evaluation=[probing,minimal_pairs]``. Only the fields of :class:`EvaluationConfig` itself change what a run
computes while it trains.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

from minibert.config.fields import choice, number, told

if TYPE_CHECKING:
    from minibert.config.run import Config

LARGEST_MASK_SEED = 2**63 - 1
PROBE_TASKS = (
    "part_of_speech", "number", "tense", "dependency_relation", "head_distance", "sentence_length", "word_content"
)  # fmt: skip
ENCODERS = ("full", "frozen")


@dataclass
class InstrumentConfig:
    """What all instruments have."""

    enabled: bool = told(False, "")
    """An option of the group sets it: ``evaluation=facts``."""

    def problems(self) -> Iterator[str]:
        """What the fields do not allow together."""
        yield from ()


@dataclass
class IntrinsicConfig(InstrumentConfig):
    """Which words are predicted well, and how far the model's probabilities can be believed."""

    treebank: str | None = told(None, "ud_english_ewt, a file or a folder of CoNLL-U, or null")
    """A data set, a file or a folder of CoNLL-U, for the loss by part of speech; null leaves that out."""
    bins: int = number(10, at_least=2, at_most=100)
    """Of the reliability figure."""
    examples: int = number(12, at_least=0, at_most=1000)
    """Masked tokens whose guesses are listed."""


@dataclass
class ProbingConfig(InstrumentConfig):
    """What can be read from the hidden states of each layer."""

    tasks: list[str] = told(list(PROBE_TASKS), "a list of these names")
    treebank: str = told("ud_english_ewt", "ud_english_ewt, or a file or a folder of CoNLL-U")
    """A data set, a file or a folder of CoNLL-U."""
    max_sentences: int = number(2000, at_least=20)
    word: str = choice("mean", "mean", "first")
    """Which of the pieces of a word stand for it."""

    def problems(self) -> Iterator[str]:
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            yield f"evaluation.probing.tasks={self.tasks}: has none, or one twice. Allowed: each task once."
        for name in self.tasks:
            if name not in PROBE_TASKS:
                yield f"evaluation.probing.tasks: {name} is no probe task. Allowed: {', '.join(PROBE_TASKS)}."


@dataclass
class MinimalPairsConfig(InstrumentConfig):
    """Whether the grammatical one of two sentences is preferred."""

    data: list[str] = told(["agreement"], "a list of agreement, blimp, zorro, files and folders")
    """``agreement`` (from templates), data sets (``blimp``, ``zorro``), files and folders."""
    kind: str = choice("within_word", "within_word", "original")
    """Which pieces are masked with a piece of a word."""
    pairs: int | None = number(None, at_least=1)
    """At most so many of each paradigm, the first ones; null is all."""


@dataclass
class SemanticsConfig(InstrumentConfig):
    """Whether words of like meaning have like vectors."""

    data: list[str] = told(
        ["wordsim353", "simlex999", "analogies"], "a list of wordsim353, simlex999, analogies and files"
    )
    """Word pairs and analogies by name; files: ``.txt`` has analogies, ``.tsv`` word pairs."""
    contexts: int = number(16, at_least=1, at_most=1000)
    """Held-out occurrences of a word whose vectors are averaged, at most."""


@dataclass
class FactsConfig(InstrumentConfig):
    """Whether a cloze prompt is completed with the true word."""

    data: list[str] = told(["templates"], "a list of templates and files")
    """``templates`` (over the analogies), and tab-separated files."""


@dataclass
class CompositionConfig(InstrumentConfig):
    """Whether the order of words, roles and negation change what the model finds."""

    sequences: int = number(256, at_least=8)
    """Held-out sequences that are shuffled."""


@dataclass
class DownstreamConfig(InstrumentConfig):
    """How well the model learns to classify sentences."""

    data: str = told("sst2", "sst2, or a folder with train.tsv, dev.tsv and test.tsv")
    """A data set, or a folder with train, dev and test tables: sentence, tab, label."""
    encoders: list[str] = told(list(ENCODERS), "a list of full and frozen")
    """``full``: all parameters are trained; ``frozen``: the new layer alone."""
    epochs: int = number(3, at_least=1, at_most=1000)
    max_samples: int | None = number(None, at_least=20)
    """Of the training part; null is all."""
    seeds: int = number(3, at_least=1, at_most=100)
    rates: list[float] = field(default_factory=lambda: [1e-4, 1e-3, 3e-3, 1e-2])
    """Learning rates of ``full``; the best on the dev part is taken. Small networks want high ones: 3e-3 at
    width 128, but 2e-5 to 1e-4 at the sizes of BERT."""
    frozen_rates: list[float] = field(default_factory=lambda: [3e-3, 1e-2, 3e-2])
    """Those of ``frozen``: a layer alone stands, and needs, higher ones."""
    batch_size: int = number(32, at_least=1, at_most=4096)
    dropout: float = number(0.1, at_least=0, below=1)
    """While ``full`` is trained, whatever the network was pretrained with."""
    pooling: str = choice("mean", "mean", "cls")
    """What stands for a sentence: the mean of its final hidden states, or that of [CLS]."""
    forgetting: int = number(8, at_least=0, at_most=1000)
    """At about how many steps of fine-tuning the old tasks are measured; 0 leaves them out."""

    def problems(self) -> Iterator[str]:
        key = "evaluation.downstream"
        for name in self.encoders:
            if name not in ENCODERS:
                yield f"{key}.encoders: {name} is no way to train. Allowed: {', '.join(ENCODERS)}."
        for name in ("encoders", "rates", "frozen_rates"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                yield f"{key}.{name}: {values} was given. Allowed: one or more, each once."
        for name in ("rates", "frozen_rates"):
            for rate in getattr(self, name):
                if not 0 < rate < float("inf"):
                    yield f"{key}.{name}: {rate} is out of range. Allowed: above 0."


@dataclass
class WordLearningConfig(InstrumentConfig):
    """When in training each word is learnt. Reads all kept checkpoints."""

    words: list[str] = field(default_factory=list)
    """The words; none given: frequent ones of the held-out text, over all bands of frequency."""
    count: int = number(60, at_least=1, at_most=10_000)
    """How many words are taken where none are given."""
    contexts: int = number(32, at_least=1, at_most=10_000)
    """Held-out occurrences of a word, at most."""


@dataclass
class EvaluationConfig:
    name: str = choice("intrinsic")
    every: int = number(100, at_least=1)
    """Steps between evaluations; there is always one at step 0 and one at the end."""
    sequences: int = number(256, at_least=1)
    """How many held-out sequences are scored; all of them where there are fewer."""
    batch_size: int = number(32, at_least=1, at_most=1_048_576)
    documents: str = choice("all", "all", "development", "test")
    """Held-out documents that are scored: choose settings on one half, and report on the other."""
    rate: float = number(0.15, above=0, below=1)
    """Masking rate of the frozen set that every run is scored on."""
    rates: list[float] = field(default_factory=lambda: [0.15, 0.25, 0.40, 0.60, 0.80])
    """Further rates scored at the end of a run."""
    mask_seed: int = number(15, at_least=0, at_most=LARGEST_MASK_SEED)
    """Seed of the frozen masks: deliberately no part of a run's own seeds."""
    steps: Any = told("last", "last, all, or a list of kept steps, such as [0,64]")
    """Kept checkpoints that the instruments are asked at: last, all, or a list of steps."""
    quick: bool = False
    """The instruments take less data: minutes become seconds, intervals wider."""
    intrinsic: IntrinsicConfig = field(default_factory=IntrinsicConfig)
    probing: ProbingConfig = field(default_factory=ProbingConfig)
    minimal_pairs: MinimalPairsConfig = field(default_factory=MinimalPairsConfig)
    semantics: SemanticsConfig = field(default_factory=SemanticsConfig)
    facts: FactsConfig = field(default_factory=FactsConfig)
    composition: CompositionConfig = field(default_factory=CompositionConfig)
    downstream: DownstreamConfig = field(default_factory=DownstreamConfig)
    word_learning: WordLearningConfig = field(default_factory=WordLearningConfig)

    def problems(self, config: "Config") -> Iterator[str]:
        tokens = self.sequences * config.training.sequence_length
        grid = {f"rates[{index}]": rate for index, rate in enumerate(self.rates)}
        for key, rate in {"rate": self.rate, **grid}.items():
            if not 0 < rate < 1:
                yield f"evaluation.{key}={rate}: out of range. Allowed: above 0 and below 1."
            elif rate * tokens < 1:
                yield (
                    f"evaluation.{key}={rate}: of the {tokens} tokens of evaluation.sequences={self.sequences}, "
                    f"none would be predicted. Allowed: at least {1 / tokens:.2g}."
                )
        for rate in sorted({rate for rate in self.rates if self.rates.count(rate) > 1}):
            times = self.rates.count(rate)
            yield f"evaluation.rates: {rate} stands in it {times} times. Allowed: each rate once."
        if self.asked_steps() is None:
            yield f"evaluation.steps={self.steps}: not understood. Allowed: all, last, a list such as [0,64]."
        yield from self.instrument_problems()

    def asked_steps(self) -> str | list[int] | None:
        """``steps`` as ``all``, ``last`` or numbers; None if it is none of these. A command line gives a text."""
        steps: Any = self.steps
        if isinstance(steps, str) and steps.startswith("[") and steps.endswith("]"):
            parts = [part.strip() for part in steps[1:-1].split(",")]
            steps = [int(part) if part.isdecimal() else part for part in parts]
        if isinstance(steps, list) and steps and all(type(step) is int and step >= 0 for step in steps):
            return steps
        return steps if steps in ("all", "last") else None

    def instrument_problems(self) -> Iterator[str]:
        """What the settings of the instruments refuse."""
        for name in INSTRUMENTS:
            yield from getattr(self, name).problems()


INSTRUMENTS = tuple(
    name
    for name, kind in get_type_hints(EvaluationConfig).items()
    if isinstance(kind, type) and issubclass(kind, InstrumentConfig)
)
"""The fields of :class:`EvaluationConfig` that are settings of an instrument"""
ASKED_AFTERWARDS = tuple(f"evaluation.{name}" for name in ("steps", "quick", *INSTRUMENTS))
"""What the keys that change nothing in training begin with"""

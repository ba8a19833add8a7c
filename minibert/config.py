"""The typed schema of conf/: one dataclass for every group, with what each field allows beside it.

Hydra merges the YAML files of conf/ into these classes, so a misspelt key or a wrong type fails before
anything runs. Ranges and names are stated as field metadata and checked by :func:`validate`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from minibert.errors import MinibertError, nearest
from minibert.randomness import derive_seeds

PACKAGE = Path(__file__).resolve().parent
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
ROOT = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else Path.cwd()
"""The checkout that the code runs from; for an installed wheel, the working directory."""


def number(default, *, at_least=None, above=None, at_most=None, below=None):
    """A numeric field with its bounds."""
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    return field(default=default, metadata={key: value for key, value in bounds.items() if value is not None})


def choice(default, *allowed):
    """A field that takes one of the names given."""
    return field(default=default, metadata={"choices": allowed})


@dataclass
class PositionConfig:
    """How the network knows the order of tokens. The group ``position`` fills ``model.position``."""

    name: str = choice("absolute", "absolute")


@dataclass
class ModelConfig:
    """Shape and function of the network. ``vocab_size`` is also what the tokenizer is trained to."""

    name: str = "base"
    vocab_size: int = number(8192, at_least=16)
    hidden_size: int = number(192, at_least=1)
    layers: int = number(3, at_least=1)
    heads: int = number(4, at_least=1)
    feed_forward_size: int = number(768, at_least=1)
    max_length: int = number(128, at_least=1)
    segments: int = number(0, at_least=0)
    """Size of the segment (token-type) table; 0 leaves segment embeddings out."""
    dropout: float = number(0.1, at_least=0, below=1)
    """Rate on the embeddings and on every residual branch, rounded to 1/256."""
    attention_dropout: float = number(0.1, at_least=0, below=1)
    """Rate on the attention weights, rounded to 1/256."""
    norm: str = choice("pre", "pre", "post")
    norm_epsilon: float = number(1e-12, above=0)
    activation: str = choice("gelu", "relu", "gelu", "gelu_tanh")
    position: PositionConfig = field(default_factory=PositionConfig)
    init_scale: float = number(0.02, above=0)
    """Standard deviation of the truncated normal that weights are drawn from."""
    output_bias: str = choice("unigram", "unigram", "zero")
    """What the MLM output bias starts at: log unigram frequencies of the training split, or zero."""
    dtype: str = choice("float32", "float32", "float64")


@dataclass
class OptimizerConfig:
    name: str = choice("adamw", "adamw")
    learning_rate: float = number(1e-3, above=0)
    beta1: float = number(0.9, at_least=0, below=1)
    beta2: float = number(0.98, at_least=0, below=1)
    epsilon: float = number(1e-8, above=0)
    weight_decay: float = number(0.01, at_least=0)
    """Decoupled decay of weights; gains and biases are never decayed."""


@dataclass
class ScheduleConfig:
    """The factor on the learning rate: linear warm-up, then the named shape."""

    name: str = choice("linear", "linear", "cosine", "warmup_stable_decay")
    warmup: float = number(0.1, at_least=0, at_most=1)
    """Share of all steps spent on warm-up."""
    decay: float = number(0.2, above=0, at_most=1)
    """Share of all steps spent on the decay of ``warmup_stable_decay``."""
    final: float = number(0.0, at_least=0, at_most=1)
    """The factor at the last step."""


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


@dataclass
class EvaluationConfig:
    name: str = choice("intrinsic", "intrinsic")
    every: int = number(100, at_least=1)
    """Steps between evaluations; there is always one at step 0 and one at the end."""
    sequences: int = number(256, at_least=1)
    """How many held-out sequences are scored; all of them where there are fewer."""
    batch_size: int = number(32, at_least=1)
    rate: float = number(0.15, above=0, below=1)
    """Masking rate of the frozen set that every run is scored on."""
    rates: list[float] = field(default_factory=lambda: [0.15, 0.25, 0.40, 0.60, 0.80])
    """Further rates scored at the end of a run."""
    mask_seed: int = number(15, at_least=0)
    """Seed of the frozen masks: deliberately no part of a run's own seeds."""


@dataclass
class TrainingConfig:
    name: str = "pretraining"
    steps: int = number(2000, at_least=1)
    batch_size: int = number(32, at_least=1)
    """Sequences in one optimizer step."""
    accumulation: int = number(1, at_least=1)
    """Parts that a batch is computed in, one after the other, to save memory."""
    checkpoint_activations: bool = False
    """Keep only the layers' inputs and compute the rest again in the backward pass, to save memory."""
    sequence_length: int = number(64, at_least=3)
    lanes: int = number(2, at_least=1)
    """Threads that a batch is split over, with one BLAS thread each."""
    clip_norm: float | None = number(1.0, above=0)
    """Largest global norm of the gradient; null clips nothing."""
    log_every: int = number(10, at_least=1)
    checkpoint_every: int = number(500, at_least=1)
    """Steps between the kept checkpoints after step 512; before, they are log-spaced."""
    checkpoint_seconds: float = number(30.0, above=0)
    """At most this much work is lost by a kill."""


@dataclass
class TrackingConfig:
    """Where a run is recorded. Nothing in here changes what a run computes."""

    uri: str | None = None
    """MLflow tracking server or database; null is the SQLite store under ``folder``."""
    folder: str = MISSING
    """Everything that a run writes."""
    experiment: str = "minibert"
    run_name: str | None = None
    parent_run: str | None = None
    """MLflow id of the sweep that this run is a child of."""
    sweep_keys: list[str] = field(default_factory=list)
    """The keys and groups that differ between the runs of the sweep: they name its runs."""
    rerun: bool = False
    """Train again although a run of the same configuration has finished."""
    progress: bool = True


@dataclass
class SeedsConfig:
    """The four streams of random numbers; null derives a stream's seed from ``seed``."""

    init: int | None = number(None, at_least=0)
    data: int | None = number(None, at_least=0)
    masking: int | None = number(None, at_least=0)
    dropout: int | None = number(None, at_least=0)


@dataclass
class StudyConfig:
    """What an experiment file states for its report: the question and what is compared."""

    name: str | None = None
    question: str | None = None
    hypothesis: str | None = None
    factor: str | None = None
    """The swept key whose values are compared."""
    baseline: Any = None
    """The value of ``factor`` that the others are measured against."""
    metric: str = "eval/loss"
    label: str | None = None
    """What the factor is called in tables, figures and run names."""


@dataclass
class Config:
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    study: StudyConfig = field(default_factory=StudyConfig)
    seed: int = number(0, at_least=0)
    seeds: SeedsConfig = field(default_factory=SeedsConfig)


def register() -> None:
    """Make the schema known to Hydra, and ``${minibert.root:}`` to OmegaConf."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("minibert.root", lambda: str(ROOT), replace=True)


def resolve(composed) -> Config:
    """The composed configuration as plain dataclasses: interpolations resolved, seeds filled in, validated.

    Raises :class:`MinibertError` naming every value that is not allowed.
    """
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise MinibertError("\n".join(f"{key}: missing. Give a value: {key}=..." for key in missing))
    config = OmegaConf.to_object(composed)
    for stream, seed in derive_seeds(config.seed).items():
        if getattr(config.seeds, stream) is None:
            setattr(config.seeds, stream, seed)
    validate(config)
    for rate in ("corruption_rate", "prediction_rate"):
        if getattr(config.masking, rate) is None:
            setattr(config.masking, rate, config.masking.rate)
    return config


def validate(config, prefix: str = "") -> None:
    """Check every field against its bounds and choices, then the fields against each other."""
    problems = list(_field_problems(config, prefix))
    if not problems:
        problems = list(_combination_problems(config))
    if problems:
        raise MinibertError("\n".join(problems))


def _field_problems(config, prefix: str):
    comparisons = {
        "at_least": (lambda value, bound: value >= bound, "at least"),
        "above": (lambda value, bound: value > bound, "above"),
        "at_most": (lambda value, bound: value <= bound, "at most"),
        "below": (lambda value, bound: value < bound, "below"),
    }
    for item in fields(config):
        value, key = getattr(config, item.name), prefix + item.name
        if is_dataclass(value):
            yield from _field_problems(value, key + ".")
            continue
        if value is None:
            continue
        choices = item.metadata.get("choices")
        if choices and value not in choices:
            yield f"{key}={value}: not allowed{nearest(value, choices)}. Allowed: {', '.join(choices)}."
        limits = [name for name in comparisons if name in item.metadata]
        # A comparison with NaN is false, so NaN is refused wherever there is a bound.
        if not all(comparisons[name][0](value, item.metadata[name]) for name in limits):
            allowed = " and ".join(f"{comparisons[name][1]} {item.metadata[name]}" for name in limits)
            yield f"{key}={value}: out of range. Allowed: {allowed}."


def _combination_problems(config):
    model = config if isinstance(config, ModelConfig) else getattr(config, "model", None)
    if model is not None and model.hidden_size % model.heads:
        divisors = [n for n in range(1, model.hidden_size + 1) if model.hidden_size % n == 0]
        closest = min(divisors, key=lambda n: abs(n - model.heads))
        yield (
            f"model.heads={model.heads}: does not divide model.hidden_size={model.hidden_size}. "
            f"Allowed: {', '.join(map(str, divisors))} (nearest: {closest})."
        )
    if not isinstance(config, Config):
        return
    if config.training.sequence_length > config.model.max_length:
        yield (
            f"training.sequence_length={config.training.sequence_length}: longer than the position table. "
            f"Allowed: at most model.max_length={config.model.max_length}."
        )
    if config.masking.mask + config.masking.random > 1 + 1e-9:
        yield (
            f"masking.mask={config.masking.mask} and masking.random={config.masking.random}: "
            "their sum is out of range. Allowed: at most 1."
        )
    for index, rate in enumerate(config.evaluation.rates):
        if not 0 < rate < 1:
            yield f"evaluation.rates[{index}]={rate}: out of range. Allowed: above 0 and below 1."
    if config.training.accumulation > config.training.batch_size:
        yield (
            f"training.accumulation={config.training.accumulation}: more parts than sequences. "
            f"Allowed: at most training.batch_size={config.training.batch_size}."
        )
    if config.data.source == "text" and not config.data.path:
        yield "data.path=null: nothing to read. Give a file, a folder or a glob: data.path='books/*.txt'."


def config_hash(config: Config, corpus_hash: str) -> str:
    """SHA-256 of what a run computes: the resolved configuration and the content of the corpus.

    Left out is what changes no result: ``tracking``, ``study`` and the cache folder.
    """
    computed = asdict(config) | {"corpus": corpus_hash}
    del computed["tracking"], computed["study"], computed["data"]["cache"]
    return hashlib.sha256(json.dumps(computed, sort_keys=True).encode()).hexdigest()

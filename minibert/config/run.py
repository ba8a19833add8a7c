"""The groups around a run, and the whole of a configuration."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import MISSING

from minibert.config.averaging import AveragingConfig
from minibert.config.data import CurriculumConfig, DataConfig, MaskingConfig, ObjectiveConfig
from minibert.config.diagnostics import DiagnosticsConfig
from minibert.config.evaluation import EvaluationConfig
from minibert.config.fields import number
from minibert.config.model import ModelConfig
from minibert.config.optimizers import (
    ClippingConfig,
    GlobalNormClippingConfig,
    LayerRatesConfig,
    MuonConfig,
    OptimizerConfig,
)
from minibert.config.training import ScheduleConfig, TrainingConfig

LARGEST_SEED = 2**63 - 1
FOLLOWS = {
    "masking.corruption_rate": "masking.rate",
    "masking.prediction_rate": "masking.rate",
    "optimizer.inner.learning_rate": "optimizer.learning_rate",
    "optimizer.inner.rate_factor": "optimizer.rate_factor",
}
"""Key -> the key whose value it takes if it has none of its own"""
NO_ADDRESS = (
    "tracking.uri=: missing. Give the address of an MLflow server, tracking.uri=http://HOST:PORT, or of a "
    "database; null is the SQLite store under tracking.folder."
)


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
    system_metrics: bool = False
    """Record the use of processor, memory, disk and network every ten seconds, as MLflow measures it."""
    offline: bool = False
    """Begin although the server does not answer and was never reached with this ``folder``."""
    progress: bool = True
    report: bool = True
    """A sweep ends with its report; ``minibert report`` makes it at any time."""

    def problems(self, config: "Config") -> Iterator[str]:
        if not self.folder.strip():
            yield "tracking.folder=: an empty name. Allowed: a folder; a dot is the current one."
        if "\0" in self.folder:
            yield "tracking.folder: has a zero byte. Allowed: a folder; a dot is the current one."
        if self.uri is not None and not self.uri.strip():
            yield NO_ADDRESS


@dataclass
class SeedsConfig:
    """The four streams of random numbers; null derives a stream's seed from ``seed``."""

    init: int | None = number(None, at_least=0, at_most=LARGEST_SEED)
    data: int | None = number(None, at_least=0, at_most=LARGEST_SEED)
    masking: int | None = number(None, at_least=0, at_most=LARGEST_SEED)
    dropout: int | None = number(None, at_least=0, at_most=LARGEST_SEED)


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
    tuned: str | None = None
    """A swept key that is tuned for every value of ``factor``: each is compared at its best setting."""
    metric: str = "eval/loss"
    target: float | None = None
    """A value of the metric that every run should reach; the report says which do."""
    label: str | None = None
    """What the factor is called in tables, figures and run names."""


@dataclass
class RecipeConfig:
    """The recipe that was laid over the settings. A label: it lets a sweep compare whole recipes."""

    name: str = "default"


@dataclass
class Config:
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=MuonConfig)
    clipping: ClippingConfig = field(default_factory=GlobalNormClippingConfig)
    layer_rates: LayerRatesConfig = field(default_factory=LayerRatesConfig)
    averaging: AveragingConfig = field(default_factory=AveragingConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    study: StudyConfig = field(default_factory=StudyConfig)
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    seed: int = number(0, at_least=0, at_most=LARGEST_SEED)
    seeds: SeedsConfig = field(default_factory=SeedsConfig)

    def problems(self) -> Iterator[str]:
        """What each group refuses of the others."""
        yield from self.model.problems()
        for group in (getattr(self, item.name) for item in fields(self)):
            if group is not self.model and hasattr(group, "problems"):
                yield from group.problems(self)

"""The content of a study's report: findings, measurements inside the networks, and the study's own question."""

from dataclasses import dataclass

from minibert.tracking import Store

from . import combinations
from .examination import Examination
from .findings import Findings, find
from .inside import Inside, look_inside
from .questions import (
    attention_evolution,
    initialisation,
    layer_knowledge,
    masking_by_size,
    representation_scaling,
)
from .questions.representation_scaling_runs import LOSS
from .study import load_study

EXAMINATIONS = {
    "attention_evolution": attention_evolution.examine,
    "init_sweep": initialisation.examine,
    "layer_knowledge": layer_knowledge.examine,
    "masking_by_size": masking_by_size.examine,
    "representation_scaling": representation_scaling.examine,
}
"""The studies that have a question of their own, by name"""
SIZES = ("model", "model.layers", "model.hidden_size", "model.feed_forward_size")
"""Factors whose values are networks of several sizes"""


@dataclass(frozen=True)
class Evidence:
    """The parts of a report."""

    findings: Findings
    inside: Inside | None = None
    """Measurements inside the networks, if the runs recorded them"""
    examination: Examination | None = None
    """Results beside final values, if the study has a question of its own"""


def gather(store: Store, name: str, sweep_id: str | None = None) -> Evidence:
    """The results of the sweep ``sweep_id``, or of the last opened sweep of the study.

    Raises :class:`MinibertError` when the study has no runs or the store cannot be read.
    """
    findings = find(load_study(store, name, sweep_id))
    study, examination = findings.study, None
    if study.name in EXAMINATIONS:
        examination = EXAMINATIONS[study.name](store, findings)
    elif study.factor in SIZES and study.metric == LOSS and study.tuned is None and study.target is None:
        examination = representation_scaling.examine_sizes(store, findings)
    if examination is None and len(study.factors) > 1:
        examination = combinations.examine(findings)
    return Evidence(findings, look_inside(store, findings.groups), examination)

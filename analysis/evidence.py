"""All that the runs of a study show, gathered: findings, the insides of the networks, and its own question."""

from dataclasses import dataclass

from minibert.tracking import Store

from .examination import Examination
from .findings import Findings, find
from .inside import Inside, look_inside
from .questions import attention_evolution
from .study import load_study

EXAMINATIONS = {"attention_evolution": attention_evolution.examine}
"""The studies that have a question of their own, by name"""


@dataclass(frozen=True)
class Evidence:
    """What a report is composed of."""

    findings: Findings
    inside: Inside | None = None
    """What the networks look like inside, where the runs recorded it"""
    examination: Examination | None = None
    """What the study shows beside final values, where it has a question of its own"""


def gather(store: Store, name: str, sweep_id: str | None = None) -> Evidence:
    """What the sweep ``sweep_id`` shows, or the last opened one of the study.

    Raises :class:`MinibertError` when the study has no runs or the store cannot be read.
    """
    findings = find(load_study(store, name, sweep_id))
    examine = EXAMINATIONS.get(name)
    return Evidence(
        findings=findings,
        inside=look_inside(store, findings.groups),
        examination=examine(store, findings) if examine else None,
    )

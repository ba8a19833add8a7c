"""Which studies have a question of their own, by name."""

from dataclasses import replace

from minibert.tracking import Store

from .findings import Findings, find
from .inside import look_inside
from .questions import attention_evolution
from .runs import load_study

EXAMINATIONS = {"attention_evolution": attention_evolution.examine}


def find_everything(store: Store, name: str, sweep_id: str | None = None) -> Findings:
    """What the sweep ``sweep_id`` shows, or the last opened one of the study, its own question included.

    Raises :class:`MinibertError` when the study has no runs or the store cannot be read.
    """
    findings = find(load_study(store, name, sweep_id))
    findings = replace(findings, inside=look_inside(store, findings.groups))
    examine = EXAMINATIONS.get(name)
    return replace(findings, examination=examine(store, findings)) if examine else findings

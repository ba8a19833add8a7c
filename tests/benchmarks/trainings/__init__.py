"""Whole trainings on the default corpus: minibert's recipes, and the models of ``transformers`` under its Trainer.

Every training is a process of its own. All have the same training text, the same cores and, in the evaluation, the
same held-out sequences with the same masks.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from minibert.errors import MinibertError
from tests.benchmarks.workload import physical_cores


@dataclass(frozen=True)
class Training:
    """What is trained, and for how long."""

    kind: str
    """``minibert``, ``bert``, ``modernbert`` or ``modernbert sparse``"""
    steps: int
    every: int = 0
    """Steps between evaluations; 0 leaves them out, that at the end as well"""
    words: tuple[str, ...] = ()
    """minibert: the words of the command line"""
    learning_rate: float = 0.0
    """Of the others"""
    model: str | None = "base"
    """Of the others: the word of conf/model/ whose sizes they have; None: those of minibert's default"""
    seed: int = 0
    lanes: int = field(default_factory=physical_cores)
    """Threads"""
    cache: str = "mlruns/cache"


@dataclass(frozen=True)
class Trained:
    seconds: list[float]
    """Of every step, without evaluations"""
    steps: list[int]
    """At which the held-out loss was measured"""
    losses: list[float]
    """Nats per masked token"""
    bits_of_a_nat: float
    """Bits per byte of the held-out text for a loss of one nat per token"""
    about: dict


def run(training: Training, environment: Mapping[str, str] | None = None) -> Trained:
    """Train in a process of its own. Raises :class:`MinibertError` with what the process said, if it fails."""
    module = "own" if training.kind == "minibert" else "peers"
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.trainings.{module}"],
        input=json.dumps(asdict(training)),
        capture_output=True,
        text=True,
        env=dict(os.environ if environment is None else environment),
    )
    if done.returncode:
        raise MinibertError(f"{training.kind} failed:\n{done.stderr[-2000:]}")
    return Trained(**json.loads(done.stdout.splitlines()[-1]))


def told(text: str) -> Training:
    """The training that the parent process asks for."""
    fields = json.loads(text)
    return Training(**fields | {"words": tuple(fields["words"])})

"""Who takes part: one file a family.

A contender is built from a :class:`~tests.benchmarks.workload.Workload`. Most take one full training step at a
time (forward, backward, clipping to norm 1, AdamW); those of ``optimizer_steps``, an optimizer's part of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from minibert.config.shipped import CONF


class Contender:
    """What a worker needs of every contender."""

    about: dict
    """The versions and threads that it runs with"""
    amortised_seconds = 0.0
    """Its share of rare work, which is added to every step"""

    def prepare(self) -> None:
        """What has to stand ready for a step, off the clock."""

    def step(self) -> float:
        """One step. Returns its loss, or NaN where there is none."""
        raise NotImplementedError


@dataclass(frozen=True)
class Entry:
    module: str
    builder: str
    needs: tuple[str, ...] = ()
    """Packages that are not minibert's own dependencies"""
    takes_parameters: bool = False
    """Whether it starts from minibert's initial parameters"""
    options: Mapping[str, object] = field(default_factory=dict)
    """What its builder is told beside the workload"""
    instruction: str = ""
    """A set of processor instructions that it is about, as Linux names it; without it, it is left out"""
    file: str = ""
    """A file under conf/ that it composes"""

    def missing(self) -> list[str]:
        return [package for package in self.needs if find_spec(package) is None]

    def obstacle(self) -> str | None:
        """Why it cannot take part here, in words; None if it can."""
        if self.missing():
            return f"{', '.join(self.missing())} not installed (pip install 'minibert[parity]')"
        if self.instruction and self.instruction not in processor_instructions():
            return f"the processor has no {self.instruction}"
        if self.file and not (CONF / self.file).is_file():
            return f"there is no conf/{self.file}"
        return None

    def load(self) -> Callable:
        """Import everything that the contender needs, and return what builds it."""
        return partial(getattr(import_module(f"{__name__}.{self.module}"), self.builder), **self.options)


def processor_instructions() -> set[str]:
    """The sets of instructions that the processor has, where Linux tells; else none."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return {word for line in lines if line.startswith("flags") for word in line.split(":", 1)[1].split()}


CONTENDERS = {
    "minibert": Entry("bare_and_tracked", "Bare"),
    "checkpointed": Entry("bare_and_tracked", "Checkpointed"),
    "tracked": Entry("bare_and_tracked", "Tracked"),
    "torch": Entry("pytorch", "Eager", ("torch",), takes_parameters=True),
    "torch.compile": Entry("pytorch", "Compiled", ("torch",), takes_parameters=True),
    "transformers": Entry("huggingface", "Transformers", ("torch", "transformers")),
    "torch.bfloat16": Entry(
        "pytorch", "CompiledBfloat16", ("torch",), takes_parameters=True, instruction="avx512_bf16"
    ),
    "sgemm": Entry("products", "Products"),
    "default": Entry("recipes", "Recipe"),
    "default.own_masking": Entry("recipes", "Recipe", options={"own_masking": True}),
    "bert2018": Entry("recipes", "Recipe", options={"words": ("+recipe=bert2018",)}, file="recipe/bert2018.yaml"),
}
"""minibert: the bare step, the step with checkpointed activations, and the step of a tracked run. sgemm: a step's
products alone. default and bert2018: recipes at equal sizes, predictions included; another takes one more line."""

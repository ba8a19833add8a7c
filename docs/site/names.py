"""The public names of minibert, read from the source without importing it.

Public is what ``__all__`` of a module names or, of a module without one, what has a docstring and no underscore.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "minibert": ("minibert",),
    "data": (
        "minibert.data", "minibert.data.corpora", "minibert.data.tokenizer", "minibert.data.packing",
        "minibert.data.masking", "minibert.data.batches", "minibert.data.baselines",
    ),
    "model": (
        "minibert.model", "minibert.model.bert", "minibert.model.parameters", "minibert.model.passes",
        "minibert.model.caches", "minibert.model.ops", "minibert.model.norms", "minibert.model.embeddings",
        "minibert.model.attention", "minibert.model.positions", "minibert.model.gating",
        "minibert.model.feed_forward", "minibert.model.encoder", "minibert.model.dropout", "minibert.model.heads",
        "minibert.model.classifier", "minibert.model.initializers",
    ),
    "training": (
        "minibert.training.trainer", "minibert.training.lanes", "minibert.training.optimizers",
        "minibert.training.transforms", "minibert.training.transforms.clipping", "minibert.training.schedules",
        "minibert.training.checkpoints", "minibert.training.snapshots",
    ),
    "diagnostics": ("minibert.diagnostics",),
    "evaluation": (
        "minibert.evaluation", "minibert.evaluation.probing", "minibert.evaluation.minimal_pairs",
        "minibert.evaluation.semantics", "minibert.evaluation.facts", "minibert.evaluation.composition",
        "minibert.evaluation.downstream",
    ),
    "exploration": (
        "minibert.exploration", "minibert.exploration.sentence", "minibert.exploration.attention_heads",
        "minibert.exploration.forward_pass", "minibert.exploration.guesses", "minibert.exploration.gradient_flow",
        "minibert.exploration.layers", "minibert.exploration.ablation", "minibert.exploration.figures",
    ),
    "watching": ("minibert.watching",),
    "mistakes": (
        "minibert.mistakes.gradient_check", "minibert.mistakes.catalogue", "minibert.mistakes.mistake",
        "minibert.mistakes.trial",
    ),
    "serving": ("minibert.serving.loading", "minibert.serving.export"),
    "tracking": ("minibert.tracking", "minibert.tracking.records", "minibert.tracking.tables"),
    "analysis": ("analysis.runs", "analysis.statistics"),
    "config": ("minibert.config", "minibert.errors"),
}  # fmt: skip
"""Page of the reference -> the modules whose public names it has"""


@dataclass(frozen=True)
class Name:
    """A public name: the module that offers it, and the full path of where it is written."""

    offered: str
    path: str
    docstring: str | None

    @property
    def home(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def short(self) -> str:
        return self.path.rpartition(".")[2]


@cache
def public_names(module: str) -> tuple[Name, ...]:
    """The public names of a module, in the order of ``__all__`` or, without one, of its file."""
    tree = tree_of(module)
    listed = next((ast.literal_eval(node.value) for node in tree.body if _assigned(node) == "__all__"), None)
    if listed is None:
        names = [name for node in tree.body if (name := _defined(node)) is not None]
        listed = [name for name in names if not name.startswith("_") and _docstring(tree, name) is not None]
    return tuple(found for name in listed if (found := _found(module, name)) is not None)


@cache
def full_name(name: str) -> str | None:
    """The full path of a name as text has it, such as ``compute_effective_rank`` or ``Lanes.update``.

    None where no page of the reference has it, or more than one is meant.
    """
    name = name.removesuffix("()").removeprefix("~")
    if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        return None
    meant = _by_name().get(name, frozenset())
    first, _, rest = name.partition(".")
    if not meant and rest and first[0].isupper():
        meant = frozenset(f"{path}.{rest}" for path in _by_name().get(first, ()))
    return next(iter(meant)) if len(meant) == 1 else None


@cache
def _by_name() -> dict[str, frozenset[str]]:
    """Every ending of a full path, and where else a name is offered -> the full paths meant"""
    meant: dict[str, set[str]] = {}
    for module in (module for modules in ROOMS.values() for module in modules):
        for name in public_names(module):
            parts = name.path.split(".")
            endings = {".".join(parts[place:]) for place in range(len(parts))}
            for written in endings | {f"{name.offered}.{name.short}"}:
                meant.setdefault(written, set()).add(name.path)
    return {written: frozenset(paths) for written, paths in meant.items()}


def file_of(module: str) -> Path | None:
    """The file of a module of this repository."""
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def tree_of(module: str) -> ast.Module:
    file = file_of(module)
    assert file is not None, module
    return ast.parse(file.read_text(encoding="utf-8"))


def _found(module: str, name: str) -> Name | None:
    """The name with the module that defines it, followed through imports within this repository."""
    home: str | None = module
    while home is not None and file_of(home) is not None:
        if any(_defined(node) == name for node in tree_of(home).body):
            return Name(module, f"{home}.{name}", _docstring(tree_of(home), name))
        home = next((source for source, names in _imports(home) if name in names), None)
    return None


def _imports(module: str) -> Iterator[tuple[str, list[str]]]:
    file = file_of(module)
    package = module if file is not None and file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield ".".join([*parents, *([node.module] if node.module else [])]), [each.name for each in node.names]


def _defined(node: ast.stmt) -> str | None:
    return node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else _assigned(node)


def _assigned(node: ast.stmt) -> str | None:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def _docstring(tree: ast.Module, name: str) -> str | None:
    """Of a function, a class, or a constant, whose docstring stands below it."""
    for node, below in zip(tree.body, [*tree.body[1:], None], strict=True):
        if _defined(node) == name:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                return ast.get_docstring(node)
            value = below.value if isinstance(below, ast.Expr) else None
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
    return None

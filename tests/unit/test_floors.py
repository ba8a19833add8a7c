"""The house: a room uses the rooms below it, no circle of modules closes, and files and functions stay short.

An import counts wherever it stands, also within a function. Only imports under ``TYPE_CHECKING`` do not count:
they name types and are never executed.
"""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from minibert.command_line.doors import DOORS

CHECKOUT = Path(__file__).resolve().parents[2]
FLOORS = (
    (
        "minibert.__main__",
        *(f"minibert.{door}" for door in DOORS),
    ),
    ("minibert.running",),
    ("analysis",),
    ("minibert",),
    ("minibert.mistakes",),
    ("minibert.exploration", "minibert.watching"),
    ("minibert.serving", "minibert.evaluation", "minibert.diagnostics"),
    ("minibert.training",),
    ("minibert.model", "minibert.data"),
    ("minibert.tracking",),
    ("minibert.command_line",),
    ("minibert.config",),
    (
        "minibert.collection",
        "minibert.errors",
        "minibert.randomness",
        "minibert.interruption",
        "minibert.files",
        "minibert.locks",
        "minibert.loopback",
    ),
)
"""From the doors down to the ground. Rooms of one floor may use each other as long as no circle closes.
``minibert`` alone is the package itself, which offers its public names."""
DIAGNOSTICS = (
    ("minibert.diagnostics", "minibert.diagnostics.catalogue"),
    (
        "minibert.diagnostics.attention", "minibert.diagnostics.activations", "minibert.diagnostics.geometry",
        "minibert.diagnostics.gradients", "minibert.diagnostics.spectra", "minibert.diagnostics.landscape",
        "minibert.diagnostics.health", "minibert.diagnostics.range_test",
    ),
    ("minibert.diagnostics.engine", "minibert.diagnostics.plotting"),
)  # fmt: skip
"""The floors within the diagnostics: the catalogue, the subjects, the engine"""
FOR_ANALYSIS = (
    "minibert.tracking", "minibert.config", "minibert.command_line", *FLOORS[-1],
    "minibert.diagnostics.plotting", "minibert.diagnostics.attention",
)  # fmt: skip
"""Rooms that the analysis of tracked runs may use"""
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_DOOR = 350, 70, 60


NOTEBOOKS = CHECKOUT / "analysis" / "notebooks"
"""They belong to no floor: they use the public names, as a reader does, and nothing imports them"""


def modules() -> dict[str, Path]:
    found = {}
    for file in sorted(path for room in ("minibert", "analysis") for path in (CHECKOUT / room).rglob("*.py")):
        if file.parent == NOTEBOOKS:
            continue
        parts = file.relative_to(CHECKOUT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a file without what stands under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from executed(child)


def imports(name: str, file: Path) -> set[str]:
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in executed(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                inside = f"{source}.{alias.name}"
                found.add(inside if inside in MODULES else source)
    return {other for other in found if other in MODULES} - {name}


@cache
def arrows() -> dict[str, set[str]]:
    """Module -> those that it imports. To read all code takes seconds, and other tests need the names alone."""
    return {name: imports(name, file) for name, file in MODULES.items()}


def floor(name: str, floors: tuple[tuple[str, ...], ...]) -> int | None:
    """The floor of the room that a module belongs to: that of the longest name that contains it."""
    rooms = [
        (len(room), number)
        for number, rooms in enumerate(floors)
        for room in rooms
        if name == room or (room not in ("minibert", "minibert.diagnostics") and name.startswith(room + "."))
        or (room == "minibert.diagnostics" and floors is FLOORS and name.startswith(room + "."))
    ]  # fmt: skip
    return max(rooms)[1] if rooms else None


def arrows_that_run_up(floors: tuple[tuple[str, ...], ...]) -> list[str]:
    return [
        f"{name} -> {other}"
        for name, others in arrows().items()
        for other in sorted(others)
        if (here := floor(name, floors)) is not None
        and (there := floor(other, floors)) is not None
        and there < here
    ]


def test_every_module_has_a_floor():
    assert [name for name in MODULES if floor(name, FLOORS) is None] == []


def test_no_arrow_runs_up():
    assert arrows_that_run_up(FLOORS) == []


def test_no_arrow_runs_up_within_the_diagnostics():
    assert arrows_that_run_up(DIAGNOSTICS) == []


def test_no_circle_of_modules_closes():
    try:
        tuple(TopologicalSorter(arrows()).static_order())
    except CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None


def test_analysis_knows_neither_training_nor_networks():
    allowed = ("analysis", *FOR_ANALYSIS)
    others = {
        f"{name} -> {other}"
        for name, found in arrows().items()
        if name.split(".")[0] == "analysis"
        for other in found
        if not any(other == room or other.startswith(room + ".") for room in allowed)
    }
    assert others == set()


def test_no_file_is_longer_than_a_reader_takes_in():
    lengths = {name: len(file.read_text().splitlines()) for name, file in MODULES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_reader_takes_in():
    """Its lines from ``def`` to the end, without the docstring."""
    found = {}
    for name, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    lines -= node.body[0].end_lineno - node.body[0].lineno + 1
                if lines > LONGEST_FUNCTION:
                    found[f"{name}.{node.name}"] = lines
    assert found == {}


def test_a_door_only_opens_the_rooms_behind_it():
    lengths = {name: len(MODULES[name].read_text().splitlines()) for name in FLOORS[0]}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_DOOR} == {}

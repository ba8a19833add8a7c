"""The notebooks run from the first cell to the last, at small size, and their text is what git keeps."""

import os
import re
from pathlib import Path
from random import Random

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.reports import copied_store

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "analysis" / "notebooks"
SMALL = {
    "01_understanding_attention": {"STEPS": 4},
    "02_gradient_flow_analysis": {"STEPS": 3, "LAYERS": 2, "DEEP": 3},
    "03_training_dynamics": {"STEPS": 4, "SEEDS": 1, "RANGE_STEPS": 8, "NOISE_SEQUENCES": 32},
    "04_representation_analysis": {"STEPS": 4, "SEEDS": 1, "SEQUENCES": 32, "SENTENCES": 80},
    "05_advanced_techniques": {"STEPS": 8, "SEEDS": 1, "FACTORS": (1,), "POINTS": 3},
}
"""Notebook -> what its sizes are here"""
FIGURES = dict(zip(SMALL, (6, 5, 5, 4, 4), strict=True))
"""Notebook -> how many figures it has"""
TRAIN = re.compile(r"^def train\(.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
"""How a notebook trains: by a command in a new process"""
IN_THE_KERNEL = """
def train(*words):
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from minibert.run import main

    printed = StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        code = main([*words, f"tracking.folder={STORE}", "tracking.report=false"])
    assert code == 0, printed.getvalue()
"""
"""The same without the process, which takes five seconds. The first notebook has its own."""


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def read(name: str) -> nbformat.NotebookNode:
    return jupytext.reads(text_of(name), fmt="py:percent")


def tagged(notebook: nbformat.NotebookNode, tag: str) -> list[int]:
    """The places of the cells that have a tag."""
    return [place for place, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", [])]


@pytest.fixture(scope="module")
def store(empty_database, tmp_path_factory) -> Path:
    """What the notebooks share: a store, and the text that their networks read."""
    folder = tmp_path_factory.mktemp("notebooks")
    copied_store(empty_database, folder)
    (folder / "books").mkdir()
    words = "the union of states is strong and people work in peace with every land while congress debates roads"
    for number in range(30):
        picked = Random(number).choices(words.split(), k=900)
        (folder / "books" / f"{number}.txt").write_text(f"book {number} . " + " ".join(picked) + " .\n")
    return folder


@pytest.fixture(scope="module")
def kernel():
    """Runs a notebook as if its kernel were new: ``kernel(notebook)``. What they import takes four seconds."""
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    environment |= {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=900, resources={"metadata": {"path": str(FOLDER)}})

    def run(notebook) -> None:
        notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
        client.nb = notebook
        client.execute(cleanup_kc=False)

    with client.setup_kernel(env=environment):
        yield run


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_runs_from_the_first_cell_to_the_last(name, store, kernel):
    notebook = read(name)
    sizes = SMALL[name] | {
        "MODEL": ["model=debug", "model.heads=4", "model.vocab_size=128", "training.softmax_words=40"],
        "TRAINING": ["training.batch_size=8", "training.sequence_length=32", "training.lanes=1"],
        "DATA": ["data=text", f"data.path={store}/books/*.txt", "data.evaluation_fraction=0.3"],
        "LAUNCHER": ["hydra/launcher=basic"],
        "STORE": str(store),
    }
    (place,) = tagged(notebook, "parameters")
    notebook.cells.insert(
        place + 1, nbformat.v4.new_code_cell("\n".join(f"{key} = {value!r}" for key, value in sizes.items()))
    )
    if name != next(iter(SMALL)):
        (place,) = [place for place, cell in enumerate(notebook.cells) if TRAIN.search(cell.source)]
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(IN_THE_KERNEL))
    kernel(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.output_type == "stream"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == FIGURES[name]


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_and_its_text_are_a_pair(name):
    notebook = read(name)
    assert notebook.metadata.jupytext.formats == "ipynb,py:percent"
    back = nbformat.reads(jupytext.writes(notebook, fmt="ipynb"), as_version=4)
    nbformat.validate(back)
    assert jupytext.writes(back, fmt="py:percent") == text_of(name)


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_has_its_sizes_first_and_its_solutions_folded(name):
    notebook = read(name)
    code = [place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    assert tagged(notebook, "parameters") == code[:1]
    exercises = next(place for place, cell in enumerate(notebook.cells) if "## Exercises" in cell.source)
    solutions = tagged(notebook, "solution")
    assert len(solutions) == 3 and solutions == [place for place in code if place > exercises]
    assert all(notebook.cells[place].metadata.jupyter.source_hidden for place in solutions)


def test_every_notebook_trains_by_the_same_command():
    assert len({TRAIN.search(text_of(name))[0].rstrip() for name in SMALL}) == 1


def test_every_notebook_is_tested():
    assert sorted(file.stem for file in FOLDER.glob("*.py")) == sorted(SMALL)

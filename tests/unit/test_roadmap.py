"""The tables of the roadmap: each name is imported, and each command is taken as it is written."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from minibert import ModelFactory, create_model, create_tokenizer, load_model
from minibert.command_line.arguments import arguments_of, read_arguments
from minibert.config import ModelConfig
from minibert.config.positions import RopeConfig
from minibert.explore import OLDER
from minibert.model.positions.rotary import RotaryPositions
from minibert.running.evaluation import Evaluation, settings_of
from minibert.running.exploration import Exploration
from minibert.running.inspection import Inspection
from minibert.running.plan import plan
from minibert.running.watching import Watching
from minibert.watch import FLAGS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "roadmap.md").read_text(encoding="utf-8")
LINES = [line.strip("|") for line in PAGE.splitlines() if line.startswith("| `")]
ROWS = [[cell.strip() for cell in line.split(" | ")] for line in LINES]
IMPORTS = [row for row in ROWS if row[-1].startswith("`from ")]
COMMANDS = sorted({word for row in ROWS for word in re.findall(r"`(python -m [^`]+)`", row[1])})
WITHOUT_RUN = {"--help", "--cfg", "--dry-run"}


@pytest.mark.parametrize("row", IMPORTS, ids=lambda row: row[0][:60])
def test_every_name_of_the_roadmap_is_imported_from_where_the_table_says(row):
    source, names = re.fullmatch(r"`from ([\w.]+) import ([\w, ]+)`", row[-1]).groups()
    imported = {name: getattr(import_module(source), name) for name in names.split(", ")}
    assert all(each.__doc__ for each in imported.values())
    called, owner = re.findall(r"`([\w.]+)`", row[0]), None
    for name in called:
        before, _, method = name.rpartition(".")
        owner = before or (owner if name.startswith(".") else None)
        if owner in imported:
            assert callable(getattr(imported[owner], method)) and getattr(imported[owner], method).__doc__
        elif not owner:
            assert name in imported, name
    homes = [ROOT / "docs" / link for link in re.findall(r"\]\((\.\./minibert/[^)]+)\)", row[1])]
    assert homes and all(home.exists() for home in homes)


def test_the_table_has_all_that_the_roadmap_names():
    assert len(IMPORTS) == 35 and len(COMMANDS) == 25


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_is_taken_as_it_is_written(command):
    _, _, module, *words = shlex.split(command)
    if module == "minibert.run":
        words = [word for word in words if word not in WITHOUT_RUN | {"job"}]
        if "--help" not in command:
            assert plan(words, multirun=False).jobs
    elif module == "minibert.evaluate":
        own = [word for word in words if word.partition("=")[0] in arguments_of(Evaluation)]
        assert read_arguments(Evaluation, own).run == "last"
        assert settings_of([word for word in words if word not in own])
    elif module == "pytest":
        assert all((ROOT / word).exists() for word in words if word.startswith("tests/"))
    elif module.startswith("tests."):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists() and not words
    else:
        known = {"minibert.explore": Exploration, "minibert.inspect": Inspection, "minibert.watch": Watching}
        words = [FLAGS.get(word, word) for word in words]
        assert read_arguments(known[module], words, OLDER if module == "minibert.explore" else None).run == "last"


def test_the_factory_is_the_three_functions_under_one_name():
    assert ModelFactory.create_model is create_model and ModelFactory.load_model is load_model
    assert ModelFactory.create_tokenizer is create_tokenizer
    model = ModelFactory.create_model(ModelConfig(vocab_size=64, hidden_size=16, heads=2, position=RopeConfig()))
    assert isinstance(model.position, RotaryPositions)

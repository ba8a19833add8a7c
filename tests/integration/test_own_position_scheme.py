"""A position scheme of one's own: a file with the class, a schema, a line in conf/."""

import shutil
from functools import partial
from pathlib import Path

from safetensors import safe_open

from tests.support.copies import Copy, import_anew

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEME = '''"""One number for each position, added to half of the embeddings' entries: norms drop what all have."""

import numpy as np

from minibert.model.parameters import Block
from minibert.model.positions.scheme import PositionScheme


class StepPositions(PositionScheme):
    name = "step"

    def blocks(self, config):
        return [Block("embeddings.step.weight", (config.position.positions, 1))]

    def embed(self, x, position_ids, params):
        x[..., ::2] += params["embeddings.step.weight"][: x.shape[1]]

    def embed_backward(self, dx, position_ids, grads):
        gradient = np.zeros_like(grads["embeddings.step.weight"])
        gradient[: dx.shape[1], 0] = dx[..., ::2].sum(axis=(0, 2))
        grads.add("embeddings.step.weight", gradient)
'''
SCHEMA = """

@joins(POSITIONS)
@dataclass
class StepConfig(PositionConfig):
    name: str = choice("step")
    positions: int = number(64, at_least=1)

    def problems(self, model):
        if self.positions < model.max_length:
            yield f"model.position.positions={self.positions}: fewer than model.max_length={model.max_length}."
"""
LINE = """# @package model.position
defaults: [step_schema@_here_]
"""


def test_a_position_scheme_is_one_file_one_schema_and_one_line(tmp_path, books, small_settings, empty_database):
    for folder in ("minibert", "conf", "analysis"):
        # What is compiled goes along, but for what is being written: a new process takes seconds for it.
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc.*"))
    (tmp_path / "minibert/model/positions/step.py").write_text(SCHEME)
    with (tmp_path / "minibert/config/positions.py").open("a") as file:
        file.write(SCHEMA)
    (tmp_path / "conf/position/step.yaml").write_text(LINE)
    store = tmp_path / "runs"
    store.mkdir()
    shutil.copy(empty_database, store)

    few = ("training.steps=3", "diagnostics=off", "diagnostics.figures=[]", "position=step")
    words = [*small_settings, *few, f"tracking.folder={store}"]
    with Copy(partial(check_and_train, tmp_path), words, tmp_path / "printed.txt") as copy:
        assert copy.wait() == 0, copy.printed
    assert "model.position.positions=8: fewer than model.max_length=64" in copy.printed
    assert "embeddings.step.weight" in _tensors(store)


def check_and_train(folder: Path, words: list[str]) -> int:
    """The gradient check that finds the scheme by its name, a setting that is refused, and a training."""
    import_anew(folder)
    from minibert.mistakes import layers, networks
    from minibert.mistakes.gradient_check import assert_right
    from minibert.run import main

    assert_right(networks.loss_of_position(layers.EVERY_SCHEME["step"]))
    assert main([*words, "model.position.positions=8"]) == 2
    return main(words)


def _tensors(store: Path) -> set[str]:
    checkpoint = next(store.glob("**/step_*.safetensors"))
    with safe_open(checkpoint, "numpy") as file:
        return set(file.keys())

"""The examples of docs/python.md run as they are written, with a tiny model and small files."""

import re
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import sentiment

import minibert
from tests.support.reports import copied_store, plant

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
TREEBANK = (("we", "they", "you", "i"), ("see", "keep", "find"), ("laws", "ships", "roads", "books", "men"))


def examples(heading: str) -> list[str]:
    """The blocks of Python of a section."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    return re.findall(r"^```python\n(.*?)^```", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files that the examples name, in the working folder."""
    rows = [("PRON", "2", "nsubj"), ("VERB", "0", "root"), ("NOUN", "2", "obj")]
    sentences = [
        "".join(
            f"{number}\t{word}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_\n"
            for number, (word, (tag, head, relation)) in enumerate(zip(words, rows, strict=True), 1)
        )
        for words in product(*TREEBANK)
    ]
    (tmp_path / "treebank.conllu").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    (tmp_path / "sentences").mkdir()
    for name, part in zip(("train", "dev", "test"), sentiment.splits(64, 20, 20), strict=True):
        text = "".join(f"{each.text}\t{each.label}\n" for each in part)
        (tmp_path / "sentences" / f"{name}.tsv").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_the_examples_of_evaluation_run(files, monkeypatch, capsys):
    tokenizer = sentiment.tokenizer()
    run = SimpleNamespace(model=sentiment.network(), tokenizer=tokenizer)
    monkeypatch.setattr(minibert, "load_run", lambda which: run, raising=False)
    blocks, names = examples("What a model knows"), {}
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert capsys.readouterr().out.count("\n") >= 5
    assert names["found"].controls["bag_of_words"].score.accuracy >= 0.5


def test_the_runs_of_a_sweep_are_data_frames(empty_database, tmp_path, monkeypatch, capsys):
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(tmp_path)

    def record(run):
        for step in (0, 10):
            run.log({"eval/loss": 7.0 - step / 10, "tokens_seen": 64.0 * step, "seconds": float(step)}, step)
        run.log_arrays("weight_spectra", 10, {"values": np.zeros((1, 2))})

    runs = [
        (f"{rate} {seed}", {"masking": {"rate": rate}, "seed": seed}, record)
        for rate, seed in product((0.15, 0.4), (0, 1))
    ]
    plant(copied_store(empty_database, tmp_path / "store"), {"name": "masking_sweep"}, "a", runs)
    (block,) = examples("Runs as data frames")
    exec(block, found := {})
    assert "0.15           6.0" in capsys.readouterr().out
    assert len(found["runs"]) == len(found["spectra"]) == 4 and len(found["curves"]) == 8

"""The examples of docs/python.md run as they are written, with a tiny model and small files."""

import re
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import sentiment

import minibert

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

"""No text is lost without a word: long words, marks on letters, files passed over, line ends, long lines."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from minibert.config import DataConfig
from minibert.data import tokenizer as tokenizers_module
from minibert.data.corpora import load_corpus
from minibert.data.prepared import prepare_data
from minibert.data.tokenizer import Lost, encode_documents, train_tokenizer
from minibert.errors import MinibertError

SENTENCE = "the river runs to the sea and the sea runs to the sky "


def folder_of(path: Path, **texts: str) -> Path:
    path.mkdir()
    for name, text in texts.items():
        (path / f"{name}.txt").write_text(text, newline="")
    return path


def config_of(tmp_path: Path, path, **settings) -> DataConfig:
    return DataConfig(name="text", source="text", path=str(path), cache=str(tmp_path / "cache"), **settings)


def read(path) -> list[str]:
    return sorted(Path(document.name).name for document in load_corpus(config_of(Path(), path)).documents)


# --- words that are too long, characters that are unknown


def test_lost_characters_are_counted_by_their_reason():
    tokenizer = train_tokenizer([SENTENCE], 60, lowercase=True)
    lost = Lost()
    encode_documents(tokenizer, ["the sea " + "a" * 101, "sky Ω riverΩ", SENTENCE], lost)
    assert (lost.in_long_words, lost.unknown) == (101, 1 + 6)
    assert lost.characters == 6 + 101 + 3 + 1 + 6 + len(SENTENCE.replace(" ", ""))


@pytest.mark.parametrize("letters", ["ACGT" * 100, "ไทย" * 200, "x" * 200])
def test_text_of_long_words_alone_is_refused_with_the_reason(tmp_path, letters):
    path = folder_of(tmp_path / "dna", a=letters, b=letters[1:], c=letters[2:])
    with pytest.raises(
        MinibertError, match=r"100\.0% in words of more than data\.longest_word=100 .*too little text"
    ):
        prepare_data(config_of(tmp_path, path), 60, 8)
    lost = Lost()
    encode_documents(train_tokenizer([letters], 60, lowercase=True, longest_word=1000), [letters], lost)
    assert (lost.share, lost.characters) == (0, len(letters))


def test_a_loss_above_one_per_cent_is_told_every_time(tmp_path):
    path = folder_of(tmp_path / "text", a=SENTENCE * 20 + "x" * 150, b=SENTENCE * 20 + "sky", c=SENTENCE * 19)
    for _ in range(2):
        said = []
        prepare_data(config_of(tmp_path, path), 60, 8, said.append)
        assert any("become [UNK] and are lost" in message and "longest_word" in message for message in said)


# --- marks on letters


@pytest.mark.parametrize(("one", "other"), [("がく", "かく"), ("कुल", "कल"), ("résumé", "resume")])
def test_marks_on_letters_are_kept_unless_stripped(one, other):
    texts = [f"{one} {other} {one} {other}"]
    kept = encode_documents(train_tokenizer(texts, 90, lowercase=True), [one, other])
    assert kept[0].tolist() != kept[1].tolist()
    stripped = encode_documents(
        train_tokenizer(texts, 90, lowercase=True, strip_accents=True), ["résumé", "resume"]
    )
    assert stripped[0].tolist() == stripped[1].tolist()


# --- which files are read


@pytest.fixture
def library(tmp_path) -> Path:
    path = folder_of(tmp_path / "library", one="first", two="second")
    folder_of(tmp_path / "elsewhere", linked="third")
    (path / "deep").mkdir()
    (path / "deep" / "four.txt").write_text("fourth")
    (path / ".hidden.txt").write_text("hidden")
    (path / ".git").mkdir()
    (path / ".git" / "five.txt").write_text("hidden too")
    (path / "SIX.TXT").write_text("upper case")
    (path / "notes.md").write_text("other ending")
    (path / "link").symlink_to(tmp_path / "elsewhere")
    (path / "deep" / "loop").symlink_to(path)
    (path / "again.txt").symlink_to(path / "one.txt")
    return path


def test_a_folder_reads_what_its_glob_reads_and_no_file_twice(library):
    from_folder, from_glob = read(library), read(library / "**" / "*.txt")
    assert from_folder == from_glob
    assert len(from_folder) == 4
    assert {"two.txt", "four.txt", "linked.txt"} < set(from_folder)


def test_what_was_passed_over_is_counted_and_named(library, tmp_path):
    def passed(path) -> set[str]:
        return {Path(name).name for name in load_corpus(config_of(tmp_path, path)).passed_over}

    assert passed(library) == {".hidden.txt", "five.txt", "SIX.TXT", "notes.md"}
    assert passed(library / "*.txt") == {".hidden.txt", "SIX.TXT"}
    assert passed(library / "**" / "*.txt") == {".hidden.txt", "five.txt", "SIX.TXT"}


def test_files_passed_over_are_told(library, tmp_path):
    for name in ("one", "two"):
        (library / f"{name}.txt").write_text(f"{name} {SENTENCE}" * 5)
    (library / "deep" / "four.txt").unlink()
    (tmp_path / "elsewhere" / "linked.txt").unlink()
    said = []
    data = prepare_data(config_of(tmp_path, library), 60, 8, said.append)
    assert data.statistics["files_passed_over"] == 4
    assert any(
        "4 files there are hidden or of another ending" in message and "SIX.TXT" in message for message in said
    )


# --- line ends and long lines


def test_texts_that_differ_in_line_ends_only_are_duplicates(tmp_path):
    path = folder_of(
        tmp_path / "ends", a="one\ntwo\n", b="one\r\ntwo\r\n", c="one\rtwo", d="one two", e="one\n\ntwo"
    )
    corpus = load_corpus(config_of(tmp_path, path))
    assert corpus.duplicates_dropped == 2
    assert sorted(document.text for document in corpus.documents) == ["one\n\ntwo", "one\ntwo", "one two"]


def test_one_long_line_gives_the_ids_of_the_same_text_in_lines(monkeypatch):
    lines = "\n".join([SENTENCE.strip()] * 50 + ["a" * 80, "x\ty  z"])
    one_line = lines.replace("\n", " ")
    whole = train_tokenizer([lines], 60, lowercase=True)
    expected = encode_documents(whole, [lines])[0].tolist()
    monkeypatch.setattr(tokenizers_module, "PIECE", 100)
    monkeypatch.setattr(tokenizers_module, "CHARACTERS_AT_ONCE", 150)
    assert max(map(len, tokenizers_module._pieces(one_line))) < 200
    assert encode_documents(whole, [one_line, lines])[0].tolist() == expected
    assert encode_documents(whole, [one_line, lines])[1].tolist() == expected
    assert train_tokenizer([one_line], 60, lowercase=True).to_str() == whole.to_str()


# --- datasets


def fake_datasets(monkeypatch, version: str, **functions) -> None:
    module = ModuleType("datasets")
    module.__version__ = version
    for name, function in functions.items():
        setattr(module, name, function)
    monkeypatch.setitem(sys.modules, "datasets", module)


@pytest.mark.parametrize("version", ["2.14.5", "3.6.0"])
def test_a_datasets_that_runs_code_of_datasets_is_refused(monkeypatch, version):
    fake_datasets(monkeypatch, version, load_dataset=lambda *_, **__: pytest.fail("was called"))
    with pytest.raises(MinibertError, match=rf"datasets {version} is installed, which may run code"):
        load_corpus(DataConfig(name="owner/data", source="hub"))


class SavedDataset(dict):
    """What the tests ask of a dataset: columns by name."""

    column_names: tuple[str, ...] = ("text",)
    split = "train"


@pytest.mark.parametrize("kind", ["state.json", "dataset_dict.json"])
def test_a_folder_of_save_to_disk_is_read_by_its_split(monkeypatch, tmp_path, kind):
    (tmp_path / kind).write_text("{}")
    texts = SavedDataset(text=["one", "two\r\nthree"])
    splits = SavedDataset(train=texts, test=SavedDataset(text=["four", "five"]))
    splits.column_names = {"train": ["text"], "test": ["text"]}
    saved = texts if kind == "state.json" else splits
    fake_datasets(monkeypatch, "4.1.0", load_from_disk=lambda path: saved)
    config = DataConfig(name=str(tmp_path), source="hub")
    assert [document.text for document in load_corpus(config).documents] == ["one", "two\nthree"]
    config.split = "valid"
    with pytest.raises(MinibertError, match=r"data\.split: unknown name 'valid'.*Allowed: .*train"):
        load_corpus(config)

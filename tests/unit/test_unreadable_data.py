"""Annotated data that cannot be read: one clear error for each, whichever reader meets it."""

import json
import os

import pytest

from minibert.data.annotated.analogies import read_analogies
from minibert.data.annotated.classified import read_labelled_parts, read_labelled_sentences
from minibert.data.annotated.cloze import read_cloze
from minibert.data.annotated.conllu import read_conllu
from minibert.data.annotated.downloads import dataset
from minibert.data.annotated.minimal_pairs import read_minimal_pairs
from minibert.data.annotated.word_pairs import read_word_pairs
from minibert.errors import MinibertError

READERS = {
    "analogies": read_analogies, "labelled": read_labelled_sentences, "parts": read_labelled_parts,
    "cloze": read_cloze, "treebank": read_conllu, "pairs": read_minimal_pairs, "word_pairs": read_word_pairs,
}  # fmt: skip


@pytest.fixture(params=READERS)
def read(request):
    return READERS[request.param]


@pytest.mark.parametrize("given", ["", " ", "a\0b", "~nobody-of-this-name/file", 5, None, ["file.tsv"], {"a": 1}])
def test_what_is_no_path_is_refused(read, given):
    with pytest.raises(
        MinibertError, match=r"is no path. Allowed: the path of a file or a folder|home folder ~nobody"
    ):
        read(given)


@pytest.mark.parametrize("name", ["some.tsv", "some.jsonl"])
def test_a_folder_and_a_pipe_are_no_files(read, tmp_path, name):
    (tmp_path / "folder" / name).mkdir(parents=True)
    os.mkfifo(tmp_path / name)
    for path in (tmp_path / "folder" / name, tmp_path / name, tmp_path / "nothing" / name):
        with pytest.raises(MinibertError, match=name):
            read(path)


def test_a_file_without_the_right_to_read_it(read, tmp_path, monkeypatch):
    from pathlib import Path

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        (tmp_path / name).write_text("a\tb\n")
    monkeypatch.setattr(Path, "read_text", refuse)
    given = tmp_path if read is read_labelled_parts else tmp_path / "train.tsv"
    with pytest.raises(MinibertError, match=r"train.tsv: cannot be read \(Permission denied\)"):
        read(given)


@pytest.mark.parametrize("content", [b"a\tb\tc\n\0\td\te\n", b"a\tb\n\xed\xa0\x80\tc\n", b"\xff\xfea\0\tb\0"])
def test_bytes_that_are_no_text_are_refused(read, tmp_path, content):
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        (tmp_path / name).write_bytes(content)
    given = tmp_path if read is read_labelled_parts else tmp_path / "train.tsv"
    with pytest.raises(MinibertError, match=r"train.tsv(: is not UTF-8, from byte|, line 2: a NUL character)"):
        read(given)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("[" * 100_000, "line 1: no JSON object"),
        ({"sentence_good": "half \ud800", "sentence_bad": "b"}, r"line 1: the sentence 'half \\ud800'"),
        ({"sentence_good": "a", "sentence_bad": "b\0"}, r"line 1: the sentence 'b\\x00'"),
        (
            {"sentence_good": "a", "sentence_bad": "b", "UID": "\udfff"},
            r"line 1: the name '\\udfff' of a paradigm",
        ),
        ({"sentence_good": "a", "sentence_bad": "b", "field": ["x"]}, r"line 1: the name \['x'\] of a paradigm"),
        ({"sentence_good": ["a"] * 999, "sentence_bad": "b"}, r"line 1: the sentence \['a', .{0,80} …. Allowed"),
    ],
)
def test_json_that_spells_no_text_is_refused(tmp_path, entry, said):
    file = tmp_path / "own.jsonl"
    file.write_text(entry if isinstance(entry, str) else json.dumps(entry))
    with pytest.raises(MinibertError, match=said) as refused:
        read_minimal_pairs(file)
    assert str(refused.value).encode()


def test_names_of_paradigms_may_be_numbers_or_missing(tmp_path):
    entries = ({"UID": 5}, {"UID": None, "field": None}, {"UID": " "}, {})
    lines = [json.dumps({"sentence_good": "a", "sentence_bad": "b"} | each) for each in entries]
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    assert [pair.paradigm for pair in read_minimal_pairs(tmp_path)] == ["5", "own", "own", "own"]


def test_folders_inside_a_folder_of_pairs_are_passed_over(tmp_path):
    (tmp_path / "old.txt").mkdir()
    (tmp_path / "own.txt").write_text("b\na\n")
    assert len(read_minimal_pairs(tmp_path)) == 1


def test_a_data_set_without_a_name_is_not_the_working_folder(tmp_path):
    with pytest.raises(MinibertError, match="is no path"):
        dataset("", tmp_path)

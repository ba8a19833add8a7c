"""Tables of annotated data: labelled sentences, word pairs, analogies, cloze prompts."""

import importlib.util

import pytest

from minibert.data.annotated import gensim_files
from minibert.data.annotated.analogies import Analogy, read_analogies
from minibert.data.annotated.classified import LabelledSentence, read_labelled_parts, read_labelled_sentences
from minibert.data.annotated.cloze import Cloze, Template, read_cloze, template_cloze
from minibert.data.annotated.word_pairs import WordPair, read_word_pairs
from minibert.errors import MinibertError, Unavailable

LABELLED = 'a "fine" film\t1\n\nno , not much\tworse\n'
PAIRS = "# a comment\nlove\tsex\t6.77\ntiger\ttiger\t10\n"
ANALOGIES = ": capital-world\nAthens Greece Baghdad Iraq\n: currency\nAlgeria dinar  Iraq dinar\n"
CLOZE = "relation\tprompt\tanswers\nplace\tParis is in [MASK] .\tFrance| Europe |France\n\tA [MASK].\tb\n"
READ = {
    "labelled": (
        read_labelled_sentences, LABELLED,
        [LabelledSentence('a "fine" film', "1"), LabelledSentence("no , not much", "worse")],
    ),
    "pairs": (read_word_pairs, PAIRS, [WordPair("love", "sex", 6.77), WordPair("tiger", "tiger", 10.0)]),
    "analogies": (
        read_analogies, ANALOGIES,
        [
            Analogy("Athens", "Greece", "Baghdad", "Iraq", "capital-world"),
            Analogy("Algeria", "dinar", "Iraq", "dinar", "currency"),
        ],
    ),
    "cloze": (
        read_cloze, CLOZE,
        [Cloze("Paris is in [MASK] .", ("France", "Europe"), "place"), Cloze("A [MASK].", ("b",), "some")],
    ),
}  # fmt: skip
WITH_GENSIM = pytest.mark.skipif(importlib.util.find_spec("gensim") is None, reason="needs the extra 'words'")


def written(tmp_path, content, name="some.tsv"):
    (tmp_path / name).write_bytes(content.encode())
    return tmp_path / name


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("kind", READ)
def test_a_file_is_read_whatever_its_mark_and_line_ends(tmp_path, kind, end, mark):
    read, content, expected = READ[kind]
    assert read(written(tmp_path, mark + content.replace("\n", end))) == expected
    assert read(written(tmp_path, mark + content.rstrip("\n").replace("\n", end))) == expected


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("labelled", "", "is empty. Allowed: files with at least one sentence and its label"),
        ("labelled", "sentence\tlabel\n", "has a heading and no row"),
        ("labelled", "good\t1\nbad\n", "line 2: 1 of 2 columns. Allowed: sentence and label, with tabs"),
        ("labelled", "good\t1\n\nbad\t0\tx\n", "line 3: 3 of 2 columns"),
        ("labelled", "good\t1\n \t0\n", "line 2: an empty sentence"),
        ("labelled", "sentence\tid\tlabel\na\t1\t0\nb\t2\t\n", "line 3: an empty label"),
        ("labelled", "index\tsentence\n0\tgood\n", "line 1: the heading index, sentence. Allowed: at least"),
        ("labelled", "text\tclass\na\t0\nb\t0\nc\t1\nd\t1\n", "line 1: the label 'class', which no other"),
        ("pairs", "", "is empty. Allowed: files with at least one pair of words"),
        ("pairs", "# nothing\n", "has only comments"),
        ("pairs", "a\tb\t1\na b 1\n", "line 2: 1 of 3 columns"),
        ("pairs", "a\tb\tmuch\n", "line 1: the score 'much'. Allowed: .* a number"),
        ("pairs", "a\tb\t1\na\tb\tnan\n", "line 2: the score 'nan'"),
        ("pairs", "a\t\t1\n", "line 1: an empty word"),
        ("pairs", "word1\tword2\tscore\na\tb\t1\n", "line 1: the heading word1, word2, score"),
        ("analogies", "", "is empty. Allowed: files with at least one analogy"),
        ("analogies", ": a\n: b\n", "has only sections"),
        ("analogies", "a b c d\n: \n", "line 2: a section without a name"),
        ("analogies", ": x\n\na b c\n", "line 3: 3 words. Allowed: four words"),
        ("cloze", "", "is empty. Allowed: files with at least one prompt"),
        ("cloze", "Paris is in [MASK]\tFrance\n", "line 1: the heading .* Allowed: at least the columns prom"),
        ("cloze", "prompt\tanswers\nParis\tFrance\n", r"line 2: 0 times \[MASK\] in the prompt 'Paris'. Al"),
        ("cloze", "prompt\tanswers\n[MASK] [MASK]\tx\n", r"line 2: 2 times \[MASK\]"),
        ("cloze", "prompt\tanswers\n[MASK]\t | \n", "line 2: no answer"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path, kind, content, said):
    with pytest.raises(MinibertError, match=f"some.tsv(:|,) {said}"):
        READ[kind][0](written(tmp_path, content))


def test_columns_are_found_by_a_heading_in_any_order(tmp_path):
    content = "Label\tid\tSentence\npositive\t7\tgood\n"
    assert read_labelled_sentences(written(tmp_path, content)) == [LabelledSentence("good", "positive")]
    content = "score\tfirst\tsecond\n2.5\ta\tb\n"
    assert read_word_pairs(written(tmp_path, content)) == [WordPair("a", "b", 2.5)]


def test_two_lines_with_a_label_each_are_no_heading(tmp_path):
    found = read_labelled_sentences(written(tmp_path, "good\tyes\nbad\tno\n"))
    assert [sentence.label for sentence in found] == ["yes", "no"]


# --- parts


def parts(tmp_path, **contents):
    for part, content in ({"train": "a\t0\nb\t1\n", "dev": "c\t1\n", "test": "d\t0\n"} | contents).items():
        if content is not None:
            written(tmp_path, content, f"{part}.tsv")
    return tmp_path


def test_the_parts_of_a_folder(tmp_path):
    found = read_labelled_parts(parts(tmp_path))
    assert {part: [tuple(each) for each in sentences] for part, sentences in found.items()} == {
        "train": [("a", "0"), ("b", "1")],
        "dev": [("c", "1")],
        "test": [("d", "0")],
    }


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"dev": None, "test": None}, "dev.tsv, test.tsv is missing. Give a folder with train.tsv, dev.tsv"),
        ({"train": "a\t1\nb\t1\n"}, "train.tsv: all labels are '1'"),
        ({"dev": "a\t2\n"}, "dev.tsv: the label '2' is not in train.tsv. Allowed: 0, 1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, contents, said):
    with pytest.raises(MinibertError, match=said):
        read_labelled_parts(parts(tmp_path, **contents))


# --- what lies in gensim


@WITH_GENSIM
def test_the_lists_of_gensim_are_whole():
    pairs, similar = read_word_pairs("wordsim353"), read_word_pairs("simlex999")
    assert (len(pairs), len(similar)) == (353, 999)
    assert pairs[1] == WordPair("tiger", "cat", 7.35)
    assert all(0 <= pair.score <= 10 for pair in pairs + similar)
    analogies = read_analogies()
    assert len(analogies) == 19544
    assert len({analogy.section for analogy in analogies}) == 14
    assert analogies[0] == Analogy("Athens", "Greece", "Baghdad", "Iraq", "capital-common-countries")


def test_without_gensim_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(gensim_files, "find_spec", lambda name: None)
    for read, given in ((read_word_pairs, "simlex999"), (read_analogies, "analogies")):
        with pytest.raises(Unavailable, match=r"lies in the package gensim. .*pip install 'minibert\[words\]'"):
            read(given)
    assert read_word_pairs(written(tmp_path, PAIRS))  # a file needs no package


def test_another_name_is_refused_with_the_nearest():
    with pytest.raises(MinibertError, match=r"simlex: .*did you mean 'simlex999'\?.*Lists: wordsim353, simlex999"):
        read_word_pairs("simlex")
    with pytest.raises(MinibertError, match=r"analogy: .*did you mean 'analogies'"):
        read_analogies("analogy")


# --- cloze from templates

SOME = [
    Analogy("Athens", "Greece", "Baghdad", "Iraq", "capital-common-countries"),
    Analogy("Baghdad", "Iraq", "Athens", "Greece", "capital-world"),
    Analogy("Iraq", "dinar", "Sweden", "krona", "currency"),
    Analogy("good", "better", "bad", "worse", "gram3-comparative"),
    Analogy("Iraq", "Iraqi", "Sweden", "Swedish", "gram6-nationality-adjective"),
]


def test_every_pair_of_words_gives_a_prompt_once():
    assert template_cloze(SOME) == [
        Cloze("The capital of Greece is [MASK].", ("Athens",), "capital"),
        Cloze("The capital of Iraq is [MASK].", ("Baghdad",), "capital"),
        Cloze("Athens is the capital of [MASK].", ("Greece",), "country_of_capital"),
        Cloze("Baghdad is the capital of [MASK].", ("Iraq",), "country_of_capital"),
        Cloze("The currency of Iraq is the [MASK].", ("dinar",), "currency"),
        Cloze("The currency of Sweden is the [MASK].", ("krona",), "currency"),
        Cloze("The people of Iraq are [MASK].", ("Iraqi",), "nationality"),
        Cloze("The people of Sweden are [MASK].", ("Swedish",), "nationality"),
    ]


def test_the_same_prompt_has_all_its_answers():
    places = Template("place", ("currency",), "The {second} is money in {first}.", "first")
    given = [Analogy("Iraq", "dinar", "Algeria", "dinar", "currency")]
    (found,) = template_cloze(given, [places])
    assert found == Cloze("The dinar is money in [MASK].", ("Iraq", "Algeria"), "place")


def test_a_country_has_the_article_that_english_gives_it():
    found = template_cloze([Analogy("Manila", "Philippines", "Oslo", "Norway", "capital-world")])
    assert [cloze.prompt for cloze in found] == [
        "The capital of the Philippines is [MASK].",
        "The capital of Norway is [MASK].",
        "Manila is the capital of the [MASK].",
        "Oslo is the capital of [MASK].",
    ]


def test_analogies_without_such_sections_are_refused():
    with pytest.raises(MinibertError, match=r"the sections gram3-comparative were given. .* currency, gram6"):
        template_cloze(SOME[3:4])


@WITH_GENSIM
def test_templates_over_the_google_analogies():
    found = template_cloze(read_analogies())
    assert all(cloze.prompt.count("[MASK]") == 1 for cloze in found)
    assert len({cloze.prompt for cloze in found}) == len(found)

"""Treebanks: the format CoNLL-U, and which word pieces belong to each word."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from minibert import diagnostics
from minibert.data.annotated.conllu import ROOT, UNTAGGED, AnnotatedSentence, read_conllu
from minibert.data.annotated.pieces import NO_WORD, encode_words, pieces_of_words
from minibert.errors import MinibertError

CONLLU = """\
# text = The old man doesn't see
# a comment without a value
1\tThe\tthe\tDET\tDT\tDefinite=Def|PronType=Art\t3\tdet\t_\t_
2\told\told\tADJ\t_\tDegree=Pos\t3\tamod\t_\t_
3\tman\tman\tNOUN\t_\tNumber=Sing\t6\tnsubj:outer\t6:nsubj:outer|6.1:x\t_
4-5\tdoesn't\t_\t_\t_\t_\t_\t_\t_\t_
4\tdoes\tdo\tAUX\t_\tMood=Ind|Tense=Pres\t6\taux\t_\t_
5\tn't\tnot\tPART\t_\t_\t6\tadvmod\t_\t_
5.1\tlost\t_\t_\t_\t_\t_\t_\t_\t_
6\tsee\tsee\tVERB\t_\t_\t0\troot\t_\tNote=two  spaces


# sent_id = second
1\t#\t#\tSYM\t_\t_\t0\troot\t_\tSpaceAfter=No
"""


def written(tmp_path, content, name="some.conllu"):
    (tmp_path / name).write_bytes(content.encode())
    return tmp_path / name


class TestConllu:
    @pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
    @pytest.mark.parametrize("last", ["", "\n", "\n\n"], ids=["no last line break", "no blank line", "blank line"])
    def test_words_are_kept_and_tokens_of_several_words_empty_nodes_and_comments_are_not(
        self, tmp_path, mark, end, last
    ):
        content = mark + (CONLLU.rstrip("\n") + last).replace("\n", end)
        first, second = read_conllu(written(tmp_path, content))
        assert first == AnnotatedSentence(
            words=("The", "old", "man", "does", "n't", "see"),
            tags=("DET", "ADJ", "NOUN", "AUX", "PART", "VERB"),
            features=(
                {"Definite": "Def", "PronType": "Art"},
                {"Degree": "Pos"},
                {"Number": "Sing"},
                {"Mood": "Ind", "Tense": "Pres"},
                {},
                {},
            ),
            heads=(2, 2, 5, 5, 5, ROOT),
            relations=("det", "amod", "nsubj", "aux", "advmod", "root"),
            line=1,
        )
        assert second == AnnotatedSentence(("#",), ("SYM",), ({},), (ROOT,), ("root",), line=13)

    def test_a_folder_is_read_in_order_of_its_files_and_not_what_lies_deeper(self, tmp_path):
        (tmp_path / "sources").mkdir()
        for name, word in {"b.conllu": "2", "a.conllu": "1", "sources/c.conllu": "3", "d.txt": "4"}.items():
            written(tmp_path, f"1\t{word}\t_\tX\t_\t_\t0\troot\t_\t_\n", name)
        assert [sentence.words for sentence in read_conllu(tmp_path)] == [("1",), ("2",)]

    def test_a_word_may_hold_spaces_and_a_line_separator(self, tmp_path):
        row = "1\t20  000\u2028km\t_\t_\t_\t_\t0\troot\t_\t_\n"
        (sentence,) = read_conllu(written(tmp_path, row))
        assert sentence.words == ("20 000\u2028km",)
        assert sentence.tags == (UNTAGGED,)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("\t3\tamod", " 3 amod", "line 4: has 8 columns. Allowed: 10"),
            ("\t6\taux", "\t9\taux", "line 7: 9 is the head of 'does'. Allowed: a head of this sentence .* to 6"),
            ("\t6\taux", "\t-1\taux", "line 7: -1 is the head of 'does'"),
            ("\t6\taux", "\t4\taux", "line 7: 4 is the head of 'does'. Allowed: .* another of its words"),
            ("\t6\taux", "\t_\taux", "line 7: _ is the head of 'does'"),
            ("\t6\taux", "\tsix\taux", "line 7: .*'six' is not a valid value"),
            ("\tADJ", "\tADJECT", r"line 4: the part of speech 'ADJECT' \(did you mean 'ADJ'\?\)"),
            ("\tADJ", "\tJJ", "line 4: the part of speech 'JJ'. Allowed: ADJ, .* X, or _"),
            ("2\told", "x\told", "line 4: .*'x' is not a valid ID"),
            ("2\told", "3\told", "line 4: word 3 where word 2 of a sentence is due"),
            ("2\told", "2\t", "line 4: an empty word"),
            ("\n\n\n", "\n", "line 12: word 1 where word 7 of a sentence is due. Allowed: .* a blank line after"),
            ("Degree=Pos", "Degree", "line 4: a feature without a value"),
            (
                "Degree=Pos",
                "Degree=Pos|Degree=Cmp",
                "line 4: the feature Degree 2 times. Allowed: each",
            ),
            ("\t6\tnsubj", "\t2\tnsubj", "line 5: the heads go in a circle, 'man' → 'old' → 'man'. Allowed"),
            (
                "\t0\troot\t_\tNote",
                "\t4\troot\t_\tNote",
                "line 10: the heads go in a circle, 'see' → 'does' → 'see'",
            ),
            ("1\t#", "1-2\t#", "line 13: a sentence without a word"),
        ],
    )
    def test_a_wrong_line_is_named_by_its_number(self, tmp_path, old, new, said):
        assert CONLLU.count(old) == 1
        with pytest.raises(MinibertError, match=f"some.conllu, {said}"):
            read_conllu(written(tmp_path, CONLLU.replace(old, new)))

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty. Allowed: files with at least one sentence"),
            (b"# only\n\n# comments\n", "has only comments"),
            ("1\tcaf\xe9".encode("latin-1"), "is not UTF-8, from byte 5 on"),
        ],
    )
    def test_a_file_without_sentences_is_refused(self, tmp_path, content, said):
        (tmp_path / "some.conllu").write_bytes(content)
        with pytest.raises(MinibertError, match=f"some.conllu.*{said}"):
            read_conllu(tmp_path / "some.conllu")

    def test_a_path_without_a_treebank_is_refused(self, tmp_path):
        with pytest.raises(MinibertError, match=r"none.conllu: cannot be read \(No such file"):
            read_conllu(tmp_path / "none.conllu")
        with pytest.raises(MinibertError, match=r"has no file that ends in .conllu"):
            read_conllu(tmp_path)


@pytest.fixture(scope="module")
def tokenizer():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, "the", "man", "##s", "n", "'", "t", "well", "known", "-"]
    made = Tokenizer(WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    made.add_special_tokens(special)
    made.normalizer = BertNormalizer(lowercase=True)
    made.pre_tokenizer = BertPreTokenizer()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return made


class TestPieces:
    def test_pieces_belong_to_the_words_given_whatever_the_tokenizer_splits(self, tokenizer):
        words = ["The", "mans", "n't", "well-known", "man man"]
        ((pieces,), coverage) = pieces_of_words(tokenizer, [words])
        tokens = " ".join(tokenizer.id_to_token(token) for token in pieces.ids.tolist())
        assert tokens == "[CLS] the man ##s n ' t well - known man man [SEP]"
        assert pieces.owners.tolist() == [NO_WORD, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, NO_WORD]
        assert pieces.first.tolist() == [1, 2, 4, 7, 10]
        assert pieces.counts.tolist() == [1, 2, 3, 3, 2]
        assert not pieces.unknown.any()
        assert list(coverage.notes()) == []
        ids, owners = encode_words(tokenizer, words)
        assert (ids.tolist(), owners.tolist()) == (pieces.ids.tolist(), pieces.owners.tolist())
        assert diagnostics.encode_words is encode_words
        assert diagnostics.read_conllu is read_conllu

    def test_what_is_dropped_unknown_or_too_long_is_counted(self, tokenizer):
        sentences = [["the", "\u200b\x07", "猫", "man-猫"], ["the"] * 7, ["\x07"]]
        (first, long, empty), coverage = pieces_of_words(tokenizer, sentences, longest=8)
        assert long is None
        assert first.owners.tolist() == [NO_WORD, 0, 2, 3, 3, 3, NO_WORD]
        assert first.first.tolist() == [1, NO_WORD, 2, 3]
        assert first.counts.tolist() == [1, 0, 1, 3]
        assert first.unknown.tolist() == [False, False, True, False]  # of the last word, "man" and "-" are left
        assert (empty.counts.tolist(), empty.ids.tolist()) == ([0], [2, 3])
        assert (coverage.sentences, coverage.too_long, coverage.words) == (3, 1, 5)
        assert (coverage.without_pieces, coverage.unknown) == (2, 1)
        assert list(coverage.notes()) == [
            "1 of 3 sentences have more tokens than the model has positions and were left out.",
            "2 of 5 words were left out: the tokenizer drops them.",
            "1 of 5 words are known to the tokenizer only as [UNK].",
        ]

    def test_a_sentence_of_just_the_longest_length_fits(self, tokenizer):
        found, _ = pieces_of_words(tokenizer, [["the"] * 6, ["the"] * 7], longest=8)
        assert [pieces is None for pieces in found] == [False, True]

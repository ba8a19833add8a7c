"""The vocabulary and the encoding that it gives."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minibert.data.tokenizer import (
    CLS,
    FIRST_ORDINARY,
    MASK,
    PAD,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    encode_documents,
    train_tokenizer,
)

TEXTS = [
    "The river runs to the sea; the sea runs to the sky.\nRivers running, skies raining: RAIN again.",
    "A café near the river served the sailors. Sailors, skippers and skies!",
    "Naïve readers read; the reading reader rereads the readings near the sea.",
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, vocab_size=90, lowercase=True)


def test_special_tokens_take_the_first_ids(tokenizer):
    assert [tokenizer.id_to_token(index) for index in range(5)] == list(SPECIAL_TOKENS)
    assert (PAD, UNK, CLS, SEP, MASK) == (0, 1, 2, 3, 4)
    assert FIRST_ORDINARY == 5


def test_ids_are_dense_and_within_the_size_asked_for(tokenizer):
    assert sorted(tokenizer.get_vocab().values()) == list(range(tokenizer.get_vocab_size()))
    assert tokenizer.get_vocab_size() == 90


def test_a_small_text_gives_a_smaller_vocabulary():
    # Two letters: a, b, ##a, ##b, and the one merge ab, beside the five special tokens.
    tokenizer = train_tokenizer(["ab ab ab"], vocab_size=8192, lowercase=True)
    assert set(tokenizer.get_vocab()) == {*SPECIAL_TOKENS, "a", "b", "##a", "##b", "ab"}


def test_a_large_alphabet_does_not_exceed_the_vocabulary():
    frequent, rare = "abc " * 50, "".join(chr(0x430 + n) for n in range(32))
    tokenizer = train_tokenizer([frequent + rare], vocab_size=16, lowercase=True)
    assert tokenizer.get_vocab_size() <= 16
    (ids,) = encode_documents(tokenizer, ["abc abc"])
    assert UNK not in ids


def test_training_twice_gives_the_same_tokenizer_to_the_byte(tokenizer):
    again = train_tokenizer(TEXTS, vocab_size=90, lowercase=True)
    assert again.to_str() == tokenizer.to_str()


def test_training_in_other_processes_gives_the_same_tokenizer_to_the_byte(tokenizer):
    program = (
        "from minibert.data.tokenizer import train_tokenizer; from tests.unit.test_tokenizer import TEXTS; "
        "print(train_tokenizer(TEXTS, vocab_size=90, lowercase=True).to_str())"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    for _ in range(2):
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        assert result.stdout.strip() == tokenizer.to_str()


def test_lowercase_is_a_choice():
    lower = train_tokenizer(["Café CAFÉ café"], vocab_size=60, lowercase=True)
    cased = train_tokenizer(["Café CAFÉ café"], vocab_size=60, lowercase=False)
    assert encode_documents(lower, ["Café"])[0].tolist() == encode_documents(lower, ["CAFÉ"])[0].tolist()
    assert len({tuple(ids) for ids in encode_documents(cased, ["Café", "CAFÉ", "café"])}) == 3


def test_words_come_back_from_their_ids(tokenizer):
    (ids,) = encode_documents(tokenizer, ["the rereading sailors"])
    assert tokenizer.decode(ids.tolist()) == "the rereading sailors"


def test_a_word_of_unknown_characters_is_unknown(tokenizer):
    (ids,) = encode_documents(tokenizer, ["Ω"])
    assert ids.tolist() == [UNK]


def test_special_tokens_spelt_out_in_a_text_are_ordinary_characters():
    texts = ["[MASK] and [SEP] and [CLS] and [PAD]"]
    tokenizer = train_tokenizer(texts, vocab_size=100, lowercase=True)
    (ids,) = encode_documents(tokenizer, texts)
    assert ids.min() >= FIRST_ORDINARY


def test_lines_of_a_document_stay_together_and_in_order(tokenizer):
    whole, other = encode_documents(tokenizer, ["the sea\n\nthe sky\nrain", "river"])
    parts = encode_documents(tokenizer, ["the sea", "the sky", "rain"])
    assert whole.tolist() == np.concatenate(parts).tolist()
    assert other.tolist() == encode_documents(tokenizer, ["river"])[0].tolist()
    assert whole.dtype == np.int32


def test_a_document_without_characters_has_no_tokens(tokenizer):
    assert [ids.tolist() for ids in encode_documents(tokenizer, ["", "\n \n"])] == [[], []]


def test_encoding_for_use_adds_cls_and_sep(tokenizer):
    encoding = tokenizer.encode("the sea")
    assert (encoding.ids[0], encoding.ids[-1]) == (CLS, SEP)


def test_words_that_are_encoded_once_give_the_ids_of_the_whole_text():
    text = (
        "the Sea\tthe  sea , the\u00a0sea\u2003the\x1csea\rthe\u200bsea e\u0301te \u0301te [MASK]sea the[SEP] 海\n"
        "\n the sea, the sea. The-sea the'sea Ωsea " + 40 * "sea"
    )
    tokenizer = train_tokenizer([text], vocab_size=120, lowercase=True, longest_word=50)
    tokenizer.encode_special_tokens = True
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    (ids,) = encode_documents(tokenizer, [text])
    assert ids.tolist() == expected
    assert UNK in expected

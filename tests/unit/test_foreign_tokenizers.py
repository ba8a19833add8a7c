"""Tokenizers of folders that transformers wrote: what their settings say, and what is read back after writing.

The tokens expected are those of transformers 5.23; tests/mathematical compares with it where it is installed.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer

from minibert import MiniBERT, MinibertError, ModelConfig
from minibert.config import PositionConfig
from minibert.data.tokenizer import encode_documents, encode_texts, load_tokenizer
from minibert.serving.mlflow_model import embed_sentences, fill_mask

VOCABULARY = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "cafe", "café", "Café", "CAFÉ", "Cafe", "中", "国",
    "中国", "##国", "sea", "##s", "the", "s", "##e", "##a", "<", "ent", ">",
]  # fmt: skip
END = len(VOCABULARY)
SIZES = {
    "hidden_size": 8, "layers": 2, "heads": 2, "feed_forward_size": 12, "max_length": 24,
    "position": PositionConfig(),
}  # fmt: skip


def write(folder: Path, settings: dict | None = None, **files) -> Path:
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    if settings is not None:
        files["tokenizer_config"] = settings
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def token(content: str, **flags) -> dict:
    return {"content": content, **dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False), **flags}


def cut(folder: Path, text: str) -> str:
    tokenizer = load_tokenizer(folder)
    (encoding,) = encode_texts(tokenizer, [text])
    tokens = {index: token for token, index in tokenizer.get_vocab().items()}
    return " ".join(tokens[index] for index in encoding.ids[1:-1])


@pytest.mark.parametrize(
    ("settings", "text", "tokens"),
    [
        (None, "Café", "cafe"),
        ({}, "Café", "cafe"),
        ({"do_lower_case": False}, "Café", "Café"),
        ({"do_lower_case": False, "strip_accents": None}, "CAFÉ", "CAFÉ"),
        ({"do_lower_case": False, "strip_accents": True}, "Café", "Cafe"),
        ({"strip_accents": False}, "CAFÉ", "café"),
        ({"strip_accents": True}, "CAFÉ", "cafe"),
        ({}, "中国", "中 国"),
        ({"tokenize_chinese_chars": False}, "中国", "中国"),
        ({"tokenizer_class": "BertTokenizerFast", "do_lower_case": False}, "Café", "Café"),
        ({"tokenizer_class": "DistilBertTokenizer", "strip_accents": False}, "Café", "café"),
        ({}, "[unused0] <ent> seas", "[UNK] [UNK] [UNK] < ent > sea ##s"),
        ({"added_tokens_decoder": {"5": token("[unused0]", special=True)}}, "[unused0]seas", "[unused0] sea ##s"),
        ({"added_tokens_decoder": {str(END): token("<ENT>")}}, "the<ENT>sea <ent>", "the <ENT> sea < ent >"),
        ({"added_tokens_decoder": {str(END): token("SES", normalized=True)}}, "sSES ses", "s SES SES"),
        ({"added_tokens_decoder": {str(END): token("se", single_word=True)}}, "se sea", "se sea"),
        ({"additional_special_tokens": ["<ent>"]}, "<ent>s", "<ent> s"),
        ({"extra_special_tokens": ["<ent>"]}, "<ent>s", "<ent> s"),
    ],
)
def test_the_settings_beside_a_vocabulary_are_honoured(tmp_path, settings, text, tokens):
    write(tmp_path, settings)
    assert cut(tmp_path, text) == tokens


def test_the_older_files_of_added_and_special_tokens_are_read(tmp_path):
    special = {"additional_special_tokens": ["[unused0]"]}
    write(tmp_path, {}, added_tokens={"<ent>": END}, special_tokens_map=special)
    assert cut(tmp_path, "the<ENT>s [unused0]") == "the <ent> s [unused0]"


def test_a_tokenizer_json_that_pads_and_cuts_does_neither_here(tmp_path):
    plain = load_tokenizer(write(tmp_path))
    fixed = load_tokenizer(tmp_path)
    fixed.enable_padding(length=12, pad_id=0, pad_token="[PAD]")
    fixed.enable_truncation(12)
    fixed.save(str(tmp_path / "tokenizer.json"))
    texts = ["the sea", "seas " * 30]
    expected = [encoding.ids for encoding in plain.encode_batch(texts)]
    assert [len(ids) for ids in expected] == [4, 62]
    assert [encoding.ids for encoding in load_tokenizer(tmp_path).encode_batch(texts)] == expected
    as_saved = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert [encoding.ids for encoding in encode_texts(as_saved, texts)] == expected
    assert encode_documents(as_saved, texts[1:])[0].tolist() == expected[1][1:-1]
    assert [len(encoding.ids) for encoding in as_saved.encode_batch(texts)] == [12, 12]  # it is as it was


def test_a_tokenizer_that_pads_changes_no_embedding_and_cuts_no_text(tmp_path):
    plain, fixed = load_tokenizer(write(tmp_path)), load_tokenizer(tmp_path)
    fixed.enable_padding(length=20, pad_id=0, pad_token="[PAD]")
    fixed.enable_truncation(20)
    model = MiniBERT(ModelConfig(vocab_size=30, **SIZES, init_scale=0.5))
    texts = ["the sea", "the cafe [MASK] sea"]
    assert np.array_equal(embed_sentences(model, fixed, texts), embed_sentences(model, plain, texts))
    assert fill_mask(model, fixed, texts[1:]) == fill_mask(model, plain, texts[1:])
    with pytest.raises(MinibertError, match="longer than the position table"):
        embed_sentences(model, fixed, ["sea " * 23])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "BertJapaneseTokenizer cuts texts in another way"),
        ({"mask_token": "<mask>"}, r"mask_token='<mask>'\. Allowed: \[MASK\]"),
        ({"do_lower_case": "no"}, r"do_lower_case='no'\. Allowed: true or false"),
        ({"strip_accents": 1}, r"strip_accents=1\. Allowed: true or false"),
        ({"added_tokens_decoder": {"99": token("<ent>")}}, f"has the id 99 in its settings and {END} in"),
        ({"added_tokens_decoder": {"x": token("<ent>")}}, "added tokens that cannot be read"),
        ({"added_tokens_decoder": {"7": 3}}, "added tokens that cannot be read"),
        ({"added_tokens_decoder": [1]}, "added tokens that cannot be read"),
        ([], "holds a list. Allowed: an object"),
    ],
)
def test_settings_that_cannot_be_honoured_are_one_message(tmp_path, settings, complaint):
    write(tmp_path, settings)
    with pytest.raises(MinibertError, match=complaint):
        load_tokenizer(tmp_path)


def test_settings_that_are_nested_too_deeply_or_given_twice_are_one_message(tmp_path):
    write(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[" * 100_000)
    with pytest.raises(MinibertError, match=r"tokenizer_config\.json: cannot be read as JSON"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true, "do_lower_case": false}')
    with pytest.raises(MinibertError, match=r"tokenizer_config\.json: .*the key 'do_lower_case' more than once"):
        load_tokenizer(tmp_path)


def save(folder: Path, tokenizer, vocab_size: int = 40) -> None:
    MiniBERT(ModelConfig(vocab_size=vocab_size, **SIZES)).save_pretrained(folder, tokenizer)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_lower_case": False, "strip_accents": True},
        {"strip_accents": False, "tokenize_chinese_chars": False},
        {"added_tokens_decoder": {"4": token("[MASK]", lstrip=True, special=True), str(END): token("<ENT>")}},
    ],
)
def test_what_is_written_is_read_back_with_the_same_ids_from_either_file(tmp_path, settings):
    texts = ["Café CAFÉ 中国", "the <ENT> [MASK] seas", "<ent> se"]
    tokenizer = load_tokenizer(write(tmp_path, settings))
    expected = [encoding.ids for encoding in encode_texts(tokenizer, texts)]
    tokenizer.enable_padding(length=30)
    tokenizer.enable_truncation(3)
    save(tmp_path / "new", tokenizer)
    for file in ("tokenizer.json", "vocab.txt"):
        back = load_tokenizer(tmp_path / "new" / file)
        assert [encoding.ids for encoding in encode_texts(back, texts)] == expected
    plain = Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    assert plain.padding is None and plain.truncation is None


def test_a_vocabulary_that_bert_would_cut_otherwise_is_not_written(tmp_path):
    tokenizer = load_tokenizer(write(tmp_path))
    about = json.loads(tokenizer.to_str())
    about["pre_tokenizer"] = {"type": "Whitespace"}
    save(tmp_path / "new", Tokenizer.from_str(json.dumps(about)))
    assert (tmp_path / "new" / "tokenizer.json").exists() and not (tmp_path / "new" / "vocab.txt").exists()


def test_a_tokenizer_with_more_tokens_than_the_model_has_embeddings_is_refused(tmp_path):
    tokenizer = load_tokenizer(write(tmp_path))
    tokenizer.add_tokens([AddedToken("<ent>")])
    with pytest.raises(MinibertError, match=f"largest token id is {END}, .* model.vocab_size={END} tokens"):
        save(tmp_path / "new", tokenizer, vocab_size=END)
    assert not (tmp_path / "new").exists()

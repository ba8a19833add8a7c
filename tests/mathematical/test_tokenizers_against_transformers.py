"""The same token ids as ``transformers`` for folders of many settings, and for folders that minibert wrote."""

import json

import pytest

from minibert import MiniBERT, ModelConfig
from minibert.data.tokenizer import encode_texts, load_tokenizer

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install 'minibert[parity]'"
)

TEXTS = [
    "Hello World", "Héllo café naïve", "Ångström ÅNGSTRÖM", "CAFÉ", "北京 is 中国", "中a国b", "日本語テスト",
    "かきがぎ", "한국어", "हिन्दी", "मुंबई", "ไทย", "Москва", "ёлка Ёлка", "İstanbul", "ß straße",
    "ﬁ ligature", "a\u0301 b", "x²", "½", "①", "[MASK] here", "a[MASK]b", "[mask] lower",
    "[SEP] x [CLS]", "[PAD] [UNK]", "<ent> marks", "a<ent>b",
    "<ENT> upper", "  spaced   out ", "tab\tnew\nline", "zero\u200bwidth", "soft\u00adhyphen", "bell\x07char",
    "nul\x00char",
    "don't stop", "e-mail@x.org", "1,234.56", "$5 €6 £7", "“quotes”", "…", "—dash—", "emoji 😀 👍🏽",
    "العربية", "עברית", "Ελλάδα ΆΈ", "ñandú Ñ", "[unused0] token", "special[unused0]", "_under_score_", "A" * 120,
    "newtok NEWTOK", "newtokens", "a newtok. b", "\ufeffbom", "\u3000wide", "ⅷ", "Ǆ dž", "ENT ent", "word " * 600,
]  # fmt: skip
CHARACTERS = sorted({character for text in TEXTS for character in text + text.lower() if not character.isspace()})
VOCABULARY = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "hello", "newtok", "cafe",
    *CHARACTERS, *(f"##{character}" for character in CHARACTERS),
]  # fmt: skip
END = len(VOCABULARY)


def token(content: str, **flags) -> dict:
    return {"content": content, **dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False), **flags}


SETTINGS = {
    "none": {},
    "case": {"do_lower_case": False},
    "accents kept": {"strip_accents": False},
    "accents stripped": {"do_lower_case": False, "strip_accents": True},
    "Chinese": {"tokenize_chinese_chars": False},
    "added": {"added_tokens_decoder": {str(END): token("<ent>", special=True), str(END + 1): token("NEW")}},
    "flags": {"added_tokens_decoder": {"4": token("[MASK]", lstrip=True, special=True), "5": token("[unused0]")}},
    "one word": {"added_tokens_decoder": {"7": token("newtok", single_word=True, normalized=True)}},
    "further": {"additional_special_tokens": ["[unused0]", "<ent>"]},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("kind", ["vocab.txt", "tokenizer.json"])
def test_every_setting_gives_the_same_ids_also_after_writing(settings, kind, tmp_path):
    settings = {"tokenizer_class": "BertTokenizer", **settings}
    folder, written = tmp_path / "theirs", tmp_path / "ours"
    folder.mkdir()
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    if kind == "tokenizer.json":
        theirs.backend_tokenizer.enable_padding(length=128)
        theirs.backend_tokenizer.enable_truncation(128)
        theirs.backend_tokenizer.save(str(folder / "tokenizer.json"))
    expected = theirs(TEXTS, padding=False, truncation=False)["input_ids"]
    ours = load_tokenizer(folder)
    assert [encoding.ids for encoding in encode_texts(ours, TEXTS)] == expected

    config = ModelConfig(vocab_size=END + 2, hidden_size=8, layers=1, heads=2, feed_forward_size=8)
    MiniBERT(config).save_pretrained(written, ours)
    back = transformers.AutoTokenizer.from_pretrained(written)
    assert back(TEXTS, padding=False, truncation=False)["input_ids"] == expected
    for file in ("vocab.txt", "tokenizer.json"):
        assert [encoding.ids for encoding in encode_texts(load_tokenizer(written / file), TEXTS)] == expected

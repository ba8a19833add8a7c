"""The settings that ``transformers`` stores beside a vocabulary: tokenizer_config.json, and the older files.

They decide how a vocab.txt splits a text: whether case and accents are kept, whether each Chinese character is a
word, and which added tokens are split off first.
"""

from pathlib import Path

from tokenizers import AddedToken, Tokenizer
from tokenizers.normalizers import BertNormalizer

from minibert.errors import MinibertError
from minibert.files import read_json

BERTS = (
    "BertTokenizer", "ConvBertTokenizer", "DPRContextEncoderTokenizer", "DPRQuestionEncoderTokenizer",
    "DistilBertTokenizer", "ElectraTokenizer", "LayoutLMTokenizer", "LxmertTokenizer", "MobileBertTokenizer",
    "SqueezeBertTokenizer",
)  # fmt: skip
"""Classes of that library that split texts as BERT does; ``Fast`` may follow their names"""
OF_ANY_KIND = ("PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend")
KINDS = ("pad", "unk", "cls", "sep", "mask")


def read_settings(folder: Path) -> dict:
    """The settings in a folder, under the keys of tokenizer_config.json; empty if there are none.

    Raises :class:`MinibertError` for a file that is not a JSON object.
    """
    settings = _read_json(folder / "tokenizer_config.json")
    if "added_tokens_decoder" not in settings:  # this key replaced the older files
        settings = _read_json(folder / "special_tokens_map.json") | settings
        added = _read_json(folder / "added_tokens.json")
        if added:
            special = {str(_content(settings.get(f"{kind}_token"))) for kind in KINDS}
            settings["added_tokens_decoder"] = {
                index: {"content": token, "special": token in special, "normalized": token not in special}
                for token, index in added.items()
            }
    return settings


def require_bert(settings: dict, path: Path) -> None:
    """Raises :class:`MinibertError` if ``settings`` name a tokenizer that does not split texts as BERT does."""
    name = settings.get("tokenizer_class")
    if name is not None and not _is_bert(name) and name not in OF_ANY_KIND:
        raise MinibertError(
            f"{path}: tokenizer_class={name} cuts texts in another way. Allowed: {', '.join(BERTS)}, or a "
            "tokenizer.json, which says itself how texts are cut."
        )


def apply_settings(tokenizer: Tokenizer, settings: dict, path: Path) -> None:
    """Make the tokenizer of ``path`` split texts according to ``settings``.

    Raises :class:`MinibertError` for wrong types, for special tokens with other names than BERT's, and for added
    tokens whose ids differ from the vocabulary's.
    """
    for kind in KINDS:
        given = _content(settings.get(f"{kind}_token"))
        if given not in (None, f"[{kind.upper()}]"):
            raise MinibertError(f"{path}: {kind}_token={given!r}. Allowed: [{kind.upper()}], as BERT has it.")
    # A tokenizer.json has its own normaliser. Only BERT's own classes in transformers override it.
    decides = path.suffix == ".txt" or _is_bert(settings.get("tokenizer_class", BERTS[0]))
    if decides and isinstance(tokenizer.normalizer, BertNormalizer):
        tokenizer.normalizer = _normalizer(tokenizer.normalizer, settings, path)
    _add_tokens(tokenizer, settings, path)


def _normalizer(old: BertNormalizer, settings: dict, path: Path) -> BertNormalizer:
    chosen = {"lowercase": old.lowercase, "strip_accents": old.strip_accents}
    chosen |= {"handle_chinese_chars": old.handle_chinese_chars, "clean_text": old.clean_text}
    names = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "handle_chinese_chars",
    }
    for theirs in names.keys() & settings.keys():
        value = settings[theirs]
        if not isinstance(value, bool) and not (value is None and theirs == "strip_accents"):
            raise MinibertError(f"{path}: {theirs}={value!r}. Allowed: true or false.")
        chosen[names[theirs]] = value
    return BertNormalizer(**chosen)


def _add_tokens(tokenizer: Tokenizer, settings: dict, path: Path) -> None:
    try:
        declared = {int(index): _token(token) for index, token in settings.get("added_tokens_decoder", {}).items()}
        further = [
            _token(token)
            for key in ("additional_special_tokens", "extra_special_tokens")
            for token in settings.get(key) or ()
            if isinstance(settings[key], list)
        ]
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise MinibertError(f"{path}: its settings hold added tokens that cannot be read ({error}).") from error
    known = tokenizer.get_added_tokens_decoder()
    for index, token in sorted(declared.items()):
        if known.get(index) != token:
            tokenizer.add_tokens([token])
        if tokenizer.token_to_id(token.content) != index:
            raise MinibertError(
                f"{path}: the added token {token.content!r} has the id {index} in its settings and "
                f"{tokenizer.token_to_id(token.content)} in its vocabulary. Allowed: the same id."
            )
    names = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    for token in further:
        if token.content not in names:
            tokenizer.add_special_tokens([token])


def _token(given: str | dict) -> AddedToken:
    if isinstance(given, str):
        return AddedToken(given, special=True)
    fields = ("lstrip", "rstrip", "single_word", "normalized", "special")
    return AddedToken(given["content"], **{key: given[key] for key in fields if key in given})


def _content(given):
    """A special token is given as a text, or as an object with the text in it."""
    return given.get("content") if isinstance(given, dict) else given


def _is_bert(name) -> bool:
    return str(name).removesuffix("Fast") in BERTS


def _read_json(path: Path) -> dict:
    try:
        content = read_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise MinibertError(f"{path}: cannot be read as JSON ({error}).") from error
    if not isinstance(content, dict):
        raise MinibertError(f"{path}: holds a {type(content).__name__}. Allowed: an object with settings.")
    return content

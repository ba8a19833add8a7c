"""A text as the network reads it, with some of its tokens masked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.lines import is_text
from minibert.data.tokenizer import encode_texts
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT


@dataclass(frozen=True)
class Sentence:
    """T tokens, with [CLS] in front and [SEP] behind."""

    text: str
    tokens: list[str]
    """T, as the network reads them: [MASK] where a token is masked"""
    ids: np.ndarray
    """(T,)"""
    originals: np.ndarray
    """(T,): the ids before anything was masked; that of [MASK] where the text itself has it"""
    original_tokens: list[str]
    ordinary: np.ndarray
    """(T,) bool: False at [CLS] and [SEP], which cannot be masked"""
    mask_id: int

    @property
    def masked(self) -> list[int]:
        """The positions of [MASK]."""
        return np.flatnonzero(self.ids == self.mask_id).tolist()

    def position(self, given: int | None) -> int:
        """The position given, or that of the first [MASK].

        Raises :class:`MinibertError` for a position that is not there, and where none is given and nothing is
        masked.
        """
        if given is None:
            if not self.masked:
                raise MinibertError(
                    f"position: none was given, and the text has no [MASK]. Allowed: 0 to {len(self.ids) - 1}."
                )
            return self.masked[0]
        if not _is_index(given, len(self.ids)):
            raise MinibertError(f"position={given!a}: is not there. Allowed: 0 to {len(self.ids) - 1}.")
        return int(given)


def read_sentence(model: MiniBERT, tokenizer: Tokenizer, text: str, masked: Sequence[int] = ()) -> Sentence:
    """Encode a text, and put [MASK] at the positions ``masked``. [MASK] in the text is a mask, too.

    Raises :class:`MinibertError` for a text that is empty, no text, or longer than the network's ``max_length``,
    and for positions outside of the text or at [CLS] and [SEP].
    """
    if not is_text(text) or not text.strip():
        raise MinibertError(f"text: {_shown(text)} was given. Allowed: a sentence with at least one word.")
    (encoding,) = encode_texts(tokenizer, [text])
    ids, tokens, longest = np.array(encoding.ids), encoding.tokens, model.config.max_length
    if len(ids) > longest:
        raise MinibertError(
            f"text: has {len(ids)} tokens with [CLS] and [SEP]. Allowed: at most {longest}, which is what the "
            "network was made for. Give a shorter text."
        )
    mask_id = tokenizer.get_vocab()["[MASK]"]
    ordinary = (np.array(encoding.special_tokens_mask) == 0) | (ids == mask_id)
    if not ordinary.any():
        raise MinibertError("text: no token is left of it. Allowed: a sentence with at least one word.")
    wrong = [each for each in masked if not (_is_index(each, len(ids)) and ordinary[each])]
    if wrong:
        places = np.flatnonzero(ordinary)
        raise MinibertError(
            f"masked: {_shown(wrong[0])} is no position of a word. Allowed: {places[0]} to {places[-1]}, the "
            "tokens between [CLS] and [SEP]."
        )
    read, shown = ids.copy(), list(tokens)
    for place in masked:
        read[place], shown[place] = mask_id, "[MASK]"
    return Sentence(text, shown, read, ids, tokens, ordinary, mask_id)


def token_id(tokenizer: Tokenizer, given: str | int) -> int:
    """The id of a token, or the id itself.

    Raises :class:`MinibertError` for a text that is not one token of the vocabulary, and an id beyond it.
    """
    if isinstance(given, str):
        found = tokenizer.token_to_id(given.strip())
        if found is None and is_text(given) and given.strip():
            pieces = tokenizer.encode(given, add_special_tokens=False)
            found = pieces.ids[0] if len(pieces.ids) == 1 and pieces.tokens != ["[UNK]"] else None
        if found is None:
            raise MinibertError(
                f"target={_shown(given)}: is not one token of the vocabulary. Allowed: a token, such as 'the', or "
                "its id."
            )
        return found
    if not _is_index(given, tokenizer.get_vocab_size()):
        raise MinibertError(f"target={_shown(given)}: no such id. Allowed: 0 to {tokenizer.get_vocab_size() - 1}.")
    return int(given)


def _is_index(given: Any, count: int) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool) and bool(0 <= given < count)


def _shown(given: Any) -> str:
    text = f"{given!a}"
    return text if len(text) <= 60 else text[:59] + "…"

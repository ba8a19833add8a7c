"""Tokenizers of other people, with the ids that this package gives the special tokens.

[CLS] is 101 in BERT-base and 2 here. Masks, packed rows and baselines know the special tokens by their ids, so the
tokenizer is numbered anew, and the rows of the token embeddings follow.
"""

import json
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from minibert.data.tokenizer import FIRST_ORDINARY, SPECIAL_TOKENS
from minibert.errors import MinibertError


def own_numbering(tokenizer: Tokenizer, embeddings: int) -> tuple[Tokenizer, np.ndarray]:
    """The tokenizer with the special tokens at 0 to 4, and the former id of every new one: (``embeddings``,) ints.

    All other ids keep their order. It cuts texts as before. A tokenizer that has these ids is returned as it is.

    Raises :class:`MinibertError` for a tokenizer that does not store its vocabulary as token -> id.
    """
    ids = tokenizer.get_vocab()
    special = [ids[token] for token in SPECIAL_TOKENS]
    former = np.concatenate([special, np.setdiff1d(np.arange(embeddings), special)])
    if special == list(range(FIRST_ORDINARY)):
        return tokenizer, former
    plain = json.loads(tokenizer.to_str())
    if not isinstance(plain["model"].get("vocab"), dict):
        raise MinibertError(
            f"tokenizer: a {plain['model'].get('type')} model with [CLS] at {ids['[CLS]']} was given, and its ids "
            "cannot be changed. Allowed: WordPiece and BPE; others if [PAD], [UNK], [CLS], [SEP], [MASK] are at "
            "0 to 4."
        )
    new = {int(old): number for number, old in enumerate(former)}
    added = {token["content"]: token["id"] for token in plain["added_tokens"]}
    # Added tokens get the id that the vocabulary has for them, and otherwise the next one that is free.
    plain["model"]["vocab"] = {token: new[old] for token, old in (plain["model"]["vocab"] | added).items()}
    for token in plain["added_tokens"]:
        token["id"] = new[token["id"]]
    plain["added_tokens"].sort(key=lambda token: token["id"])
    plain["post_processor"] = _processor(plain["post_processor"], new)
    return Tokenizer.from_str(json.dumps(plain)), former


def _processor(plain: Any, new: dict[int, int]) -> Any:
    """What puts [CLS] and [SEP] around a text, with the new ids."""
    if not plain:
        return plain
    found = dict(plain)
    if plain["type"] == "Sequence":
        found["processors"] = [_processor(each, new) for each in plain["processors"]]
    elif plain["type"] == "TemplateProcessing":
        found["special_tokens"] = {
            token: {**about, "ids": [new[old] for old in about["ids"]]}
            for token, about in plain["special_tokens"].items()
        }
    for end in {"cls", "sep"} & plain.keys():  # of BertProcessing and RobertaProcessing: [token, id]
        token, old = plain[end]
        found[end] = [token, new[old]]
    return found

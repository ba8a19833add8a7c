"""Word pieces of given words: which pieces of the tokenizer belong to each word of an annotated sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from minibert.data.tokenizer import encode_texts

NO_WORD = -1
"""The owner of a special token, and the first piece of a word that has none"""


@dataclass(frozen=True)
class WordPieces:
    """A sentence of W words as a network reads it: [CLS] pieces [SEP], T tokens."""

    ids: np.ndarray
    """(T,) int32"""
    owners: np.ndarray
    """(T,) The word of each token, counted from 0; :data:`NO_WORD` for special tokens"""
    first: np.ndarray
    """(W,) The place of each word's first piece among the T tokens; :data:`NO_WORD` for a word without pieces"""
    counts: np.ndarray
    """(W,) How many pieces each word has: 0 for a word that the tokenizer drops, such as a control character"""
    unknown: np.ndarray
    """(W,) bool: words of which the tokenizer leaves nothing but [UNK]"""


@dataclass(frozen=True)
class Coverage:
    """How much of annotated text a model can be asked about."""

    sentences: int
    too_long: int
    """Sentences with more tokens than the model has positions"""
    words: int
    """Words of the sentences that fit"""
    without_pieces: int
    """Words of these that the tokenizer drops"""
    unknown: int
    """Words of these that it knows only as [UNK]"""

    def notes(self) -> Iterator[str]:
        """What a reader must know of it, a sentence each; none where all is covered."""
        if self.too_long:
            yield (
                f"{self.too_long:,} of {self.sentences:,} sentences have more tokens than the model has positions "
                "and were left out."
            )
        if self.without_pieces:
            yield f"{self.without_pieces:,} of {self.words:,} words were left out: the tokenizer drops them."
        if self.unknown:
            yield f"{self.unknown:,} of {self.words:,} words are known to the tokenizer only as [UNK]."


def pieces_of_words(
    tokenizer: Tokenizer, sentences: Sequence[Sequence[str]], longest: int | None = None
) -> tuple[list[WordPieces | None], Coverage]:
    """The pieces of each sentence's words, in the order given; None for a sentence that has more than ``longest``
    tokens, [CLS] and [SEP] included.

    A word may hold spaces and punctuation: all of its pieces belong to it.
    """
    unknown = tokenizer.token_to_id("[UNK]")
    encoded = encode_texts(tokenizer, [list(words) for words in sentences], is_pretokenized=True)
    found = [
        None if longest is not None and len(encoding.ids) > longest else _pieces(encoding, len(words), unknown)
        for encoding, words in zip(encoded, sentences, strict=True)
    ]
    fit = [pieces for pieces in found if pieces is not None]
    coverage = Coverage(
        sentences=len(found),
        too_long=len(found) - len(fit),
        words=sum(len(pieces.counts) for pieces in fit),
        without_pieces=sum(int((pieces.counts == 0).sum()) for pieces in fit),
        unknown=sum(int(pieces.unknown.sum()) for pieces in fit),
    )
    return found, coverage


def encode_words(tokenizer: Tokenizer, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (T,) of [CLS] words [SEP], and the word that each token belongs to (T,), counted from 0, or -1."""
    ((pieces,), _) = pieces_of_words(tokenizer, [words])
    assert pieces is not None  # there is no longest
    return pieces.ids, pieces.owners


def _pieces(encoding: Encoding, words: int, unknown: int | None) -> WordPieces:
    ids = np.array(encoding.ids, np.int32)
    owners = np.array([NO_WORD if word is None else word for word in encoding.word_ids])
    places = np.flatnonzero(owners != NO_WORD)
    counts = np.bincount(owners[places], minlength=words)
    lost = np.bincount(owners[places], weights=ids[places] == unknown, minlength=words)
    first = np.full(words, NO_WORD)
    first[owners[places[::-1]]] = places[::-1]  # the last that is written is the first of the word
    return WordPieces(ids, owners, first, counts, (counts > 0) & (lost == counts))

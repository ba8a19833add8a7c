"""How likely a masked language model finds a sentence: each token predicted from all others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Literal, NamedTuple, cast

import numpy as np
from tokenizers import Encoding, Tokenizer

from minibert.data.batches import Batch
from minibert.data.tokenizer import encode_texts
from minibert.errors import MinibertError
from minibert.evaluation.inputs import asked_network, texts
from minibert.model.bert import MiniBERT
from minibert.model.ops import prediction_losses
from minibert.model.passes import IGNORED
from minibert.training.lanes import Lanes

Kind = Literal["within_word", "original"]
TOKENS_AT_ONCE = 4096
"""In a batch of masked copies: few enough for the scores over the vocabulary to stay small"""
BATCHES_AT_ONCE = 64
"""Held in memory"""
NO_WORD = -1
"""The word of [CLS], of [SEP] and of special tokens in the text"""


class SentenceScore(NamedTuple):
    log_likelihood: float
    """Sum over the tokens, in nats; NaN where the sentence is longer than the model's positions"""
    pieces: tuple[int, ...]
    """Ids of the word pieces, [CLS] and [SEP] left out"""
    unknown: int
    """How many of the pieces are [UNK]"""

    @property
    def tokens(self) -> int:
        return len(self.pieces)


def pseudo_log_likelihoods(
    model: MiniBERT,
    tokenizer: Tokenizer,
    sentences: Sequence[str] | str,
    kind: Kind = "within_word",
    lanes: int = 2,
) -> list[SentenceScore]:
    """PLL(s) = Σ_t log p(s_t | the other tokens), the sum over word pieces; [CLS] and [SEP] are given.

    With ``original``, only s_t is masked (Salazar, Liang, Nguyen and Kirchhoff, "Masked Language Model Scoring",
    ACL 2020). The rest of a word then gives its pieces away: a rare word of many pieces scores better than a
    common one. With ``within_word``, all later pieces of the same word are masked with it (Kauf and Ivanova, "A
    Better Way to Do Masked Language Model Scoring", ACL 2023). Words are those of the tokenizer: punctuation
    stands alone.

    Every token makes one copy of its sentence. Copies of one length are scored together, without padding, spread
    over the ``lanes``, and the last layer is computed at the masked position only. A sentence that occurs several
    times is scored once.

    Raises :class:`MinibertError` for another ``kind``, and for what is no text.
    """
    model, tokenizer = asked_network(model, tokenizer)
    if kind not in ("within_word", "original"):
        raise MinibertError(f"kind={kind}: no way to score a sentence. Allowed: within_word, original.")
    sentences = texts(sentences, "sentences")
    distinct = list(dict.fromkeys(sentences))
    encoded = encode_texts(tokenizer, distinct)
    longest = model.config.max_length if model.config.position.has_table else None
    lengths = np.array([len(encoding.ids) for encoding in encoded], int)
    fits = lengths <= (longest or np.inf)
    order = np.argsort(lengths, kind="stable")
    order = order[fits[order]]
    # Of the tokenizer, not of this package: other people's have other numbers.
    mask, unknown = (cast(int, tokenizer.token_to_id(token)) for token in ("[MASK]", "[UNK]"))
    with Lanes(model, lanes) as spread:
        losses = _losses(spread, _by_length([encoded[number] for number in order], kind, mask))
    sums = np.bincount(np.repeat(order, lengths[order] - 2), losses, minlength=len(distinct))
    totals = np.where(fits, -sums, np.nan)
    found = {
        sentence: SentenceScore(float(total), tuple(encoding.ids[1:-1]), encoding.ids.count(unknown))
        for sentence, total, encoding in zip(distinct, totals, encoded, strict=True)
    }
    return [found[sentence] for sentence in sentences]


@dataclass(frozen=True)
class MaskedCopies:
    """The copies of S sentences of one length T, one for each token of each sentence but [CLS] and [SEP]."""

    ids: np.ndarray
    """(S, T) int32"""
    words: np.ndarray
    """(S, T): the number of the word that each token belongs to"""
    kind: Kind
    mask: int
    """The id of [MASK]"""

    def batches(self) -> Iterator[Batch]:
        """All copies, sentence by sentence."""
        count, length = self.ids.shape
        size, predicted = max(TOKENS_AT_ONCE // length, 1), length - 2
        copies = np.arange(count * predicted)
        for start in range(0, len(copies), size):
            yield self._batch(*np.divmod(copies[start : start + size], predicted))

    def _batch(self, sentences: np.ndarray, places: np.ndarray) -> Batch:
        """sentences, places (B,): which sentence each copy is of, and which of its predicted tokens is masked"""
        ids, rows, places = self.ids[sentences], np.arange(len(places)), places + 1
        columns = np.arange(ids.shape[1])
        masked = columns == places[:, None]
        if self.kind == "within_word":
            words = self.words[sentences]
            own = words[rows, places][:, None]
            masked |= (columns > places[:, None]) & (words == own) & (own != NO_WORD)
        labels = np.full(ids.shape, IGNORED, np.int32)
        labels[rows, places] = ids[rows, places]
        return Batch(np.where(masked, np.int32(self.mask), ids), labels, None, ids.size, len(rows))


def _by_length(encoded: Sequence[Encoding], kind: Kind, mask: int) -> Iterator[MaskedCopies]:
    """The copies of sentences that are sorted by their length."""
    for _, group in groupby(encoded, key=len):
        sentences = list(group)
        words = [[NO_WORD if word is None else word for word in each.word_ids] for each in sentences]
        yield MaskedCopies(np.array([each.ids for each in sentences], np.int32), np.array(words), kind, mask)


def _losses(spread: Lanes, groups: Iterable[MaskedCopies]) -> np.ndarray:
    """-log p of the masked token of every copy, in nats. A few batches are held at a time."""
    batches = (batch for group in groups for batch in group.batches())
    losses = [np.empty(0)]
    while part := list(islice(batches, BATCHES_AT_ONCE)):
        losses += spread.evaluate(part, prediction_losses)
    return np.concatenate(losses)

"""How likely a masked language model finds a sentence: each token predicted from all others."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from minibert.data.batches import Batch
from minibert.data.tokenizer import MASK, UNK, encode_texts
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.ops import prediction_losses
from minibert.model.passes import IGNORED
from minibert.training.lanes import Lanes

Kind = Literal["within_word", "original"]
TOKENS_AT_ONCE = 4096
"""In a batch of masked copies: few enough for the scores over the vocabulary to stay small"""


class SentenceScore(NamedTuple):
    log_likelihood: float
    """Sum over the tokens, in nats; NaN where the sentence is longer than the model's positions"""
    pieces: tuple[int, ...]
    """Ids of the word pieces, [CLS] and [SEP] left out"""

    @property
    def tokens(self) -> int:
        return len(self.pieces)

    @property
    def unknown(self) -> int:
        """How many of the pieces are [UNK]."""
        return self.pieces.count(UNK)


def pseudo_log_likelihoods(
    model: MiniBERT, tokenizer: Tokenizer, sentences: Sequence[str], kind: Kind = "within_word", lanes: int = 2
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
    """
    distinct = list(dict.fromkeys(sentences))
    encoded = encode_texts(tokenizer, distinct)
    longest = model.config.max_length if model.config.position.has_table else None
    ids = [np.array(encoding.ids, np.int32) for encoding in encoded]
    fits = [longest is None or len(each) <= longest for each in ids]
    totals = np.where(fits, 0.0, np.nan)
    copies: dict[int, list[tuple[int, np.ndarray, int]]] = {}
    for number, (encoding, tokens) in enumerate(zip(encoded, ids, strict=True)):
        if fits[number]:
            for place, masked in _copies(tokens, encoding.word_ids, kind):
                copies.setdefault(len(tokens), []).append((number, masked, place))
    owners, batches = _batches(copies, ids)
    with Lanes(model, lanes) as spread:
        for owner, losses in zip(owners, spread.evaluate(batches, prediction_losses), strict=True):
            np.subtract.at(totals, owner, losses)
    found = {
        sentence: SentenceScore(float(total), tuple(tokens[1:-1].tolist()))
        for sentence, total, tokens in zip(distinct, totals, ids, strict=True)
    }
    return [found[sentence] for sentence in sentences]


def _copies(tokens: np.ndarray, words: Sequence[int | None], kind: Kind) -> Iterator[tuple[int, np.ndarray]]:
    """The copy of a sentence for each of its tokens, and where that token stands. ``words``: of every token."""
    if kind not in ("within_word", "original"):
        raise MinibertError(f"kind={kind}: no way to score a sentence. Allowed: within_word, original.")
    for place in range(1, len(tokens) - 1):
        masked = tokens.copy()
        masked[place] = MASK
        if kind == "within_word":
            for later in range(place + 1, len(tokens) - 1):
                if words[later] != words[place]:
                    break
                masked[later] = MASK
        yield place, masked


def _batches(
    copies: dict[int, list[tuple[int, np.ndarray, int]]], ids: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[Batch]]:
    """The sentence of every copy, batch by batch, and the batches."""
    owners, batches = [], []
    for length, all_copies in sorted(copies.items()):
        for part in _parts(all_copies, max(TOKENS_AT_ONCE // length, 1)):
            numbers, masked, places = (list(column) for column in zip(*part, strict=True))
            rows = np.arange(len(part))
            labels = np.full((len(part), length), IGNORED, np.int32)
            labels[rows, places] = [ids[number][place] for number, place in zip(numbers, places, strict=True)]
            owners.append(np.array(numbers))
            batches.append(Batch(np.stack(masked), labels, None, len(part) * length, len(part)))
    return owners, batches


def _parts(items: Sequence, size: int) -> Iterable[Sequence]:
    return (items[start : start + size] for start in range(0, len(items), size))

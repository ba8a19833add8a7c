"""Vectors of words: the rows of the embedding table, and means over the contexts of a text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
from tokenizers import Tokenizer

from minibert.data.packing import Sequences, pieces, positions_within, spread_evenly
from minibert.data.tokenizer import encode_texts
from minibert.model.bert import MiniBERT
from minibert.model.passes import Inputs, Pass, Selection
from minibert.training.lanes import Lanes

ROWS_AT_ONCE = 32
"""Rows of text in one pass"""
Spelling = tuple[int, ...]
"""The word pieces of a word, or of several words in a row"""


@dataclass(frozen=True)
class ContextualVectors:
    """What :func:`contextual_vectors` returns."""

    vectors: np.ndarray
    """(L + 1, W, D) float32: after the embeddings and after every layer; zeros for a word without context"""
    contexts: np.ndarray
    """(W,): how many occurrences each is the mean of"""


def spellings(tokenizer: Tokenizer, words: Iterable[str]) -> dict[str, Spelling]:
    """Word -> its pieces. A word is left out if one of its pieces is [UNK], or if it has none."""
    words = list(dict.fromkeys(words))
    unknown = tokenizer.token_to_id("[UNK]")
    spelt = {word: tuple(each.ids[1:-1]) for word, each in zip(words, encode_texts(tokenizer, words), strict=True)}
    return {word: ids for word, ids in spelt.items() if ids and unknown not in ids}


def vocabulary_words(tokenizer: Tokenizer) -> dict[str, int]:
    """The words that the vocabulary has whole, by id: tokens of letters and digits that continue no other."""
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return {word: index for word, index in words if word.isalnum()}


def continuing(tokenizer: Tokenizer, vocab_size: int) -> np.ndarray:
    """(V,) bool: True at the tokens that continue a word"""
    found = np.zeros(vocab_size, bool)
    for token, index in tokenizer.get_vocab().items():
        found[index] = token.startswith("##")
    return found


def static_vectors(model: MiniBERT, words: Sequence[Spelling]) -> np.ndarray:
    """The mean of the token embeddings of each word's pieces: (W, D) float64"""
    table = model.params["embeddings.token.weight"]
    return np.array([table[list(word)].mean(axis=0, dtype=np.float64) for word in words])


def find_occurrences(
    sequences: Sequences, words: Sequence[Spelling], continues: np.ndarray, covered: np.ndarray | None = None
) -> list[np.ndarray]:
    """Where each word begins in the text, as places in ``sequences.input_ids.ravel()``, in order.

    Only whole words count: no piece that continues a word follows. ``continues`` (V,): :func:`continuing`.
    ``covered`` (S, T) bool: an occurrence with such a token is passed over.
    """
    flat = sequences.input_ids.ravel()
    tokens = sequences.input_ids.shape[1]
    order = np.argsort(flat, kind="stable")
    in_order = flat[order]
    goes_on = continues[flat]
    found = []
    for word in words:
        starts = order[slice(*np.searchsorted(in_order, [word[0], word[0] + 1]))]
        starts = starts[starts % tokens + len(word) <= tokens]
        for place, piece in enumerate(word):
            starts = starts[flat[starts + place] == piece]
        ends = starts + len(word)
        cut_off = (ends % tokens != 0) & goes_on[np.minimum(ends, len(flat) - 1)]
        starts = starts[~cut_off]
        if covered is not None:
            hidden = np.zeros(len(starts), bool)
            for place in range(len(word)):
                hidden |= covered.ravel()[starts + place]
            starts = starts[~hidden]
        found.append(starts)
    return found


def spread_rows(sequences: Sequences, count: int) -> Sequences:
    """At most ``count`` rows of the text, spread evenly over all of it."""
    rows = spread_evenly(len(sequences), count)
    return Sequences(sequences.input_ids[rows], sequences.lengths[rows], sequences.documents[rows])


def contextual_vectors(
    model: MiniBERT,
    sequences: Sequences,
    words: Sequence[Spelling],
    occurrences: Sequence[np.ndarray],
    lanes: int = 2,
) -> ContextualVectors:
    """The mean hidden state of every word over its occurrences, and over its pieces within each of them.

    v = 1/C Σ_c 1/K Σ_k h(c, k), at the L + 1 places of the network. ``occurrences``: of each word, places where it
    begins (:func:`find_occurrences`). Nothing is masked. Equal for any number of lanes.

    Bommasani, Davis and Cardie, "Interpreting Pretrained Contextualized Representations via Reductions to Static
    Embeddings", ACL 2020 (mean over contexts, mean over subwords).
    """
    shape = model.config.layers + 1, len(words), model.config.hidden_size
    totals = np.zeros(shape, np.float32)
    parts = list(_parts(sequences, words, occurrences))
    with Lanes(model, lanes) as spread:
        spaces: SimpleQueue = SimpleQueue()
        for space in spread.workspaces:
            spaces.put(space)

        def compute(part) -> np.ndarray:
            rows, _, weights = part
            space = spaces.get()
            space.reset()
            found = [weights @ states for states in _hidden_states(model, text_inputs(sequences, rows), space)]
            spaces.put(space)
            return np.stack(found)

        for (_, present, _), sums in zip(parts, spread.map(compute, parts), strict=True):
            totals[:, present] += sums
    return ContextualVectors(totals, np.array([len(starts) for starts in occurrences]))


def text_inputs(sequences: Sequences, rows: np.ndarray, input_ids: np.ndarray | None = None) -> Inputs:
    """Some rows of a packed text as a pass takes them: each piece of a row by itself, from position 0.

    ``input_ids`` (R, T) replaces the ids of these rows, with [CLS] in the same places.
    """
    original = sequences.input_ids[rows]
    real = np.arange(original.shape[1]) < sequences.lengths[rows][:, None]
    ids = original if input_ids is None else input_ids
    piece = pieces(original)
    if piece[:, -1].max() > 1:
        return Inputs(
            ids, (piece[:, :, None] == piece[:, None, :]) & real[:, None, :], None, positions_within(piece)
        )
    return Inputs(ids, None if real.all() else real)


def _hidden_states(model: MiniBERT, inputs: Inputs, work) -> Iterator[np.ndarray]:
    """(N, D) at the L + 1 places, of all tokens; no token is scored over the vocabulary."""
    nothing = Selection(np.zeros(inputs.ids.shape, bool), None, everywhere=True)
    _, cache = model.forward_pass(inputs, nothing, Pass(work=work))
    return (states.reshape(-1, states.shape[-1]) for states in cache.hidden_states)


def _parts(sequences: Sequences, words: Sequence[Spelling], occurrences: Sequence[np.ndarray]):
    """Rows that are computed together, the words in them, and the weights (words, tokens) of their tokens."""
    from scipy.sparse import csr_matrix

    tokens = sequences.input_ids.shape[1]
    owners, places, weights = [], [], []
    for number, (word, starts) in enumerate(zip(words, occurrences, strict=True)):
        each = (starts[:, None] + np.arange(len(word))).ravel()
        owners.append(np.full(len(each), number))
        places.append(each)
        weights.append(np.full(len(each), 1 / max(len(each), 1)))
    owner, place, weight = (
        np.concatenate(lists) if lists else np.empty(0, int) for lists in (owners, places, weights)
    )
    rows = np.unique(place // tokens)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        inside = np.flatnonzero(np.isin(place // tokens, part))
        present, local = np.unique(owner[inside], return_inverse=True)
        column = np.searchsorted(part, place[inside] // tokens) * tokens + place[inside] % tokens
        shape = len(present), len(part) * tokens
        yield part, present, csr_matrix((weight[inside].astype(np.float32), (local, column)), shape=shape)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The cosine of every row of (n, D) with the same row of (n, D); 0 where one of them is zero."""
    first, second = unit(first), unit(second)
    return np.einsum("nd,nd->n", first, second)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows of (n, D) with length 1, in float64; rows of zeros stay."""
    vectors = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)

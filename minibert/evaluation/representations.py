"""The hidden states of words and sentences at every layer, computed once and kept."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from minibert.data.annotated.pieces import NO_WORD, WordPieces, pieces_of_words
from minibert.errors import MinibertError
from minibert.files import in_row_order, replacing
from minibert.model.bert import MiniBERT
from minibert.model.passes import Inputs, Pass, Selection
from minibert.training.lanes import Lanes

WordVector = Literal["mean", "first"]
WORD_VECTORS = ("mean", "first")
TOKENS_AT_ONCE = 4096
"""In a batch: few enough for its arrays to stay small"""


@dataclass(frozen=True)
class Representations:
    """Vectors of the W words of S sentences, sentence after sentence. Layer 0 is the output of the embeddings."""

    words: np.ndarray
    """(L + 1, W, D) float32; zeros for a word without a vector"""
    sentences: np.ndarray
    """(L + 1, S, D) float32: the mean over a sentence's pieces, without [CLS] and [SEP]; zeros if there is none"""
    pieces: np.ndarray
    """(W,) int32: of how many pieces each word is; 0 for a word without a vector, because the tokenizer drops it
    or the sentence has more tokens than the model has positions"""

    @property
    def layers(self) -> int:
        """L + 1"""
        return len(self.words)


def word_representations(
    model: MiniBERT,
    tokenizer: Tokenizer,
    sentences: Sequence[Sequence[str]],
    word: WordVector = "mean",
    lanes: int = 2,
) -> Representations:
    """The hidden states of every word at every layer; ``sentences`` are lists of words.

    A word stands for the mean of its pieces, or for the ``first`` of them. Layer 0 is the output of the
    embeddings, with positions in it if these are embedded; the last layer is what the head reads, after the final
    norm if there is one. Sentences of one length are computed together, without padding, spread over the
    ``lanes``.

    Raises :class:`MinibertError` for another ``word``, and where no sentence fits the model.
    """
    if word not in WORD_VECTORS:
        raise MinibertError(f"word={word}: no way to represent a word. Allowed: {', '.join(WORD_VECTORS)}.")
    longest = longest_sentence(model)
    encoded, _ = pieces_of_words(tokenizer, sentences, longest)
    if all(each is None for each in encoded):
        raise MinibertError(
            f"sentences: none of the {len(encoded)} given fits in model.max_length={longest}. "
            "Give at least one that does."
        )
    first_rows = np.cumsum([0, *map(len, sentences)])
    words, layers, size = int(first_rows[-1]), model.config.layers + 1, model.config.hidden_size
    found = Representations(
        np.zeros((layers, words, size), np.float32),
        np.zeros((layers, len(encoded), size), np.float32),
        np.zeros(words, np.int32),
    )
    batches = list(_batches(encoded))

    def compute(lane: int) -> None:
        for numbers, batch in batches[lane :: spread.count]:
            spread.workspaces[lane].reset()
            _add_batch(model, batch, numbers, first_rows[numbers], word, spread.workspaces[lane], found)

    with Lanes(model, lanes) as spread:
        list(spread.map(compute, range(spread.count)))
    return found


def longest_sentence(model: MiniBERT) -> int | None:
    """How many tokens a sentence may have; None for a model whose positions have no end."""
    return model.config.max_length if model.config.position.has_table else None


def _batches(encoded: Sequence[WordPieces | None]) -> Iterator[tuple[np.ndarray, list[WordPieces]]]:
    """Sentences of one length, as many as are computed at once, with their numbers."""
    by_length: dict[int, list[tuple[int, WordPieces]]] = {}
    for number, sentence in enumerate(encoded):
        if sentence is not None:
            by_length.setdefault(len(sentence.ids), []).append((number, sentence))
    for length, found in sorted(by_length.items()):
        size = max(TOKENS_AT_ONCE // length, 1)
        for start in range(0, len(found), size):
            numbers, batch = zip(*found[start : start + size], strict=True)
            yield np.array(numbers), list(batch)


def _add_batch(
    model: MiniBERT, batch: list[WordPieces], numbers, first_rows, word: WordVector, work, found: Representations
) -> None:
    """Compute the hidden states of a batch, and put the vectors of its words and sentences where they belong.

    ``first_rows``: of each sentence, the row of its first word.
    """
    ids = np.stack([sentence.ids for sentence in batch])
    owners = np.stack([sentence.owners for sentence in batch])
    nothing = np.zeros(ids.shape, bool)  # is predicted, yet the last layer is computed everywhere
    _, cache = model.forward_pass(Inputs(ids), Selection(nothing, None, True), Pass(work=work))

    sentence, token = np.nonzero(owners != NO_WORD)
    places = sentence * ids.shape[1] + token
    rows, first, inverse, counts = np.unique(
        owners[sentence, token] + first_rows[sentence], return_index=True, return_inverse=True, return_counts=True
    )
    if word == "first":
        of_words = _means(np.arange(len(rows)), places[first], len(rows), ids.size)
    else:
        of_words = _means(inverse, places, len(rows), ids.size)
    of_sentences = _means(sentence, places, len(numbers), ids.size)
    for layer, states in enumerate(cache.hidden_states):
        states = states.reshape(-1, states.shape[-1])
        found.words[layer, rows] = of_words @ states
        found.sentences[layer, numbers] = of_sentences @ states
    found.pieces[rows] = counts


def _means(groups: np.ndarray, places: np.ndarray, count: int, tokens: int):
    """The matrix (count, tokens) that takes the mean over the places of every group."""
    from scipy.sparse import csr_array

    shares = 1 / np.maximum(np.bincount(groups, minlength=count), 1)
    return csr_array((shares[groups].astype(np.float32), (groups, places)), (count, tokens))


def cached_representations(
    model: MiniBERT,
    tokenizer: Tokenizer,
    sentences: Sequence[Sequence[str]],
    key: str,
    cache: Path,
    word: WordVector = "mean",
    lanes: int = 2,
) -> Representations:
    """:func:`word_representations`, read from :func:`representations_file` where they are kept already.

    ``key`` names the model and its tokenizer (:attr:`minibert.evaluation.instruments.Subject.key`). A file that is
    damaged is written anew.
    """
    file = representations_file(sentences, key, cache, word)
    found = _read(file, (model.config.layers + 1, sum(map(len, sentences)), model.config.hidden_size))
    if found is None:
        found = word_representations(model, tokenizer, sentences, word, lanes)
        # A cache that is full or cannot be written to costs time later, and not what was computed now.
        with suppress(OSError, SafetensorError), replacing(file, durable=False) as temporary:
            save_file(in_row_order(asdict(found)), temporary)
    return found


def representations_file(
    sentences: Sequence[Sequence[str]], key: str, cache: Path, word: WordVector = "mean"
) -> Path:
    """Where the vectors of these sentences are kept: a safetensors file with the arrays of
    :class:`Representations`, named by the model and by a hash of the words."""
    text = json.dumps([word, *map(list, sentences)]).encode()
    return Path(cache) / "representations" / f"{key[:20]}_{hashlib.sha256(text).hexdigest()[:20]}.safetensors"


def _read(file: Path, shape: tuple[int, int, int]) -> Representations | None:
    """None for a file that is not there, or damaged. ``shape``: of the vectors of the words"""
    try:
        found = Representations(**load_file(file))
    except (OSError, SafetensorError, TypeError):
        return None
    return found if found.words.shape == shape and found.pieces.shape == shape[1:2] else None

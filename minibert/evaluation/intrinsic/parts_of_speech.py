"""The surprisal of words by their part of speech, on annotated sentences."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.conllu import AnnotatedSentence
from minibert.data.annotated.pieces import pieces_of_words
from minibert.errors import MinibertError
from minibert.evaluation.intrinsic.measures import Band, by_band
from minibert.evaluation.whole_words import Words, padded, unigram_surprisals, word_surprisals
from minibert.model.bert import MiniBERT
from minibert.randomness import generators

GROUPS = 7
"""A sentence is masked so many times, another seventh of its words each time: about the 15 % of training"""


def loss_by_part_of_speech(
    model: MiniBERT,
    of_untrained: Callable[[Callable[[MiniBERT], np.ndarray]], np.ndarray],
    tokenizer: Tokenizer,
    sentences: Sequence[AnnotatedSentence],
    unigram_counts: np.ndarray | None = None,
    lanes: int = 2,
) -> tuple[list[Band], list[str]]:
    """Mean surprisal of the words of each part of speech in nats a word, and notes on what was left out.

    Every word is predicted once, whole (:func:`minibert.evaluation.whole_words.word_surprisals`), while a seventh
    of the words of its sentence is masked. ``unigram_counts`` (V,) are those of the training text. Words that the
    tokenizer does not know, whole or in part, are left out. ``of_untrained(surprisals)`` gives the surprisals of
    the network before training: it calls the function with that network, or has kept what it returned.

    Raises :class:`MinibertError` where no sentence fits the model, and where the tokenizer knows no word.
    """
    longest = model.config.max_length if model.config.position.has_table else None
    encoded, coverage = pieces_of_words(tokenizer, [sentence.words for sentence in sentences], longest)
    fit = [(pieces, each.tags) for pieces, each in zip(encoded, sentences, strict=True) if pieces is not None]
    if not fit:
        raise MinibertError(
            f"evaluation.intrinsic.treebank: none of its {len(encoded)} sentences fits into the model's {longest} "
            "positions. Give shorter sentences, or a model with a larger model.max_length."
        )
    # Of the tokenizer, not of this package: other people's have other numbers.
    mask, unknown = (cast(int, tokenizer.token_to_id(token)) for token in ("[MASK]", "[UNK]"))
    sequences = padded([pieces.ids for pieces, _ in fit])
    rows = np.repeat(np.arange(len(fit)), [len(pieces.counts) for pieces, _ in fit])
    starts = np.concatenate([pieces.first for pieces, _ in fit])
    words = Words(rows, starts, starts + np.concatenate([pieces.counts for pieces, _ in fit]))
    tags = np.array([tag for _, each in fit for tag in each])
    draws = generators(0, ((row,) for row in range(len(fit))))
    groups = np.concatenate(
        [random.permutation(len(pieces.counts)) % GROUPS for (pieces, _), random in zip(fit, draws, strict=True)]
    )
    unknown_before = np.cumsum(np.pad(sequences.input_ids == unknown, ((0, 0), (1, 0))), axis=1)
    known = unknown_before[rows, words.stops] == unknown_before[rows, words.starts]
    known &= words.pieces > 0
    if not known.any():
        raise MinibertError(
            f"evaluation.intrinsic.treebank: the tokenizer knows none of its {len(known):,} words. Give a "
            "treebank in the language and the script of the model's text."
        )
    words, tags, groups = words.chosen(known), tags[known], groups[known]
    unigram = None
    if unigram_counts is not None:
        unigram = unigram_surprisals(sequences, words, unigram_counts)
    names, bands = np.unique(tags, return_inverse=True)

    def surprisals(network: MiniBERT) -> np.ndarray:
        return word_surprisals(network, sequences, words, groups, lanes, mask)

    found = by_band(
        [str(name) for name in names],
        bands,
        words.rows,
        surprisals(model),
        None,
        unigram,
        of_untrained(surprisals),
    )
    return found, list(coverage.notes())

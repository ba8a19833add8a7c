"""Whether words of like meaning have like vectors, in the embedding table and in context."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.analogies import Analogy, read_analogies
from minibert.data.annotated.word_pairs import WordPair, read_word_pairs
from minibert.data.packing import Sequences, spread_evenly
from minibert.diagnostics.plotting.series import place_names
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation.inputs import asked_network, is_list, named, rows
from minibert.evaluation.semantics.analogies import AnalogyAccuracy, analogy_accuracies
from minibert.evaluation.semantics.similarity import (
    PairCoverage,
    Similarity,
    pair_coverage,
    similarities,
    words_of_pairs,
)
from minibert.evaluation.word_vectors import (
    Spelling,
    contextual_vectors,
    continuing,
    find_occurrences,
    spellings,
    static_vectors,
    vocabulary_words,
)
from minibert.model.bert import MiniBERT

STATIC = "static"
STATIC_FOUND = "static_found"
"""The static vectors again, over the words that have contextual ones: the same pairs in every row"""


@dataclass(frozen=True)
class SemanticKnowledge:
    """What :func:`probe_semantic_knowledge` returns."""

    similarities: list[Similarity]
    """By data set, for each kind of vectors: ``static``, ``static_found``, ``embeddings``, ``layer_0``, …"""
    analogies: list[AnalogyAccuracy]
    """Section by section, and ``all``, for each kind of vectors"""
    coverage: list[PairCoverage]
    candidates: dict[str, int]
    """Kind of vectors -> words that an analogy may be completed with"""


def probe_semantic_knowledge(
    model: MiniBERT,
    tokenizer: Tokenizer,
    pairs: Mapping[str, Sequence[WordPair] | str | Path] | Sequence[WordPair] | str | Path,
    analogies: Sequence[Analogy] | str | Path = (),
    sequences: Sequences | None = None,
    contexts: int = 16,
    lanes: int = 2,
) -> SemanticKnowledge:
    """Similarity of words and analogies between them, from token embeddings and from hidden states.

    ``pairs``: name of a data set -> its pairs, or what :func:`read_word_pairs` reads (``wordsim353``, a path); one
    data set needs no name. Pairs and analogies may be tuples. Their cosines are correlated with people's scores
    (Spearman). A word of several pieces is their mean; the pairs of single tokens are also reported alone.
    ``analogies`` are completed over the words that the vocabulary has whole
    (:func:`minibert.evaluation.semantics.analogies.analogy_accuracies`).
    With ``sequences``, a packed text, each word also gets the mean of at most ``contexts`` of its occurrences,
    spread evenly over the text, at every place of the network. Words that do not occur have none.

    A network before training is the control: ask it the same.

    Raises :class:`MinibertError` if nothing is given, and for what is no pair or analogy, and :class:`Unavailable`
    if no pair and no analogy has all its words in the vocabulary.

    Finkelstein et al., "Placing Search in Context" (WordSim-353), 2002; Hill, Reichart and Korhonen,
    "SimLex-999", Computational Linguistics 2015; Mikolov et al., 2013 (the Google analogies).
    """
    model, tokenizer = asked_network(model, tokenizer)
    pairs = {
        name: rows(each, WordPair, f"pairs[{name}]", read_word_pairs)
        for name, each in named(pairs, "pairs", is_list).items()
    }
    analogies = rows(analogies, Analogy, "analogies", read_analogies)
    if not any(pairs.values()) and not analogies:
        raise MinibertError("semantics: neither word pairs nor analogies were given. Give at least one of them.")
    of_pairs = spellings(tokenizer, words_of_pairs(pairs))
    of_analogies = spellings(tokenizer, [word for each in analogies for word in each[:4]])
    tokens = list(vocabulary_words(tokenizer).values()) if analogies else []
    single = set(tokens)
    whole = {word: ids[0] for word, ids in of_analogies.items() if len(ids) == 1 and ids[0] in single}
    _refuse_nothing(pairs, analogies, of_pairs, whole)

    vectors = dict(zip(of_pairs, static_vectors(model, list(of_pairs.values())), strict=True))
    table = model.params["embeddings.token.weight"][tokens]
    found = SemanticKnowledge(similarities(pairs, of_pairs, vectors, STATIC), [], [], {})
    if analogies:
        _solve(found, analogies, whole, tokens, table, STATIC)
    counts: dict[str, int] = {}
    if sequences is not None:
        asked: list[Spelling] = sorted({*of_pairs.values(), *((token,) for token in tokens)})
        row = {word: number for number, word in enumerate(asked)}
        continues = continuing(tokenizer, model.config.vocab_size)
        occurrences = find_occurrences(sequences, asked, continues)
        places = [each[spread_evenly(len(each), contexts)] for each in occurrences]
        means = contextual_vectors(model, sequences, asked, places, lanes)
        counts = {word: int(means.contexts[row[ids]]) for word, ids in of_pairs.items()}
        present = [word for word in of_pairs if counts[word]]
        same_words = {word: vectors[word] for word in present}
        found.similarities.extend(similarities(pairs, of_pairs, same_words, STATIC_FOUND))
        kept = [token for token in tokens if means.contexts[row[token,]]]
        for name, states in zip(place_names(len(means.vectors)), means.vectors, strict=True):
            in_context = {word: states[row[of_pairs[word]]] for word in present}
            found.similarities.extend(similarities(pairs, of_pairs, in_context, name))
            if analogies:
                _solve(found, analogies, whole, kept, states[[row[token,] for token in kept]], name)
    found.coverage.extend(pair_coverage(pairs, of_pairs, counts))
    return found


def _solve(
    found: SemanticKnowledge,
    analogies: Sequence[Analogy],
    whole: Mapping[str, int],
    tokens: Sequence[int],
    vectors: np.ndarray,
    name: str,
) -> None:
    """Add the accuracies over the words that are ``tokens``, whose vectors are (W, D). ``whole``: word -> token"""
    rows = {token: row for row, token in enumerate(tokens)}
    places = {word: rows[token] for word, token in whole.items() if token in rows}
    found.analogies.extend(analogy_accuracies(analogies, places, vectors, name))
    found.candidates[name] = len(tokens)


def _refuse_nothing(
    pairs: Mapping[str, Sequence[WordPair]], analogies: Sequence[Analogy], spelt: Mapping, whole: Mapping
) -> None:
    asked = [pair for each in pairs.values() for pair in each]
    if any(pair.first in spelt and pair.second in spelt for pair in asked):
        return
    if not any(all(word in whole for word in each[:4]) for each in analogies):
        raise Unavailable(
            f"semantics: the vocabulary has all words of none of the {len(asked)} word pairs and "
            f"{len(analogies)} analogies. Give data in the language of the tokenizer, or a larger vocabulary."
        )

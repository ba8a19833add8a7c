"""Whether the vector of a phrase is the sum of the vectors of its words."""

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from minibert.data.packing import Sequences, spread_evenly
from minibert.diagnostics.plotting.series import place_names
from minibert.evaluation.intervals import Interval, mean
from minibert.evaluation.word_vectors import (
    Spelling,
    contextual_vectors,
    continuing,
    cosines,
    find_occurrences,
    unit,
    vocabulary_words,
)
from minibert.model.bert import MiniBERT
from minibert.randomness import generator

LEAST = 4
"""Letters of a word, so that *of the* is no phrase; and occurrences of the phrase, and of its words elsewhere"""
SAME = 1e-9
"""Cosines that differ by less are equal up to rounding: two words in either order have the same sum"""


@dataclass(frozen=True)
class PhraseSimilarity:
    """At one place of the network, the mean over phrases."""

    place: str
    cosine: Interval
    """Of the phrase with the sum of its words"""
    random: Interval
    """Of the phrase with the sum of two other words"""
    gain: Interval
    """The difference of the two, by phrase"""
    nearest: float
    """How often no other phrase's words have a sum that is nearer; chance is 1 / phrases"""


@dataclass(frozen=True)
class Phrases:
    """What :func:`measure_phrases` returns."""

    phrases: list[str]
    places: list[PhraseSimilarity]


def measure_phrases(
    model: MiniBERT,
    tokenizer: Tokenizer,
    sequences: Sequences,
    count: int = 200,
    contexts: int = 16,
    seed: int = 0,
    lanes: int = 2,
) -> Phrases | None:
    """cos(v(w₁ w₂), v(w₁) + v(w₂)) for the ``count`` phrases of two words that are most typical of a text.

    v(w₁ w₂) is the mean hidden state of the phrase over at most ``contexts`` of its occurrences; v(w) is that of
    the word where it is in none of these phrases. The control has two other words of the same phrases, drawn with
    ``seed``: hidden states all share a direction, so that any two have a cosine well above 0. None if the text
    has fewer than three phrases of four words.

    Additive composition: Mitchell and Lapata, "Composition in Distributional Models of Semantics", Cognitive
    Science 2010. The score that chooses phrases, (c(w₁ w₂) - δ) / (c(w₁) c(w₂)): Mikolov et al., "Distributed
    Representations of Words and Phrases and their Compositionality", 2013, with δ = 4.
    """
    continues = continuing(tokenizer, model.config.vocab_size)
    phrases, occurrences, words, elsewhere = find_phrases(sequences, tokenizer, continues, count)
    if len(phrases) < 3 or len(words) < 4:
        return None
    chosen = [places[spread_evenly(len(places), contexts)] for places in (*occurrences, *elsewhere)]
    found = contextual_vectors(model, sequences, [*phrases, *((word,) for word in words)], chosen, lanes)
    row = {word: len(phrases) + number for number, word in enumerate(words)}
    own = np.array([[row[word] for word in phrase] for phrase in phrases])
    random = generator(seed)
    others = np.array([random.choice(np.setdiff1d(list(row.values()), pair), 2, replace=False) for pair in own])
    places = []
    for name, vectors in zip(place_names(len(found.vectors)), found.vectors, strict=True):
        vectors = vectors.astype(np.float64)
        whole, sums, wrong = vectors[: len(phrases)], vectors[own].sum(axis=1), vectors[others].sum(axis=1)
        right, by_chance = cosines(whole, sums), cosines(whole, wrong)
        alike = unit(whole) @ unit(sums).T
        nearest = float((np.diag(alike) > alike.max(axis=1) - SAME).mean())
        places.append(PhraseSimilarity(name, mean(right), mean(by_chance), mean(right - by_chance), nearest))
    names = [" ".join(str(tokenizer.id_to_token(word)) for word in phrase) for phrase in phrases]
    return Phrases(names, places)


def find_phrases(
    sequences: Sequences, tokenizer: Tokenizer, continues: np.ndarray, count: int
) -> tuple[list[Spelling], list[np.ndarray], list[int], list[np.ndarray]]:
    """Phrases and their occurrences, their words and where these occur outside of all these phrases."""
    size = len(continues)
    usable = np.zeros(size, bool)
    usable[
        [index for word, index in vocabulary_words(tokenizer).items() if word.isalpha() and len(word) >= LEAST]
    ] = 1
    ids = sequences.input_ids.astype(np.int64)
    whole = usable[ids]
    whole[:, :-1] &= ~continues[ids[:, 1:]]
    both = whole[:, :-1] & whole[:, 1:] & (ids[:, :-1] != ids[:, 1:])
    pairs, times = np.unique(ids[:, :-1][both] * size + ids[:, 1:][both], return_counts=True)
    pairs, times = pairs[times >= LEAST], times[times >= LEAST]
    of_words = np.bincount(ids[whole], minlength=size)
    first, second = np.divmod(pairs, size)
    scores = (times - LEAST) / (of_words[first] * of_words[second]) if len(pairs) else np.empty(0)
    best = np.lexsort((pairs, -times, -scores))[: 2 * count]
    phrases: list[Spelling] = [(int(first[place]), int(second[place])) for place in best]
    occurrences = find_occurrences(sequences, phrases, continues)
    covered = np.zeros(sequences.input_ids.size, bool)
    for places in occurrences:
        covered[places] = covered[places + 1] = True
    words = sorted({word for phrase in phrases for word in phrase})
    spelt: list[Spelling] = [(word,) for word in words]
    elsewhere = find_occurrences(sequences, spelt, continues, covered.reshape(sequences.input_ids.shape))
    enough = {word for word, places in zip(words, elsewhere, strict=True) if len(places) >= LEAST}
    kept = [number for number, phrase in enumerate(phrases) if enough.issuperset(phrase)][:count]
    used = sorted({word for number in kept for word in phrases[number]})
    of_word = dict(zip(words, elsewhere, strict=True))
    return (
        [phrases[number] for number in kept],
        [occurrences[number] for number in kept],
        used,
        [of_word[word] for word in used],
    )

"""What is read from a word or a sentence: labels that a treebank gives."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from minibert.data.annotated.conllu import ROOT, UNTAGGED, AnnotatedSentence
from minibert.errors import unknown_name

Labels = list[list[str | None]]
"""For each sentence, the label of every word; or one, that of the sentence. None where nothing is asked"""

DISTANCES = ((1, "1"), (2, "2"), (5, "3 to 5"))
"""Largest distance of a class, and its name; what is further is FAR"""
FAR = "6 or more"
LENGTHS = 6
"""Classes of sentence length, about the same number of sentences in each; as in Conneau et al."""
CONTENT_WORDS = 20
"""Words of which a sentence has exactly one"""
FREQUENT_WORDS = 30
"""The most frequent words of the training part are no content words: they stand beside every other word"""


@dataclass(frozen=True)
class ProbeTask:
    """A property that a probe reads."""

    name: str
    of: Literal["word", "sentence"]
    question: str
    """What is asked, in words"""
    labels: Callable[[Sequence[AnnotatedSentence], int], Labels]
    """Of all sentences; the first so many of them are the training part, from which classes may be taken"""


def part_of_speech(sentences: Sequence[AnnotatedSentence], training: int) -> Labels:
    """The universal part of speech."""
    return [[None if tag == UNTAGGED else tag for tag in sentence.tags] for sentence in sentences]


def _feature(name: str) -> Callable[[Sequence[AnnotatedSentence], int], Labels]:
    def labels(sentences: Sequence[AnnotatedSentence], training: int) -> Labels:
        return [[features.get(name) for features in sentence.features] for sentence in sentences]

    return labels


def dependency_relation(sentences: Sequence[AnnotatedSentence], training: int) -> Labels:
    """The name of the arc to the word's head."""
    return [[None if name == UNTAGGED else name for name in sentence.relations] for sentence in sentences]


def head_distance(sentences: Sequence[AnnotatedSentence], training: int) -> Labels:
    """How many words from a word to its head, and on which side: ``left 1`` is the word before."""
    return [
        [None if head == ROOT else _distance(head - place) for place, head in enumerate(sentence.heads)]
        for sentence in sentences
    ]


def _distance(offset: int) -> str:
    far = next((name for largest, name in DISTANCES if abs(offset) <= largest), FAR)
    return f"{'left' if offset < 0 else 'right'} {far}"


def sentence_length(sentences: Sequence[AnnotatedSentence], training: int) -> Labels:
    """The number of words, in classes that the training part fills about evenly."""
    lengths = np.array([len(sentence.words) for sentence in sentences])
    shares = np.arange(1, LENGTHS) / LENGTHS
    edges = np.unique(np.quantile(lengths[:training], shares, method="inverted_cdf"))
    bounds = [1, *(int(edge) + 1 for edge in edges)]
    names = [f"{low} to {high - 1}" for low, high in pairwise(bounds)]
    names.append(f"{bounds[-1]} or more")
    return [[names[place]] for place in np.searchsorted(edges, lengths)]


def word_content(sentences: Sequence[AnnotatedSentence], training: int) -> Labels:
    """Which of some words of middle frequency is in the sentence; asked where exactly one of them is."""
    held = [{word.lower() for word in sentence.words if word.isalpha()} for sentence in sentences]
    counts = Counter(word for words in held[:training] for word in sorted(words))
    by_frequency = sorted(counts, key=lambda word: (-counts[word], word))
    chosen = set(by_frequency[FREQUENT_WORDS : FREQUENT_WORDS + CONTENT_WORDS])
    found = [words & chosen for words in held]
    return [[next(iter(words)) if len(words) == 1 else None] for words in found]


TASKS = {
    task.name: task
    for task in (
        ProbeTask("part_of_speech", "word", "the universal part of speech of a word", part_of_speech),
        ProbeTask("number", "word", "the number of a word that has one", _feature("Number")),
        ProbeTask("tense", "word", "the tense of a word that has one", _feature("Tense")),
        ProbeTask("dependency_relation", "word", "the relation of a word to its head", dependency_relation),
        ProbeTask("head_distance", "word", "where a word's head stands", head_distance),
        ProbeTask("sentence_length", "sentence", "how many words a sentence has", sentence_length),
        ProbeTask("word_content", "sentence", f"which of {CONTENT_WORDS} words a sentence has", word_content),
    )
}
"""Sentence length, word content, number and tense: Conneau, Kruszewski, Lample, Barrault and Baroni, "What you can
cram into a single $&!#* vector", ACL 2018 (there of sentences). The others: Tenney et al., "What do you learn from
context?", ICLR 2019"""


def find_task(task: str | ProbeTask) -> ProbeTask:
    """The task of this name. Raises :class:`MinibertError` for a name that is none."""
    if isinstance(task, ProbeTask):
        return task
    if not isinstance(task, str) or task not in TASKS:
        raise unknown_name("probe_tasks", str(task), TASKS)
    return TASKS[task]

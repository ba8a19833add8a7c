"""The examples of a task: which vector has which label, in training, development and test part.

Parts are split by sentence, so that no word of a test sentence is trained on, and a sentence that occurs twice is
taken once.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minibert.data.annotated.conllu import AnnotatedSentence
from minibert.errors import MinibertError
from minibert.evaluation.probing.tasks import ProbeTask
from minibert.randomness import generator

SHARES = (0.7, 0.1, 0.2)
"""Of the sentences: training, development and test part"""
FEWEST = 10
"""Training examples of a class; rarer classes are left out"""


class TooFewExamples(MinibertError):
    """A task that cannot be asked of so few sentences."""


@dataclass(frozen=True)
class SplitSentences:
    """Sentences in random order: first the training, then the development, then the test part."""

    sentences: list[AnnotatedSentence]
    training: int
    """How many sentences the training part has"""
    development: int
    given: int
    """How many different sentences there were to choose from"""
    repeated: int
    """Left out, because the same words had occurred before"""

    @property
    def words(self) -> list[tuple[str, ...]]:
        return [sentence.words for sentence in self.sentences]

    @property
    def ends(self) -> np.ndarray:
        """(3,) where each part ends"""
        return np.cumsum([self.training, self.development, len(self.sentences) - self.training - self.development])


def split_sentences(
    sentences: Sequence[AnnotatedSentence], max_sentences: int = 2000, seed: int = 0
) -> SplitSentences:
    """Draw at most ``max_sentences``, all different, and split them 70 : 10 : 20.

    Raises :class:`MinibertError` for fewer than 20 different sentences.
    """
    distinct = {tuple(word.lower() for word in sentence.words): sentence for sentence in reversed(sentences)}
    kept = list(distinct.values())[::-1]
    order = generator(seed, zlib.crc32(b"split")).permutation(len(kept))[:max_sentences]
    if len(order) < 20:
        raise MinibertError(
            f"sentences: {len(order)} different ones were given to probe with. Allowed: at least 20, "
            "some thousand for narrow intervals."
        )
    training, development = (round(share * len(order)) for share in SHARES[:2])
    repeated = len(sentences) - len(kept)
    return SplitSentences([kept[number] for number in order], training, development, len(kept), repeated)


class Part(NamedTuple):
    """The examples of one part."""

    rows: np.ndarray
    """(E,) ints: the row of the word, or of the sentence, among the representations"""
    labels: np.ndarray
    """(E,) ints, places among the classes"""
    control: np.ndarray
    """(E,) ints: the labels of the control task, the same for every example of one type"""
    types: np.ndarray
    """(E,) ints: the word in lower case; of a sentence, its first word"""


@dataclass(frozen=True)
class Examples:
    """All that is asked in one task."""

    task: ProbeTask
    classes: list[str]
    training: Part
    development: Part
    test: Part
    rare: int
    """Examples left out because their class is rare in the training part"""
    capped: bool
    """Whether there were more training examples to take"""

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        return self.training, self.development, self.test


def task_examples(
    task: ProbeTask,
    split: SplitSentences,
    pieces: np.ndarray,
    most: int | None = None,
    seed: int = 0,
) -> Examples:
    """The examples of a task.    ``pieces`` (W,): of the words of the split; a word without any is not asked about

    ``most``: training examples at most, those of the first sentences; None is all.

    The control task gives each type one label for good, drawn from the distribution of the task's own labels over
    training examples (Hewitt and Liang, "Designing and Interpreting Probes with Control Tasks", EMNLP 2019). Types
    are words; for a sentence, which hardly occurs twice, it is the first word.

    Raises :class:`TooFewExamples` where fewer than two classes have 10 training examples, and for a part without
    examples.
    """
    found = list(_flat(task, split, pieces))
    by_part = [[each for each in found if each[0] == part] for part in range(len(SHARES))]
    available, by_part[0] = len(by_part[0]), by_part[0][:most]
    counts = Counter(label for _, _, _, label in by_part[0])
    classes = sorted(label for label, count in counts.items() if count >= FEWEST)
    places = {label: place for place, label in enumerate(classes)}
    taken = [[each for each in part if each[3] in places] for part in by_part]
    if len(classes) < 2 or not all(taken):
        raise TooFewExamples(
            f"{task.name}: {len(classes)} classes have {FEWEST} training examples, and the parts have "
            f"{', '.join(str(len(part)) for part in taken)} examples. Needed: two classes, and an example in each "
            "part. Give more sentences, or leave the task out."
        )
    types = {name: place for place, name in enumerate(sorted({name for part in taken for _, _, name, _ in part}))}
    shares = np.bincount([places[label] for _, _, _, label in taken[0]], minlength=len(classes)) / len(taken[0])
    draw = generator(seed, zlib.crc32(task.name.encode()))
    control = draw.choice(len(classes), size=len(types), p=shares)
    parts = []
    for part in taken:
        _, rows, names, labels = zip(*part, strict=True)
        numbers = np.array([types[name] for name in names])
        own = np.array([places[label] for label in labels])
        parts.append(Part(np.array(rows), own, control[numbers], numbers))
    rare = sum(map(len, by_part)) - sum(map(len, taken))
    return Examples(task, classes, *parts, rare=rare, capped=available > len(by_part[0]))


def examples_of_all(
    tasks: Sequence[ProbeTask], split: SplitSentences, pieces: np.ndarray, most: int | None = None, seed: int = 0
) -> tuple[list[Examples], list[str]]:
    """:func:`task_examples` of every task that can be asked, and for every other one a note that says why not.

    Raises :class:`TooFewExamples` where no task can be asked.
    """
    found, notes = [], []
    for task in tasks:
        try:
            found.append(task_examples(task, split, pieces, most, seed))
        except TooFewExamples as error:
            notes.append(f"Not asked: {error}")
            if len(notes) == len(tasks):
                raise
    return found, notes


def _flat(task: ProbeTask, split: SplitSentences, pieces: np.ndarray) -> Iterator[tuple[int, int, str, str]]:
    """(part, row, type, label) of everything that has a vector and a label."""
    labels = task.labels(split.sentences, split.training)
    row = 0
    for number, (sentence, own) in enumerate(zip(split.sentences, labels, strict=True)):
        part = int(np.searchsorted(split.ends, number, side="right"))
        if task.of == "word":
            for place, (word, label) in enumerate(zip(sentence.words, own, strict=True)):
                if label is not None and pieces[row + place]:
                    yield part, row + place, word.lower(), label
        elif own[0] is not None and pieces[row : row + len(sentence.words)].any():
            yield part, number, sentence.words[0].lower(), own[0]
        row += len(sentence.words)

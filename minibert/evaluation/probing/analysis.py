"""What linear probes read from each layer of a network, beside every control."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from minibert.config import ROOT
from minibert.data.annotated.conllu import AnnotatedSentence, read_conllu
from minibert.data.annotated.downloads import dataset
from minibert.data.annotated.pieces import Coverage, pieces_of_words
from minibert.errors import MinibertError
from minibert.evaluation.inputs import asked_network, is_list, shown
from minibert.evaluation.intervals import share
from minibert.evaluation.probing.examples import FEWEST, Examples, SplitSentences, examples_of_all, split_sentences
from minibert.evaluation.probing.probes import STRENGTHS, ProbeResult, baselines, probe_layer
from minibert.evaluation.probing.tasks import ProbeTask, find_task
from minibert.evaluation.representations import (
    Representations,
    WordVector,
    longest_sentence,
    word_representations,
)
from minibert.model.bert import MiniBERT

MOST_TRAINING = 10_000
"""Training examples of a task, at most"""
Results = Mapping[tuple[str, int], ProbeResult]
"""(name of the task, layer) -> what the probe reads"""


@dataclass(frozen=True)
class LayerProbe:
    """What is read from one layer in one task."""

    layer: int
    """0 is the output of the embeddings"""
    accuracy: float
    """On the test part"""
    low: float
    high: float
    """The 95 % interval (Wilson, 1927) over test examples"""
    control_accuracy: float
    """Of the control task: a label for each type, drawn once (Hewitt and Liang, 2019)"""
    untrained_accuracy: float
    """Of the same layer of the network before training"""
    code_length: float
    """Bits for an example in the online code (Voita and Titov, 2020)"""
    untrained_code_length: float
    uniform_code_length: float
    """log₂ K for K classes"""
    strength: float
    """Inverse strength of regularisation, chosen on the development part"""
    development_accuracy: float

    @property
    def selectivity(self) -> float:
        """The accuracy less that of the control task"""
        return self.accuracy - self.control_accuracy

    @property
    def compression(self) -> float:
        """The length of the uniform code by that of the online code: 1 where nothing is read"""
        return self.uniform_code_length / self.code_length

    @property
    def untrained_compression(self) -> float:
        return self.uniform_code_length / self.untrained_code_length


@dataclass(frozen=True)
class TaskProbes:
    """What the probes of one task read."""

    task: ProbeTask
    classes: list[str]
    training: int
    """Examples that the probes are fitted to"""
    test: int
    majority_accuracy: float
    """Of the most frequent class"""
    word_tag_accuracy: float
    """Of the most frequent class of each word (for a sentence: of its first word) in the training part"""
    layers: list[LayerProbe]

    @property
    def best(self) -> LayerProbe:
        """The layer with the highest accuracy on the development part"""
        return max(self.layers, key=lambda layer: (layer.development_accuracy, -layer.layer))


@dataclass(frozen=True)
class LinguisticProbes:
    """What :func:`analyze_linguistic_probes` returns."""

    tasks: dict[str, TaskProbes]
    notes: list[str]
    """What was left out"""


def analyze_linguistic_probes(
    model,
    probe_tasks: Sequence[str | ProbeTask] | str | ProbeTask,
    sentences: Sequence[AnnotatedSentence] | str | Path | None = None,
    tokenizer=None,
    *,
    untrained: MiniBERT | None = None,
    word: WordVector = "mean",
    max_sentences: int = 2000,
    seed: int = 0,
    lanes: int = 2,
) -> LinguisticProbes:
    """What a linear probe reads from the frozen hidden states of every layer, beside its controls.

    >>> probes = analyze_linguistic_probes(load_run("last"), ["tense"], read_conllu(path))  # doctest: +SKIP
    >>> probes.tasks["tense"].best.selectivity  # doctest: +SKIP

    Sentences are drawn and split by ``seed`` (:func:`split_sentences`), as are the control tasks. The probes are
    those of :func:`minibert.evaluation.probing.probes.probe_layer`.

    Parameters
    ----------
    model : a MiniBERT, or a run of ``load_run``, which has its tokenizer
    probe_tasks : names of :data:`minibert.evaluation.probing.tasks.TASKS`, or tasks of your own
    sentences : a file or folder of CoNLL-U, or what :func:`minibert.data.annotated.conllu.read_conllu` gives; by
        default UD English EWT, downloaded
    untrained : the network before its first step; None makes one of the same sizes from ``seed``
    word : which of its pieces stand for a word

    Raises :class:`MinibertError` for an unknown task, and for too few sentences, and :class:`Unavailable` where
    they cannot be downloaded.
    """
    network, tokenizer = asked_network(model, tokenizer)
    tasks = _tasks(probe_tasks)
    split = split_sentences(_annotated(sentences), max_sentences, seed)
    untrained = MiniBERT(network.config, seed) if untrained is None else untrained
    found = word_representations(network, tokenizer, split.words, word, lanes)
    examples, skipped = examples_of_all(tasks, split, found.pieces, MOST_TRAINING, seed)
    trained = probe_representations(found, examples, lanes)
    control = word_representations(untrained, tokenizer, split.words, word, lanes)
    before = probe_representations(control, examples, lanes, control=False)
    _, coverage = pieces_of_words(tokenizer, split.words, longest_sentence(network))
    return combine(examples, trained, before, [*skipped, *left_out(examples, split, coverage)])


def _tasks(given: Any) -> list[ProbeTask]:
    tasks = [find_task(task) for task in ([given] if isinstance(given, str | ProbeTask) else given)]
    if not tasks or len({task.name for task in tasks}) < len(tasks):
        raise MinibertError(f"probe_tasks: {shown(given)} was given. Allowed: one or more tasks, each once.")
    return tasks


def _annotated(given: Any) -> list[AnnotatedSentence]:
    if given is None:
        given = dataset("ud_english_ewt", ROOT / "mlruns" / "cache")
    sentences = read_conllu(given) if isinstance(given, str | Path) else list(given) if is_list(given) else [given]
    for place, each in enumerate(sentences):
        if not isinstance(each, AnnotatedSentence):
            raise MinibertError(
                f"sentences[{place}]: {shown(each)} was given. Allowed: the path of a treebank (CoNLL-U), or the "
                "sentences that minibert.data.annotated.conllu.read_conllu gives."
            )
    return sentences


def probe_part_of_speech(
    model,
    sentences: Sequence[AnnotatedSentence] | str | Path | None = None,
    tokenizer=None,
    max_sentences: int = 2000,
    **how,
) -> TaskProbes:
    """:func:`analyze_linguistic_probes` for the part of speech alone; ``how`` are its other arguments."""
    found = analyze_linguistic_probes(
        model, ["part_of_speech"], sentences, tokenizer, max_sentences=max_sentences, **how
    )
    return found.tasks["part_of_speech"]


def probe_representations(
    found: Representations,
    examples: Sequence[Examples],
    lanes: int = 2,
    strengths: Sequence[float] = STRENGTHS,
    control: bool = True,
) -> Results:
    """The probe of every task at every layer, spread over the ``lanes``."""
    jobs = [(each, layer) for each in examples for layer in range(found.layers)]
    jobs.sort(key=lambda job: -len(job[0].training.rows) * len(job[0].classes))  # the longest first

    def compute(job: tuple[Examples, int]) -> ProbeResult:
        each, layer = job
        vectors = found.words if each.task.of == "word" else found.sentences
        return probe_layer(vectors[layer], each, strengths, control)

    with (
        threadpool_limits(1),
        # Fits that do not converge are counted; the first blocks of the online code have few examples.
        warnings.catch_warnings(action="ignore", category=UserWarning),
        ThreadPoolExecutor(lanes, thread_name_prefix="probe") as threads,
    ):
        results = list(threads.map(compute, jobs))
    return {(each.task.name, layer): result for (each, layer), result in zip(jobs, results, strict=True)}


def combine(
    examples: Sequence[Examples], trained: Results, untrained: Results, notes: Sequence[str] = ()
) -> LinguisticProbes:
    """Both networks' probes side by side."""
    unfinished = sum(result.unfinished for results in (trained, untrained) for result in results.values())
    stopped = [f"{unfinished:,} fits were stopped before they had converged."] if unfinished else []
    tasks = {each.task.name: _task_probes(each, trained, untrained) for each in examples}
    return LinguisticProbes(tasks, [*notes, *stopped])


def _task_probes(examples: Examples, trained: Results, untrained: Results) -> TaskProbes:
    name, uniform = examples.task.name, math.log2(len(examples.classes))
    layers = []
    for layer in sorted(layer for task, layer in trained if task == name):
        own, before = trained[name, layer], untrained[name, layer]
        assert own.control_accuracy is not None  # the trained network is asked the control task
        layers.append(
            LayerProbe(
                layer,
                own.accuracy,
                *share(own.right, own.test)[1:],
                own.control_accuracy,
                before.accuracy,
                own.code_length,
                before.code_length,
                uniform,
                own.strength,
                own.development_accuracy,
            )
        )
    simple = baselines(examples)
    return TaskProbes(
        examples.task,
        examples.classes,
        len(examples.training.rows),
        len(examples.test.rows),
        simple.majority,
        simple.word_tag,
        layers,
    )


def left_out(examples: Sequence[Examples], split: SplitSentences, coverage: Coverage) -> Iterator[str]:
    """What was not asked about, a sentence each."""
    if split.repeated:
        yield f"{split.repeated:,} sentences occur several times, and were taken once."
    if split.given > len(split.sentences):
        yield f"{len(split.sentences):,} of {split.given:,} sentences were drawn."
    yield from coverage.notes()
    rare = [f"{each.rare:,} ({each.task.name})" for each in examples if each.rare]
    if rare:
        yield f"Examples of classes with fewer than {FEWEST} training examples were left out: {', '.join(rare)}."
    capped = [f"{len(each.training.rows):,} ({each.task.name})" for each in examples if each.capped]
    if capped:
        yield f"Training examples were taken from the first sentences only: {', '.join(capped)}."

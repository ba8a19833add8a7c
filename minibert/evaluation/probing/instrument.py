"""The instrument ``probing``: what is found at one checkpoint, as metrics, tables and notes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from minibert.config.evaluation import ProbingConfig
from minibert.data.annotated.pieces import pieces_of_words
from minibert.evaluation.headlines import UNTRAINED, Headline, headline
from minibert.evaluation.instruments import Findings, Instrument, Subject, Table
from minibert.evaluation.probing.analysis import (
    MOST_TRAINING,
    LinguisticProbes,
    Results,
    TaskProbes,
    combine,
    left_out,
    probe_representations,
)
from minibert.evaluation.probing.conclusion import conclude
from minibert.evaluation.probing.examples import Examples, SplitSentences, examples_of_all, split_sentences
from minibert.evaluation.probing.probes import STRENGTHS
from minibert.evaluation.probing.tasks import find_task
from minibert.evaluation.representations import (
    cached_representations,
    longest_sentence,
    representations_file,
    word_representations,
)
from minibert.evaluation.treebank import treebank_sentences
from minibert.evaluation.untrained import of_untrained
from minibert.model.bert import MiniBERT

SEED = 0
"""Of the sentences, the split and the control tasks: the same for every run, so that runs can be compared"""
QUICK_SENTENCES = 400
QUICK_TRAINING = 1500
QUICK_STRENGTHS = (0.03,)
BY_LAYER = (
    "accuracy", "control_accuracy", "selectivity", "untrained_accuracy", "code_length", "compression",
)  # fmt: skip
"""What is recorded of every task and layer"""
INDEPENDENCE = (
    "Intervals are over test examples (Wilson, 95 %), as if the words of a sentence were independent: they are "
    "somewhat too narrow. Sentences, split and control tasks are the same for every model; over several runs, the "
    "interval of the analysis is the one to read."
)


def measure(subject: Subject, settings: ProbingConfig) -> Findings:
    """Probes of all tasks at all layers of the subject and of the same network before training, with controls."""
    sentences = treebank_sentences(settings.treebank, subject)
    quick = subject.quick
    most_sentences = min(settings.max_sentences, QUICK_SENTENCES) if quick else settings.max_sentences
    split = split_sentences(sentences, most_sentences, SEED)
    word: Any = settings.word
    found = cached_representations(
        subject.model, subject.tokenizer, split.words, subject.key, subject.cache, word, subject.lanes
    )
    most, strengths = (QUICK_TRAINING, QUICK_STRENGTHS) if quick else (MOST_TRAINING, STRENGTHS)
    tasks = [find_task(name) for name in settings.tasks]
    examples, skipped = examples_of_all(tasks, split, found.pieces, most, SEED)
    trained = probe_representations(found, examples, subject.lanes, strengths)
    untrained = _untrained(subject, split, examples, word, strengths)
    _, coverage = pieces_of_words(subject.tokenizer, split.words, longest_sentence(subject.model))
    file = representations_file(split.words, subject.key, subject.cache, word)
    notes = [*skipped, *left_out(examples, split, coverage)]
    found = findings(combine(examples, trained, untrained, notes), file.name)
    return replace(found, used={"max_sentences": most_sentences, "training examples": most}) if quick else found


def _untrained(
    subject: Subject, split: SplitSentences, examples: Sequence[Examples], word: Any, strengths: Sequence[float]
) -> Results:
    asked = [(each.task.name, each.classes, len(each.training.rows)) for each in examples]

    def probe(network: MiniBERT) -> Results:
        found = word_representations(network, subject.tokenizer, split.words, word, subject.lanes)
        return probe_representations(found, examples, subject.lanes, strengths, control=False)

    return of_untrained(subject, "probing", (split.words, asked, word, strengths), probe)


def findings(probes: LinguisticProbes, file: str) -> Findings:
    """The probes of one checkpoint as a part of a page. ``file``: where the vectors are kept"""
    metrics = {}
    for name, task in probes.tasks.items():
        metrics[f"probing/majority_accuracy/{name}"] = task.majority_accuracy
        metrics[f"probing/word_tag_accuracy/{name}"] = task.word_tag_accuracy
        for layer in task.layers:
            metrics |= {
                f"probing/{quantity}/{name}/layer_{layer.layer}": getattr(layer, quantity) for quantity in BY_LAYER
            }
    tables = [_best_layers(probes), _all_layers(probes, file)]
    notes = [*probes.notes, *_no_better(probes), INDEPENDENCE]
    values = {name: _values(task) for name, task in probes.tasks.items()}
    headlines = [_headline(name, task) for name, task in probes.tasks.items()]
    return Findings(_summary(probes), metrics, tables, notes, values, headlines=headlines)


def _headline(name: str, task: TaskProbes) -> Headline:
    """The best layer, beside any layer of the untrained network."""
    best = task.best
    controls = {
        UNTRAINED: max(layer.untrained_accuracy for layer in task.layers),
        "control task": best.control_accuracy,
        "most frequent tag of a word": task.word_tag_accuracy,
        "majority class": task.majority_accuracy,
    }
    return headline(
        _title(task),
        f"accuracy, layer {best.layer}",
        f"probing/accuracy/{name}/layer_{best.layer}",
        (best.accuracy, best.low, best.high),
        task.test,
        "words" if task.task.of == "word" else "examples",
        controls,
    )


def _summary(probes: LinguisticProbes) -> str:
    tasks = list(probes.tasks.values())
    better = sum(_beats_untrained(task) for task in tasks)
    first = tasks[0]
    best = first.best
    return (
        f"A linear probe reads {better} of {len(tasks)} properties better from the trained network than from any "
        f"layer of the untrained one. {_title(first)}: {best.accuracy:.1%} from layer {best.layer}; untrained "
        f"{best.untrained_accuracy:.1%}, most frequent tag of each word {first.word_tag_accuracy:.1%}, control "
        f"task {best.control_accuracy:.1%}."
    )


def _beats_untrained(task: TaskProbes) -> bool:
    return task.best.low > max(layer.untrained_accuracy for layer in task.layers)


def _no_better(probes: LinguisticProbes) -> Iterator[str]:
    """Where the trained network does not beat a control."""
    tasks = probes.tasks.values()
    groups = {
        "than any layer of the untrained network": [task for task in tasks if not _beats_untrained(task)],
        "than the most frequent tag of each word": [
            task for task in tasks if task.best.low <= task.word_tag_accuracy
        ],
        "than on the control task": [task for task in tasks if task.best.low <= task.best.control_accuracy],
    }
    for control, failed in groups.items():
        if failed:
            names = ", ".join(map(_title, failed))
            yield f"At its best layer, the probe is not clearly better {control}: {names}."


def _title(task: TaskProbes) -> str:
    return task.task.name.replace("_", " ")


def _best_layers(probes: LinguisticProbes) -> Table:
    rows = []
    for task in probes.tasks.values():
        best = task.best
        rows.append(
            [
                _title(task), len(task.classes), task.test, best.layer, _percent(best.accuracy),
                f"{best.low:.1%} to {best.high:.1%}", _percent(best.untrained_accuracy),
                _percent(best.control_accuracy), _points(best.selectivity), _percent(task.word_tag_accuracy),
                _percent(task.majority_accuracy), f"{best.compression:.2f}", f"{best.untrained_compression:.2f}",
            ]
        )  # fmt: skip
    columns = [
        "task", "classes", "test examples", "layer", "accuracy", "95 % interval", "untrained", "control task",
        "selectivity", "most frequent tag of the word", "majority class", "compression", "compression, untrained",
    ]  # fmt: skip
    caption = (
        "The layer that is best on the development part; 0 is the output of the embeddings. Untrained: the same "
        "layer of the network before its first step. Control task: a random label for each word (for a sentence: "
        "for each first word), which a probe can only learn by heart; selectivity is the accuracy less that of "
        "the control task. Compression: the length of the uniform code of the labels by that of the online code."
    )
    return Table("What is read from the best layer", caption, columns, rows)


def _all_layers(probes: LinguisticProbes, file: str) -> Table:
    rows = [
        [
            _title(task), layer.layer, _percent(layer.accuracy), f"{layer.low:.1%} to {layer.high:.1%}",
            _percent(layer.untrained_accuracy), _percent(layer.control_accuracy), _points(layer.selectivity),
            f"{layer.code_length:.3f}", f"{layer.untrained_code_length:.3f}", f"{layer.uniform_code_length:.3f}",
            f"{layer.strength:g}",
        ]
        for task in probes.tasks.values()
        for layer in task.layers
    ]  # fmt: skip
    columns = [
        "task", "layer", "accuracy", "95 % interval", "untrained", "control task", "selectivity", "online code",
        "online code, untrained", "uniform code", "C",
    ]  # fmt: skip
    caption = (
        "Codes in bits for an example. C is the inverse strength of regularisation that was best on the "
        f"development part. The vectors are kept in representations/{file}."
    )
    return Table("What is read from each layer", caption, columns, rows)


def _values(task: TaskProbes) -> dict[str, Any]:
    """What the figures are made from."""

    def column(quantity: str) -> list[float]:
        return [getattr(layer, quantity) for layer in task.layers]

    names = ("low", "high", "untrained_compression", *BY_LAYER)
    return {
        "of": task.task.of,
        "best": task.layers.index(task.best),
        "majority_accuracy": task.majority_accuracy,
        "word_tag_accuracy": task.word_tag_accuracy,
        **{name: column(name) for name in names},
    }


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


INSTRUMENT = Instrument(
    "probing",
    "What can be read from each layer?",
    measure,
    conclude,
    (
        'Conneau et al., "What you can cram into a single $&!#* vector", ACL 2018',
        'Hewitt and Liang, "Designing and Interpreting Probes with Control Tasks", EMNLP 2019',
        'Voita and Titov, "Information-Theoretic Probing with Minimum Description Length", EMNLP 2020',
    ),
)

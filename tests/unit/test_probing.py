"""Probes: labels, parts, known answers, controls, and what a run records."""

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from minibert.config import ModelConfig, PositionConfig
from minibert.config.evaluation import PROBE_TASKS, ProbingConfig
from minibert.data.annotated.conllu import AnnotatedSentence, read_conllu
from minibert.data.tokenizer import train_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation import untrained
from minibert.evaluation.instruments import Findings, Subject
from minibert.evaluation.intervals import share
from minibert.evaluation.probing import (
    TASKS,
    ProbeTask,
    analyze_linguistic_probes,
    instrument,
    probe_part_of_speech,
)
from minibert.evaluation.probing.analysis import combine, probe_representations
from minibert.evaluation.probing.conclusion import conclude, gain_curve, half_gain_step
from minibert.evaluation.probing.examples import (
    TooFewExamples,
    examples_of_all,
    split_sentences,
    task_examples,
)
from minibert.evaluation.probing.instrument import INSTRUMENT
from minibert.evaluation.probing.probes import (
    MOST_ITERATIONS,
    TOLERANCE,
    baselines,
    online_code_length,
)
from minibert.evaluation.representations import Representations, representations_file
from minibert.model.bert import MiniBERT
from minibert.randomness import generator

NOUNS = ("cat", "dog", "bird", "tree", "house", "child", "river", "song")
VERBS = {"see": "saw", "find": "found", "draw": "drew", "keep": "kept", "know": "knew"}
ADJECTIVES = ("old", "new", "red", "small", "quiet")


def treebank(count: int, seed: int = 0) -> list[AnnotatedSentence]:
    """Sentences such as "the old cats saw a dog ." with all that the tasks ask for."""
    draw = generator(seed)
    sentences = []
    for line in range(count):
        rows: list[tuple] = []  # word, tag, features, relation
        for relation in ("nsubj", "obj"):
            plural = draw.random() < 0.5
            rows.append((draw.choice(["the", "some"]), "DET", {}, "det"))
            for adjective in draw.choice(ADJECTIVES, draw.integers(0, 3), replace=False):
                rows.append((adjective, "ADJ", {}, "amod"))
            noun = draw.choice(NOUNS)
            features = {"Number": "Plur" if plural else "Sing"}
            rows.append((f"{noun}s" if plural else noun, "NOUN", features, relation))
            if relation == "nsubj":
                present, past = list(VERBS.items())[draw.integers(len(VERBS))]
                tense = "Past" if draw.random() < 0.5 else "Pres"
                rows.append((past if tense == "Past" else present, "VERB", {"Tense": tense}, "root"))
        rows.append((".", "PUNCT", {}, "punct"))
        words, tags, features, relations = (tuple(column) for column in zip(*rows, strict=True))
        root = tags.index("VERB")
        nouns = [place for place, tag in enumerate(tags) if tag == "NOUN"]
        heads = tuple(
            -1 if place == root
            else root if tag in ("NOUN", "PUNCT")
            else next(noun for noun in nouns if noun > place)
            for place, tag in enumerate(tags)
        )  # fmt: skip
        sentences.append(AnnotatedSentence(tuple(map(str, words)), tags, features, heads, relations, line + 1))
    return sentences


def write_conllu(file: Path, sentences: list[AnnotatedSentence]) -> Path:
    blocks = []
    for sentence in sentences:
        rows = zip(
            sentence.words, sentence.tags, sentence.features, sentence.heads, sentence.relations, strict=True
        )
        for number, (word, tag, features, head, relation) in enumerate(rows, 1):
            named = "|".join(f"{name}={value}" for name, value in features.items()) or "_"
            blocks.append(f"{number}\t{word}\t{word}\t{tag}\t_\t{named}\t{head + 1}\t{relation}\t_\t_\n")
        blocks.append("\n")
    file.write_text("".join(blocks))
    return file


def one_sentence(words: str, tags: str, **columns) -> AnnotatedSentence:
    count = len(words.split())
    given = {"features": ({},) * count, "heads": (-1,) * count, "relations": ("_",) * count} | columns
    return AnnotatedSentence(tuple(words.split()), tuple(tags.split()), line=1, **given)


# --- labels


def test_labels_of_words_are_those_of_the_treebank():
    sentence = one_sentence(
        "She does n't know old dogs today far away then",
        "PRON AUX PART VERB ADJ NOUN _ ADV ADV ADV",
        features=({"Number": "Sing"}, {"Tense": "Pres"}, {}, {}, {}, {"Number": "Plur"}, {}, {}, {}, {}),
        heads=(3, 3, 3, -1, 5, 3, 3, 3, 7, 3),
        relations=("nsubj", "aux", "advmod", "root", "amod", "obj", "_", "advmod", "fixed", "advmod"),
    )
    labels = {name: TASKS[name].labels([sentence], 1)[0] for name in TASKS if TASKS[name].of == "word"}
    assert labels["part_of_speech"] == [
        "PRON", "AUX", "PART", "VERB", "ADJ", "NOUN", None, "ADV", "ADV", "ADV",
    ]  # fmt: skip
    assert labels["number"] == ["Sing", None, None, None, None, "Plur", None, None, None, None]
    assert labels["tense"] == [None, "Pres", *[None] * 8]
    assert labels["dependency_relation"][5:8] == ["obj", None, "advmod"]
    assert labels["head_distance"] == [
        "right 3 to 5", "right 2", "right 1", None, "right 1", "left 2", "left 3 to 5", "left 3 to 5", "left 1",
        "left 6 or more",
    ]  # fmt: skip


def test_classes_of_sentence_length_are_filled_alike_by_the_training_part():
    sentences = [one_sentence(" ".join("a" * length), " ".join("X" * length)) for length in [*range(1, 25)] * 5]
    labels = [label for (label,) in TASKS["sentence_length"].labels(sentences, 120)]
    assert Counter(labels) == dict.fromkeys(
        ["1 to 4", "5 to 8", "9 to 12", "13 to 16", "17 to 20", "21 or more"], 20
    )
    longer = one_sentence(" ".join("a" * 99), " ".join("X" * 99))
    assert TASKS["sentence_length"].labels([*sentences, longer], 120)[-1] == ["21 or more"]


def test_a_sentence_has_exactly_one_content_word(monkeypatch):
    monkeypatch.setattr("minibert.evaluation.probing.tasks.FREQUENT_WORDS", 1)
    monkeypatch.setattr("minibert.evaluation.probing.tasks.CONTENT_WORDS", 2)
    texts = ["the Cat .", "the dog .", "the dog sees the cat .", "the bird", "the dog dog", "the dog", "the cat"]
    sentences = [one_sentence(text, " ".join("X" for _ in text.split())) for text in [*texts, "a bird and a cat"]]
    labels = TASKS["word_content"].labels(sentences, 7)
    assert labels == [["cat"], ["dog"], [None], [None], ["dog"], ["dog"], ["cat"], ["cat"]]


# --- parts


def test_no_sentence_is_in_two_parts_even_if_it_occurs_twice():
    sentences = treebank(200)
    shouted = [one_sentence(" ".join(sentence.words).upper(), " ".join(sentence.tags)) for sentence in sentences]
    split = split_sentences(sentences + shouted + sentences, 2000)
    distinct = {sentence.words for sentence in sentences}
    assert split.given == len(split.sentences) == len(distinct)
    assert split.repeated == 600 - len(distinct)
    assert [round(len(distinct) * share) for share in (0.7, 0.1)] == [split.training, split.development]
    owners = np.repeat(np.arange(len(split.sentences)), [len(words) for words in split.words])
    pieces = np.ones(len(owners), int)
    for task in TASKS.values():
        if task.name == "word_content":
            continue
        parts = task_examples(task, split, pieces).parts
        held = [set(owners[part.rows] if task.of == "word" else part.rows) for part in parts]
        assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
        assert max(held[0]) < min(held[1]) and max(held[1]) < min(held[2])


def test_sentences_are_drawn_by_the_seed_alone():
    sentences = treebank(100)
    first, again, other = (split_sentences(sentences, 50, seed).words for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 50
    with pytest.raises(MinibertError, match="10 different ones were given to probe with"):
        split_sentences(sentences[:10] * 10)


def test_what_has_no_vector_or_a_rare_class_is_not_asked_about():
    split = split_sentences(treebank(100))
    tags = [tag for sentence in split.sentences for tag in sentence.tags]
    pieces = np.ones(len(tags), int)
    gone = [row for row, tag in enumerate(tags) if tag == "VERB"][::2]
    pieces[gone] = 0
    examples = task_examples(TASKS["part_of_speech"], split, pieces)
    assert not set(gone) & {row for part in examples.parts for row in part.rows}
    for part in examples.parts:
        assert [tags[row] for row in part.rows] == [examples.classes[label] for label in part.labels]
    few = task_examples(TASKS["part_of_speech"], split, pieces, most=60)
    assert few.capped and not examples.capped
    assert len(few.training.rows) <= 60 < len(few.test.rows)
    pieces[[row for row, tag in enumerate(tags) if tag == "VERB"][9:]] = 0
    examples = task_examples(TASKS["part_of_speech"], split, pieces)
    assert (examples.classes, examples.rare) == (["ADJ", "DET", "NOUN", "PUNCT"], 4)


def test_a_task_with_too_few_examples_is_left_out_by_name():
    split = split_sentences(treebank(60))
    pieces = np.ones(sum(map(len, split.words)), int)
    found, notes = examples_of_all([TASKS["tense"], TASKS["word_content"]], split, pieces)
    assert [examples.task.name for examples in found] == ["tense"]
    assert len(notes) == 1 and notes[0].startswith("Not asked: word_content: 0 classes have 10 training examples")
    with pytest.raises(TooFewExamples, match="word_content"):
        examples_of_all([TASKS["word_content"]], split, pieces)


# --- known answers


def many_types(sentences: int = 300, types: int = 400, classes: int = 4) -> list[AnnotatedSentence]:
    """Words of many types, each with a label of its own for good."""
    draw = generator(5)
    own = draw.integers(classes, size=types)
    chosen = draw.integers(types, size=(sentences, 10))
    return [
        AnnotatedSentence(
            tuple(f"w{word}" for word in row), ("X",) * 10,
            tuple({"Class": str(own[word])} for word in row), (-1,) * 10, ("_",) * 10, 1,
        )
        for row in chosen
    ]  # fmt: skip


CLASS = ProbeTask(
    "class", "word", "a planted class", lambda given, _: [[f["Class"] for f in s.features] for s in given]
)


def planted(kind: str):
    """Vectors of two layers, the first always random, and what a probe reads from the second."""
    split = split_sentences(many_types())
    words = [word for sentence in split.words for word in sentence]
    examples = task_examples(CLASS, split, np.ones(len(words), int))
    draw = generator(6)
    vectors = draw.normal(size=(2, len(words), 64)).astype(np.float32)
    if kind == "labels":
        labels = [int(features["Class"]) for sentence in split.sentences for features in sentence.features]
        vectors[1, np.arange(len(words)), labels] += 8
    if kind == "types":
        of_type = draw.normal(size=(400, 64))
        vectors[1] = of_type[[int(word[1:]) for word in words]]
    found = Representations(vectors, vectors[:, :1], np.ones(len(words), int))
    return examples, probe_representations(found, [examples], lanes=2)


def test_labels_that_lie_in_the_vectors_are_read_and_the_control_task_is_not():
    examples, results = planted("labels")
    random, read = results["class", 0], results["class", 1]
    assert read.accuracy > 0.99
    assert read.control_accuracy is not None and read.control_accuracy < 0.4
    assert abs(random.accuracy - 0.25) < 0.1
    task = combine([examples], results, results).tasks["class"]
    assert task.best.layer == 1
    assert task.best.selectivity > 0.6
    assert task.best.compression > 4 and task.layers[0].compression < 1.05


def test_random_vectors_have_no_selectivity():
    examples, results = planted("nothing")
    for layer in combine([examples], results, results).tasks["class"].layers:
        assert abs(layer.selectivity) < 0.08
        assert layer.low < 0.3


def test_vectors_that_tell_words_apart_and_nothing_else_have_no_selectivity():
    """A probe learns both tasks by heart, so both are far above chance: that is what the control task is for."""
    _, results = planted("types")
    read = results["class", 1]
    assert read.control_accuracy is not None
    assert read.accuracy > 0.35 and read.control_accuracy > 0.35
    assert abs(read.accuracy - read.control_accuracy) < 0.08


def test_a_control_label_is_the_same_wherever_a_word_occurs():
    split = split_sentences(many_types())
    pieces = np.ones(3000, int)
    examples, again = (task_examples(CLASS, split, pieces, seed=1) for _ in range(2))
    of_type: dict[int, set[int]] = {}
    for part in examples.parts:
        for number, label in zip(part.types, part.control, strict=True):
            of_type.setdefault(number, set()).add(label)
    assert {len(labels) for labels in of_type.values()} == {1}
    drawn = np.bincount([label for (label,) in of_type.values()], minlength=4) / len(of_type)
    own = np.bincount(examples.training.labels, minlength=4) / len(examples.training.labels)
    assert abs(drawn - own).max() < 0.08
    assert (examples.test.control == again.test.control).all()
    assert (examples.test.control != task_examples(CLASS, split, pieces, seed=2).test.control).any()


def test_without_features_the_online_code_is_the_rule_of_succession():
    """Each block is sent with p(y) = (n(y) + 1) / (n + K) from all labels before it, the first uniformly."""
    labels = np.array([0] * 600 + [1] * 300 + [2] * 100)[generator(1).permutation(1000)]
    ends = [1, 2, 4, 8, 16, 32, 62, 125, 250, 500, 1000]
    bits = math.log2(3)
    for start, end in pairwise(ends):
        counts = np.bincount(labels[:start], minlength=3) + 1
        bits -= np.log2(counts / counts.sum())[labels[start:end]].sum()
    found = online_code_length(np.zeros((1000, 2), np.float32), labels, 3)
    assert found == pytest.approx(bits, rel=2e-3)


def test_baselines_are_fitted_to_the_training_part():
    words = ["a a b b b c", "a b d a b d"]
    tags = ["X X X Y Y Y", "X Y Y X X X"]
    sentences = [one_sentence(*both) for both in zip(words, tags, strict=True)]
    split = split_sentences([one_sentence(f"w{n}", "X") for n in range(20)])
    split = type(split)([sentences[0]] * 10 + [sentences[0], sentences[1]], 10, 1, 12, 0)
    found = baselines(task_examples(TASKS["part_of_speech"], split, np.ones(72, int)))
    # X and Y are equally frequent, so X; of the words a is X, b is Y, d is new.
    assert found.majority == pytest.approx(4 / 6)
    assert found.word_tag == pytest.approx(4 / 6)


def test_the_interval_is_wilsons():
    assert share(7, 10)[1:] == (pytest.approx(0.3968, abs=1e-4), pytest.approx(0.8922, abs=1e-4))


# --- of a network


@pytest.fixture(scope="module")
def tokenizer():
    words = [word for sentence in treebank(50) for word in sentence.words]
    return train_tokenizer([" ".join(words)] * 5, 90, lowercase=True)


def network(seed: int = 1, **settings) -> MiniBERT:
    sizes = {
        "vocab_size": 90,
        "hidden_size": 16,
        "layers": 2,
        "heads": 2,
        "feed_forward_size": 24,
        "max_length": 32,
    }
    return MiniBERT(ModelConfig(**sizes | {"init_gain": 5.0} | settings), seed)


def test_the_same_seed_gives_the_same_probes(tokenizer):
    arguments = network(), ["tense", "number"], treebank(80), tokenizer
    first, again, other = (
        analyze_linguistic_probes(*arguments, seed=s, lanes=n) for s, n in ((1, 1), (1, 2), (2, 2))
    )
    assert first == again
    assert first != other
    assert list(first.tasks) == ["tense", "number"]
    tense = first.tasks["tense"]
    assert [layer.layer for layer in tense.layers] == [0, 1, 2]
    assert tense.layers[0].uniform_code_length == 1
    assert tense.layers[0].accuracy > 0.8  # a verb's form tells its tense
    assert abs(tense.majority_accuracy - 0.5) < 0.3


def test_the_probe_for_part_of_speech_takes_so_many_sentences(tokenizer):
    few, many = (probe_part_of_speech(network(), treebank(80), tokenizer, most) for most in (30, 60))
    assert few.task.name == "part_of_speech"
    assert 0 < few.training < many.training


def test_an_unknown_task_is_refused(tokenizer):
    with pytest.raises(MinibertError, match="probe_tasks: unknown name 'tenses'"):
        analyze_linguistic_probes(network(), ["tenses"], treebank(80), tokenizer)


def test_every_task_of_the_settings_is_there():
    assert set(PROBE_TASKS) == set(TASKS)


@pytest.fixture(scope="module")
def subject(tokenizer, tmp_path_factory) -> Subject:
    return Subject(network(2), tokenizer, lambda: network(1), "key", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def found(subject, settings) -> Findings:
    return INSTRUMENT.measure(subject, settings)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> ProbingConfig:
    file = write_conllu(tmp_path_factory.mktemp("treebank") / "toy.conllu", treebank(150))
    return ProbingConfig(treebank=str(file))


def test_a_probe_of_scikit_learn_on_the_kept_vectors_has_the_accuracy_that_is_stated(subject, settings, found):
    """As :mod:`minibert.evaluation.probing.probes` says."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    split = split_sentences(read_conllu(settings.treebank), settings.max_sentences)
    arrays = load_file(representations_file(split.words, subject.key, subject.cache))
    strengths = {(row[0], row[1]): float(str(row[-1])) for row in found.tables[1].rows}
    for task, layer in (("part_of_speech", 2), ("number", 1), ("sentence_length", 0)):
        examples = task_examples(TASKS[task], split, arrays["pieces"])
        vectors = arrays["sentences" if task == "sentence_length" else "words"][layer]
        training, _, test = examples.parts
        scaler = StandardScaler().fit(vectors[training.rows])
        strength = strengths[task.replace("_", " "), layer]
        probe = LogisticRegression(C=strength, tol=TOLERANCE, max_iter=MOST_ITERATIONS)
        probe.fit(scaler.transform(vectors[training.rows]), training.labels)
        accuracy = probe.score(scaler.transform(vectors[test.rows]), test.labels)
        assert found.metrics[f"probing/accuracy/{task}/layer_{layer}"] == pytest.approx(accuracy, abs=1e-9)


def test_what_a_run_records(found):
    for quantity in ("accuracy", "selectivity", "code_length", "untrained_accuracy", "control_accuracy"):
        assert f"probing/{quantity}/tense/layer_2" in found.metrics
    assert {"probing/majority_accuracy/number", "probing/word_tag_accuracy/number"} <= set(found.metrics)
    assert all(math.isfinite(value) for value in found.metrics.values())
    assert any(note.startswith("Not asked: word_content") for note in found.notes)
    assert json.loads(json.dumps(found.values)) == found.values
    assert [len(table.rows) for table in found.tables] == [6, 18]
    assert all(len(row) == len(table.columns) for table in found.tables for row in table.rows)


def test_the_same_model_has_the_same_findings_with_and_without_what_is_kept(subject, settings, found, tmp_path):
    untrained._KEPT.clear()
    tense = replace(settings, tasks=["tense"])
    first, kept, anew = (INSTRUMENT.measure(replace(subject, cache=cache), tense) for cache in (
        subject.cache, subject.cache, tmp_path
    ))  # fmt: skip
    assert first == kept == anew
    assert {name: found.metrics[name] for name in first.metrics} == first.metrics


def test_what_was_left_out_is_counted(subject, settings, tmp_path):
    position = PositionConfig("absolute")
    short, before = (network(seed, max_length=12, position=position) for seed in (2, 1))
    sentences = read_conllu(settings.treebank)
    unknown = one_sentence("猫 see .", "NOUN VERB PUNCT")
    file = write_conllu(tmp_path / "more.conllu", [*sentences, sentences[0], unknown])
    asked = ProbingConfig(treebank=str(file), tasks=["tense"])
    notes = " ".join(
        INSTRUMENT.measure(replace(subject, model=short, untrained=lambda: before, key="short"), asked).notes
    )
    assert "have more tokens than the model has positions and were left out" in notes
    assert "1 of" in notes and "known to the tokenizer only as [UNK]" in notes
    assert "sentences occur several times, and were taken once" in notes


def test_the_untrained_network_is_probed_once_for_all_checkpoints(subject, settings, monkeypatch):
    asked = []

    def count(*given, **how):
        asked.append(how.get("control", True))
        return probe_representations(*given, **how)

    untrained._KEPT.clear()
    monkeypatch.setattr(instrument, "probe_representations", count)
    quick = replace(subject, quick=True)
    tense = replace(settings, tasks=["tense"])
    for seed in (1, 2):
        INSTRUMENT.measure(replace(quick, model=network(seed), key=str(seed)), tense)
    assert asked == [True, False, True]
    INSTRUMENT.measure(replace(quick, untrained=lambda: network(3)), tense)
    assert asked[3:] == [True, False]


# --- all checkpoints together


def test_half_of_the_gain_is_found_between_two_checkpoints():
    assert half_gain_step([0, 10, 20, 40], [0.0, 0.1, 0.3, 0.4]) == 15
    assert half_gain_step([0, 100], [0.0, 0.2]) == 50
    assert half_gain_step([0, 10, 20], [0.0, 0.5, 0.2]) == 2  # first reached on the way up


def test_gains_begin_with_the_untrained_network_in_the_layer_that_is_best_at_the_end():
    def found(accuracy, best):
        return {"tense": {"accuracy": accuracy, "best": best, "untrained_accuracy": [0.5, 0.4]}}

    values = {8: found([0.9, 0.5], 0), 16: found([0.6, 0.8], 1)}
    steps, gains = gain_curve("tense", values)
    assert steps == [0, 8, 16]
    assert gains == pytest.approx([0, 0.1, 0.4])
    assert gain_curve("tense", {0: found([0.7, 0.7], 0)} | values)[0] == [0, 8, 16]


def test_checkpoints_are_drawn_and_concluded(found):
    alone = conclude({5: found})
    assert set(alone.figures) == {"layers", "compression"} and not alone.metrics
    assert len(alone.figures["layers"].figure.axes) == 6
    learnt, flat = dict(found.values["tense"]), dict(found.values["number"])
    learnt |= {
        "best": 2,
        "accuracy": [0.5, 0.5, 0.9],
        "low": [0.4, 0.4, 0.8],
        "untrained_accuracy": [0.5, 0.5, 0.5],
    }
    flat |= {"best": 0, "accuracy": [0.51] * 3, "low": [0.4] * 3, "untrained_accuracy": [0.5] * 3}
    start = learnt | {"accuracy": [0.5] * 3, "low": [0.4] * 3}
    together = conclude(
        {
            0: Findings("", values={"tense": start, "number": flat}),
            50: Findings("", values={"tense": learnt, "number": flat}),
        }
    )
    assert set(together.figures) == {"layers", "compression", "layers_by_checkpoint", "gains"}
    assert together.metrics == {"probing/half_gain_step/tense": 25}
    assert [row[-1] for row in together.tables[0].rows] == [25, None]
    assert together.notes == ["No clear gain over step 0, and so no step of half of it: number."]
    assert "gains" not in conclude({0: found, 5: Findings("", values={"number": flat})}).figures

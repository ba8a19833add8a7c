"""What is forgotten along fine-tuning, and the instrument that measures it with the rest."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import sentiment

from minibert.config import Config, TrainingConfig
from minibert.config.evaluation import DownstreamConfig
from minibert.data.annotated.agreement import ADJECTIVES, NOUNS, VERBS
from minibert.data.annotated.classified import LabelledSentence
from minibert.data.batches import Batches
from minibert.data.masking import UniformMasking
from minibert.data.packing import pack_documents
from minibert.data.tokenizer import encode_documents, train_tokenizer
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation.downstream import (
    OldTask,
    Recipe,
    agreement,
    finetune_sst2,
    held_out_loss,
    measure_catastrophic_forgetting,
)
from minibert.evaluation.downstream.forgetting import Curve, measured_steps
from minibert.evaluation.downstream.instrument import INSTRUMENT
from minibert.evaluation.instruments import Subject
from minibert.training.trainer import Trainer

SENTENCES = sentiment.splits(train=64).train
STEPS = 2
"""Of an epoch over these, 32 at a time"""


@pytest.fixture(scope="module")
def tokenizer():
    return sentiment.tokenizer()


@pytest.fixture(scope="module")
def held_out(tokenizer):
    """The same eight words again and again, in one order."""
    texts = [" ".join((sentiment.FILLERS * 13)[start : start + 96]) for start in range(12)]
    return pack_documents(encode_documents(tokenizer, texts), 24)


@pytest.fixture(scope="module")
def pretrained(tokenizer, held_out):
    """A network that has learnt this text."""
    model = sentiment.network()
    masking = UniformMasking(sentiment.VOCABULARY, corruption_rate=0.2, prediction_rate=0.2)
    config = Config(
        model=model.config,
        training=TrainingConfig(steps=200, batch_size=16, lanes=1, log_every=200, softmax_words=None),
    )
    config.seeds.dropout = 0
    with Trainer(model, Batches(held_out, masking, 16, 0, 0), config) as trainer:
        trainer.train()
    return model


def test_forgetting_is_the_best_before_less_the_last():
    assert Curve([0, 1, 2, 3], [0.8, 0.9, 0.7, 0.6], True).forgetting == pytest.approx(0.3)
    assert Curve([0, 1, 2, 3], [3.0, 2.5, 2.8, 4.0], False).forgetting == pytest.approx(1.5)
    assert Curve([0, 1], [0.5, 0.7], True).forgetting == pytest.approx(-0.2)  # nothing forgotten: better than ever
    assert Curve([0, 1, 2], [float("nan"), 0.6, 0.5], True).forgetting == pytest.approx(0.1)
    assert np.isnan(Curve([0, 1], [float("nan"), 0.5], True).forgetting)


@pytest.mark.parametrize(
    ("steps", "points", "expected"), [(96, 4, {1, 5, 21, 96}), (3, 8, {1, 2, 3}), (1, 3, {1}), (50, 1, {1, 50})]
)
def test_measured_steps_are_dense_at_the_start_and_hold_the_last(steps, points, expected):
    assert measured_steps(steps, points) == expected


def test_a_planted_forgetting_is_seen_and_none_where_nothing_moves(tokenizer, pretrained, held_out):
    """At a high rate the layers change beyond what the MLM head can read; at almost zero nothing moves."""
    tasks = {"loss": held_out_loss(held_out, sentiment.VOCABULARY, lanes=1)}
    found = {
        rate: measure_catastrophic_forgetting(
            pretrained, tasks, {"new": SENTENCES}, tokenizer, Recipe(rate, epochs=8), lanes=1
        ).curves["loss"]
        for rate in (1e-9, 3e-2)
    }
    begun = found[1e-9].values[0]
    assert begun < np.log(len(sentiment.FILLERS)) / 2  # far below who knows no more than which words there are
    assert found[3e-2].values[0] == begun
    assert abs(found[1e-9].forgetting) < 1e-4
    assert found[3e-2].forgetting > 1
    assert found[3e-2].values[-1] > found[3e-2].best


def test_tasks_come_one_after_the_other_and_each_begins_where_the_last_one_ended(tokenizer):
    model = sentiment.network()
    before, seen = model.params.vector.copy(), []
    other = [LabelledSentence(f"{filler} it", "yes" if filler < "g" else "no") for filler in sentiment.FILLERS]

    def look(encoder) -> float:
        seen.append(encoder.params.vector.copy())
        return float(len(seen))

    found = measure_catastrophic_forgetting(
        model, {"look": look}, {"one": SENTENCES, "two": other}, tokenizer, Recipe(1e-3, epochs=2), points=2
    )
    assert found.curves["look"].steps == [0, 1, 2 * STEPS, 2 * STEPS + 1, 2 * STEPS + 2]
    assert found.curves["look"].values == [1, 2, 3, 4, 5]
    assert found.curves["look"].forgetting == -1  # a plain function: the higher, the better
    assert found.learnt == {"one": 2 * STEPS, "two": 2 * STEPS + 2}
    assert seen[0].tobytes() == model.params.vector.tobytes() == before.tobytes()
    for task, vector in (("one", seen[2]), ("two", seen[4])):
        assert found.classifiers[task].encoder().params.vector.tobytes() == vector.tobytes()
    alone = measure_catastrophic_forgetting(
        found.classifiers["one"].encoder(), {"look": look}, {"two": other}, tokenizer, Recipe(1e-3, epochs=2)
    )
    second = alone.classifiers["two"].params.vector
    assert second.tobytes() == found.classifiers["two"].params.vector.tobytes()
    assert found.classifiers["two"].labels == ("no", "yes")


def test_agreement_is_a_ready_task():
    words = [form for both in (*NOUNS[:6], *VERBS) for form in both]
    english = train_tokenizer([" ".join([*words, *ADJECTIVES, "the of that we gave to ."] * 20)], 400, True)
    model = sentiment.network(vocab_size=400)
    task = agreement(english, count=4, lanes=1)
    assert isinstance(task, OldTask)
    assert 0 <= task.score(model) <= 1
    assert task.score(model) == task.score(model)


def test_nothing_to_learn_or_to_forget_is_refused(tokenizer):
    model = sentiment.network()
    for old, new, name in (({}, {"new": SENTENCES}, "old_tasks"), ({"old": len}, {}, "new_tasks")):
        with pytest.raises(MinibertError, match=f"{name}: none were given"):
            measure_catastrophic_forgetting(model, old, new, tokenizer)


# --- the instrument


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """A folder with the three parts of the toy language."""
    folder = tmp_path_factory.mktemp("toy")
    for name, part in zip(("train", "dev", "test"), sentiment.splits(train=400), strict=True):
        (folder / f"{name}.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in part))
    return folder


@pytest.fixture(scope="module")
def findings(tables, tokenizer, held_out, tmp_path_factory):
    return INSTRUMENT.measure(subject(tokenizer, held_out, tmp_path_factory.mktemp("cache")), settings(tables))


def subject(tokenizer, held_out, cache, **changed) -> Subject:
    about = {"quick": True, "lanes": 2, "held_out": held_out, "note": lambda message: None}
    return Subject(sentiment.knowing(tokenizer), tokenizer, sentiment.network, "key", cache, **about | changed)


def settings(tables, **changed) -> DownstreamConfig:
    return DownstreamConfig(data=str(tables), **{"rates": [1e-3, 3e-3], "frozen_rates": [1e-1]} | changed)


def test_the_instrument_tells_every_control_beside_the_network(findings):
    metrics = findings.metrics
    names = ["accuracy", "frozen_accuracy", "untrained_accuracy", "untrained_frozen_accuracy"]
    names += ["bag_of_words_accuracy", "majority_accuracy", "macro_f1", "forgetting/held_out_loss"]
    assert {f"downstream/{name}" for name in names} <= set(metrics)
    assert all(isinstance(value, float) for value in metrics.values())
    assert metrics["downstream/frozen_accuracy"] > 0.95
    assert metrics["downstream/majority_accuracy"] == 0.5
    assert f"{metrics['downstream/frozen_accuracy']:.3f} with the new layer alone" in findings.summary
    assert "A bag of words reaches" in findings.summary
    rows = {row[0]: row for row in findings.tables[0].rows}
    assert rows["new layer alone"][3] == metrics["downstream/frozen_accuracy"]
    assert len(findings.tables[1].rows) == 8  # two ways, two networks, two seeds
    assert json.loads(json.dumps(findings.values)) == findings.values


def test_the_instrument_says_what_was_left_out(findings):
    notes = "\n".join(findings.notes)
    assert "Quick: 256 of 400 train, 60 of 60 dev, 100 of 100 test sentences" in notes
    assert "agreement is left out" in notes  # the toy vocabulary has none of the words


def test_figures_are_made_of_the_findings_alone(findings):
    again = type(findings)(findings.summary, values=json.loads(json.dumps(findings.values)))
    assert set(INSTRUMENT.conclude({100: again}).figures) == {"accuracies", "forgetting"}
    assert "accuracy_over_steps" in INSTRUMENT.conclude({0: again, 100: again}).figures
    assert INSTRUMENT.conclude({0: type(findings)("nothing")}).figures == {}


def test_a_network_that_is_no_better_than_its_controls_is_told_so(tables, tokenizer, tmp_path):
    ignorant = Subject(
        sentiment.network(7), tokenizer, sentiment.network, "key", tmp_path, quick=True, note=lambda _: None
    )
    found = INSTRUMENT.measure(ignorant, settings(tables, encoders=["frozen"]))
    notes = "\n".join(found.notes)
    assert "new layer alone: is not surely better than an untrained network" in notes
    assert "downstream/accuracy" not in found.metrics
    assert not any("forgetting" in name for name in found.metrics)  # nothing of the encoder moved


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rates_that_fail_and_rates_at_the_end_of_the_list_are_told(tables, tokenizer, held_out, tmp_path):
    slow = subject(tokenizer, None, tmp_path, quick=False)
    wanted = settings(
        tables, encoders=["full"], rates=[1e-6, 3e-3, 1e35], epochs=2, seeds=1, max_samples=100, forgetting=0
    )
    notes = "\n".join(INSTRUMENT.measure(slow, wanted).notes)
    assert "100 of 400 training sentences were drawn: 50 with the label bad, 50 with the label good" in notes
    assert "all trained: training failed at rate 1e+35" in notes
    assert "One seed has no interval" in notes
    edge = settings(
        tables, encoders=["full"], rates=[1e-6, 3e-3], epochs=2, seeds=1, max_samples=100, forgetting=0
    )
    notes = "\n".join(INSTRUMENT.measure(slow, edge).notes)
    assert "all trained: the rate chosen, 0.003, is the highest of those tried" in notes


def test_sst2_is_read_from_a_folder_or_is_unavailable(tables, tokenizer, tmp_path, monkeypatch):
    found = finetune_sst2(
        sentiment.knowing(tokenizer),
        tokenizer,
        epochs=1,
        max_samples=64,
        data=tables,
        note=lambda _: None,
        seeds=1,
        rates=[3e-3],
        frozen_rates=[1e-1],
    )
    assert (len(found.train), found.given) == (64, 400)
    assert found.fine_tuned["trained", "frozen"].accuracy.value > 0.95

    def nothing(*_):
        raise Unavailable("sst2: train.tsv is not here")

    monkeypatch.setattr("minibert.evaluation.downstream.dataset", nothing)
    with pytest.raises(Unavailable, match="sst2"):
        finetune_sst2(sentiment.network(), tokenizer, cache=tmp_path)

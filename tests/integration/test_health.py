"""Short runs with a fault planted in each, and healthy ones of every optimizer: what is found in them."""

from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest

from minibert.config.optimizers import OPTIMIZERS
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.prepared import prepare_data
from minibert.data.training_batches import build_batches, probe_batch
from minibert.diagnostics import detect_training_issues
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.evaluation.intrinsic.held_out import IntrinsicEvaluation
from minibert.model.bert import MiniBERT
from minibert.randomness import generator
from minibert.running.plan import plan
from minibert.training.checkpoints import log_spaced_steps
from minibert.training.observers import TrainingLog
from minibert.training.trainer import NotFinite, Trainer

LOOKED_AT = ["parameter_updates", "feed_forward_units", "attention_patterns", "head_distances", "duplicate_data"]
CLS = 2


class Record:
    """A run's record in memory."""

    def __init__(self):
        self.histories = {}

    def log(self, metrics, step):
        for name, value in metrics.items():
            steps, values = self.histories.setdefault(name, ([], []))
            steps.append(step)
            values.append(value)

    def log_arrays(self, name, step, arrays):
        pass

    def set_tags(self, tags):
        raise AssertionError(f"a diagnostic failed: {tags}")


def write_walks(folder: Path, documents: int, words: int, successors: int) -> Path:
    """Documents of words in random order, each of 60 words followed by one of ``successors``."""
    random = generator(0, documents, words, successors)
    letters = random.permutation([a + b for a in "bdfgklmnprst" for b in "aeiou"])
    follows = random.integers(60, size=(60, successors))
    for document in range(documents):
        word, text = random.integers(60), []
        for _ in range(words):
            text.append(letters[word] + letters[word // 2])
            word = follows[word, random.integers(successors)]
        (folder / f"{document:02}.txt").write_text(" ".join(text))
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    """Text that is worth learning, and enough of it."""
    return write_walks(tmp_path_factory.mktemp("text"), documents=40, words=400, successors=3)


@pytest.fixture(scope="module")
def little_text(tmp_path_factory) -> Path:
    """Text that can only be learnt by heart."""
    return write_walks(tmp_path_factory.mktemp("little_text"), documents=8, words=60, successors=60)


@pytest.fixture(scope="module")
def repeated_text(tmp_path_factory) -> Path:
    """One document thirty times, but for its last words."""
    folder = write_walks(tmp_path_factory.mktemp("repeated_text"), documents=1, words=50, successors=3)
    one = (folder / "00.txt").read_text()
    for copy in range(30):
        (folder / f"{copy:02}.txt").write_text(f"{one} {copy}")
    return folder


@pytest.fixture
def run(tmp_path):
    """``run(text, *overrides)`` -> the health of a small run, whose parameters ``plant`` has changed."""

    def train(folder, *overrides, plant=lambda params: None, may_break=False):
        settings = [
            "model=debug", "data=text", f"data.path={folder}/*.txt", "model.vocab_size=128", "training.lanes=1",
            "training.batch_size=16", "training.sequence_length=32", "evaluation.every=20",
            "evaluation.sequences=64", "evaluation.rates=[0.15]", f"tracking.folder={tmp_path}",
        ]  # fmt: skip
        config = plan([*settings, *overrides], multirun=False).jobs[0].config
        data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length)
        model = MiniBERT(config.model, config.seeds.init, log_unigram_frequencies(data.unigram_counts))
        plant(model.params)
        record, steps = Record(), config.training.steps
        for name in ("unigram_entropy", "unigram_cross_entropy"):
            record.log({f"baseline/{name}": data.statistics[name]}, 0)
        diagnostics = Diagnostics(choose(LOOKED_AT), log_spaced_steps(steps, 50), steps, record)
        batches, size = build_batches(config, data), data.tokenizer.get_vocab_size()
        evaluation = IntrinsicEvaluation(config.evaluation, data, size, record.log)
        probe = probe_batch(config, data)
        broken = suppress(NotFinite) if may_break else nullcontext()
        with Trainer(model, batches, config, (), diagnostics, data, probe) as trainer, broken:
            trainer.train([TrainingLog(record.log), evaluation])
        return detect_training_issues(record.histories)

    return train


def faults(health) -> set[str]:
    return {found.issue for found in health.faults}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_healthy_runs_of_every_optimizer_have_no_fault(run, text, optimizer):
    health = run(text, "training.steps=120", f"optimizer={optimizer}")
    assert health.faults == []
    assert health.not_checked == {}


def test_a_network_that_learns_leaves_the_unigram_level(run, text):
    health = run(text, "training.steps=180", "position=rope", "optimizer.learning_rate=3e-3")
    assert health.findings == []
    assert 40 <= health.plateau_left_step <= 160


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_gradients_explode_at_a_huge_rate_without_clipping(run, text):
    words = ["optimizer=sgd", "optimizer.learning_rate=3", "schedule=linear", "clipping=none", "masking.rate=0.15"]
    health = run(text, "training.steps=60", "training.log_every=2", *words, may_break=True)
    assert {"exploding_gradients", "divergence", "large_updates"} <= faults(health)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_a_loss_diverges_at_a_huge_rate_that_stays(run, text):
    words = ["optimizer.learning_rate=3", "schedule=constant", "training.log_every=5"]
    health = run(text, "training.steps=80", *words)
    assert {"divergence", "vanishing_gradients", "large_updates"} <= faults(health)


def test_updates_are_too_small_at_a_tiny_rate(run, text):
    health = run(text, "optimizer.learning_rate=1e-9", "training.steps=60")
    assert faults(health) == {"small_updates"}


def test_a_long_run_on_the_unigram_level_has_a_plateau(run, text):
    health = run(text, "optimizer.learning_rate=1e-5", "training.steps=420", "evaluation.every=105")
    assert faults(health) == {"loss_plateau"}
    assert health.plateau_left_step is None


def test_a_little_text_is_learnt_by_heart(run, little_text):
    words = ["position=absolute", "optimizer=adamw", "optimizer.learning_rate=5e-3", "masking.rate=0.15"]
    health = run(little_text, "training.steps=250", "data.evaluation_fraction=0.3", *words)
    assert faults(health) == {"overfitting"}


def test_copies_of_a_document_are_duplicate_data(run, repeated_text):
    health = run(repeated_text, "training.steps=10", "training.log_every=2", "data.evaluation_fraction=0.2")
    assert faults(health) == {"duplicate_data"}


def planted_dead_units(params):
    for layer in range(2):
        params[f"layers.{layer}.feed_forward.in.bias"] = -100


def planted_saturation(params):
    for name in ("query", "key"):
        params[f"layers.1.attention.{name}.weight"] *= 200


def planted_sink(params):
    """Every query of the first layer asks for the direction in which only [CLS], at position 0, lies."""
    first = params["embeddings.token.weight"][CLS] + params["embeddings.position.weight"][0]
    direction = (first - first.mean()) / np.linalg.norm(first - first.mean())
    params["layers.0.attention.query.weight"] = 0
    params["layers.0.attention.query.bias"] = 5
    params["layers.0.attention.key.weight"] = direction[:, None]


def planted_bottleneck(params):
    params["final_norm.gain"] = 1e-4


@pytest.mark.parametrize(
    "plant, words, issue",
    [
        (planted_dead_units, ["feed_forward=relu"], "dead_units"),
        (planted_saturation, [], "saturated_attention"),
        (planted_sink, ["position=absolute", "optimizer=adamw"], "collapsed_attention"),
        (planted_bottleneck, ["optimizer.learning_rate=1e-5"], "vanishing_gradients"),
    ],
)
def test_what_is_planted_in_the_parameters_is_found(run, text, plant, words, issue):
    health = run(text, "training.steps=20", "training.log_every=4", *words, plant=plant)
    assert issue in faults(health)
    assert faults(health) <= {issue, "saturated_attention"}  # a sink is saturated, too

"""What a run would need is told, and refused, before anything is taken."""

import math
from dataclasses import replace

import pytest

from minibert.config import Config, ModelConfig, RelativeConfig, register
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.memory import available_memory, count_parameters, estimate_training_memory, machine_memory
from minibert.running.plan import plan

SMALL = ModelConfig(vocab_size=64, hidden_size=32, layers=2, heads=4, feed_forward_size=64, max_length=16)


@pytest.fixture(autouse=True, scope="module")
def schema():
    register()


@pytest.mark.parametrize(
    "changes",
    [{}, {"activation": "swiglu"}, {"norm": "post", "segments": 2}, {"position": RelativeConfig()}],
)
def test_the_count_of_parameters_is_that_of_the_network_up_to_a_few_vectors(changes):
    config = replace(SMALL, **changes)
    vectors = 40 * config.hidden_size + 6 * config.feed_forward_size
    assert 0 <= MiniBERT(config).params.vector.size - count_parameters(config) <= vectors


def test_an_estimate_grows_with_what_takes_the_memory():
    config = Config(model=SMALL)
    before = estimate_training_memory(config)
    config.training.lanes, config.training.batch_size = 4, 128
    after = estimate_training_memory(config)
    assert after["gradients"] == 2 * before["gradients"]
    assert after["activations"] == 2 * before["activations"]
    config.training.checkpoint_activations = True
    assert estimate_training_memory(config)["activations"] == after["activations"] / SMALL.layers


def test_a_container_limits_the_memory(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text("1048576\n")
    monkeypatch.setattr("minibert.model.memory.LIMITS", (str(limit), str(tmp_path / "none")))
    assert machine_memory() == 1048576
    with pytest.raises(MinibertError, match=r"about .* GB of memory .*this machine has 0\.0 GB\. Lower model"):
        MiniBERT(replace(SMALL, vocab_size=20_000))


def test_what_is_free_in_a_container_does_not_count_what_can_be_given_back(tmp_path, monkeypatch):
    for name, text in {"max": "1000", "current": "900", "stat": "anon 500\ninactive_file 300"}.items():
        (tmp_path / f"memory.{name}").write_text(f"{text}\n")
    monkeypatch.setattr("minibert.model.memory.LIMITS", (str(tmp_path / "memory.max"), str(tmp_path / "none")))
    assert available_memory() == 1000 - (900 - 300)
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("training.steps=1000000000000", "training.steps=1000000000000: out of range"),
        ("model.hidden_size=1000000", "model.hidden_size=1000000: out of range"),
        ("training.batch_size=1000000000", "training.batch_size=1000000000: out of range"),
        ("model.layers=100000000", "model.layers=100000000: out of range"),
        ("training.lanes=1000000", "training.lanes=1000000: out of range"),
        ("model.vocab_size=1000000000", "model.vocab_size=1000000000: out of range"),
        ("diagnostics.per_doubling=1000000000", "per_doubling=1000000000: out of range"),
        ("seed=-1", "seed=-1: out of range"),
        ("seeds.init=-3", r"seeds.init=-3: out of range"),
        ("seed=9223372036854775808", "seed=9223372036854775808: out of range"),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate=inf: not a finite number"),
        ("model.init_scale=inf", "model.init_scale=inf: not a finite number"),
        ("optimizer.rate_factor=nan", "optimizer.rate_factor=nan: not a finite number"),
        ("study.target=inf", "study.target=inf: not a finite number"),
        ("training.checkpoint_seconds=1e300", "training.checkpoint_seconds=1e\\+300: out of range"),
        ("model.norm_epsilon=1e-300", "model.norm_epsilon=1e-300: too small for float32"),
        ("training.steps=9000000 training.checkpoint_every=1", "9000000 checkpoints"),
        # Each within its bounds, together too much for any machine.
        ("model.hidden_size=65536 model.heads=64 model.layers=1000", "GB of memory"),
        ("training.batch_size=1000000 training.sequence_length=128", "GB of memory"),
        ("model.vocab_size=2000000 training.batch_size=100000", "GB of memory"),
        ("masking.rate=1e-9", r"masking.rate=1e-09: of the .* tokens of this training, none would be predicted"),
        ("masking.prediction_rate=1e-12", "masking.prediction_rate=1e-12: of the"),
        ("evaluation.rates=[1e-9]", r"evaluation.rates\[0\]=1e-09: of the .* none would be predicted"),
        ("evaluation.rate=1e-9", "evaluation.rate=1e-09: of the"),
        ("evaluation.rates=[0.15,0.4,0.15]", "evaluation.rates: 0.15 stands in it 2 times"),
        ("evaluation.rates=[nan]", r"evaluation.rates\[0\]=nan"),
    ],
)
def test_what_cannot_run_is_refused_when_it_is_composed(words, message):
    with pytest.raises(MinibertError, match=message):
        plan(words.split(), multirun=False)


def test_what_is_large_but_fits_is_composed():
    config = plan(["training.steps=9999999", "seed=9223372036854775807"], multirun=False).jobs[0].config
    assert config.training.steps == 9_999_999
    assert all(0 <= getattr(config.seeds, stream) < 2**32 for stream in ("init", "data", "masking", "dropout"))
    assert math.isfinite(sum(estimate_training_memory(config).values()))

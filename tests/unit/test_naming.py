"""What runs are called."""

import pytest

from minibert.running.naming import LONGEST_NAME, run_name
from minibert.running.plan import plan


def name(*words: str) -> str:
    [job] = plan(list(words), multirun=False).jobs
    return run_name(job.config, job.choices, [])


def test_a_run_with_the_defaults_is_named_by_corpus_model_optimizer_and_seed():
    assert name() == "sotu · one_layer · muon · seed 0"
    assert name("seed=0", "masking.rate=0.25", "tracking.progress=false") == name()


def test_runs_of_different_position_schemes_have_different_names():
    assert name("position=alibi") == "sotu · one_layer · muon · position alibi · seed 0"
    assert name("position=none") == "sotu · one_layer · muon · position none · seed 0"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("masking.rate=0.3",), "sotu · one_layer · muon · masking 0.30 · seed 3"),
        (("masking.prediction_rate=0.3",), "sotu · one_layer · muon · prediction rate 0.30 · seed 3"),
        (
            ("optimizer.learning_rate=0.0012345672",),
            "sotu · one_layer · muon · learning rate 0.0012345672 · seed 3",
        ),
        (("optimizer.learning_rate=1e-5",), "sotu · one_layer · muon · learning rate 1e-5 · seed 3"),
        (
            ("position=rope", "model.position.base=1e6"),
            "sotu · one_layer · muon · base 1e6 · seed 3",
        ),
        (("position=rope", "model.position.base=2e4"), "sotu · one_layer · muon · base 2e4 · seed 3"),
        (("position=rope", "model.position.base=2000"), "sotu · one_layer · muon · base 2000 · seed 3"),
        (("optimizer=lookahead", "optimizer/inner=lion"), "sotu · one_layer · lookahead · inner lion · seed 3"),
        (("seeds.init=7",), "sotu · one_layer · muon · init 7 · seed 3"),
        (("training=debugging", "seed=3"), "sotu · one_layer · muon · training debugging · seed 3"),
        (("data=text", "data.path=a/*.txt", "model.name='[/x]'"), "text · [/x] · muon · path a/*.txt · seed 3"),
    ],
)
def test_what_differs_from_the_default_stands_in_the_name_and_nothing_else(words, expected):
    assert name(*words, "seed=3") == expected


@pytest.mark.parametrize(
    "words",
    [
        ("evaluation=full",), ("evaluation=[probing,minimal_pairs]",), ("evaluation.facts.enabled=true",),
        ("evaluation=probing", "evaluation.probing.max_sentences=100", "evaluation.quick=true"),
        ("evaluation=downstream", "evaluation.steps=all"),
    ],
)  # fmt: skip
def test_what_is_asked_after_training_is_not_in_the_name(words):
    assert name(*words) == name()


def test_settings_of_the_evaluation_in_training_are_named_with_their_group():
    assert name("evaluation.every=50") == "sotu · one_layer · muon · evaluation every 50 · seed 0"
    assert name("evaluation.mask_seed=3") == "sotu · one_layer · muon · evaluation mask seed 3 · seed 0"


def test_long_names_are_cut_and_still_differ():
    names = {name("data=text", f"data.path={'a' * 300}{end}") for end in "bc"}
    assert len(names) == 2
    assert max(map(len, names)) <= LONGEST_NAME

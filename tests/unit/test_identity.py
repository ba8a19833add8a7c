"""Which commands are of one sweep: more seeds and values are, other settings are not."""

import pytest

from minibert.running.identity import first_values, sweep_hash, sweep_name
from minibert.running.plan import plan


def identity(*words, text="text"):
    planned = plan(["model=debug", *words], multirun=True)
    name = sweep_name(planned)
    return name, sweep_hash(planned, name, [text])


RATES = identity("masking.rate=0.15,0.4", "seed=0,1")
OPTIONS = identity("optimizer=adamw,lion", "optimizer.beta1=0.8")


def test_a_sweep_without_a_study_is_called_by_what_it_sweeps_over():
    assert RATES[0] == "masking.rate"
    assert identity("masking.rate=0.15,0.4", "seed=0,1", "optimizer=adamw,lion")[0] == "masking.rate x optimizer"
    assert identity("masking.rate=0.15,0.4", "study.name=mine")[0] == "mine"


def test_a_sweep_over_seeds_alone_is_called_by_what_it_trains():
    seeds = identity("training.steps=7", "optimizer=adamw", "seed=0,1,2")
    assert seeds[0] == "sotu · debug · adamw · steps 7 · seeds"
    assert identity("training.steps=7", "optimizer=adamw", "seed=5") == seeds
    assert identity("seeds.init=1,2", "seeds.data=3,4")[0] == "sotu · debug · muon · seeds"
    assert (
        identity("seed=0,1", "data=text", "data.path=a", "tracking.run_name=x")[0]
        == "text · debug · muon · path a · seeds"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("masking.rate=0.4,0.15", "seed=range(5)"),
        ("masking.rate=choice(0.6)", "seed=7"),
        ("masking.rate=0.1,0.2", "tracking.run_name=later", "evaluation.quick=true"),
    ],
)
def test_more_seeds_and_values_and_words_without_a_result_make_no_other_sweep(words):
    assert identity(*words) == RATES


@pytest.mark.parametrize(
    "words",
    [
        ("masking.rate=0.15,0.4", "seed=0,1", "training.steps=7"),
        ("masking.rate=0.15,0.4", "optimizer=adamw,lion"),
        ("masking.rate=0.15,0.4", "study.name=mine"),
    ],
)
def test_other_settings_keys_and_names_are_other_sweeps(words):
    assert identity(*words) != RATES


def test_another_text_is_another_sweep_unless_texts_are_swept_over():
    assert identity("masking.rate=0.15,0.4", text="edited") != RATES
    texts = "data=text", "data.path=a,b"
    assert identity(*texts) == identity(*texts, text="edited")


def test_an_option_more_makes_no_other_sweep_but_another_setting_of_the_options_does():
    assert identity("optimizer=lion,lamb,adamw", "optimizer.beta1=0.8")[1] == OPTIONS[1]
    assert identity("optimizer=adamw,lion", "optimizer.beta1=0.7")[1] != OPTIONS[1]


def test_one_value_of_a_key_of_an_experiment_is_a_part_of_its_sweep():
    whole = identity("+experiment=masking_sweep")
    assert identity("+experiment=masking_sweep", "seed=0") == whole
    assert identity("+experiment=masking_sweep", "masking.rate=0.5") == whole
    (job, *_) = plan(["+experiment=masking_sweep", "seed=0"], multirun=False).jobs
    assert any("seed=0" in word for word in job.overrides)


def test_the_first_values_are_those_that_others_are_compared_with():
    planned = plan(["model=debug", "optimizer=lion,adamw", "masking.rate=0.4,0.15", "seed=1,0"], multirun=True)
    assert first_values(planned) == {"optimizer": "lion", "masking.rate": "0.4"}

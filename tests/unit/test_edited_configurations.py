"""A recorded config.yaml that was edited: what was given, what is allowed, what was recorded, and no more."""

from dataclasses import asdict

import pytest
from omegaconf import OmegaConf

from minibert.config import Config, ModelConfig, register, restore
from minibert.errors import MinibertError, unknown_name
from minibert.running.plan import plan
from minibert.serving.loading import saved_run
from minibert.tracking import claim, start_run
from tests.support.reports import copied_store

LONG = "x" * 5000


def default() -> Config:
    register()
    return plan([], multirun=False).jobs[0].config


@pytest.fixture(scope="module")
def recorded(empty_database, tmp_path_factory):
    """A store with a run, and the plain settings of its config.yaml."""
    store, config = copied_store(empty_database, tmp_path_factory.mktemp("mlruns")), default()
    parameters = asdict(config)
    del parameters["tracking"], parameters["study"]
    with claim(store, "a" * 64) as held:
        run = start_run(held, "a run", parameters, {})
        run.finish("FINISHED")
    return store, run, OmegaConf.to_container(OmegaConf.structured(config))


def refusal(recorded, key, value):
    """What is said of the run once the setting ``key`` of its config.yaml has another value."""
    store, run, plain = recorded
    edited = OmegaConf.create(plain)
    OmegaConf.update(edited, key, value, merge=False)
    run.log_text(OmegaConf.to_yaml(edited), "config.yaml")
    with pytest.raises(MinibertError) as raised:
        saved_run(store, run.id, needs_checkpoint=False).prepared_data()
    return str(raised.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("data.cache", "", "data.cache=: an empty name."),
        ("data.cache", "a\0b", "data.cache: has a zero byte."),
        ("evaluation.intrinsic.bins", 10**12, "evaluation.intrinsic.bins=1000000000000: out of range."),
    ],
)
def test_a_setting_that_may_change_must_be_one_that_a_run_can_have(recorded, key, value, said):
    assert said in refusal(recorded, key, value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "training.steps",
            4.0,
            "training.steps: float 4.0 was given. Allowed: a whole number. 10000 was recorded",
        ),
        ("model.layers", True, "model.layers: bool True was given. Allowed: a whole number. 1 was recorded"),
        ("model.dropout", "much", "model.dropout: str 'much' was given. Allowed: a number. 0.0 was recorded"),
        ("training.batch_size", None, "training.batch_size: NoneType None was given. Allowed: a whole number."),
        ("data.packed", "maybe", "data.packed: str 'maybe' was given. Allowed: True or False. true was recorded"),
        ("evaluation.rates", 0.2, "evaluation.rates: float 0.2 was given. Allowed: a list of numbers."),
        ("evaluation.rates", [0.2, "a"], "evaluation.rates[1]: Value 'a' of type 'str' could not be converted to"),
        ("optimizer.name", "warp", "unknown name 'warp'. Allowed: adafactor"),
        ("optimizer.name", ["muon"], "unknown name '['muon']'"),
        ("training", 5, "config.yaml: training: int 5 was given. Allowed: settings, each with its value."),
        ("model.position", [1], "config.yaml: model.position: list [1] was given. Allowed: settings, each with"),
    ],
)
def test_a_value_of_another_type_is_told_with_what_is_allowed_and_what_was_recorded(recorded, key, value, said):
    told = refusal(recorded, key, value)
    assert said in told and ("does not know" in told) == (key == "optimizer.name")


def test_a_setting_that_is_not_known_is_told_as_one(recorded):
    told = refusal(recorded, "training.stepz", 4)
    assert "has settings that this version does not know (training.stepz: Key 'stepz' not in" in told
    assert "was recorded" not in told


@pytest.mark.parametrize("key", ["training.steps", "optimizer.name", "data.name", "masking.rate"])
def test_a_long_value_is_told_by_its_beginning(recorded, key):
    told = refusal(recorded, key, LONG)
    assert key in told and "xxx" in told and "was recorded" in told and len(told) < 600


def test_of_long_values_the_part_that_differs_is_told(recorded):
    rates = [round(0.001 * number, 3) for number in range(1, 200)]
    told = refusal(recorded, "evaluation.rates", rates)
    assert "evaluation.rates=[0.001, 0.002, 0.003" in told and "0.05" not in told and len(told) < 600


def test_where_long_values_begin_alike_is_left_out(empty_database, tmp_path):
    path = [f"books/{number}.txt" for number in range(50)]
    store, config = copied_store(empty_database, tmp_path), default()
    parameters = asdict(config)
    del parameters["tracking"], parameters["study"]
    parameters["diagnostics"]["figures"] = path
    with claim(store, "a" * 64) as held:
        run = start_run(held, "a run", parameters, {})
    plain = OmegaConf.structured(config)
    plain.diagnostics.figures = [*path[:40], "books/other.txt", *path[41:]]
    run.log_text(OmegaConf.to_yaml(plain), "config.yaml")
    with pytest.raises(MinibertError) as raised:
        saved_run(store, run.id, needs_checkpoint=False)
    told = str(raised.value)
    assert "diagnostics.figures=…" in told and "books/other.txt" in told and "books/40.txt" in told
    assert "books/3.txt" not in told and len(told) < 600


def test_the_settings_of_a_network_alone_are_told_in_the_same_way():
    for plain, said in (
        ({"layers": 2.0}, "x: layers: float 2.0 was given. Allowed: a whole number."),
        ({"position": 3}, "x: position: int 3 was given. Allowed: settings, each with its value."),
        (3, "x: int 3 was given. Allowed: settings, each with its value."),
    ):
        with pytest.raises(MinibertError) as raised:
            restore(plain, ModelConfig, "x")
        assert str(raised.value) == said


def test_a_long_name_is_told_by_its_beginning():
    assert len(str(unknown_name("optimizer", LONG, ["muon", "adamw"]))) < 150

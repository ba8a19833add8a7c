"""The groups optimizer, clipping, layer_rates and averaging: on the command line, and back from a record."""

from dataclasses import asdict

import pytest

from minibert.config import VARIANTS, restore
from minibert.config.optimizers import LionConfig, LookaheadConfig, MuonConfig
from minibert.errors import MinibertError
from minibert.running.plan import groups, plan

GROUPS = ("optimizer", "clipping", "layer_rates", "averaging")


def compose(*words):
    return plan(list(words), False).jobs[0].config


@pytest.mark.parametrize("group", GROUPS)
def test_every_variant_is_a_word_with_the_defaults_of_its_schema(group):
    assert set(groups()[group]) == set(VARIANTS[group])
    for option, schema in VARIANTS[group].items():
        assert getattr(compose(f"{group}={option}"), group) == schema(name=option)


def test_lookahead_wraps_the_optimizer_named_and_takes_its_rate():
    optimizer = compose("optimizer=lookahead", "optimizer/inner=lion", "optimizer.inner.beta1=0.8").optimizer
    assert optimizer == LookaheadConfig(learning_rate=LionConfig().learning_rate, inner=LionConfig(beta1=0.8))


def test_muon_names_a_rate_for_what_adamw_moves_also_within_lookahead():
    words = "optimizer=lookahead", "optimizer/inner=muon", "optimizer.inner.adamw_learning_rate=0.5"
    assert compose(*words).optimizer.inner == MuonConfig(adamw_learning_rate=0.5)
    assert compose("optimizer=muon").optimizer.adamw_learning_rate is None


@pytest.mark.parametrize("words", [("optimizer=muon",), ("optimizer=lookahead", "optimizer/inner=muon")])
def test_a_record_without_later_settings_means_what_was_done_without_them(words):
    record = asdict(compose(*words))
    muon = record["optimizer"].get("inner", record["optimizer"])
    del record["training"]["softmax_words"], muon["heads_apart"], muon["polynomials"]
    config = restore(record)
    optimizer = getattr(config.optimizer, "inner", config.optimizer)
    assert (optimizer.heads_apart, optimizer.polynomials, config.training.softmax_words) == (False, "jordan", None)


@pytest.mark.parametrize("key", ["optimizer.learning_rate", "optimizer.inner.learning_rate"])
def test_lookahead_has_one_learning_rate_under_two_names(key):
    optimizer = compose("optimizer=lookahead", "optimizer/inner=muon", f"{key}=0.5").optimizer
    assert optimizer == LookaheadConfig(learning_rate=0.5, inner=MuonConfig(learning_rate=0.5))


@pytest.mark.parametrize("key", ["optimizer.rate_factor", "optimizer.inner.rate_factor"])
def test_a_factor_on_the_rate_holds_for_lookahead_and_its_inner_optimizer_alike(key):
    optimizer = compose("optimizer=lookahead", f"{key}=3").optimizer
    assert (optimizer.rate_factor, optimizer.inner.rate_factor) == (3.0, 3.0)


@pytest.mark.parametrize("inner", sorted(set(VARIANTS["optimizer"]) - {"lookahead"}))
def test_every_optimizer_but_lookahead_can_be_wrapped(inner):
    optimizer = compose("optimizer=lookahead", f"optimizer/inner={inner}").optimizer
    assert type(optimizer.inner) is VARIANTS["optimizer"][inner]


@pytest.mark.parametrize(
    "words", [[f"{group}={option}"] for group in GROUPS for option in VARIANTS[group]]
    + [["optimizer=lookahead", "optimizer/inner=sgd", "optimizer.inner.nesterov=true"]],
)  # fmt: skip
def test_a_recorded_configuration_comes_back_with_its_types(words):
    config = compose(*words)
    assert restore(asdict(config)) == config


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer=lamb", "layer_rates=ratio"], "layer_rates=ratio with the optimizer lamb"),
        (
            ["optimizer=lookahead", "optimizer/inner=adafactor", "layer_rates=ratio"],
            "with the optimizer adafactor",
        ),
        (["schedule=warmup_stable_decay", "schedule.decay=0.95"], "before the warm-up ends"),
        (["optimizer=lion", "optimizer.epsilon=1"], r"optimizer\.epsilon.*Allowed: optimizer\.name"),
        (["clipping=none", "clipping.norm=1"], r"unknown key 'clipping\.norm'"),
        (["clipping=percentile", "clipping.percentile=0"], r"clipping\.percentile=0.*above 0"),
        (["optimizer=muon", "optimizer.adamw_learning_rate=0"], r"adamw_learning_rate=0.*above 0"),
        (["optimizer=muon", "optimizer.momentum=1"], r"optimizer\.momentum=1.*below 1"),
        (["optimizer=lookahead", "optimizer.slow_rate=1.5"], r"optimizer\.slow_rate=1\.5.*at most 1"),
        (["averaging=ema", "averaging.half_life=0"], r"averaging\.half_life=0.*above 0"),
        (["averaging=last", "averaging.share=1.5"], r"averaging\.share=1\.5.*at most 1"),
        (["averaging=ema", "optimizer=lookahead"], "averaging=ema with optimizer=lookahead.*averaging=none"),
        (["optimizer=lookahead", "optimizer.inner.beta1=1.5"], r"optimizer\.inner\.beta1=1\.5.*below 1"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(words, message):
    with pytest.raises(MinibertError, match=message):
        compose(*words)

"""What a comparison takes for granted, on configurations as the command line composes them."""

from dataclasses import asdict
from functools import cache
from itertools import product

import pytest

from analysis.assumptions import check, following, replicate
from analysis.tracked_runs import TrackedRun
from minibert.errors import MinibertError
from minibert.running.plan import plan
from minibert.tracking.records import flatten

TUNED = "optimizer.name", "optimizer.rate_factor"


def tracked(parameters, factor, tuned=None, status="FINISHED", metrics=("eval/loss",), tags=None):
    return TrackedRun(
        id="0123456789abcdef",
        name=str(parameters.get(factor)),
        status=status,
        reason=None,
        value=parameters.get(factor, "null"),
        setting=parameters.get(tuned, "null") if tuned else None,
        seed=None,
        replicate=replicate(parameters, factor, tuned),
        metrics=dict.fromkeys(metrics, 1.0),
        curves={},
        parameters=parameters,
        tags=tags or {},
    )


@cache
def composed(*words):
    """Settings and tags of a run, as the store has them."""
    (job,) = plan(["model=debug", *words], multirun=False).jobs
    parameters = asdict(job.config)
    del parameters["tracking"], parameters["study"]
    return flatten(parameters), {f"choice.{group}": option for group, option in job.choices.items()}


def sweep(options, factor, tuned=None, seeds=("0", "1"), **more):
    """A run for every option (words of the command line), seed and value of further settings."""
    runs = []
    for option, seed, *values in product(options, seeds, *more.values()):
        parameters, tags = composed(*option.split())
        others = dict(zip(more, values, strict=True)) | {"seed": seed, "seeds.init": f"7{seed}"}
        runs.append(tracked(parameters | others, factor, tuned, tags=tags))
    return runs


def refusal(runs, swept, factor, tuned=None, metric="eval/loss"):
    with pytest.raises(MinibertError) as caught:
        check("rates", factor, tuned, metric, swept, runs)
    return str(caught.value)


@pytest.mark.parametrize("options, factor, swept", [
    (["position=none", "position=rope", "position=relative_bias"], "model.position.name", "position"),
    (["objective=mlm", "objective=token_order", "objective=replaced_token"], "objective.name", "objective"),
    (["init=bert", "init=orthogonal"], "model.init", "init"),
    (["masking=uniform", "masking=span"], "masking.name", "masking"),
    (["masking.rate=0.15", "masking.rate=0.4"], "masking.rate", "masking.rate"),
])  # fmt: skip
def test_what_follows_the_factor_and_the_seeds_is_no_second_factor(options, factor, swept):
    check("fine", factor, None, "eval/loss", [swept, "seed"], sweep(options, factor))


def test_what_follows_the_factor_and_the_tuned_key_is_no_second_factor():
    options = [f"optimizer={name} optimizer.rate_factor={rate}" for name in ("sgd", "lookahead") for rate in "13"]
    runs, keys = sweep(options, *TUNED), ["optimizer", "optimizer.rate_factor", "seed"]
    check("tuned", *TUNED, "eval/loss", keys, runs)
    assert "optimizer.rate_factor (1, 3)" in refusal(runs, keys, "optimizer.name")


def test_streams_of_random_numbers_are_seeds():
    runs = sweep(["masking.rate=0.15", "masking.rate=0.4"], "masking.rate", **{"seeds.data": ("1", "2")})
    check("streams", "masking.rate", None, "eval/loss", ["masking.rate", "seed", "seeds.data"], runs)
    assert len({run.replicate for run in runs}) == 4


@pytest.mark.parametrize("others, named", [
    ({"training.steps": ("60", "70")}, "training.steps (60, 70)"),
    ({"evaluation.mask_seed": ("15", "16")}, "evaluation.mask_seed (15, 16)"),
    ({"model.norm": ("pre", "post"), "training.lanes": ("1", "2")},
     "model.norm (pre, post) and training.lanes (1, 2)"),
])  # fmt: skip
def test_a_setting_that_is_neither_factor_nor_tuned_nor_a_seed_is_refused_by_name(others, named):
    runs = sweep(["masking.rate=0.15", "masking.rate=0.4"], "masking.rate", **others)
    assert f"differ in {named}. Allowed: the factor masking.rate and seeds" in refusal(
        runs, ["masking.rate", "seed", *others], "masking.rate"
    )
    assert named in refusal(runs, [], "masking.rate")  # of a sweep that did not say what it went over
    assert "Allowed: the factor masking.rate, the tuned key model.init and seeds" in refusal(
        runs, [], "masking.rate", "model.init"
    )


def test_a_swept_group_is_refused_by_the_name_that_was_given():
    options = [f"{option} optimizer.learning_rate=0.01" for option in ("optimizer=adamw", "optimizer=sgd")]
    runs = sweep(options, "masking.rate", **{"masking.rate": ("0.15", "0.4")})
    assert "differ in optimizer (adamw, sgd). Allowed" in refusal(
        runs, ["masking.rate", "optimizer", "seed"], "masking.rate"
    )


def test_two_swept_keys_are_told_apart_while_only_the_diagonal_has_run():
    runs = [tracked({"a": value, "b": value, "seed": "0"}, "a") for value in "12"]
    assert "differ in b (1, 2)" in refusal(runs, ["a", "b"], "a")


def test_another_text_under_the_same_settings_is_refused():
    runs = [tracked({"a": a, "seed": seed}, "a", tags={"corpus.hash": seed}) for a in "12" for seed in "01"]
    assert "corpus.hash (0, 1)" in refusal(runs, ["a", "seed"], "a")


def test_a_factor_or_metric_that_no_run_recorded_is_refused_with_the_nearest_name():
    runs, swept = sweep(["masking.rate=0.15", "masking.rate=0.4"], "masking.rate"), ["masking.rate"]
    assert "study.factor=masking.rat: no run recorded it (did you mean 'masking.rate'?)" in refusal(
        runs, swept, "masking.rat"
    )
    assert "study.tuned=optimizer.rate" in refusal(runs, swept, "masking.rate", "optimizer.rate")
    assert "(did you mean 'eval/loss'?)" in refusal(runs, swept, "masking.rate", metric="eval/los")


def test_runs_that_were_killed_before_they_recorded_anything_refuse_nothing():
    runs = [tracked({"a": "1", "b": "5", "seed": "0"}, "a"), tracked({}, "a", status="RUNNING", metrics=())]
    check("begun", "a", None, "eval/loss", ["a", "seed"], runs)
    check("begun", "a", None, "eval/loss", ["a", "seed"], runs[1:])


def test_two_finished_runs_of_the_same_settings_and_seeds_are_refused():
    runs = [tracked({"a": "1", "seed": "0", "tracking.folder": place}, "a") for place in ("x", "y")]
    assert "have the same settings and seeds" in refusal(runs, ["a"], "a")


def test_runs_are_paired_by_all_of_their_seeds_but_not_by_what_is_compared():
    parameters = {"seed": "0", "seeds.init": "3", "seeds.data": "7", "model.layers": "2"}
    assert replicate(parameters) == ("seed=0", "seeds.data=7", "seeds.init=3")
    assert replicate(parameters, "seeds.init") == ("seed=0", "seeds.data=7")


def test_what_differs_along_with_the_factor_is_named():
    assert following(("masking.rate",), sweep(["masking.rate=0.15"], "masking.rate")) == []
    runs = sweep(["optimizer=sgd", "optimizer=lookahead"], "optimizer.name")
    assert following(("optimizer.name",), runs) == ["optimizer.learning_rate"]


@pytest.mark.parametrize(
    "asked", ["evaluation=full", "evaluation=[probing,zero_shot]", "evaluation=probing evaluation.quick=true"]
)
def test_runs_that_were_asked_different_things_after_training_are_compared(asked):
    runs = [*sweep(["masking.rate=0.15"], "masking.rate"), *sweep([f"masking.rate=0.4 {asked}"], "masking.rate")]
    check("study", "masking.rate", None, "eval/loss", ["masking.rate", "seed"], runs)
    assert following(("masking.rate",), runs) == ["masking.corruption_rate", "masking.prediction_rate"]

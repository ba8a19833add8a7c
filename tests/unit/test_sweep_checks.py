"""What composes and would still mislead: settings that cannot act, studies of runs that differ in too much."""

import pytest

from minibert.errors import MinibertError
from minibert.running.plan import plan


def refusal(*words) -> str:
    with pytest.raises(MinibertError) as refused:
        plan(list(words), multirun=True)
    return str(refused.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.path=x.txt"], "no effect with data.source=sotu. Allowed: data.path with data=text"),
        (["data=text", "data.path=x", "data.split=train"], "Allowed: data.split with data=hub"),
        (["schedule=linear", "schedule.decay=0.3"], "schedule=warmup_stable_decay"),
        (["schedule=constant", "schedule.final=0.1"], "schedule.final with schedule=linear or cosine"),
        (["model.match_feed_forward=true"], "model.activation=swiglu or geglu"),
        (["masking=adaptive", "masking.p=0.3"], "masking=span, or masking.chosen=span"),
        (["objective.moved=0.3"], "objective.token_order=1"),
        (["objective=replaced_token", "objective.mlm=false", "masking.rate=0.3"], "objective.mlm=true"),
        (["training.lanes=16", "training.batch_size=8"], "Allowed: at most 8"),
        (["training.lanes=2,9", "training.batch_size=16", "training.accumulation=2"], "training.lanes=9"),
        (["optimizer.name=sgd"], "On the command line: optimizer=sgd."),
        (["objective.name=sop"], "Allowed: objective=sop"),
        (["diagnostics.name=full"], "Allowed: diagnostics=full"),
        (["model.auxiliary_heads=[nsp]"], "objective=..."),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_act_is_refused(words, said):
    assert said in refusal(*words)


@pytest.mark.parametrize(
    "words",
    [
        ["schedule=linear,warmup_stable_decay", "schedule.decay=0.3"],
        ["masking=scheduled", "masking.chosen=span", "masking.p=0.3"],
        ["training.lanes=8", "training.batch_size=8"],
        ["data.path=null"],
        ["objective=token_order", "objective.moved=0.3"],
    ],
)
def test_a_setting_that_acts_in_a_run_of_the_sweep_composes(words):
    assert plan(words, multirun=True).jobs


@pytest.mark.parametrize(
    "swept",
    ["tracking.report=false,true", "tracking.offline=false,true", "tracking.rerun=true,false",
     "study.target=1.0,2.0", "data.cache=a,b"],
)  # fmt: skip
def test_a_setting_that_changes_no_run_is_not_swept(swept):
    message = refusal(swept, "seed=0,1")
    assert message.startswith(swept) and "Allowed: one value for the whole sweep" in message
    assert len(plan([swept.partition(",")[0], "seed=0,1"], multirun=True).jobs) == 2


STUDY = ["study.name=rates", "study.factor=masking.rate", "masking.rate=0.15,0.4"]


@pytest.mark.parametrize("swept", ["optimizer=adamw,sgd", "training.batch_size=8,16", "position=rope,none"])
def test_a_key_that_is_neither_factor_nor_tuned_nor_seed_is_not_swept_in_a_study(swept):
    message = refusal(*STUDY, swept, "seed=0,1")
    assert message.startswith(swept) and "Allowed in this sweep: masking.rate, seed" in message
    assert "study.factor=null" in message


def test_a_tuned_key_and_seeds_of_one_stream_may_be_swept():
    tuned = "study.tuned=optimizer.learning_rate"
    assert len(plan([*STUDY, tuned, "optimizer.learning_rate=1e-3,1e-2", "seeds.data=0,1"], True).jobs) == 8
    assert len(plan([*STUDY, "seed=0,0"], True).jobs) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["study.factor=masking.rat"], "no run records this (did you mean 'masking.rate'?)"),
        (["study.factor=lr"], "did you mean 'optimizer.learning_rate'"),
        (["study.factor=position"], "Allowed: study.factor=model.position.name"),
        (["study.tuned=tracking.folder"], "no run records this"),
        (["position=none", "study.factor=model.position.base"], "no run of this sweep has it"),
        (["study.metric=eval/los"], "did you mean 'eval/loss'"),
        (["study.metric=mlm_accuracy"], "did you mean 'train/mlm_accuracy'"),
        (["study.metric=eval/loss_at_rate/0.41"], "no run records this"),
        (["study.metric=lr_range/suggested_rate"], "schedule=range_test"),
        (["study.metric=stable_rank/head", "diagnostics=off"], "diagnostics=light"),
        (
            ["study.factor=schedule.warmup", "schedule=linear,cosine", "seed=0,1"],
            "the same schedule.warmup and seed",
        ),
    ],
)  # fmt: skip
def test_a_study_that_would_compare_nothing_or_too_much_is_refused(words, said):
    assert said in refusal(*words)


@pytest.mark.parametrize(
    "words",
    [
        ["study.factor=model.norm", "norm=pre,post"],
        ["study.factor=model.hidden_size", "model=tiny,small"],
        ["+experiment=lr_range", "optimizer=adamw,lion", "seed=0,1"],
        ["+experiment=masking_sweep", "masking.rate=0.4", "seed=0"],
        ["study.metric=eval/loss_at_rate/0.40"],
        ["study.metric=attention_entropy/layer_0/head_1"],
        ["study.metric=my/own", "diagnostics.modules=[some_module]"],
    ],
)
def test_a_factor_that_a_group_fills_and_a_metric_that_is_recorded_compose(words):
    assert plan(words, multirun=True).jobs


@pytest.mark.parametrize(
    "word", ["+recipe=one_minute/default", "recipe=one_minute/default,one_minute/with_dropout"]
)
def test_recipes_on_the_command_line_stand_in_place_of_those_of_the_experiment(word):
    planned = plan(["+experiment=ten_minutes", word, "seed=0,1"], multirun=True)
    assert {job.choices["recipe"] for job in planned.jobs} == set(word.partition("=")[2].split(","))

"""What the command line refuses, and how."""

from dataclasses import asdict

import pytest
from omegaconf import OmegaConf

from minibert.config import CONF, restore
from minibert.errors import MinibertError
from minibert.run import main
from minibert.running.naming import run_name
from minibert.running.plan import groups, plan


def refusal(capsys, tmp_path, *arguments) -> str:
    """The message of a refused command, which must leave neither a traceback nor anything on disk."""
    code = main([*arguments, f"tracking.folder={tmp_path / 'mlruns'}"])
    printed = capsys.readouterr()
    assert code != 0
    assert "Traceback" not in printed.err + printed.out
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()
    return printed.err


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("optimizer.lrr=1", ["optimizer.lrr", "=1", "optimizer.learning_rate", "weight_decay"]),
        ("model.hidden_size=banana", ["model.hidden_size=banana", "whole number"]),
        ("masking.rate=1.5", ["masking.rate=1.5", "above 0 and below 1"]),
        ("masking.rate=nan", ["masking.rate=nan", "above 0 and below 1"]),
        ("model.heads=5", ["model.heads=5", "model.hidden_size=128", "nearest: 4"]),
        ("+experiment=masking_swep", ["masking_swep", "did you mean 'masking_sweep'"]),
        ("optimizer=adamv", ["adamv", "did you mean 'adamw'"]),
        ("optimizer=lookahead optimizer/inner=lionn", ["optimizer/inner", "lionn", "did you mean 'lion'"]),
        ("optimizer/inner=lion", ["optimizer/inner=lion", "optimizer=lookahead"]),
        ("model.norm=per", ["model.norm=per", "did you mean 'pre'", "post"]),
        ("optimiser.name=x", ["optimiser", "did you mean 'optimizer'"]),
        ("position=absolute training.sequence_length=512", ["sequence_length=512", "model.max_length=128"]),
        ("masking.mask=0.95", ["masking.mask=0.95", "masking.random=0.1", "at most 1"]),
        ("evaluation.rates=[0.1,2]", ["evaluation.rates[1]=2", "below 1"]),
        ("schedule=range_test", ["training.log_every=10", "schedule=range_test", "Allowed: 1"]),
        ("schedule=range_test schedule.start=1", ["schedule.start=1", "above 0 and below 1"]),
        ("schedule=range_test schedule.warmup=0.1", ["schedule.warmup=0.1", "at most 0"]),
        ("schedule.start=0.1", ["schedule.start", "schedule.warmup"]),
        ("data=text", ["data.path", "books/*.txt"]),
        ("data=hub", ["data.name", "missing"]),
        ("data.path=nowhere/*.txt data=text", ["nowhere"]),
        ("seed=0,1", ["--multirun"]),
        ("nonsense", ["nonsense", "key=value"]),
        ("--multirum", ["--multirum", "--multirun"]),
    ],
)
def test_bad_input_is_one_message_that_names_the_way_out(capsys, tmp_path, argument, words):
    message = refusal(capsys, tmp_path, *argument.split(" "))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cfg", "job", "optimizer=adamv"], "did you mean 'adamw'"),
        (["--info", "defaults", "model=x"], "unknown name 'x'"),
        (["--info", "plugins"], "ValueError: only one of them"),
    ],
)
def test_a_question_that_hydra_cannot_answer_is_one_message(capsys, monkeypatch, arguments, words):
    def fail(task, arguments):
        raise MinibertError("ValueError: only one of them")

    monkeypatch.setattr("minibert.running.launching.call_hydra", fail)
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_a_question_to_hydra_says_by_its_exit_code_whether_it_was_answered(command, monkeypatch):
    result = command("--cfg", "job", "optimizer.lrr=1")
    assert result.returncode == 2
    assert result.stderr.startswith("optimizer.lrr=1: unknown key 'optimizer.lrr'")
    for code in (0, 2):
        monkeypatch.setattr("minibert.running.launching.call_hydra", lambda task, arguments, code=code: code)
        assert main(["--info", "all"]) == code


def test_a_bad_value_in_a_sweep_is_refused_before_anything_runs(capsys, tmp_path):
    assert "masking.rate=1.5" in refusal(capsys, tmp_path, "--multirun", "masking.rate=0.1,1.5", "seed=0,1")


def shipped_options() -> list[tuple[str, str]]:
    """Group and option of all, but for what is composed elsewhere: with an experiment that sweeps it, or, of an
    optimizer and what belongs to it, in ``test_optimizer_settings``."""
    optimizers = ("optimizer", "clipping", "layer_rates", "averaging")
    swept = {(group, option) for group in optimizers for option in groups()[group]}
    for file in (CONF / "experiment").glob("[!_]*.yaml"):
        stated = OmegaConf.select(OmegaConf.load(file), "hydra.sweeper.params") or {}
        swept |= {(key, option.strip()) for key, options in stated.items() for option in str(options).split(",")}
    return [(group, option) for group in groups() for option in groups()[group] if (group, option) not in swept]


@pytest.mark.parametrize(("group", "option"), shipped_options())
def test_every_shipped_option_composes(group, option):
    needed = {"text": ["data.path=x.txt"], "hub": ["data.name=someone/something"]}
    needed |= {"range_test": ["training.log_every=1"], "server": ["tracking.uri=http://127.0.0.1:5000"]}
    needed |= {name: ["seed=0"] for name in groups()["experiment"] if group == "experiment"}
    needed |= (
        {key: ["optimizer=lookahead"] for key in groups()["optimizer/inner"]} if group == "optimizer/inner" else {}
    )
    (job, *_) = plan(
        [f"{'+' if group == 'experiment' else ''}{group}={option}", *needed.get(option, [])], False
    ).jobs
    if group in ("masking", "curriculum", "objective"):
        assert getattr(job.config, group).name == option
    assert restore(asdict(job.config)) == job.config


def test_every_experiment_states_its_question_and_begins_with_its_command():
    for file in (CONF / "experiment").glob("[!_]*.yaml"):
        text = file.read_text()
        assert f"# python -m minibert.run +experiment={file.stem}\n" in text
        study = OmegaConf.load(file).study
        assert study.name == file.stem and study.question and study.hypothesis


def test_a_key_on_the_command_line_takes_the_place_of_the_experiments_own_sweep():
    jobs = plan(["+experiment=masking_sweep", "seed=7"], False).jobs
    assert [job.config.seed for job in jobs] == [7] * 5
    assert len({job.config.masking.rate for job in jobs}) == 5
    every_key = plan(["+experiment=masking_sweep", "seed=7", "masking.rate=0.15,0.4"], False)
    assert [job.config.masking.rate for job in every_key.jobs] == [0.15, 0.4]


def test_runs_of_a_sweep_are_named_by_what_differs():
    planned = plan(["masking.rate=0.4,0.15", "seed=1", "optimizer=adamw"], True)
    assert planned.keys == ["masking.rate"]
    planned = plan(["masking.rate=0.4,0.15", "seed=1,2"], True)
    job = planned.jobs[0]
    assert run_name(job.config, job.choices, planned.keys) == "masking 0.40 · seed 1"


@pytest.mark.parametrize(
    ("swept", "names"),
    [
        (
            "optimizer.learning_rate=0.0012345671,0.0012345672",
            ["learning rate 0.0012345671", "learning rate 0.0012345672"],
        ),
        ("masking.rate=0.15,0.1500001", ["masking 0.15", "masking 0.1500001"]),
        ("optimizer.learning_rate=1e-3,1e12", ["learning rate 0.001", "learning rate 1e12"]),
        ("tracking.run_name=mytest seed=0,1", ["mytest · seed 0", "mytest · seed 1"]),
    ],
)
def test_runs_of_a_sweep_have_different_names(swept, names):
    planned = plan(swept.split(" "), True)
    assert [run_name(job.config, job.choices, planned.keys) for job in planned.jobs] == names


def test_a_given_name_is_the_name_of_a_single_run():
    (job,) = plan(["tracking.run_name=mytest"], False).jobs
    assert run_name(job.config, job.choices, []) == "mytest"


def test_seeds_of_the_four_streams_differ_and_can_be_set_one_by_one():
    (job,) = plan(["seed=3", "seeds.data=11"], False).jobs
    seeds = job.config.seeds
    assert seeds.data == 11
    assert len({seeds.init, seeds.data, seeds.masking, seeds.dropout}) == 4
    (other,) = plan(["seed=3"], False).jobs
    assert other.config.seeds.init == seeds.init


def test_an_unknown_sweep_value_raises_the_projects_error():
    with pytest.raises(MinibertError, match="adamv"):
        plan(["optimizer=adamw,adamv"], True)

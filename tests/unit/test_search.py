"""Searches: what their files and words mean, what a trial is, and how a process takes one. Nothing is trained."""

import shutil
import subprocess
import sys
from dataclasses import fields, replace
from itertools import pairwise

import pytest
from omegaconf import OmegaConf

from minibert.config.search import ParameterConfig, SearchConfig
from minibert.config.shipped import shipped_options
from minibert.errors import MinibertError
from minibert.running.plan import plan
from minibert.running.search.checking import check, job_of
from minibert.running.search.reading import read_search
from minibert.running.search.space import as_text, draw, ends, extremes, trained, words_of
from minibert.running.search.study import Place, is_abandoned, mend, study_hash
from minibert.tracking.processes import PROCESS, STARTED, process_tags

CONDITIONAL = {
    "optimizer": ParameterConfig(kind="categorical", choices=["adamw", "sgd"]),
    "optimizer.learning_rate": ParameterConfig(low=1e-4, high=1e-2, log=True),
    "optimizer.momentum": ParameterConfig(low=0.5, high=0.9, step=0.1, when={"optimizer": ["sgd"]}),
    "model.layers": ParameterConfig(kind="int", low=1, high=4),
}


def stated(tmp_path, **changes):
    """A file that states a search, with some of its keys changed."""
    search = {
        "settings": {"model": "debug", "training.steps": 20},
        "parameters": {"optimizer.rate_factor": {"low": 0.1, "high": 10, "log": True}},
    }
    file = tmp_path / "mine.yaml"
    file.write_text(OmegaConf.to_yaml(OmegaConf.create(search | changes)))
    return file


def refused(*arguments):
    with pytest.raises(MinibertError) as caught:
        check(read_search(arguments))
    return str(caught.value)


@pytest.mark.parametrize("name", shipped_options("search"))
def test_every_shipped_search_asks_only_for_runs_that_can_be_composed(name):
    asked = read_search([f"+search={name}"])
    assert asked.search.name == name
    assert check(asked).config.training.steps == 300


def test_words_change_the_search_the_settings_and_the_parameters(tmp_path):
    asked = read_search(
        [
            f"+search={stated(tmp_path)}", "search.trials=3", "model=tiny", "training.steps=7",
            "search.parameters.masking.rate={low:0.2,high:0.4}", "search.objectives.seconds=minimize",
        ]
    )  # fmt: skip
    assert (asked.search.name, asked.search.trials) == ("mine", 3)
    assert list(asked.search.parameters) == ["optimizer.rate_factor", "masking.rate"]
    assert asked.search.metrics == ("eval/loss", "seconds")
    config = job_of(asked, {"masking.rate": 0.3}).config
    assert (config.model.name, config.training.steps, config.masking.rate) == ("tiny", 7, 0.3)


def test_a_word_for_a_parameter_fixes_it(tmp_path):
    parameters = {"seed": {"kind": "int", "low": 0, "high": 9}, "masking.rate": {"low": 0.2, "high": 0.4}}
    asked = read_search([f"+search={stated(tmp_path, parameters=parameters)}", "masking.rate=0.3"])
    assert list(asked.search.parameters) == ["seed"]
    assert job_of(asked, {"seed": 1}).config.masking.rate == 0.3


@pytest.mark.parametrize(
    "word, told",
    [
        ("search.trails=3", "did you mean 'trials'"),
        ("search.trials=many", "search.trials=many: wrong type. Allowed: a whole number"),
        ("search.trials=0", "search.trials=0: out of range"),
        ("search.sampler=tbe", "did you mean 'tpe'"),
        ("search.pruner.kind=median", "unknown key 'pruner.kind'"),
        ("search.objectives.eval/loss=least", "Allowed: minimize, maximize"),
        ("search.objectives.eval/los=minimize", "did you mean 'eval/loss'"),
        ("search.settings.model=tiny", "are given as they are: model=tiny"),
        ("search.parameters.masking.rat={low:0.1,high:0.2}", "did you mean 'masking.rate'"),
        ("search.parameters.masking.rate={low:0.1,hihg:0.2}", "did you mean 'high'"),
        ("search.parameters.masking.rate={low:0.1,high:x}", "high=x: wrong type. Allowed: a number or null"),
        ("search.parameters.masking.rate=0.1", "masking.rate=0.1: wrong type"),
        ("search.parameters.masking.rate={low:0.1,high:2}", "masking.rate=2.0"),
        ("search.parameters.masking.rate={low:0.2,high:0.1}", "low below high"),
        ("search.parameters.masking.rate={low:0,high:0.1,log:true}", "no logarithm"),
        ("search.parameters.model.heads={kind:int,low:1,high:3}", "heads=3: does not divide"),
        ("search.parameters.seed={kind:int,low:0.5,high:3}", "whole numbers only"),
        ("search.parameters.position={kind:categorical,choices:[rope,roep]}", "did you mean 'rope'"),
        ("search.parameters.position={kind:categorical,choices:[rope,rope]}", "one twice"),
        (
            "search.parameters.seed={kind:int,low:0,high:3,when:{position:[rope]}}",
            "no categorical parameter above",
        ),
        ("model=tiny,base", "{kind:categorical,choices:[tiny,base]}"),
        ("--multirun", "unknown flag"),
        ("search.seed=", "has no value"),
    ],
)
def test_a_wrong_word_is_refused_with_what_is_allowed(tmp_path, word, told):
    assert told in refused(f"+search={stated(tmp_path)}", word)


def test_a_search_is_chosen_once_and_exists(tmp_path):
    assert "no search given" in refused("model=tiny")
    assert "2 searches given" in refused("+search=adamw_rate", "search=optimizer_choice")
    assert "did you mean 'adamw_rate'" in refused("+search=adamw_rat")
    assert "is no file" in refused("+search=missing.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("trials: [1\n")
    assert "cannot be read as YAML" in refused(f"+search={broken}")
    broken.write_text("- 1\n")
    assert "states no search" in refused(f"+search={broken}")
    for key in ("parameters", "settings", "objectives"):
        broken.write_text(f"{key}: [1]\n")
        assert f"{key} is [1]. Allowed: a value for each" in refused(f"+search={broken}", "data.cache=/x")


@pytest.mark.parametrize("word", ["+search=adamw_rate", "search.trials=3"])
def test_minibert_run_names_the_command_that_searches(word):
    with pytest.raises(MinibertError, match="a search has a command of its own"):
        plan([word], multirun=False)


class Fixed:
    """Draws the values that it was given, and notes what it was asked."""

    def __init__(self, **values):
        self.values, self.asked = values, []

    def suggest_float(self, name, low, high, *, step=None, log=False):
        self.asked.append((name, low, high, step, log))
        return self.values[name.rpartition(".")[2]]

    def suggest_int(self, name, low, high, *, step=1, log=False):
        self.asked.append((name, low, high, step, log))
        return self.values[name.rpartition(".")[2]]

    def suggest_categorical(self, name, choices):
        self.asked.append((name, choices))
        return self.values[name.rpartition(".")[2]]


def test_a_parameter_is_drawn_only_where_its_condition_holds():
    with_adamw = Fixed(optimizer="adamw", learning_rate=0.00123456789, layers=2)
    assert draw(with_adamw, CONDITIONAL) == {
        "optimizer": "adamw", "optimizer.learning_rate": 0.00123457, "model.layers": 2
    }  # fmt: skip
    assert with_adamw.asked == [
        ("optimizer", ["adamw", "sgd"]),
        ("optimizer.learning_rate", 1e-4, 1e-2, None, True),
        ("model.layers", 1, 4, 1, False),
    ]
    with_sgd = draw(Fixed(optimizer="sgd", learning_rate=1e-3, momentum=0.7000000000000001, layers=2), CONDITIONAL)
    assert with_sgd["optimizer.momentum"] == 0.7
    assert words_of(with_sgd)[2:] == ["optimizer.momentum=0.7", "model.layers=2"]


def test_a_value_is_trained_with_six_digits_and_stays_in_its_range():
    narrow = ParameterConfig(low=0.1234561, high=0.1234569)
    assert trained(0.12345611, narrow) == 0.1234561
    assert trained(0.12345689, narrow) == 0.1234569
    assert trained(0.15000000000000002, ParameterConfig(low=0.1, high=0.2, step=0.05)) == 0.15
    assert trained(3, ParameterConfig(kind="int", low=1, high=4)) == 3


def test_the_ends_of_a_range_are_those_that_can_be_drawn():
    assert ends(ParameterConfig(low=0, high=1, step=0.3)) == [0, 0.9]
    assert ends(ParameterConfig(kind="int", low=1, high=8, step=3)) == [1, 7]
    assert ends(ParameterConfig(kind="int", low=1, high=8)) == [1, 8]
    assert ends(ParameterConfig(kind="categorical", choices=[True, None, ["a", "b"]])) == [True, None, "[a,b]"]


def test_extremes_hold_every_end_and_every_condition():
    found = list(extremes(CONDITIONAL))
    for key, parameter in CONDITIONAL.items():
        assert {values[key] for values in found if key in values} == set(ends(parameter))
    assert all(("optimizer.momentum" in values) == (values["optimizer"] == "sgd") for values in found)
    assert all(one != other for one, other in pairwise(found))


@pytest.mark.parametrize(
    "value, text", [(None, "null"), (True, "true"), (1e-5, "1e-05"), ([1, None], "[1,null]"), ("a b", "a b")]
)
def test_values_are_written_as_words_have_them(value, text):
    assert as_text(value) == text


def test_a_study_is_known_by_what_its_trials_have_in_common():
    search = SearchConfig(name="a", parameters=CONDITIONAL)
    same = [replace(search, trials=99), replace(search, workers=4), replace(search, question="Why?")]
    others = [
        replace(search, seed=1),
        replace(search, objectives={"seconds": "minimize"}),
        replace(search, parameters={"seed": ParameterConfig(kind="int", low=0, high=1)}),
        replace(search, pruner="none"),
    ]
    assert {study_hash(each, "c") for each in [search, *same]} == {study_hash(search, "c")}
    assert len({study_hash(each, "c") for each in [search, *others]}) == 5
    assert study_hash(search, "c") != study_hash(search, "d")


def test_several_objectives_or_another_metric_than_of_evaluations_prune_nothing():
    search = SearchConfig(name="a", parameters=CONDITIONAL)
    assert search.prunes
    assert not replace(search, pruner="none").prunes
    assert not replace(search, objectives={"eval/loss": "minimize", "seconds": "minimize"}).prunes
    assert not replace(search, objectives={"seconds": "minimize"}).prunes


def test_an_unfinished_line_of_the_journal_is_cut_off(tmp_path):
    journal = tmp_path / "a.journal"
    mend(journal)
    for content, kept in ((b"{}\n{}\n", b"{}\n{}\n"), (b"{}\n{'op", b"{}\n"), (b"{'op", b""), (b"", b"")):
        journal.write_bytes(content)
        mend(journal)
        assert journal.read_bytes() == kept


# With Optuna


@pytest.fixture
def library():
    return pytest.importorskip("optuna", reason="needs the extra hpo: pip install 'minibert[hpo]'")


def opened(tmp_path, **changes):
    from minibert.running.search.study import open_study

    search = replace(SearchConfig(name="a", parameters=CONDITIONAL, startup=3), **changes)
    place = Place(tmp_path, "a")
    return open_study(search, place, "0" * 64), search, place


def loss(values):
    """A function with a known minimum: SGD, a rate of 0.001, 3 layers."""
    return (
        abs(values["optimizer.learning_rate"] - 1e-3)
        + (values["optimizer"] == "adamw")
        + abs(values["model.layers"] - 3)
    )


def searched(tmp_path, trials, **changes):
    """The values of trials that are asked and told one after the other."""
    from minibert.running.search.study import take

    study, search, place = opened(tmp_path, trials=trials, **changes)
    found = []
    while taken := take(study, search, place):
        found.append(taken.values)
        study.tell(taken.trial, loss(taken.values))
    return found


def test_a_seed_gives_the_same_trials_also_when_the_search_is_continued(library, tmp_path):
    whole = searched(tmp_path / "whole", 8)
    assert len(whole) == 8
    parts = [*searched(tmp_path / "parts", 3), *searched(tmp_path / "parts", 5), *searched(tmp_path / "parts", 8)]
    assert parts == whole
    assert searched(tmp_path / "another", 8, seed=1) != whole
    assert searched(tmp_path / "random", 8, sampler="random") == searched(tmp_path / "again", 8, sampler="random")


def test_tpe_finds_the_minimum_of_a_known_function(library, tmp_path):
    found, random = (searched(tmp_path / name, 40, sampler=name) for name in ("tpe", "random"))
    assert min(map(loss, found)) < min(min(map(loss, random)), 0.005)
    assert sum(map(loss, found)) < 0.8 * sum(map(loss, random))


def test_a_trial_of_a_process_that_is_gone_is_taken_up_before_a_new_one(library, tmp_path):
    from minibert.running.search.study import OWNER, release, take

    study, search, place = opened(tmp_path, trials=2)
    first, second = take(study, search, place), take(study, search, place)
    assert take(study, search, place) is None
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    host = process_tags()[PROCESS].partition(":")[0]
    first.trial.set_user_attr(OWNER, process_tags() | {PROCESS: f"{host}:{ended.stdout.strip()}"})
    again = take(study, search, place)
    assert (again.trial.number, again.values, again.continued) == (first.trial.number, first.values, True)
    release(second.trial)
    assert take(study, search, place).trial.number == second.trial.number
    assert len(study.trials) == 2


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("known", [0, 1, 2])
@pytest.mark.parametrize("before", [1, 6])
def test_a_trial_left_between_two_parameters_gets_the_values_it_would_have_had(
    library, tmp_path, monkeypatch, sampler, known, before
):
    from minibert.running.search import study as module

    whole = searched(tmp_path / "whole", before + 1, sampler=sampler)
    searched(tmp_path / "cut", before, sampler=sampler)
    study, search, place = opened(tmp_path / "cut", trials=before + 1, sampler=sampler)
    first = dict(list(CONDITIONAL.items())[:known])
    monkeypatch.setattr(module, "draw", lambda trial, _, before: draw(trial, first, before))
    module.release(module.take(study, search, place).trial)
    monkeypatch.undo()
    study, search, place = opened(tmp_path / "cut", trials=before + 1, sampler=sampler)
    assert module.take(study, search, place).values == whole[-1]


def test_a_trial_of_another_machine_or_of_a_living_process_is_left_alone(library, tmp_path):
    from minibert.running.search.study import OWNER, take

    study, search, place = opened(tmp_path, trials=1)
    trial = take(study, search, place).trial
    assert not is_abandoned(study.trials[0])
    trial.set_user_attr(OWNER, process_tags() | {PROCESS: "another-machine:1"})
    assert not is_abandoned(study.trials[0])
    study.tell(trial, 1.0)
    study.ask().set_user_attr(OWNER, process_tags() | {STARTED: "0.0"})
    assert [is_abandoned(each) for each in study.trials] == [False, True]


def test_two_processes_share_the_trials_of_a_study(library, tmp_path):
    from minibert.running.search.study import take

    (one, search, place), (other, _, _) = opened(tmp_path, trials=4), opened(tmp_path, trials=4)
    taken = [take(study, search, place) for study in (one, other, one, other, one)]
    assert [each.trial.number for each in taken[:4]] == [0, 1, 2, 3]
    assert taken[4] is None


def test_a_journal_of_something_else_is_one_message(library, tmp_path):
    (tmp_path / "a.journal").write_text("not a journal\n{}\n")
    with pytest.raises(MinibertError, match="study of the search cannot be read or written in"):
        opened(tmp_path)


def test_a_database_of_its_own_keeps_the_trials(library, tmp_path):
    storage = f"sqlite:///{tmp_path}/trials.db"
    found = searched(tmp_path, 3, storage=storage)
    assert [*searched(tmp_path, 4, storage=storage), *found] != found
    assert not (tmp_path / "a.journal").exists()


def test_a_database_of_mlflow_is_refused_and_stays_as_it_is(library, tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path)
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(MinibertError, match="is a database of MLflow"):
        opened(tmp_path, storage=f"sqlite:///{tmp_path}/mlflow.db")
    assert (tmp_path / "mlflow.db").read_bytes() == before
    with pytest.raises(MinibertError, match="study of the search cannot be read or written in nodatabase"):
        opened(tmp_path, storage="nodatabase://x")
    with pytest.raises(MinibertError) as told:
        opened(tmp_path, storage="nodatabase://me:secret@host/x")
    assert "secret" not in str(told.value) and "Is search.storage right" in str(told.value)


def test_a_damaged_journal_names_what_to_do_with_it(library, tmp_path):
    searched(tmp_path, 1)
    journal = tmp_path / "a.journal"
    journal.write_text("no JSON\n" + journal.read_text())
    with pytest.raises(MinibertError, match=rf"move {journal} away, and the same command begins a new study"):
        opened(tmp_path)


def test_the_help_names_every_setting_that_is_one_value(capsys):
    from minibert.search import main

    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    single = [field.name for field in fields(SearchConfig) if field.type in (int, float, str, str | None)]
    assert [name for name in single if f"search.{name}=" not in told] == ["name", "question"]
    assert all(name in told for name in shipped_options("search"))
    assert main(["+search=adamw_rat"]) == 2
    assert "did you mean 'adamw_rate'" in capsys.readouterr().err


def test_without_optuna_there_is_one_message(monkeypatch):
    from minibert.running.search.study import optuna

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MinibertError, match=r"pip install 'minibert\[hpo\]'"):
        optuna()

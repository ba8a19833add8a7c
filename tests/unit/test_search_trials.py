"""What becomes of a trial: what the study is told of a run's end, when it is pruned, and what a search ends with.

Training is replaced by a function with a known result. tests/integration/test_search_training.py trains.
"""

import math
import shutil
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from minibert import interruption
from minibert.config import CONF, config_hash
from minibert.errors import MinibertError
from minibert.running import composition
from minibert.running import plan as planning
from minibert.running.life import Judged, Outcome
from minibert.running.plan import groups, plan
from minibert.running.progress import Display
from minibert.running.search import trials
from minibert.running.search.reading import read_search
from minibert.tracking.status import Status

pytest.importorskip("optuna", reason="needs the extra hpo: pip install 'minibert[hpo]'")

from minibert.running.search.page import search_page
from minibert.running.search.results import as_experiment, best_words, counted, front, ranked, row
from minibert.running.search.study import Place, open_study, study_hash


class Bench:
    """A search whose runs are made up: ``ends`` says how each trial's run ends."""

    def __init__(self, tmp_path, monkeypatch, *words, parameters=None, **changes):
        self.metrics, self.finished, self.unfinished, self.histories, self.trained = {}, {}, {}, {}, []
        parameters = parameters or {"optimizer.rate_factor": {"low": 0.5, "high": 2.0}}
        file = tmp_path / "toy.yaml"
        stated = {"settings": {"model": "debug", "training": "debugging"}, "parameters": parameters, "startup": 2}
        file.write_text(OmegaConf.to_yaml(OmegaConf.create(stated | changes)))
        self.asked = read_search([f"+search={file}", *words])
        self.place = Place(tmp_path, "toy")
        self.study = open_study(self.asked.search, self.place, study_hash(self.asked.search, "c"))
        client = SimpleNamespace(
            get_run=lambda run: SimpleNamespace(data=SimpleNamespace(metrics=self.metrics[run])),
            get_experiment=lambda name: None,
        )
        self.store = SimpleNamespace(client=client, uri="a store", experiment_id="1")
        monkeypatch.setattr(trials, "load_corpus", lambda data: SimpleNamespace(content_hash="c"))
        monkeypatch.setattr(trials, "find_finished", lambda store, run_hash: self.finished.get(run_hash))
        monkeypatch.setattr(trials, "find_unfinished", lambda store, run_hash: self.unfinished.get(run_hash))
        history = lambda run: SimpleNamespace(history=lambda metric: self.histories.get(run, ([], [])))  # noqa: E731
        monkeypatch.setattr(trials, "Record", lambda store, run, *_, **__: history(run))
        monkeypatch.setattr(trials, "train", self.train)

    def train(self, config, choices, display, corpus, judge):
        self.trained.append(config)
        return self.ends(len(self.trained) - 1, config, judge)

    def finish(self, number, status=Status.FINISHED, **metrics):
        run = f"run{number}"
        self.metrics[run] = {name.replace("_", "/", 1): value for name, value in metrics.items()}
        return Outcome(run, status)

    def work(self):
        trials.work(trials.Work(self.asked, self.study, self.place, self.store, "p" * 32, Display.silent()))
        return self.study.trials


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return lambda *words, **changes: Bench(tmp_path, monkeypatch, *words, **changes)


def test_the_study_is_told_the_last_values_of_a_run(bench):
    toy = bench("search.trials=3")
    toy.ends = lambda number, config, judge: toy.finish(number, eval_loss=float(number + 1))
    assert [trial.value for trial in toy.work()] == [1, 2, 3]
    assert {config.tracking.parent_run for config in toy.trained} == {"p" * 32}
    assert [config.optimizer.rate_factor for config in toy.trained] == [
        pytest.approx(trial.params["optimizer.rate_factor"], rel=1e-5) for trial in toy.study.trials
    ]
    assert toy.work() and len(toy.trained) == 3, "nothing is left to train"


def test_a_trial_without_a_finite_result_fails_and_the_others_go_on(bench):
    ends = [
        lambda toy: toy.finish(0, eval_loss=math.nan),
        lambda toy: toy.finish(1, train_loss=1.0),
        lambda toy: Outcome("run2", Status.FAILED, "Step 3: the loss is inf"),
        lambda toy: Outcome(None, Status.FAILED, "too little text"),
        lambda toy: toy.finish(4, eval_loss=2.0),
    ]
    toy = bench("search.trials=5")
    toy.ends = lambda number, config, judge: ends[number](toy)
    found = toy.work()
    assert [trial.state.name for trial in found] == ["FAIL"] * 4 + ["COMPLETE"]
    reasons = [trial.user_attrs["reason"] for trial in found[:4]]
    assert reasons == [
        "eval/loss is nan.",
        "eval/loss is not recorded.",
        "Step 3: the loss is inf",
        "too little text",
    ]


def test_values_that_no_run_takes_together_fail_that_trial_alone(bench):
    parameters = {
        "model.heads": {"kind": "categorical", "choices": [2, 4]},
        "model.hidden_size": {"kind": "int", "low": 30, "high": 32},
    }
    with pytest.raises(MinibertError, match="does not divide"):
        from minibert.running.search.checking import check

        check(bench("position=absolute", parameters=parameters).asked)
    toy = bench("position=absolute", "search.trials=12", parameters=parameters)
    toy.ends = lambda number, config, judge: toy.finish(number, eval_loss=1.0)
    found = toy.work()
    fits = [trial.params["model.hidden_size"] % trial.params["model.heads"] == 0 for trial in found]
    assert 0 < sum(fits) < 12
    assert [trial.state.name == "COMPLETE" for trial in found] == fits


def test_a_store_that_is_away_ends_the_search_and_leaves_the_trial_to_the_next_command(bench):
    toy = bench("search.trials=2")
    toy.ends = lambda number, config, judge: Outcome(None, Status.FAILED, "tracking store: no server answers.")

    def away(_):
        raise ConnectionError("no server")

    toy.store.client.get_experiment = away
    with pytest.raises(MinibertError, match="no server answers"):
        toy.work()
    assert [trial.state.name for trial in toy.study.trials] == ["RUNNING"]
    first = toy.study.trials[0].params
    toy.ends = lambda number, config, judge: toy.finish(number, eval_loss=1.0)
    assert [trial.state.name for trial in toy.work()] == ["COMPLETE", "COMPLETE"]
    assert toy.study.trials[0].params == first


def test_a_search_that_is_asked_to_end_leaves_its_trial_open(bench, monkeypatch):
    toy = bench("search.trials=2")

    def interrupted(number, config, judge):
        monkeypatch.setattr(interruption, "reason", lambda: "SIGINT")
        return Outcome("run0", Status.KILLED, "SIGINT")

    toy.ends = interrupted
    assert [trial.state.name for trial in toy.work()] == ["RUNNING"]
    monkeypatch.setattr(interruption, "reason", lambda: None)
    toy.ends = lambda number, config, judge: toy.finish(number, eval_loss=1.0)
    assert [trial.state.name for trial in toy.work()] == ["COMPLETE", "COMPLETE"]


def curve(toy, number, losses, judge):
    """A run of 20 steps with these held-out losses at steps 0, 5, 10, ..."""
    for place, loss in enumerate(losses):
        if reason := judge(5 * place, {"eval/loss": loss}):
            return Outcome(f"run{number}", Status.KILLED, reason)
    return toy.finish(number, eval_loss=losses[-1])


GOOD, BAD = [9.0, 5.0, 4.0, 3.0, 2.0], [1.0, 8.0, 7.0, 6.0, 5.0]


def test_a_trial_that_is_worse_than_the_median_is_pruned_but_not_before_it_has_trained(bench):
    toy = bench("search.trials=4", prune_after=0.5)
    toy.ends = lambda number, config, judge: curve(toy, number, BAD if number == 3 else GOOD, judge)
    found = toy.work()
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 3 + ["PRUNED"]
    assert found[3].user_attrs["reason"] == "pruned at step 10: eval/loss 7 is worse than the median there"
    assert found[3].intermediate_values == {5: 8.0, 10: 7.0}, "the untrained network does not count"


def test_nothing_is_pruned_at_the_last_step_or_without_a_pruner(bench):
    toy = bench("search.trials=4", prune_after=1)
    toy.ends = lambda number, config, judge: curve(toy, number, BAD if number == 3 else GOOD, judge)
    assert [trial.state.name for trial in toy.work()] == ["COMPLETE"] * 4
    toy = bench("search.trials=1", pruner="none", seed=1)
    toy.ends = lambda number, config, judge: toy.finish(number, eval_loss=1.0 if judge is None else math.nan)
    assert toy.work()[-1].state.name == "COMPLETE"


def test_a_trial_goes_by_what_its_run_recorded_before(bench, monkeypatch):
    """A run that was pruned in another study ends at the same step; one that had finished is found."""
    toy = bench("search.trials=5")
    toy.ends = lambda number, config, judge: curve(toy, number, GOOD, judge)
    known = {}
    original = trials.config_hash

    def hashed(config, corpus):
        run_hash = original(config, corpus)
        known.setdefault(run_hash, len(known))
        if known[run_hash] == 3:
            toy.unfinished[run_hash] = SimpleNamespace(info=SimpleNamespace(run_id="pruned"))
        if known[run_hash] == 4:
            toy.finished[run_hash] = "finished"
        return run_hash

    monkeypatch.setattr(trials, "config_hash", hashed)
    toy.histories = {"pruned": ([0, 5], BAD[:2]), "finished": ([0, 5, 10, 15, 20], BAD)}
    toy.metrics["finished"] = {"eval/loss": 5.0}
    train = toy.ends
    toy.ends = lambda number, config, judge: (
        train(number, config, judge) if number < 3 else Outcome("finished", Status.FOUND)
    )
    found = toy.work()
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 3 + ["PRUNED", "COMPLETE"]
    assert len(toy.trained) == 4, "the pruned one was not trained"
    assert (found[4].value, found[4].user_attrs["found"]) == (5.0, True)
    assert found[4].intermediate_values == {5: 8.0, 10: 7.0, 15: 6.0, 20: 5.0}


def test_the_judge_of_a_run_is_asked_once_an_evaluation_and_never_ends_the_last_step():
    evaluation = SimpleNamespace(latest={})
    trainer = SimpleNamespace(progress=SimpleNamespace(step=0), finished=False)
    asked = []
    judged = Judged(
        evaluation, lambda step, scores: asked.append((step, scores)) or (step >= 10 and "bad") or None
    )
    for step in range(0, 16):
        trainer.progress.step, trainer.finished = step, step == 15
        if step % 5 == 0:
            evaluation.latest = {"eval/loss": step}
        judged(trainer, None)
        assert judged.wish_to_end() == ("bad" if 10 <= step < 15 else None)
    assert asked == [(step, {"eval/loss": step}) for step in (0, 5, 10, 15)]


def searched(bench, *words, **changes):
    toy = bench("search.trials=6", *words, **changes)
    toy.ends = lambda number, config, judge: toy.finish(
        number, eval_loss=abs(config.optimizer.rate_factor - 1), seconds=config.optimizer.rate_factor
    )
    for run in toy.work():
        assert run.state.name == "COMPLETE"
    return toy


def test_the_best_trial_is_first_and_the_front_has_what_nothing_beats(bench):
    toy = searched(bench)
    search = toy.asked.search
    assert [trial.value for trial in ranked(toy.study, search)] == sorted(t.value for t in toy.study.trials)
    assert front(toy.study, search) == ranked(toy.study, search)[:1]
    assert counted(toy.study) == {"finished": 6, "pruned": 0, "failed": 0, "open": 0}
    assert row(ranked(toy.study, search)[0], search)[-1] == "finished"
    most = searched(bench, objectives={"eval/loss": "maximize"}, seed=3)
    assert ranked(most.study, most.asked.search)[0].value == max(trial.value for trial in most.study.trials)


def test_the_front_of_two_objectives(bench):
    toy = searched(bench, objectives={"eval/loss": "minimize", "seconds": "minimize"})
    front_values = [trial.values for trial in front(toy.study, toy.asked.search)]
    every = [trial.values for trial in toy.study.trials]
    beaten = [
        one for one in every if any(o != one and all(a <= b for a, b in zip(o, one, strict=True)) for o in every)
    ]
    assert sorted(front_values) == sorted(one for one in every if one not in beaten)


def test_the_best_trial_is_an_experiment_of_the_same_configuration(bench, tmp_path, monkeypatch):
    """The file, in conf/experiment of another conf/, composes to what its run was trained with."""
    words = [
        "evaluation=[facts,composition]",
        "tracking.experiment=another",
        "data.path=null",
        "optimizer=lookahead",
    ]
    toy = searched(bench, *words, "optimizer/inner=lion", "+recipe=one_minute/with_dropout", "masking.rate=0.3")
    best = front(toy.study, toy.asked.search)[0]
    shutil.copytree(CONF, tmp_path / "conf")
    text = as_experiment(toy.asked, best)
    (tmp_path / "conf" / "experiment" / "toy_best.yaml").write_text(text)
    for module in (composition, planning):
        monkeypatch.setattr(module, "CONF", tmp_path / "conf")
    composition._compose_options.cache_clear()
    monkeypatch.setitem(groups(), "experiment", [*groups()["experiment"], "toy_best"])
    planned = plan(["+experiment=toy_best"], multirun=False)
    composition._compose_options.cache_clear()
    assert not planned.sweep
    assert planned.jobs[0].config.study.name == "toy_best"
    trained = next(
        c for c in toy.trained if c.optimizer.rate_factor == planned.jobs[0].config.optimizer.rate_factor
    )
    assert config_hash(planned.jobs[0].config, "c") == config_hash(trained, "c")
    again = plan(best_words(toy.asked, best), multirun=False).jobs[0].config
    assert config_hash(again, "c") == config_hash(trained, "c")
    assert not any(word.startswith("tracking") for word in best_words(toy.asked, best))


def test_the_page_has_a_figure_of_each_kind_and_loads_nothing(bench, rough_figures):
    toy = searched(bench, question="Is 1 < 2?", parameters={
        "optimizer.rate_factor": {"low": 0.5, "high": 2.0}, "seed": {"kind": "int", "low": 0, "high": 3}
    })  # fmt: skip
    html = search_page(toy.asked, toy.study)
    for figure in ("history", "importance-of-the-parameters", "parallel-coordinates", "slices"):
        assert f'<figure id="{figure}">' in html
    assert "Not drawn" not in html
    assert "Is 1 &lt; 2?" in html
    assert "http" not in html.replace("http://www.w3.org", "")
    empty = bench("search.trials=1", seed=9)
    assert "No trial yet" in search_page(empty.asked, empty.study)

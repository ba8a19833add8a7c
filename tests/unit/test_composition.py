"""What is composed quickly is what Hydra composes."""

from functools import cache
from itertools import product

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from minibert.command_line.words import read
from minibert.config import CONF, OVERLAYS, register, resolve
from minibert.errors import MinibertError
from minibert.running import composition
from minibert.running.composition import compose_all, compose_options, compose_quickly, without_hydra
from minibert.running.naming import run_name
from minibert.running.plan import plan

register()

SWEEPS = [
    ["masking.rate=0.15,0.4", "seed=range(0,2)"],
    ["position=absolute,alibi", "model=tiny,debug", "seed=0,1"],
    ["optimizer=adamw,lookahead", "optimizer.learning_rate=1e-3,2e-3", "seed=7"],
    ["tracking.folder=/tmp/a,/tmp/b", "data.cache=null"],
    ["data=text", "data.path='books/*.txt','a,b.txt'", "model.vocab_size=100,200"],
    ["diagnostics=off,standard", "diagnostics.figures=[],[all]", "training.steps=3"],
    ["evaluation.rates=[0.15],[0.15,0.4]", "study.baseline=1,x,null"],
    ["seeds.init=null,3"],
    ["masking=uniform,span,scheduled", "model.norm_epsilon=1e-6", "model.norm_epsilon=1e-7"],
    ["+experiment=masking_sweep", "masking.rate=0.15,0.4", "hydra/launcher=basic", "hydra.sweeper.params=null"],
    ["+experiment=position_sweep", "seed=4,5", "model=debug"],
    ["objective=mlm,sop", "schedule=linear,cosine", "clipping=none", "norm=post"],
    ["data.cache='\\${tracking.folder}/x'", "tracking.run_name='a b=c',null"],
]


def test_a_run_that_hydra_started_in_this_process_can_compose_too():
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        running = GlobalHydra.instance().hydra
        assert compose_all(["model=tiny"]).model.name == "tiny"
        assert GlobalHydra.instance().hydra is running
    assert not GlobalHydra.instance().is_initialized()


def plain(config):
    return OmegaConf.to_container(config, resolve=False)


@cache
def composed_by_hydra(*overrides):
    """Not to be changed: both tests of a sweep compare with it."""
    return without_hydra(compose_all(overrides))


def combinations(words):
    """The runs of these words as Hydra's sweeper has them: for each, its words with one value each."""
    read_words = [read(text, True) for text in words]
    swept = [word for word in read_words if word.swept]
    fixed = [str(word) for word in read_words if not word.swept]
    for values in product(*(word.values for word in swept)):
        yield read_words, fixed + [word.at(value) for word, value in zip(swept, values, strict=True)]


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_every_configuration_of_a_sweep_is_the_one_that_hydra_composes(words):
    multirun = not any(word.lstrip("+").startswith(OVERLAYS) for word in words)
    jobs = _plan(words, multirun)
    expected = [composed_by_hydra(*overrides) for _, overrides in combinations(words)]
    if not any("position_sweep" in word for word in words):  # it has a sweep of its own besides
        assert len(jobs) == len(expected)
        assert [job.config for job in jobs] == [resolve(each.config) for each in expected]
        assert [job.choices for job in jobs] == [each.choices for each in expected]


def _plan(words, multirun):
    try:
        return plan(words, multirun=multirun).jobs
    except MinibertError:  # two runs that are compared are alike, or a setting has no effect: not asked here
        return _jobs(words)


def _jobs(words):
    from minibert.running.plan import _jobs as jobs

    read_words = [read(text, True) for text in words]
    swept = [word for word in read_words if word.swept]
    return list(jobs([word for word in read_words if not word.swept], swept, read_words))


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_the_values_that_are_not_resolved_are_the_same_too(words):
    layers = {}
    for read_words, overrides in combinations(words):
        pairs = [(word, value) for word in read_words for value in word.values if word.at(value) in overrides]
        single = {word.key: word for word in read_words}
        if len(pairs) != len(read_words) or len(single) != len(read_words):
            continue
        quick = compose_quickly(layers, pairs)
        assert quick is not None
        expected = composed_by_hydra(*overrides)
        assert plain(quick.config) == plain(expected.config)
        assert quick.choices == expected.choices


def test_a_value_that_does_not_fit_is_left_to_hydra_and_spoils_no_other():
    layers = {}
    good, bad = read("optimizer.beta1=0.5", False), read("optimizer.period=5", False)
    assert compose_quickly(layers, [(good, "0.5")]) is not None
    assert compose_quickly(layers, [(good, "0.7"), (bad, "0.5")]) is None
    quick = compose_quickly(layers, [(good, "0.5")])
    assert quick is not None
    assert plain(quick.config) == plain(without_hydra(compose_all(["optimizer.beta1=0.5"])).config)
    with pytest.raises(MinibertError, match="period"):
        plan(["optimizer.period=5,6", "optimizer.beta1=0.5,0.6"], multirun=True)


def test_options_are_composed_once_and_what_is_kept_is_never_changed(monkeypatch):
    calls = []
    monkeypatch.setattr(composition, "compose_all", lambda words: calls.append(words) or compose_all(words))
    composition._compose_options.cache_clear()
    jobs = plan(["model=debug", "position=rope,alibi", "seed=range(0,20)", "masking.rate=0.2,0.3"], True).jobs
    assert len(jobs) == 80
    assert len(calls) == 2
    before = plain(compose_options(["model=debug", "position=rope"]).config)
    assert len(calls) == 2
    assert before == plain(without_hydra(compose_all(["model=debug", "position=rope"])).config)


def test_the_name_of_a_run_is_made_of_the_same_composition(monkeypatch):
    calls = []
    monkeypatch.setattr(composition, "compose_all", lambda words: calls.append(words) or compose_all(words))
    composition._compose_options.cache_clear()
    (job,) = plan(["training=debugging", "model=debug", "seed=3", "training.steps=5"], False).jobs
    assert run_name(job.config, job.choices, []) == "sotu · debug · muon · training debugging · steps 5 · seed 3"
    assert len(calls) == 1

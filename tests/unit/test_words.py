"""The words of a command line: text as it stands, known keys only, sweeps that can be counted."""

import pytest

from minibert.command_line.settings import OTHER_NAMES, groups, settings
from minibert.command_line.words import read, read_value
from minibert.errors import MinibertError
from minibert.running.plan import plan


def refusal(*words, multirun=False) -> str:
    with pytest.raises(MinibertError) as refused:
        plan(list(words), multirun)
    assert "Traceback" not in str(refused.value)
    return str(refused.value)


TEXTS = [
    "train[:1%]", "~/books/*.txt", "a=b.txt", "übung/ß[0-5].txt", "{a,b}(c).txt", "a,b.txt", "it's.txt",
    "back\\slash\\",
    "7e91234", "0x10", "1_000", "true", "# no comment", "$100 and ${", "two words", "a: b", "'a' or 'b'",
    "line\nline",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_the_right_hand_side_as_it_stands(text):
    for setting in settings().values():
        if setting.is_text:
            word = read(f"{setting.key}={text}", sweeping=False)
            assert not word.swept
            (value,) = word.values
            assert read_value(value).replace("\\${", "${") == text


def test_a_text_reaches_the_configuration_as_it_was_typed():
    words = ["data=hub", "data.name=1e5", "data.revision=7e91234", "data.split=train[:1%]"]
    question = f"study.question={' | '.join(TEXTS)}"
    config = plan([*words, question, "tracking.run_name=[/x]"], False).jobs[0].config
    assert config.study.question == " | ".join(TEXTS)
    assert (config.data.revision, config.data.split, config.data.name) == ("7e91234", "train[:1%]", "1e5")
    assert config.tracking.run_name == "[/x]"


def test_null_clears_an_optional_text_and_quotes_make_it_a_text():
    assert read("data.path=null", False).values == ("null",)
    for word in ("'null'", '"null"'):
        assert read_value(read(f"data.path={word}", False).values[0]) == "null"


def test_names_in_a_list_stay_text_whatever_they_look_like():
    word = read("diagnostics.modules=[my_module, 7e5, 'a,b', x[0]]", False)
    assert read_value(word.values[0]) == ["my_module", "7e5", "a,b", "x[0]"]
    lists = read("diagnostics.quantities=[],[health]", True).values
    assert [read_value(value) for value in lists] == [[], ["health"]]
    with pytest.raises(MinibertError, match=r"Allowed: names in brackets, diagnostics.quantities=\[health\]"):
        read("diagnostics.quantities=health", False)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("a.txt,b.txt", ["a.txt", "b.txt"]),
        ("train[:1%],train[1%:2%]", ["train[:1%]", "train[1%:2%]"]),
        ("[ab,c]*.txt,{d,e}.txt", ["[ab,c]*.txt", "{d,e}.txt"]),
        ("'a,b.txt',c.txt", ["a,b.txt", "c.txt"]),
        ("'a,b.txt'", ["a,b.txt"]),
        ("choice(a,7e91234)", ["a", "7e91234"]),
    ],
)
def test_in_a_sweep_a_comma_separates_texts_of_the_data_unless_it_is_quoted(value, texts):
    assert [read_value(one) for one in read(f"data.path={value}", sweeping=True).values] == texts
    assert len(read(f"study.question={value}", sweeping=True).values) == 1


def test_a_sweep_over_texts_composes_each_of_them():
    planned = plan(["data=hub", "data.name=a/b", "data.revision=7e91234,1e5"], True)
    assert [job.config.data.revision for job in planned.jobs] == ["7e91234", "1e5"]
    assert planned.sweep == ("data.revision='7e91234','1e5'",)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("+masking.rat=0.4", "did you mean 'masking.rate'"),
        ("++training.step=5", "did you mean 'training.steps'"),
        ("+x._target_=os.system", "unknown key 'x._target_'"),
        ("+optimizer._target_=os.system", "unknown key 'optimizer._target_'"),
        ("~model", "model=..."),
        ("~masking.rate=0.1", "nothing can be taken out"),
        ("model@encoder=tiny", "Allowed: model=tiny"),
        ("+optimizer@a:b=lion", "Allowed: optimizer=lion"),
        ("+hydra.callbacks.x._target_=os.system", "unknown key 'hydra.callbacks.x._target_'"),
        ("hydra.launcher._target_=os.system", "hydra.launcher.processes"),
        ("hydra/sweeper=basic", "hydra/launcher"),
        ("hydra.mode=MULTIRUN", "hydra.sweeper.params"),
        ("hydra/launcher=core", "did you mean 'cores'"),
        ("hydra.launcher.processes=0", "Allowed: 1 to 1024, or null"),
        ("hydra.launcher.processes=-1", "Allowed: 1 to 1024, or null"),
        ("hydra.launcher.processes=1.5", "not a number of processes"),
        ("hydra.launcher.processes=all", "not a number of processes"),
        ("hydra.launcher.processes=2000", "Allowed: 1 to 1024"),
        ("hydra.sweeper.params={seed:1}", "--multirun KEY=a,b"),
        ("+hydra.sweeper.params.seed=0,1", "--multirun seed=0,1"),
        ("hydra.sweeper.params=", "has no value"),
        ("tracking.folder=", "has no value"),
        ("optimizer=lion_schema", "did you mean 'lion'"),
        ("optimizer=[adamw,lion]", "unknown name '[adamw,lion]'"),
        ("model=null", "unknown name 'null'"),
        ("schema=schema", "did you mean 'schedule'"),
        ("seeds={init:3}", "Allowed: seeds.init"),
        ("seed=1[", "Allowed for seed: a whole number"),
        ("masking.rate=interval(0.1,0.5)", "Allowed: masking.rate=a,b,c"),
        ("seed=range(3,0)", "a range that is not empty"),
        ("seed=range(0,3,0)", "has no values"),
        ("seed=range(0,100000000000)", "more than 10000 values"),
        ("position=glob(ropes*)", "matches no name"),
        ("masking", "key=value"),
    ],
)  # fmt: skip
def test_what_is_no_known_word_is_refused_whatever_its_prefix(word, said):
    with pytest.raises(MinibertError) as refused:
        read(word, sweeping=True)
    assert said in str(refused.value)
    assert "_schema" not in str(refused.value).replace(word, "").replace("'lion_schema'", "")


def test_a_plus_before_a_known_key_changes_nothing():
    assert [str(read(f"{plus}training.steps=5", False)) for plus in ("", "+", "++")] == ["training.steps=5"] * 3
    assert {str(read(f"{plus}experiment=lr_range", False)) for plus in ("", "+", "++")} == {"+experiment=lr_range"}


def test_globs_ranges_and_choices_are_written_out():
    assert list(read("position=glob(*)", True).values) == groups()["position"]
    assert read("position=glob([a*,r*],exclude=rel*)", True).values == ("absolute", "alibi", "rope")
    assert [read_value(value) for value in read("model.norm=glob(*)", True).values] == ["pre", "post"]
    assert read("seed=range(0,3)", True).values == ("0", "1", "2")
    assert read("masking.rate=choice(0.15,0.4)", True).values == ("0.15", "0.4")
    assert sorted(read("seed=shuffle(range(0,3))", True).values) == ["0", "1", "2"]


@pytest.mark.parametrize("name", sorted(OTHER_NAMES))
def test_what_other_tools_call_a_setting_leads_to_it(name):
    meant = OTHER_NAMES[name]
    assert meant in settings() or meant in groups()
    for key in (name, f"model.{name}"):
        if key not in settings():
            with pytest.raises(MinibertError, match=f"did you mean '{meant}'"):
                read(f"{key}=1", False)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("learning_rate", "optimizer.learning_rate"), ("model.learning_rate", "optimizer.learning_rate"),
        ("batch_size", "training.batch_size"), ("heads", "model.heads"),
        ("weight_decay", "optimizer.weight_decay"),
        ("learnig_rate", "optimizer.learning_rate"), ("optimiser", "optimizer"), ("masking.rat", "masking.rate"),
        ("LR", "optimizer.learning_rate"), ("training.batch-size", "training.batch_size"),
    ],
)  # fmt: skip
def test_a_near_miss_leads_to_the_setting(key, meant):
    with pytest.raises(MinibertError, match=f"did you mean '{meant}'"):
        read(f"{key}=1", False)


def test_words_are_refused_that_would_be_read_as_something_else():
    assert "one launcher starts all runs" in refusal("hydra.launcher.processes=1,2", "seed=0,1", multirun=True)
    assert "no effect on a single run" in refusal("hydra/launcher=basic")
    assert "no effect on a single run" in refusal("tracking.report=false")
    message = refusal("hydra.launcher.processs=2", "seed=0,1", multirun=True)
    assert "did you mean 'hydra.launcher.processes'" in message and "_target_" not in message
    message = refusal("hydra/launcher=basic", "hydra.launcher.processes=2", "seed=0,1", multirun=True)
    assert "hydra/launcher=cores, which has some" in message
    assert "given twice" in refusal("seed=0,1", "seed=2,3", multirun=True)
    assert "given twice" in refusal("model=tiny", "model=debug")


def test_an_interpolation_that_leads_nowhere_is_one_message():
    assert r"\${key}" in refusal("study.question=what is ${nope}?")


def test_a_setting_of_another_option_names_the_options_that_have_it():
    message = refusal("optimizer=lion", "optimizer.epsilon=1")
    assert "optimizer=adamw or lamb" in message and "not with optimizer=lion" in message


@pytest.mark.parametrize("given", [["+experiment=masking_sweep,position_sweep"], ["experiment=glob(*_sweep)"]])
def test_experiments_that_would_be_crossed_are_refused_with_a_command_for_each(given):
    message = refusal(*given, "model=debug", "data.path=my books", multirun=True)
    for name in ("masking_sweep", "position_sweep"):
        assert f"python -m minibert.run +experiment={name} model=debug 'data.path=my books'" in message


def test_a_word_that_an_experiment_states_is_checked_like_a_given_one(tmp_path, monkeypatch):
    import minibert.running.plan as composing

    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("hydra: {sweeper: {params: {masking.rat: '0.1,0.2'}}}")
    monkeypatch.setattr(composing, "CONF", tmp_path)
    monkeypatch.setitem(groups(), "experiment", ["mine"])
    message = refusal("+experiment=mine")
    assert "experiment=mine, hydra.sweeper.params: masking.rat=0.1,0.2" in message
    assert "did you mean 'masking.rate'" in message


def test_an_experiment_without_its_sweep_is_a_single_run():
    assert plan(["+experiment=lr_range", "hydra.sweeper.params=null"], False).sweep == ()

"""What commands answer without running anything."""

import pytest
import yaml

from minibert import export, inspect, report
from minibert.command_line.completion import completions
from minibert.command_line.settings import groups
from minibert.config import VARIANTS
from minibert.run import main
from minibert.running import inspection


def answer(capsys, *arguments, door=main) -> tuple[int, str, str]:
    code = door(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_about_minibert_and_names_every_group_and_option(capsys, flag):
    code, text, _ = answer(capsys, flag)
    assert code == 0
    assert "--multirun masking.rate=0.15,0.40" in text and "run=RUN_ID" in text
    assert "Powered by Hydra" not in text and "schema" not in text
    for group, options in groups().items():
        assert group in text and all(option in text for option in options)


def test_help_on_a_group_lists_its_settings_with_what_they_take(capsys):
    code, text, _ = answer(capsys, "--help", "schedule")
    assert code == 0
    assert "schedule.warmup" in text and "at least 0 and at most 1; by default 0.1" in text
    code, _, error = answer(capsys, "--help", "schedul")
    assert code == 2 and "did you mean 'schedule'" in error


@pytest.mark.parametrize(
    ("door", "words"),
    [(inspect.main, ["run=RUN_ID", "steps=all", "quantities"]), (export.main, ["run=RUN_ID", "folder=", "step="])],
)
def test_the_other_doors_have_a_help_and_a_version(capsys, door, words):
    for flag in ("--help", "-h"):
        code, text, error = answer(capsys, flag, door=door)
        assert code == 0 and not error and all(word in text for word in words)
    code, text, _ = answer(capsys, "--version", door=door)
    assert code == 0 and text.startswith("minibert ")
    assert answer(capsys, "--version")[1] == text


def test_the_report_has_a_help_with_an_example_and_a_version(capsys):
    for flag, words in (("--help", "masking_sweep"), ("--version", "minibert ")):
        with pytest.raises(SystemExit) as ended:
            report.main([flag])
        assert ended.value.code == 0 and words in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--cfg", "job"], ["--cfg=job"], ["-c", "job"]])
def test_the_composed_configuration_is_shown(capsys, words):
    code, text, _ = answer(capsys, *words, "model=debug", "+experiment=masking_sweep")
    shown = yaml.safe_load(text)
    assert code == 0 and "hydra" not in shown
    assert shown["model"]["hidden_size"] == 32 and shown["study"]["name"] == "masking_sweep"


def test_a_configuration_that_cannot_be_composed_is_an_error_also_when_it_is_only_shown(capsys):
    for words, said in (
        (["--cfg", "job", "model=debgu"], "did you mean 'debug'"),
        (["--cfg", "job", "+masking.rat=1"], "did you mean 'masking.rate'"),
        (["--cfg", "job", "masking.rate=1.5"], "above 0 and below 1"),
        (["--cfg", "all", "seed=0,1", "-m"], "one value"),
        (["--cfg", "jop"], "--cfg job"),
        (["--cfg", "job", "data.path=${nope}", "data=text"], "nope"),
        (["--info", "all", "~model"], "nothing can be taken out"),
        (["--helq"], "unknown flag"),
        (["--config-dir=/somewhere", "--cfg", "job"], "unknown flag"),
    ):
        code, _, error = answer(capsys, *words)
        assert code == 2 and said in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("current", "found"),
    [
        ("optimiz", ["optimizer=", "optimizer/inner=", "optimizer."]),
        ("optimizer=la", ["optimizer=lamb"]),
        ("optimizer=adamw,li", ["optimizer=adamw,lion"]),
        ("+experiment=lr", ["+experiment=lr_range"]),
        ("training.batch", ["training.batch_size="]),
        ("model.norm=p", ["model.norm=pre", "model.norm=post"]),
        ("optimizer.nesterov=", ["optimizer.nesterov=true", "optimizer.nesterov=false"]),
        ("hydra/launcher=j", ["hydra/launcher=joblib"]),
        ("--mul", ["--multirun"]),
        ("data.path=x", []),
    ],
)
def test_words_are_completed(current, found):
    assert completions(current) == found


def test_no_completion_offers_a_schema():
    offered = [word for group in groups() for word in completions(f"{group}=")]
    assert offered and not any("schema" in word for word in offered)
    assert all(option in groups()[group] for group in VARIANTS for option in VARIANTS[group])


def test_a_shell_gets_its_script_and_its_words(capsys, monkeypatch):
    code, script, _ = answer(capsys, "--shell-completion", "install=bash")
    assert code == 0 and "complete" in script and "hydra" not in script
    monkeypatch.setenv("COMP_LINE", "minibert model=debug optimizer=la")
    assert answer(capsys, "-sc", "query=fish")[1] == "optimizer=lamb\n"
    monkeypatch.setenv("COMP_WORDBREAKS", " =:")
    assert answer(capsys, "-sc", "query=bash")[1] == "lamb\n"
    code, _, error = answer(capsys, "-sc", "install=bsh")
    assert code == 2 and "did you mean 'bash'" in error


def test_words_of_inspect_are_text_as_they_stand():
    asked = inspection._parse(["run=7e912345", "folder=a b=c", "steps=[0,64]", "modules=[1e5]", "figures=[]"])
    assert (asked.run, asked.folder, asked.steps) == ("7e912345", "a b=c", [0, 64])
    assert (asked.modules, asked.figures, asked.quantities) == (["1e5"], [], None)

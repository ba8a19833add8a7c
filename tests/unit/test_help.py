"""What commands answer without running anything."""

import re
import sys

import pytest
import yaml

from analysis.report import ReportWords
from analysis.study_words import OLDER
from minibert import export, inspect, report, reproduce
from minibert.command_line import doors
from minibert.command_line.arguments import StoreWords, read_arguments
from minibert.command_line.completion import completions
from minibert.command_line.help import help_text
from minibert.command_line.settings import groups
from minibert.command_line.words import names, read
from minibert.config import ROOT, VARIANTS
from minibert.errors import MinibertError
from minibert.run import main
from minibert.running.evaluation import Evaluation
from minibert.running.exploration import Exploration
from minibert.running.inspection import Inspection
from minibert.running.reproduction import Reproduction
from minibert.running.sweep_commands import ListWords, SweepWords
from minibert.serving.export import Export


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


def test_help_tells_which_option_a_setting_goes_with_and_leaves_out_what_the_named_option_lacks(capsys):
    _, text, _ = answer(capsys, "--help", "position")
    (line,) = [line for line in text.splitlines() if "model.position.distance" in line]
    assert "; goes with position=relative; by default" in line
    _, text, _ = answer(capsys, "--help", "position=relative")
    assert "model.position.distance" in text and "goes with" not in text
    _, text, _ = answer(capsys, "--help", "position=rope")
    assert "model.position.base" in text and "model.position.distance" not in text and "buckets" not in text
    _, text, _ = answer(capsys, "--help", "optimizer")
    (line,) = [line for line in text.splitlines() if "optimizer.inner.momentum" in line]
    assert "; goes with optimizer=lookahead and optimizer/inner=sgd or muon; by default" in line
    _, text, _ = answer(capsys, "--help", "optimizer=lookahead")
    assert "optimizer.inner.beta1" in text and "optimizer.nesterov" not in text
    _, text, _ = answer(capsys, "--help", "optimizer=lookahead", "optimizer/inner=lion")
    text = text.split("\n\n")[1]
    assert "optimizer.inner.beta1" in text and "nesterov" not in text


def test_help_on_a_group_tells_the_values_of_a_run_with_the_options_that_are_named(capsys):
    for words, expected in (
        (
            ["optimizer"],
            {"optimizer.name": "muon", "optimizer.learning_rate": "0.012", "optimizer.nesterov": "true"},
        ),
        (["optimizer=lion"], {"optimizer.name": "lion"}),
        (["model=debug"], {"model.hidden_size": "32"}),
    ):
        code, text, _ = answer(capsys, "--help", *words)
        lines = {line.split()[0]: line.rpartition("; by default ")[2] for line in text.splitlines()[1:] if line}
        told = {key: lines[key] for key in expected}
        assert (code, told) == (0, expected)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optimizer/inner=lion"], "optimizer.inner.beta1"),
        (["optimizer/inner=muon", "seed"], "optimizer.inner.momentum"),
        (["+experiment=masking_sweep"], "experiment="),
        (["experiment=overfit_one_batch", "recipe=bert2018"], "recipe="),
    ],
    ids=" ".join,
)
def test_help_on_an_option_that_goes_into_or_over_another_needs_no_further_word(capsys, words, said):
    code, text, error = answer(capsys, "--help", *words)
    assert (code, error) == (0, "") and said in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optimizer=lion", "optimizer/inner=adamw"], "optimizer/inner=adamw: goes with optimizer=lookahead only"),
        (["optimizer=lion", "optimizer=sgd"], "optimizer is given twice"),
        (["experiment=masking_sweep", "+experiment=init_sweep"], "each experiment has a sweep of its own"),
        (["optimizer/inner=lino"], "optimizer/inner=lino: unknown name 'lino' (did you mean 'lion'?)"),
        (["optimizer=lion,adam"], "did you mean 'adamw'"),
        (["model=ladder/_ladder"], "unknown name 'ladder/_ladder'"),
    ],
    ids=" ".join,
)
def test_help_on_options_that_do_not_go_together_is_one_error(capsys, words, said):
    code, text, error = answer(capsys, "--help", *words)
    assert (code, text) == (2, "") and said in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("door", "words"),
    [
        (inspect.main, ["run=RUN_ID", "steps=all", "quantities"]),
        (export.main, ["run=RUN_ID", "folder=", "step=", "checkpoints="]),
        (reproduce.main, ["run=RUN_ID", "steps=N", "tracking.folder=", "exit code"]),
    ],
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
        code, text, error = answer(capsys, flag, door=report.main)
        assert code == 0 and not error and words in text


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
        ("hydra/launcher=c", ["hydra/launcher=cores"]),
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
    words = ["run=7e912345", "tracking.folder=a b=c", "steps=[0,64]", "modules=[1e5]", "figures=[]"]
    asked = read_arguments(Inspection, words)
    assert (asked.run, asked.tracking.folder, asked.steps) == ("7e912345", "a b=c", [0, 64])
    assert (asked.modules, asked.figures, asked.quantities) == (["1e5"], [], None)


@pytest.mark.parametrize(
    ("schema", "older", "words"),
    [
        (Inspection, inspect.OLDER, ["folder=a", "uri=b", "experiment=c"]),
        (Export, export.OLDER, ["folder=new", "tracking.folder=a", "uri=b", "tracking.experiment=c"]),
        (ReportWords, OLDER, ["--folder", "a", "--uri=b", "--experiment", "c"]),
    ],
)
def test_one_word_names_the_store_at_every_door_and_the_older_ones_mean_the_same(schema, older, words):
    required = "study=s" if schema is ReportWords else "run=last"
    keys = ["tracking.folder=a", "tracking.uri=b", "tracking.experiment=c"]
    target = ["folder=new"] if schema is Export else []
    asked = read_arguments(schema, [required, *words], older)
    assert asked == read_arguments(schema, [required, *keys, *target], older)
    assert asked.tracking == StoreWords("a", "b", "c")


@pytest.mark.parametrize(
    "schema",
    [Inspection, Export, Evaluation, Exploration, Reproduction, ListWords, SweepWords, ReportWords],
)
def test_every_reading_command_takes_the_option_of_the_store_as_run_does(schema):
    words = ["sweep=last"] if schema is SweepWords else ["run=last"] * (schema not in (ListWords, ReportWords))
    words += ["folder=new"] * (schema is Export)
    there = read_arguments(schema, [*words, "tracking=server", "tracking.uri=http://h:1"]).tracking
    assert (there.uri, there.folder) == ("http://h:1", None)
    here = read_arguments(schema, [*words, "tracking=local"]).tracking
    assert (here.uri, here.folder) == (None, str(ROOT / "mlruns"))
    for word, said in (
        ("server", "tracking.uri=: missing"),
        ("serve", r"tracking=serve: unknown name .*'server'"),
    ):
        with pytest.raises(MinibertError, match=said):
            read_arguments(schema, [*words, f"tracking={word}"])


def test_a_word_without_a_sign_is_the_study_of_a_report_and_null_is_no_folder():
    asked = read_arguments(ReportWords, ["masking_sweep", "sweep=last", "output=null"], OLDER, bare="study")
    assert (asked.study, asked.sweep, asked.output) == ("masking_sweep", "last", None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stdy=s"], "unknown name 'stdy' (did you mean 'study'?)"),
        (["s", "--foldr", "x"], "did you mean 'tracking.folder'"),
        (["s", "--sweep"], "--sweep: has no value. Write sweep=..."),
        (["s", "sweep="], "sweep=: has no value"),
    ],
)
def test_a_word_that_a_door_does_not_take_is_one_message(words, said):
    with pytest.raises(MinibertError) as error:
        read_arguments(ReportWords, words, OLDER, bare="study")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("words", "entered"),
    [
        ([], ("minibert.run", [])),
        (["run", "seed=1"], ("minibert.run", ["seed=1"])),
        (["inspect", "run=last"], ("minibert.inspect", ["run=last"])),
        (["report", "masking_sweep"], ("minibert.report", ["masking_sweep"])),
        (["seed=1", "-m"], ("minibert.run", ["seed=1", "-m"])),
        (["--help", "optimizer"], ("minibert.run", ["--help", "optimizer"])),
        (["+experiment=masking_sweep"], ("minibert.run", ["+experiment=masking_sweep"])),
    ],
)
def test_the_command_takes_the_doors_as_subcommands_and_the_words_of_a_run(monkeypatch, words, entered):
    calls = []
    monkeypatch.setattr(doors, "enter", lambda module, given: calls.append((module, given)))
    monkeypatch.setattr(sys, "argv", ["minibert", *words])
    doors.main()
    assert calls == [entered]


def test_a_misspelt_subcommand_is_one_line_and_help_lists_them_all(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["minibert", "inspekt", "run=last"])
    with pytest.raises(SystemExit) as ended:
        doors.main()
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1 and "did you mean 'inspect'" in error
    monkeypatch.setattr(sys, "argv", ["minibert", "--help"])
    doors.main()
    text = capsys.readouterr().out
    assert all(f"\n  {door} " in text for door in doors.DOORS)


def test_a_shell_completes_a_subcommand_as_the_first_word_only(capsys, monkeypatch):
    for line, found in (("minibert in", ["inspect", "init="]), ("minibert run ins", [])):
        monkeypatch.setenv("COMP_LINE", line)
        assert answer(capsys, "-sc", "query=fish")[1].split() == found


def test_files_that_options_share_are_offered_nowhere(capsys):
    offered = [word for group in groups() for word in completions(f"{group}=")]
    assert not [word for word in offered if "=_" in word or "/_" in word]
    _, shown, _ = answer(capsys, "--help")
    assert "_small_sweep" not in shown and "_ladder" not in shown
    with pytest.raises(MinibertError, match="unknown name '_small_sweep'"):
        read("+experiment=_small_sweep", False)
    assert not [value for value in read("model=glob(*)", True).values if "/_" in f"/{value}"]


def test_the_help_of_evaluation_shows_what_a_user_sets_and_what_it_takes():
    text = help_text(["evaluation"])
    assert not re.search(r"evaluation\.name|\.enabled|a value|None", text)
    assert re.search(
        r"evaluation\.steps +last, all, or a list of kept steps, such as \[0,64\]; by default last", text
    )
    assert "evaluation.facts.data" in text and "a list of templates and files; by default [templates]" in text
    options = set(text.splitlines()[0].removeprefix("evaluation=").split(" | "))
    assert options >= {"semantics", "facts", "composition", "zero_shot"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("evaluation=[probing", "a bracket is missing. Allowed: names in brackets, evaluation=[probing]."),
        (
            "evaluation.facts.data=a]",
            "a bracket is missing. Allowed: names in brackets, evaluation.facts.data=[a].",
        ),
        ("evaluation.facts.data=a", "not a list. Allowed: names in brackets, evaluation.facts.data=[a]."),
    ],
)
def test_a_list_without_a_bracket_is_hinted(word, said):
    key, _, value = word.partition("=")
    with pytest.raises(MinibertError) as refused:
        names(word, key, value)
    assert str(refused.value) == f"{word}: {said}"

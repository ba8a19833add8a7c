"""What the options of the benchmarks may be. All else is one line and exit code 2, and nothing is measured."""

from importlib import import_module
from pathlib import Path

import pytest

from minibert.errors import MinibertError
from minibert.running.capacity import usable_cores
from tests.benchmarks.options import measured_before
from tests.benchmarks.ten_minutes import BEGIN, END

WHOLE = "Allowed: a whole number from 1 to 1,000,000."
NUMBERS = {
    "change_points": ["--repetitions"],
    "cluster": ["--steps", "--seeds"],
    "diagnostics": ["--looks"],
    "evaluation": ["--rounds"],
    "optimizers": ["--rounds"],
    "positions": ["--rounds", "--steps"],
    "short_runs": ["--rounds", "--found"],
    "step_profile": ["--steps", "--rows"],
    "store": ["--runs"],
    "sweep_throughput": ["--rounds", "--steps", "--seeds"],
    "ten_minutes": ["--rounds", "--seeds", "--points"],
    "train_step": ["--rounds", "--steps"],
}
"""Benchmark -> its options that take a whole number from 1 on"""
WITH_JSON = (
    "diagnostics", "evaluation", "optimizers", "positions", "scaling", "short_runs", "sweep_throughput",
    "train_step",
)  # fmt: skip


def refusal(capsys, module: str, *words: str) -> str:
    """The line by which a benchmark refuses its words."""
    found = import_module(f"tests.benchmarks.{module}")
    enter = found.print_table if module == "coverage" else found.main
    with pytest.raises(SystemExit) as ended:
        enter(list(words))
    printed = capsys.readouterr()
    assert ended.value.code == 2 and not printed.out
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize(("module", "option"), [(one, option) for one in NUMBERS for option in NUMBERS[one]])
def test_every_number_of_a_benchmark_is_a_whole_one_from_one_on(capsys, module, option):
    for given in ("0", "1.5", "1000001"):
        line = refusal(capsys, module, option, given)
        assert line == f"python -m tests.benchmarks.{module}: {option}: {given} was given. {WHOLE}"


def test_threads_are_at_most_those_of_this_machine(capsys):
    most = usable_cores()
    for given in ("257", str(most + 1), "0"):
        line = refusal(capsys, "ten_minutes", "--threads", given)
        assert line.endswith(f"--threads: {given} was given. Allowed: a whole number from 1 to {most}.")
    assert import_module("tests.benchmarks.ten_minutes").parse(["--threads", str(most)]).threads == most


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        ("train_step", ["--rounds", "many"], "--rounds: many was given. Allowed: a whole number"),
        ("train_step", ["--rounds=-3"], "--rounds: -3 was given. Allowed: a whole number"),
        ("train_step", ["--rounds", "9" * 5000], "was given. Allowed: a whole number"),
        ("train_step", ["--dropout", "0", "1"], "--dropout: 1 was given. Allowed: a number from 0 on, below 1."),
        ("positions", ["--dropout", "nan"], "--dropout: nan was given. Allowed: a number from 0 on, below 1."),
        ("optimizers", ["--steps", "4"], "--steps: 4 was given. Allowed: a whole number from 5 to"),
        ("coverage", ["--draws", "7"], "--draws: 7 was given. Allowed: a whole number from 8 to"),
        ("coverage", ["--only", "nosuch"], "--only: nosuch was given. Allowed: a part of a row's name"),
        ("store", ["--metrics", "5"], "--metrics: 5 was given. Allowed: a whole number from 6 to"),
        ("candidates", ["--steps", "0"], f"--steps: 0 was given. {WHOLE}"),
        ("ten_minutes", ["--minutes", "0"], "--minutes: 0 was given. Allowed: a number above 0"),
        ("ten_minutes", ["--minutes", "inf"], "--minutes: inf was given. Allowed: a number above 0"),
        ("ten_minutes", ["--rates", "1e-3", "ten"], "--rates: ten was given. Allowed: a number above 0"),
        ("ten_minutes", ["--shares", "1/0"], "--shares: 1/0 was given. Allowed: a number above 0, at most 1"),
        ("ten_minutes", ["--shares", "3/2"], "--shares: 3/2 was given. Allowed: a number above 0, at most 1"),
        ("train_step", ["--shape", "huge"], "--shape: invalid choice: 'huge'"),
        ("train_step", ["--sape", "base"], "unrecognized arguments: --sape base"),
        ("diagnostics", ["--model", "bsae"], "did you mean 'base'"),
        ("diagnostics", ["model.layer=2"], "model.layer=2: unknown key"),
        ("sweep_throughput", ["nosuch.key=1"], "nosuch.key=1: unknown key"),
        ("sweep_throughput", ["masking.rate=2"], "masking.rate=2.0: out of range"),
        ("sweep_throughput", ["seed=3"], "seed is given twice"),
        ("sweep_throughput", ["data=text", "data.path=nosuch"], "data.path=nosuch: no such file or folder"),
        ("evaluation", ["nosuch.key=1"], "nosuch.key=1: unknown key"),
        ("kept_precision", ["nosuch"], "unrecognized arguments: nosuch"),
        ("evaluation", ["--model", "tinny"], "did you mean 'tiny'"),
        ("evaluation", ["--minicons", "no/python"], "--minicons: no/python was given. No program is there."),
    ],
)  # fmt: skip
def test_every_other_word_is_one_that_can_be_measured(capsys, module, words, said):
    assert said in refusal(capsys, module, *words)


@pytest.mark.parametrize("module", WITH_JSON)
def test_results_are_written_to_a_file_whose_folder_is_there(capsys, tmp_path, module):
    missing = tmp_path / "missing" / "x.json"
    told = f"python -m tests.benchmarks.{module}: --json: "
    assert refusal(capsys, module, "--json", str(missing)) == (
        f"{told}{missing} was given. There is no folder {missing.parent}. Make it, or give another file."
    )
    assert refusal(capsys, module, "--json", str(tmp_path)).endswith("Give one, such as results.json.")
    assert refusal(capsys, module, "--json", "").startswith(f"{told}'' was given. Not the name of a file.")
    assert refusal(capsys, module, "--json", str(tmp_path / ("x" * 300) / "y")).endswith("Give another name.")


@pytest.mark.parametrize("module", ["candidates", "ten_minutes"])
def test_a_folder_that_can_be_written_to_by_its_rights_but_takes_nothing_is_refused(capsys, module):
    if not Path("/proc/self").is_dir():
        pytest.skip("this system has no /proc")
    for given in ("/proc/x", "/proc/x/y"):
        line = refusal(capsys, module, "--folder", given)
        assert line.endswith(f"--folder: {given} was given. /proc cannot be written to. Give another folder.")
    assert "It cannot be written. Give another file." in refusal(capsys, "scaling", "--figure", "/proc/x.png")


@pytest.mark.parametrize("module", ["candidates", "ten_minutes"])
def test_a_folder_of_results_may_be_missing_but_is_no_file(capsys, tmp_path, module):
    file = tmp_path / "file"
    file.write_text("")
    for given in (file, file / "within"):
        assert refusal(capsys, module, "--folder", str(given)).endswith(
            f"--folder: {given} was given. {file} is a file. Give a folder."
        )
    options = import_module(f"tests.benchmarks.{module}").parse(["--folder", str(tmp_path / "new" / "one")])
    assert options.folder == tmp_path / "new" / "one" and not options.folder.exists()


@pytest.mark.parametrize("module", ["candidates", "ten_minutes"])
def test_a_folder_of_the_lab_book_has_its_page_with_both_markers(capsys, tmp_path, module):
    folder = tmp_path / "experiment"
    for given in (folder, tmp_path):
        assert "There is no README.md in it. Give the folder of" in refusal(
            capsys, module, "--lab-book", str(given)
        )
    folder.mkdir()
    (folder / "README.md").write_text(BEGIN.format("comparison"))
    line = refusal(capsys, module, "--lab-book", str(folder))
    assert "its README.md lacks a marker. Both lines belong in it: <!-- " in line


def test_the_marker_of_ten_minutes_is_that_of_its_contenders_and_seeds(capsys, tmp_path):
    (tmp_path / "README.md").write_text(f"{BEGIN.format('scaling')}\n{END.format('scaling')}\n")
    words = ["--lab-book", str(tmp_path)]
    parse = import_module("tests.benchmarks.ten_minutes").parse
    assert parse([*words, "--contenders", "minibert"]).lab_book == tmp_path
    assert parse([*words, "--contenders", "minibert", "--seeds", "3"]).lab_book == tmp_path
    assert "comparison: begin" in refusal(capsys, "ten_minutes", *words)
    assert "seeds: begin" in refusal(capsys, "ten_minutes", *words, "--seeds", "3")


@pytest.mark.parametrize("lacking", [["torch"], ["accelerate"], ["torch", "transformers", "accelerate"]])
def test_what_the_models_of_others_need_is_named_before_anything_is_measured(capsys, monkeypatch, lacking):
    ten_minutes = import_module("tests.benchmarks.ten_minutes")
    monkeypatch.setattr(ten_minutes, "find_spec", lambda name: None if name in lacking else name)
    line = refusal(capsys, "ten_minutes", "--minutes", "1")
    assert f"{', '.join(lacking)}: not installed" in line and f"pip install {' '.join(lacking)}" in line
    ten_minutes.require_packages(["minibert", "minibert bert2018"])


def test_a_figure_is_written_to_a_file_whose_folder_is_there(capsys, tmp_path):
    assert "There is no folder" in refusal(capsys, "scaling", "--figure", str(tmp_path / "a" / "b.png"))


@pytest.mark.parametrize("written", ["", "[1", "[1, 2]", "3", "[" * 100_000])
def test_a_damaged_file_of_an_earlier_call_is_named(tmp_path, written):
    (tmp_path / "costs.json").write_text(written)
    with pytest.raises(MinibertError, match=r"costs\.json: is damaged\. Remove it"):
        measured_before(tmp_path / "costs.json")


def test_what_an_earlier_call_measured_is_read_and_without_one_there_is_nothing(tmp_path):
    assert measured_before(tmp_path / "pace.json") == {}
    (tmp_path / "pace.json").write_text('{"minibert": 1.5}')
    assert measured_before(tmp_path / "pace.json") == {"minibert": 1.5}

"""The benchmark of short runs: what it runs, what it counts, how it judges."""

import io
import os
from pathlib import PurePosixPath

import pytest
from rich.console import Console

from minibert.command_line.terminal import print_table
from minibert.running.plan import plan
from tests.benchmarks import checkouts, disk, short_runs
from tests.benchmarks.checkouts import LOCATE, checkout_of, git
from tests.benchmarks.commands import Spent, spend
from tests.benchmarks.short_runs import BESIDE, HERE, TRAINED, WAYS, Measured

STAND_IN = """
import pathlib, sys

words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
store = pathlib.Path(words["tracking.folder"])
runs = list(store.glob("artifacts/*"))
print("first line")
if not runs or "tracking.rerun" in words or FORGETS:
    (store / "artifacts" / f"run{len(runs)}" / "artifacts" / "checkpoints").mkdir(parents=True)
print(f"{len(runs)} runs were there")
"""


def planted_checkout(folder, forgets=False):
    """A program in minibert's place: a run leaves a folder of checkpoints, and is found if there is one."""
    (folder / "minibert").mkdir(parents=True)
    (folder / "minibert" / "__init__.py").touch()
    (folder / "minibert" / "run.py").write_text(f"FORGETS = {forgets}\n{STAND_IN}")
    return folder


@pytest.fixture(autouse=True)
def any_machine_is_quiet(monkeypatch):
    monkeypatch.setattr(short_runs, "QUIET", 1.0)


def measured(*processor, others=0.0):
    return Measured([Spent(seconds + 1, seconds / 2, seconds, others, "") for seconds in processor])


def printed(table):
    pipe = io.StringIO()
    print_table(Console(file=pipe, width=20), table)
    return pipe.getvalue()


def test_a_command_is_measured_to_its_end_with_all_that_it_printed():
    told = []
    spent = spend(["-c", "import sys; print('one'); print('two', file=sys.stderr)"], told=told.append)
    assert spent.printed == "one\ntwo\n" and told == ["one\n", "two\n"]
    assert 0 <= spent.printing <= spent.seconds and spent.processor > 0 and spent.others >= 0


def test_a_command_that_fails_ends_the_benchmark_with_what_it_printed():
    with pytest.raises(SystemExit, match="failed:\nno luck"):
        spend(["-c", "print('no luck'); raise SystemExit(3)"])


def test_checkouts_take_turns_and_each_runs_its_own_code(tmp_path):
    sides = {HERE: planted_checkout(tmp_path / "here"), BESIDE: planted_checkout(tmp_path / "beside")}
    for folder in sides.values():
        assert spend(LOCATE, folder).printed == f"{folder / 'minibert' / '__init__.py'}\n"
    runs = short_runs.measure_runs(sides, tmp_path, rounds=2)
    assert list(runs) == [(way, side) for way in WAYS for side in sides]
    assert [spent.printed.splitlines()[-1] for spent in runs[TRAINED, BESIDE].rounds] == [
        "1 runs were there", "2 runs were there",
    ]  # fmt: skip
    assert [spent.printed.splitlines()[-1] for spent in runs["found", HERE].rounds] == [
        "2 runs were there", "3 runs were there",
    ]  # fmt: skip


def test_a_commit_is_checked_out_for_the_time(monkeypatch, tmp_path):
    monkeypatch.setattr(checkouts, "ROOT", planted_checkout(tmp_path / "here"))
    git("init").check_returncode()
    git("add", ".").check_returncode()
    git("-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-m", "Begin").check_returncode()
    assert checkouts.obstacle("HEAD") is None
    with checkout_of("HEAD", tmp_path) as place:
        assert place.is_relative_to(tmp_path) and spend(LOCATE, place).printed.startswith(str(place))
        assert str(place) in git("worktree", "list").stdout
    assert not place.exists() and str(place) not in git("worktree", "list").stdout


def test_a_checkout_whose_code_python_does_not_run_is_refused(tmp_path):
    place = planted_checkout(tmp_path / "here")
    (place / "minibert" / "__init__.py").unlink()
    (place / "minibert.py").touch()
    with (
        pytest.raises(SystemExit, match=r"but Python runs .*minibert\.py there"),
        checkout_of(str(place), tmp_path),
    ):
        pass


def test_a_run_that_is_trained_where_it_should_be_found_ends_the_benchmark(tmp_path):
    sides = {HERE: planted_checkout(tmp_path / "here", forgets=True)}
    with pytest.raises(SystemExit, match=r"found, this checkout: .* has 3 trained runs, and should have 2"):
        short_runs.measure_runs(sides, tmp_path, rounds=1)


def test_runs_of_a_kept_store_are_found_the_next_time(tmp_path):
    checkout = planted_checkout(tmp_path / "here")
    short_runs.measure_found(tmp_path / "kept", checkout, runs=1, rounds=1)
    found = short_runs.measure_found(tmp_path / "kept", checkout, runs=1, rounds=2)
    assert {spent.printed.splitlines()[-1] for spent in found.rounds} == {"1 runs were there"}
    assert short_runs.trained_runs(tmp_path / "kept") == 1


def test_its_words_compose():
    (run,) = plan([*short_runs.RUN, *WAYS[TRAINED]], multirun=False).jobs
    assert run.config.training.steps == 20 and run.config.tracking.rerun
    sweep = plan([*short_runs.SWEEP[1:], "seed=range(2)"], multirun=True).jobs
    assert [job.config.seed for job in sweep] == [0, 1]
    full, small = (plan(list(words), multirun=False).jobs for words in (short_runs.STORED[:1], short_runs.STORED))
    assert len(small) == len(full) == 15
    assert small[0].config.training.steps == full[0].config.training.steps
    assert small[0].config.training.checkpoints_per_doubling == full[0].config.training.checkpoints_per_doubling


def test_time_is_compared_round_by_round_and_judged_on_a_quiet_machine_only(monkeypatch, capsys):
    runs = {
        (TRAINED, HERE): measured(2.0, 6.0, 3.0), (TRAINED, BESIDE): measured(4.0, 8.0, 8.0),
        ("found", HERE): measured(1.0, 1.0, 1.0), ("found", BESIDE): measured(1.0, 1.0, 1.0, others=0.2),
    }  # fmt: skip
    verdicts = short_runs.runs_verdicts(runs)
    assert [(verdict.value, verdict.met) for verdict in verdicts] == [(0.5, True), (1.0, False)]
    table = printed(short_runs.runs_table(runs))
    assert "0.500" in table and "0.375-0.750" in table and "20%" in table
    assert not short_runs.runs_verdicts({(TRAINED, HERE): measured(2.0)})
    monkeypatch.setattr(short_runs, "QUIET", 0.05)
    short_runs.judge(verdicts, list(runs.values()))
    assert capsys.readouterr().out.count("void") == 2


def test_a_found_sweep_is_told_in_seconds_of_its_lines_of_the_command_and_of_the_processor():
    table = printed(short_runs.found_table(measured(4.0, 8.0, 6.0), 100))
    assert "100 runs" in table
    for figures in (("3.00", "2.00-4.00"), ("7.00", "5.00-9.00"), ("6.00", "4.00-8.00")):
        assert all(figure in table for figure in figures)


@pytest.mark.parametrize(
    "path, kind",
    [
        ("artifacts/1/artifacts/checkpoints/step_0000500.safetensors", disk.CHECKPOINTS),
        ("artifacts/1/artifacts/model/code/minibert/diagnostics/figures/page.html", disk.CODE),
        ("work/code/0a1b", disk.CODE),
        ("artifacts/models/m-1/artifacts/model.safetensors", disk.MODEL),
        ("artifacts/1/artifacts/arrays/weight_spectra/step_0000001.npz", disk.ARRAYS),
        ("artifacts/1/artifacts/figures/training/loss.png", disk.PAGES),
        ("artifacts/1/artifacts/evaluation.html", disk.PAGES),
        ("reports/masking_sweep/runs.csv", disk.PAGES),
        ("mlflow.db-wal", disk.DATABASE),
        ("cache/0123/tokenizer.json", disk.DATA),
        ("artifacts/1/artifacts/config.yaml", disk.REST),
    ],
)
def test_a_file_is_of_the_kind_that_its_folder_says(path, kind):
    assert disk.kind_of(PurePosixPath(path)) == kind


def test_a_file_with_several_names_counts_once_in_the_first_kind(tmp_path):
    run, pool = tmp_path / "artifacts" / "1" / "artifacts", tmp_path / "work" / "code"
    for folder in (run / "checkpoints", run / "model" / "code", pool):
        folder.mkdir(parents=True)
    (pool / "0a1b").write_bytes(os.urandom(50_000))
    (run / "model" / "code" / "ops.py").hardlink_to(pool / "0a1b")
    (run / "model" / "model.safetensors").write_bytes(os.urandom(200_000))
    (run / "checkpoints" / "step_0000500.safetensors").hardlink_to(run / "model" / "model.safetensors")
    used = disk.usage(tmp_path)
    assert 50_000 <= used[disk.CODE] < 70_000 and 200_000 <= used[disk.CHECKPOINTS] < 220_000
    assert sum(used.values()) == used[disk.CODE] + used[disk.CHECKPOINTS]


def test_disk_is_judged_by_the_sum_of_all_kinds():
    used = {HERE: dict.fromkeys(disk.KINDS, 2**20), BESIDE: dict.fromkeys(disk.KINDS, 4 * 2**20)}
    (verdict,) = short_runs.disk_verdicts(used)
    assert verdict.value == 0.25 and verdict.met
    table = printed(disk.table("Disk", used))
    assert all(kind in table for kind in disk.KINDS) and table.count("0.250") == len(disk.KINDS) + 1
    assert not short_runs.disk_verdicts({HERE: used[HERE]})
    assert "/" not in printed(disk.table("Disk", {HERE: used[HERE]}))


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["--beside", "no_such_folder"],
            "--beside no_such_folder: neither a folder with minibert/run.py nor a commit of this repository",
        ),
        (["--count", "one", "two"], "--count: 2 stores. Give one, and with --beside two."),
        (["--count", "no_store"], "--count no_store: there is no mlflow.db"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        short_runs.parse(words)
    assert message in capsys.readouterr().err


def test_a_checkout_that_cannot_train_the_sweep_is_named_and_left_out(tmp_path, capsys):
    sides = {HERE: planted_checkout(tmp_path / "here"), BESIDE: planted_checkout(tmp_path / "beside")}
    (sides[BESIDE] / "minibert" / "run.py").write_text("raise SystemExit('no launcher')")
    options = short_runs.parse(["--parts", "disk"])
    used = short_runs.show_disk(options, sides, tmp_path)
    assert list(used) == [HERE] and used[HERE][disk.CHECKPOINTS] == 0
    printed = capsys.readouterr().out
    assert "the other failed" in printed and "no launcher" in printed and "kind of file" in printed

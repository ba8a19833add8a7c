"""A recorded run, trained again from its record: equal to the bit, or what differs, where and why."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from minibert.errors import MinibertError
from minibert.evaluate import main as evaluate
from minibert.inspect import main as inspect
from minibert.model.saved import load_checkpoint
from minibert.reproduce import main
from minibert.serving.loading import load_run
from minibert.tracking import open_store
from minibert.training.checkpoints import save_checkpoint

QUICK = ["evaluation.rates=[0.4]", "diagnostics.figures=[]", "diagnostics=light"]
HEADS = ["quantities=[head_distances]", "figures=[attention]"]
ALTERED = "layers.1.attention.key.weight"


@pytest.fixture(scope="module")
def originals(door, small_settings, books, empty_database, tmp_path_factory):
    """A store with a finished run, on documents beside it, and one whose loss explodes."""
    folder = tmp_path_factory.mktemp("originals")
    shutil.copy(empty_database, folder)
    shutil.copytree(books, folder / "books")
    words = [*small_settings, *QUICK, f"tracking.folder={folder}", f"data.path={folder}/books/*.txt"]
    trained = door(*words, "model.dropout=0.1")
    assert trained.returncode == 0, trained.stderr
    exploded = door(*words, "optimizer=sgd", "optimizer.learning_rate=1e12", "clipping=none")
    assert "not finite" in exploded.stderr
    return folder


class Original:
    """A copy of the store, to be altered, and the words that reproduce its run."""

    def __init__(self, folder: Path, status: str):
        self.folder = folder
        self.store = open_store(None, folder, "minibert")
        condition = f"attributes.status = '{status}'"
        (self.run,) = self.store.client.search_runs([self.store.experiment_id], condition)
        self.id = self.run.info.run_id
        self.checkpoints = folder / "artifacts" / self.id / "artifacts" / "checkpoints"

    def alter(self, step: int) -> None:
        """Change one value of one parameter in a kept checkpoint."""
        path = self.checkpoints / f"step_{step:07d}.safetensors"
        tensors, about = load_checkpoint(path)
        weight = tensors[ALTERED].copy()
        weight[3, 5] = np.nextafter(weight[3, 5], np.float32(9))
        save_checkpoint(path, tensors | {ALTERED: weight}, about)

    def alter_metric(self, name: str, *steps: int) -> None:
        """Change recorded values as another training would have."""
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database, database:
            for step in steps:
                words = "UPDATE metrics SET value = value + 1e-9 WHERE run_uuid = ? AND key = ? AND step = ?"
                assert database.execute(words, (self.id, name, step)).rowcount == 1

    def cut(self, *metrics: str, after: int = -1) -> None:
        """Take the points of these metrics after a step off the record, as a damaged database would."""
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database, database:
            for name in metrics or self.run.data.metrics:
                words = (self.id, name, after)
                database.execute("DELETE FROM metrics WHERE run_uuid = ? AND key = ? AND step > ?", words)
                if after < 0:
                    database.execute("DELETE FROM latest_metrics WHERE run_uuid = ? AND key = ?", words[:2])

    def record(self, tag: str, value: str) -> None:
        self.store.client.set_tag(self.id, tag, value)

    def snapshot(self):
        run = self.store.client.get_run(self.id)
        files = {path: path.stat().st_mtime_ns for path in self.checkpoints.parent.rglob("*")}
        return run.data.metrics, run.data.tags, run.info.status, run.info.end_time, files

    def reproduce(self, capsys, *words: str) -> tuple[int, str]:
        code = main([f"run={self.id}", f"tracking.folder={self.folder}", *words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err


@pytest.fixture
def original(originals, tmp_path):
    shutil.copytree(originals, tmp_path / "store")
    return Original(tmp_path / "store", "FINISHED")


@pytest.fixture
def exploded(originals, tmp_path):
    shutil.copytree(originals, tmp_path / "store")
    return Original(tmp_path / "store", "FAILED")


def test_a_run_is_equal_to_the_bit_whatever_else_is_known_of_it_and_its_record_is_left_alone(original, capsys):
    before = original.snapshot()
    code, told = original.reproduce(capsys)
    assert code == 0, told
    assert "equal to the bit: parameters at 7 checkpoints (steps 0, 1, 2, 4, 8, 16, 20)" in told
    assert "not one and the same" not in told and "lacks" not in told
    assert original.snapshot() == before


def test_checkpoints_that_a_run_lacks_are_added_where_all_is_equal(original, capsys):
    paths = [original.checkpoints / f"step_{step:07d}.safetensors" for step in (8, 16)]
    before = [load_checkpoint(path) for path in paths]
    for path in paths:
        path.unlink()
    mode = original.checkpoints.stat().st_mode
    code, told = original.reproduce(capsys, "keep=[16,3,8,4]")
    assert code == 0, told
    assert "kept already: checkpoints of the steps 4" in told
    assert "added to the run: checkpoints of the steps 3, 8, 16" in told
    assert original.checkpoints.stat().st_mode == mode  # so that others who use the store can read them
    for path, (tensors, about) in zip(paths, before, strict=True):
        now, about_now = load_checkpoint(path)
        assert about_now == about
        assert {name: each.tobytes() for name, each in now.items()} == {
            name: each.tobytes() for name, each in tensors.items()
        }
    loaded = load_run(original.id, step=3, folder=original.folder)
    assert loaded.kept_steps == [0, 1, 2, 3, 4, 8, 16, 20]
    assert inspect([f"run={original.id}", f"tracking.folder={original.folder}", "steps=[3]", *HEADS]) == 0
    assert original.reproduce(capsys)[0] == 0


def test_where_something_differs_no_checkpoint_is_added(original, capsys):
    original.alter(8)
    before = original.snapshot()
    code, told = original.reproduce(capsys, "keep=[3,12]")
    assert code == 1 and "no checkpoint was added" in told
    assert original.snapshot() == before


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("keep=[21]", "step 21 is not trained again here"),
        ("keep=[3,x]", "keep=[3,x]: not a number of steps. Allowed: a whole number"),
        ("keep=[]", "keep=[]: not a list of steps. Allowed: such as keep=[64,128]."),
        ("keep=[3", "keep=[3: not a list of steps."),
        (f"steps={'9' * 5000}", "…: not a number of steps."),
    ],
)
def test_steps_that_cannot_be_added_are_refused_before_anything_is_trained(original, capsys, word, message):
    code, told = original.reproduce(capsys, word)
    assert code == 2 and message in " ".join(told.split())


def test_a_folder_that_can_take_no_checkpoint_is_told_before_anything_is_trained(original, capsys):
    shutil.rmtree(original.checkpoints)
    original.checkpoints.write_text("in the way")
    code, told = original.reproduce(capsys, "keep=[3]")
    assert code == 2 and f"{original.checkpoints} is no folder" in " ".join(told.split())


def test_an_altered_parameter_is_named_at_its_step_and_nothing_explains_it(original, capsys):
    original.alter(8)
    code, told = original.reproduce(capsys)
    assert code == 1
    assert f"differs: parameter {ALTERED} differs at step 8, in 1 of" in told
    assert "equal until step 4 of those kept" in told
    assert "so the training became another between step 4 and step 8" in told
    assert "no recorded value from there up to step 8 differs" in told
    assert "none of kernel, versions, lanes, code and data explains it" in told


def test_the_first_recorded_value_that_differs_dates_a_difference_between_kept_steps(original, capsys):
    original.alter_metric("train/loss", 10, 15, 20)
    original.alter_metric("gradient_norm/global", 10, 15)
    original.alter(16)
    code, told = original.reproduce(capsys)
    assert code == 1
    assert f"differs: parameter {ALTERED} differs at step 16, in 1 of" in told
    assert "the first recorded value that differs is train/loss at step 10: " in told
    assert "; at that step also gradient_norm/global (" in told
    assert "so the training became another between step 8 and step 10" in told


def test_training_ends_where_a_value_differs_if_no_later_parameters_are_kept(original, capsys):
    for step in ("16", "20"):
        (original.checkpoints / f"step_00000{step}.safetensors").unlink()
    original.alter_metric("train/loss", 10)
    code, told = original.reproduce(capsys)
    assert code == 1 and "differs: the first recorded value that differs is train/loss at step 10: " in told
    assert "none can be named: training ended at step 10" in told


def test_a_value_that_differs_while_later_parameters_are_equal_was_measured_otherwise(original, capsys):
    original.alter_metric("eval/loss", 5)
    code, told = original.reproduce(capsys)
    assert (
        code == 1 and "differs: with equal parameters, other values are measured: of eval/loss at step 5: " in told
    )
    original.alter_metric("train/loss", 10)
    original.alter(16)
    code, told = original.reproduce(capsys)
    assert "the first recorded value that differs is train/loss at step 10: " in told
    assert "another between step 8 and step 10, unless that value, too, is only measured otherwise" in told
    assert "values are measured: of eval/loss at step 5: " in told


def test_a_difference_after_the_last_step_asked_for_is_not_seen(original, capsys):
    original.alter(8)
    code, told = original.reproduce(capsys, "steps=7")
    assert code == 0 and "(steps 0, 1, 2, 4)" in told


def test_another_kernel_on_record_explains_a_difference_and_with_other_versions_it_may(original, capsys):
    original.record("kernel.name", "Imagined")
    original.alter(1)
    code, told = original.reproduce(capsys, "steps=1")
    assert code == 1 and "this explains it, as nothing else is other than on record: kernel: Imagined" in told
    original.record("version.numpy", "1.0")
    code, told = original.reproduce(capsys, "steps=1")
    assert code == 1 and "whether several do, the record cannot tell: kernel: Imagined" in told
    assert "to tell: pip install numpy==1.0, and reproduce again" in told


def test_other_code_versions_lanes_and_an_interruption_are_named_even_if_they_made_no_difference(original, capsys):
    original.record("code.model", "0123456789ab")
    original.record("version.numpy", "1.0")
    original.record("kernel.lanes", "64")
    original.record("before_continuation.kernel.vectors", "fake")
    code, told = original.reproduce(capsys, "steps=0")
    assert code == 0
    for cause in ("code (model): 0123456789ab", "versions (numpy): 1.0", "lanes: 64"):
        assert f"not one and the same: {cause} on record" in told
    assert "the run itself changed its kernel (vectors): fake at first" in told and "made no difference" in told


def test_of_a_record_whose_curves_are_cut_it_is_said_what_could_not_be_compared(original, capsys):
    original.cut("train/loss", "gradient_norm/global", after=10)
    original.cut("eval/loss")
    (original.checkpoints / "step_0000016.safetensors").unlink()
    code, told = original.reproduce(capsys)
    assert code == 0, told
    assert "equal to the bit, as far as the record goes: parameters at 6 checkpoints" in told
    assert "as the record lacks it: parameters of these steps: 16" in told
    (line,) = [line for line in told.splitlines() if "values: " in line]
    assert "gradient_norm/global and 1 more metrics after step 10" in line and "eval/loss at every step" in line
    original.alter(8)
    code, told = original.reproduce(capsys)
    assert code == 1 and f"differs: parameter {ALTERED} differs at step 8" in told
    assert "as the record lacks it: " in told and "eval/loss at every step" in told


@pytest.mark.parametrize("how", ["removed", "a file"])
def test_where_the_checkpoints_are_lost_the_curves_are_compared(original, capsys, how):
    shutil.rmtree(original.checkpoints)
    if how == "a file":
        original.checkpoints.write_text("")
    code, told = original.reproduce(capsys)
    assert code == 0 and "equal to the bit, as far as the record goes: " in told and "checkpoints (" not in told
    assert "the record lacks it: parameters of these steps: 0, 1, 2, 4, 8, and 2 more like this" in told


def test_a_value_that_differs_is_found_without_checkpoints(original, capsys):
    shutil.rmtree(original.checkpoints)
    original.alter_metric("train/loss", 10)
    code, told = original.reproduce(capsys)
    assert code == 1 and "differs: the first recorded value that differs is train/loss at step 10: " in told
    assert "none can be named: training ended at step 10" in told


def test_a_killed_run_without_checkpoints_is_compared_up_to_its_last_value(original, capsys):
    shutil.rmtree(original.checkpoints)
    original.cut("train/loss", after=15)
    original.store.client.set_terminated(original.id, "KILLED")
    code, told = original.reproduce(capsys)
    assert code == 0 and "again up to step " in told and "equal to the bit, as far as the record goes: " in told


EDITS = {
    "learning_rate": ("0.5", "optimizer.learning_rate=0.5"),
    "dropout": ("0.2", "model.dropout=0.2, but 0.1 was recorded"),
    "masking": ("77", "seeds.masking=77"),
    "packed": ("false", "data.packed=false, but true was recorded"),
    "rates": ("[0.2]", "evaluation.rates=[0.2], but [0.4] was recorded"),
}


@pytest.mark.parametrize("key", EDITS)
def test_a_configuration_that_was_edited_is_not_the_one_that_the_store_recorded(original, capsys, key):
    given, said = EDITS[key]
    path = original.checkpoints.parent / "config.yaml"
    value = re.compile(rf"^  {key}:( .+$|\n  - .+$)", re.MULTILINE)
    edited, count = value.subn(f"  {key}: {given}", path.read_text(), count=1)
    path.write_text(edited)
    code, told = original.reproduce(capsys)
    assert count == 1 and code == 2 and f"config.yaml: {said}" in told and "nothing" not in told
    assert "it is not the configuration that run" in told and "Put the recorded values back" in told
    with pytest.raises(MinibertError, match="not the configuration that run"):
        load_run(original.id, folder=original.folder)


def test_text_that_lies_elsewhere_now_is_the_same_text(original, capsys):
    path = original.checkpoints.parent / "config.yaml"
    (books,) = re.findall(r"^  path: (.+)/books/\*\.txt$", path.read_text(), re.MULTILINE)
    path.write_text(path.read_text().replace(f"path: {books}/", f"path: {original.folder}/"))
    code, told = original.reproduce(capsys, "steps=0")
    assert code == 0 and "not one and the same" not in told


def test_where_the_text_was_moved_it_is_said_how_to_tell_its_new_place(original, capsys):
    path = original.checkpoints.parent / "config.yaml"
    (books,) = re.findall(r"^  path: (.+)/books/\*\.txt$", path.read_text(), re.MULTILINE)
    path.write_text(path.read_text().replace(f"path: {books}/", f"path: {original.folder}/moved/"))
    for door in (main, inspect, evaluate):
        assert door([f"run={original.id}", f"tracking.folder={original.folder}"]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert "no file matches this glob" in told
        assert f"lie elsewhere now, write their place into {path}, as path under data" in told


def test_a_gap_within_a_curve_is_told_by_where_it_begins(original, capsys):
    with closing(sqlite3.connect(original.folder / "mlflow.db")) as database, database:
        words = "DELETE FROM metrics WHERE run_uuid = ? AND key = 'train/loss' AND step IN (5, 10)"
        assert database.execute(words, (original.id,)).rowcount == 2
    code, told = original.reproduce(capsys)
    assert code == 0 and "lacks it: 2 values: train/loss at 2 steps, the first of them step 5" in told


def test_where_the_record_has_nothing_to_compare_nothing_is_called_equal(original, capsys):
    original.cut()
    for path in original.checkpoints.glob("step_*"):
        if path.stem != "step_0000020":
            path.unlink()
    code, told = original.reproduce(capsys, "steps=4")
    assert code == 2 and "equal" not in told
    assert (
        "nothing can be compared up to step 4, as the record lacks parameters of these steps: 0, 1, 2, 4 and "
        in told
    )


def test_on_other_data_nothing_is_trained(original, capsys):
    original.record("corpus.hash", "f" * 64)
    code, told = original.reproduce(capsys)
    assert code == 1
    assert "the data are not those of the run" in told and f"data (corpus): {'f' * 64} on record" in told
    assert "this explains it: the text is not the one on record" in told


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_run_that_failed_fails_again_at_the_same_step(exploded, capsys):
    code, told = exploded.reproduce(capsys)
    assert code == 0, told
    assert "on record it is FAILED" in told and "it fails again: Step" in told and "lacks" not in told


def test_a_killed_run_is_compared_up_to_where_it_got(original, capsys):
    for late in ("16", "20"):
        (original.checkpoints / f"step_00000{late}.safetensors").unlink()
    original.store.client.set_terminated(original.id, "KILLED")
    code, told = original.reproduce(capsys)
    assert code == 0 and "on record it is KILLED" in told and "(steps 0, 1, 2, 4, 8)" in told


def test_what_cannot_be_reproduced_is_one_error(original, capsys):
    code, told = original.reproduce(capsys, "steps=21")
    assert code == 2 and "Allowed: 0 to 20" in told
    code, told = original.reproduce(capsys, "steps=few")
    assert code == 2 and "whole number" in told
    code, told = original.reproduce(capsys, "step=3")
    assert code == 2 and "did you mean 'steps'" in told
    path = original.checkpoints / "step_0000016.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    code, told = original.reproduce(capsys)
    assert code == 2 and "step_0000016.safetensors is broken" in told and "Traceback" not in told
    recorded = original.checkpoints.parent / "config.yaml"
    whole = recorded.read_text()
    for key, given in {"steps": "-6", "batch_size": "0"}.items():
        recorded.write_text(re.sub(rf"^  {key}: .+$", f"  {key}: {given}", whole, flags=re.MULTILINE))
        code, told = original.reproduce(capsys)
        assert code == 2 and f"config.yaml: training.{key}={given}" in told and "Traceback" not in told
    recorded.write_text("seed: 1\n")
    code, told = original.reproduce(capsys)
    assert code == 2 and "is incomplete" in told
    code = main(["run=0123abcd", f"tracking.folder={original.folder}"])
    assert code == 2 and "no such run" in capsys.readouterr().err

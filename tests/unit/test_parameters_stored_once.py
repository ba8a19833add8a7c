"""What a run ends with is one file, at three places: its last checkpoint and what is served of it."""

import hashlib
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from support.batches import RandomBatches
from support.trainers import small_config, small_model, small_trainer

from minibert.config import LookaheadConfig
from minibert.config.averaging import EMAConfig, LastConfig
from minibert.config.training import RangeTestConfig
from minibert.data.tokenizer import train_tokenizer
from minibert.files import UNFINISHED, clear_unfinished
from minibert.model.saved import load_checkpoint
from minibert.serving import mlflow_model
from minibert.serving.loading import load_saved, saved_run
from minibert.serving.mlflow_model import DATA, _load_pyfunc, log_served_model
from minibert.tracking import claim, models, start_run
from minibert.tracking.addresses import local_path
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.runs import STATE
from minibert.training.checkpoints import checkpoint_name, save_checkpoint
from minibert.training.observers import Checkpoints
from tests.support.copies import Copy
from tests.support.reports import copied_store

STEPS = 6
MODEL = small_model(vocab_size=60)
PARAMETERS = Path(DATA) / "parameters.safetensors"
EVALUATED = {
    "trained": {},
    "lookahead": {"optimizer": LookaheadConfig(period=4)},
    "ema": {"averaging": EMAConfig()},
    "last": {"averaging": LastConfig()},
    "range test": {"schedule": RangeTestConfig()},
}
"""Ways to the parameters that a run is evaluated with -> settings"""


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["the state of the union is strong"], vocab_size=60, lowercase=True)


@pytest.fixture(scope="module")
def store(empty_database, tmp_path_factory):
    """A store whose models carry one module."""
    package = tmp_path_factory.mktemp("code") / "minibert"
    package.mkdir()
    (package / "__init__.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_model, "PACKAGE", package)
        yield copied_store(empty_database, tmp_path_factory.mktemp("store"))


@pytest.fixture
def served(store, tokenizer, request):
    """Trains a run to its end and serves it: ``served(groups of settings)`` -> run, its parameters."""
    content = tokenizer.to_str(pretty=True).encode()

    def train(serve=log_served_model, **groups):
        config = small_config(MODEL, STEPS, **groups)
        key = hashlib.sha256(request.node.name.encode()).hexdigest()
        with claim(store, key) as held, small_trainer(config, RandomBatches()) as trainer:
            run = start_run(held, request.node.name, {}, {})
            run.log_bytes(content, "tokenizer.json")
            observer = Checkpoints(
                config.training, run.folder / STATE, run.keep, run.secure, lambda: None,
                tokenizer=hashlib.sha256(content).hexdigest(),
            )  # fmt: skip
            trainer.train([observer])
            with trainer.evaluation_parameters():
                serve(run, trainer.model, tokenizer, trainer.progress.step)
                vector = trainer.model.params.vector.copy()
            run.finish("FINISHED")
        return run, vector

    return train


def kept(run) -> Path:
    return max(run.artifact_folder("checkpoints").iterdir())


def places(run) -> list[Path]:
    """The last checkpoint, and the parameters of the artifact ``model`` and of MLflow's model."""
    return [kept(run), run.artifact_folder("") / "model" / PARAMETERS, entry(run) / PARAMETERS]


def entry(run) -> Path:
    """The folder of the run's entry among MLflow's models."""
    (output,) = run.entity().outputs.model_outputs
    folder = local_path(run.store.client.get_logged_model(output.model_id).artifact_location)
    assert folder is not None
    return folder


def assert_served(folder: Path, vector: np.ndarray) -> None:
    assert _load_pyfunc(str(folder / DATA)).model.params.vector.tobytes() == vector.tobytes()


@pytest.mark.parametrize("groups", EVALUATED.values(), ids=EVALUATED)
def test_the_last_checkpoint_and_the_served_parameters_are_one_file(served, tokenizer, groups):
    run, vector = served(**groups)
    checkpoint, *others = places(run)
    assert all(os.path.samefile(checkpoint, other) for other in others)
    assert checkpoint.stat().st_nlink == 3
    for path in others:
        assert_served(path.parents[2], vector)
    loaded = load_saved(saved_run(run.store, run.id, small_config(MODEL, STEPS)))
    assert loaded.model.params.vector.tobytes() == vector.tobytes()
    assert loaded.tokenizer.to_str() == tokenizer.to_str()
    assert load_checkpoint(checkpoint)[1].keys() == {"step", "model", "tokenizer"}


def test_without_hard_links_it_is_copied(served, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    run, vector = served()
    checkpoint, *others = places(run)
    for path in others:
        assert not os.path.samefile(checkpoint, path) and path.read_bytes() == checkpoint.read_bytes()
        assert_served(path.parents[2], vector)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")


def of_an_earlier_version(path: Path) -> None:
    tensors, about = load_checkpoint(path)
    del about["tokenizer"]
    save_checkpoint(path, tensors, about)


def of_another_tokenizer(path: Path) -> None:
    tensors, about = load_checkpoint(path)
    save_checkpoint(path, tensors, about | {"tokenizer": "5eed" * 16})


def of_other_parameters(path: Path) -> None:
    tensors, about = load_checkpoint(path)
    tensors["mlm_head.bias"][0] += 1e-6
    save_checkpoint(path, tensors, about)


CHANGES = (Path.unlink, emptied, damaged, of_an_earlier_version, of_another_tokenizer, of_other_parameters)


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_that_is_not_what_is_served_stays_as_it_is_and_the_model_has_a_file_of_its_own(
    served, change
):
    before = []

    def change_and_serve(run, model, tokenizer, step):
        checkpoint = run.artifact_folder("checkpoints") / checkpoint_name(step)
        change(checkpoint)
        before.append(checkpoint.read_bytes() if checkpoint.exists() else None)
        log_served_model(run, model, tokenizer, step)
        assert (checkpoint.read_bytes() if checkpoint.exists() else None) == before[0]

    run, vector = served(serve=change_and_serve)
    _, artifact, logged = places(run)
    assert os.path.samefile(artifact, logged) and artifact.stat().st_nlink == 2
    assert_served(artifact.parents[2], vector)


def test_a_store_whose_checkpoints_do_not_name_their_tokenizer_is_read(served):
    """Earlier versions wrote the parameters twice."""

    def serve(run, model, tokenizer, step):
        of_an_earlier_version(run.artifact_folder("checkpoints") / checkpoint_name(step))
        log_served_model(run, model, tokenizer, step)

    run, vector = served(serve=serve)
    loaded = load_saved(saved_run(run.store, run.id, small_config(MODEL, STEPS)))
    assert loaded.model.params.vector.tobytes() == vector.tobytes()
    assert_served(entry(run), vector)


WRITERS = {
    "a checkpoint": lambda run, path: run.keep(path.name, lambda place: save_checkpoint(place, {}, {})),
    "an artifact": lambda run, path: run.log_bytes(b"new", f"checkpoints/{path.name}"),
    "a copied file": lambda run, path: run.log_artifact(written(run.folder / path.name), "checkpoints"),
    "a copied folder": lambda run, path: run.log_artifact(
        written(run.folder / "more" / path.name).parent, "checkpoints"
    ),
}


def written(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"new")
    return path


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_writes_a_new_checkpoint_leaves_what_is_served(served, write):
    run, vector = served()
    checkpoint, artifact, logged = places(run)
    size = checkpoint.stat().st_size
    run.folder.mkdir(exist_ok=True)
    write(run, checkpoint)
    assert checkpoint.stat().st_size < size and checkpoint.stat().st_nlink == 1
    assert_served(artifact.parents[2], vector)
    assert os.path.samefile(artifact, logged)


def test_what_serves_the_run_again_leaves_its_checkpoint(served):
    """As a run does that was killed while its model was stored, and continues under other bits."""

    def twice(run, model, tokenizer, step):
        bias = model.params["mlm_head.bias"]
        trained = bias.copy()
        log_served_model(run, model, tokenizer, step)
        bias += 1
        log_served_model(run, model, tokenizer, step)
        bias[:] = trained
        assert not os.path.samefile(*places(run)[:2])
        assert np.array_equal(load_checkpoint(kept(run))[0]["mlm_head.bias"], trained)
        log_served_model(run, model, tokenizer, step)

    run, vector = served(serve=twice)
    assert kept(run).stat().st_nlink == 3
    assert_served(entry(run), vector)


def minibert_removes_the_model(run) -> None:
    artifacts_of(run.store, run.id).remove("model")


def minibert_removes_the_checkpoints(run) -> None:
    artifacts_of(run.store, run.id).remove("checkpoints")


def gc(run, *words: str) -> None:
    from click.testing import CliRunner
    from mlflow.cli import gc as collect

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", run.store.uri)
        result = CliRunner().invoke(
            collect, ["--backend-store-uri", run.store.uri, *words], catch_exceptions=False
        )
    assert result.exit_code == 0, result.output


def mlflow_removes_the_run(run) -> None:
    run.store.client.delete_run(run.id)
    gc(run, "--run-ids", run.id)


def mlflow_removes_the_model(run) -> None:
    (output,) = run.entity().outputs.model_outputs
    run.store.client.delete_logged_model(output.model_id)
    gc(run, "--logged-model-ids", output.model_id)


REMOVALS = {
    minibert_removes_the_model: [True, False, True],
    minibert_removes_the_checkpoints: [False, True, True],
    mlflow_removes_the_run: [False, False, True],
    mlflow_removes_the_model: [True, True, False],
}
"""What deletes -> which of :func:`places` stay"""


@pytest.mark.parametrize(("remove", "stay"), REMOVALS.items())
def test_what_deletes_one_place_leaves_the_others_whole(served, remove, stay):
    run, _ = served()
    found = places(run)
    whole = found[0].read_bytes()
    remove(run)
    assert [path.exists() for path in found] == stay
    assert all(path.read_bytes() == whole for path in found if path.exists())


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def while_its_folder_is_written(patch) -> None:
    patch.setattr(models, "share_code", die)


def before_its_folder_has_its_name(patch) -> None:
    replace = os.replace
    patch.setattr(os, "replace", lambda *paths: die() if Path(paths[1]).name == "model" else replace(*paths))


def while_mlflow_gets_it(patch) -> None:
    patch.setattr(models, "link_folder", die)


@pytest.mark.parametrize(
    "moment", [while_its_folder_is_written, before_its_folder_has_its_name, while_mlflow_gets_it]
)
def test_after_a_kill_the_checkpoint_is_whole_and_the_model_is_whole_or_not_there(served, moment):
    def killed_and_again(run, model, tokenizer, step):
        def serve(_words) -> int:
            with pytest.MonkeyPatch.context() as patch:
                moment(patch)
                log_served_model(run, model, tokenizer, step)
            return 0

        folder = run.artifact_folder("")
        with Copy(serve, [], run.folder / "printed.txt") as copy:
            assert copy.wait() == -signal.SIGKILL, copy.printed
        tensors, _ = load_checkpoint(kept(run))
        assert all(tensors[name].tobytes() == array.tobytes() for name, array in model.params.items())
        assert (folder / "model").exists() == (moment is while_mlflow_gets_it)
        if (folder / "model").exists():
            assert_served(folder / "model", model.params.vector)
        clear_unfinished(folder)  # as a run does that goes on
        log_served_model(run, model, tokenizer, step)

    run, vector = served(serve=killed_and_again)
    assert kept(run).stat().st_nlink == 3
    assert not list(run.artifact_folder("").rglob(f"*{UNFINISHED}"))
    assert_served(entry(run), vector)

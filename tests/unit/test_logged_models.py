"""A run's entry among MLflow's models: there is one, however often the run was killed."""

from pathlib import Path

import pytest

from minibert.interruption import Interrupted
from minibert.tracking import claim, start_run
from minibert.tracking.models import log_model
from tests.support.reports import copied_store


@pytest.mark.parametrize("moment", ["log_outputs", "set_logged_model_tags", "finalize_logged_model"])
def test_a_run_that_is_killed_while_its_model_is_stored_has_one_model(
    empty_database, tmp_path, monkeypatch, moment
):
    store = copied_store(empty_database, tmp_path)

    code = tmp_path / "minibert"
    code.mkdir()
    (code / "a.py").write_text("one = 1")

    def write(folder: Path, model_id: str | None) -> None:
        folder.mkdir()
        (folder / "MLmodel").write_text(f"model_id: {model_id}")

    def kill(*_, **__):
        raise Interrupted("SIGKILL")

    def start():
        return start_run(claimed, "a run", {}, {})

    with claim(store, "c0ffee" * 10) as claimed:
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(type(store.client._client), moment, kill)
            log_model(start(), "network", "note", write, code)
        run = start()
        log_model(run, "network", "note", write, code)
        run.finish("FINISHED")
    (model,) = store.client.search_logged_models([store.experiment_id])
    (output,) = store.client.get_run(run.id).outputs.model_outputs
    assert (model.model_id, model.source_run_id, model.status) == (output.model_id, run.id, "READY")

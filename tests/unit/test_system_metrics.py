"""What MLflow measures of the machine while a run trains."""

import shutil
import time

import pytest

from minibert.tracking import claim, open_store, start_run
from minibert.tracking.system_metrics import system_metrics


@pytest.mark.parametrize("earlier", [0, 1])
def test_the_use_of_the_machine_is_recorded_beside_the_metrics_of_the_run(
    empty_database, tmp_path, monkeypatch, earlier
):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    store = open_store(None, tmp_path, "minibert")
    with claim(store, "c0ffee" * 10) as held:
        run = start_run(held, "a run", {}, {})
        used = "system/cpu_utilization_percentage"
        deadline = time.monotonic() + 30
        for part in range(earlier + 1):  # a continued run goes on counting samples
            before = len(run.history(used)[0]) if part else 0
            with system_metrics(run):
                while used not in run.metric_names("system/") or len(run.history(used)[0]) <= before:
                    assert time.monotonic() < deadline
        steps, values = run.history(used)
        assert len(set(steps)) == len(steps) and all(0 <= value <= 100 for value in values)
        run.finish("FINISHED")

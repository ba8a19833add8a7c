#!/usr/bin/env bash
# MLflow 3.17.2: two runs of one experiment that record the same dataset at the same moment. `log_inputs` looks for the
# dataset and then makes it; when another run makes it in between, the second one gets an IntegrityError as INTERNAL_ERROR or
# BAD_REQUEST, and its dataset is missing. The same call a moment later succeeds. All runs of a sweep record the same dataset.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
export MLFLOW_DISABLE_TELEMETRY=true
cat > "$folder/look.py" <<'PY'
import logging
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlDataset
from sqlalchemy import event
from sqlalchemy.orm import Session

logging.disable(logging.ERROR)
client = MlflowClient(f"sqlite:///{sys.argv[1]}/store.db")
experiment = client.create_experiment("example")
first, second = (client.create_run(experiment).info.run_id for _ in range(2))
used = [DatasetInput(Dataset("text", "digest", "local", "{}"), [])]
turns = []


def another_run_is_faster(session, *_):
    if not turns and any(isinstance(row, SqlDataset) for row in session.new):
        turns.append(second)
        client.log_inputs(second, used)


event.listen(Session, "before_flush", another_run_is_faster)
said = None
try:
    client.log_inputs(first, used)
except MlflowException as error:
    said = next(line for line in str(error).splitlines() if "IntegrityError" in line)
recorded = [len(client.get_run(run).inputs.dataset_inputs) for run in (first, second)]
client.log_inputs(first, used)
again = len(client.get_run(first).inputs.dataset_inputs)
print(f"MLflow {mlflow.__version__}: datasets of the two runs {recorded}: {said}; the same call again: {again}")
sys.exit(0 if recorded == [0, 1] and again == 1 and "UNIQUE constraint failed: datasets" in said else 1)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"

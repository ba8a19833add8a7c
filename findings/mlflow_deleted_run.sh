#!/usr/bin/env bash
# MLflow 3.17.2: `log_batch` to a run that was deleted, with a valid metric, raises INVALID_PARAMETER_VALUE: the same code as a
# bad metric name. A client that leaves out "invalid" points must look at the state of the run, or it throws all away.
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
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

logging.disable(logging.INFO)
client = MlflowClient(f"sqlite:///{sys.argv[1]}/store.db")
run = client.create_run(client.create_experiment("example")).info.run_id


def answer(name):
    try:
        client.log_batch(run, metrics=[Metric(name, 0.5, 0, 1)])
    except MlflowException as error:
        return error.error_code


codes = {"a bad name": answer("accuracy@5")}
client.delete_run(run)
codes["a deleted run"] = answer("loss")
print(f"MLflow {mlflow.__version__}: {codes}")
sys.exit(0 if set(codes.values()) == {"INVALID_PARAMETER_VALUE"} else 1)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"

#!/usr/bin/env bash
# MLflow 3.17.2: `log_batch` with one metric whose name it does not take (here an @, as in accuracy@5) stores none of the
# batch. A logger that sends its buffer again and again never gets past that point, and all later points wait behind it.
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
names = ["loss", "accuracy@5", "accuracy"]
code = None
try:
    client.log_batch(run, metrics=[Metric(name, 0.5, 0, 1) for name in names])
except MlflowException as error:
    code = error.error_code
stored = sorted(client.get_run(run).data.metrics)
print(f"MLflow {mlflow.__version__}: {code}; of {names}, stored: {stored}")
sys.exit(0 if code == "INVALID_PARAMETER_VALUE" and stored == [] else 1)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"

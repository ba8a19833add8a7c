#!/usr/bin/env bash
# MLflow 3.17.2: a client with an address of its own, MlflowClient(A), lists the artifacts of a run of A at the default store.
# For the path of a logged model it asks that other store for the model and raises "not found", though the client has it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
export MLFLOW_DISABLE_TELEMETRY=true
cat > "$folder/look.py" <<'PY'
import logging
import os
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

logging.disable(logging.WARNING)
os.chdir(sys.argv[1])


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/first.db")
with mlflow.start_run() as run:
    mlflow.pyfunc.log_model(name="model", python_model=Echo())
first = f"sqlite:///{sys.argv[1]}/first.db"
client = MlflowClient(first)


def listed():
    try:
        return len(client.list_artifacts(run.info.run_id, "model")) > 0
    except MlflowException as error:
        return error.error_code


found = {"default store the same": listed()}
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/second.db")
found["default store another"] = listed()
print(f"MLflow {mlflow.__version__}: {found}")
sys.exit(0 if found == {"default store the same": True, "default store another": "RESOURCE_DOES_NOT_EXIST"} else 1)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"

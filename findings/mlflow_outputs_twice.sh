#!/usr/bin/env bash
# MLflow 3.17.2: a run's inputs (datasets, models) may be logged twice, and are stored once. Its outputs may not: the second
# log_outputs of the same model raises an IntegrityError of the database. So a client that did not hear an answer, and sends
# again, as one has to where a server may go away, ends with an error for outputs alone.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
cat > "$folder/look.py" <<'PY'
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, LoggedModelInput, LoggedModelOutput
from mlflow.exceptions import MlflowException

client = MlflowClient(f"sqlite:///{sys.argv[1]}/mlflow.db")
experiment = client.create_experiment("twice", artifact_location=sys.argv[1])
run = client.create_run(experiment).info.run_id
model = client.create_logged_model(experiment, source_run_id=run).model_id
dataset = DatasetInput(Dataset("corpus", "0123abcd", "local", "{}"), [])
calls = {
    "log_inputs of a dataset": lambda: client.log_inputs(run, [dataset]),
    "log_inputs of a model": lambda: client.log_inputs(run, models=[LoggedModelInput(model)]),
    "log_outputs of a model": lambda: client.log_outputs(run, [LoggedModelOutput(model, step=0)]),
}
found = {}
for name, call in calls.items():
    call()
    try:
        call()
        found[name] = "taken"
    except MlflowException as error:
        found[name] = str(error).splitlines()[0]
    print(f"mlflow {mlflow.__version__}: {name}, the second time: {found[name]}")
stored = client.get_run(run)
counts = len(stored.inputs.dataset_inputs), len(stored.inputs.model_inputs), len(stored.outputs.model_outputs)
print(f"stored datasets, input models and output models: {counts}")
taken = [name for name, what in found.items() if what == "taken"]
sys.exit(0 if counts == (1, 1, 1) and taken == list(calls)[:2] and "UNIQUE" in list(found.values())[2] else 1)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder" 2> >(grep -v "INFO" >&2)

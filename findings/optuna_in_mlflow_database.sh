#!/usr/bin/env bash
# Optuna 5.0.0 and MLflow 3.17.0 cannot share a database, though both take its address: each keeps the version of its tables in a table
# alembic_version. On MLflow's database, RDBStorage adds tables of its own and then refuses, with the advice to update Optuna, which
# does not help. MLflow still opens its database afterwards, with Optuna's tables left in it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0 mlflow==3.17.0
cat > "$folder/look.py" <<'PY'
import os
import sqlite3
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow
import optuna

path = f"{sys.argv[1]}/both.db"


def tables():
    with sqlite3.connect(path) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def revisions():
    with sqlite3.connect(path) as connection:
        return [version for (version,) in connection.execute("SELECT version_num FROM alembic_version")]


client = mlflow.MlflowClient(f"sqlite:///{path}")
client.create_experiment("runs")
before, version = tables(), revisions()
try:
    optuna.storages.RDBStorage(f"sqlite:///{path}")
    raise SystemExit("Optuna shares the database of MLflow now")
except RuntimeError as error:
    print("RDBStorage:", error)
added = sorted(tables() - before)
print(len(added), "tables added:", ", ".join(added))
assert len(added) >= 5 and "studies" in added and "trials" in added
assert revisions() == version, "the version in alembic_version was changed"
assert mlflow.MlflowClient(f"sqlite:///{path}").get_experiment_by_name("runs") is not None
print("MLflow still opens it; the version in alembic_version is MLflow's:", *version)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }

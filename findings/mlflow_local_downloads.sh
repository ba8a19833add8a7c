#!/usr/bin/env bash
# MLflow 3.17.2: the documentation of MlflowClient.download_artifacts says that files which lie on this machine are not
# copied: their own path is returned. They are copied, with every call to a new temporary folder, which stays when the process
# ends. So a tool that looks at the checkpoints of local runs fills the disk with copies of them. list_artifacts and the
# address of the run, or dst_path with a folder of one's own, avoid it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
cat > "$folder/look.py" <<'PY'
import sys

import mlflow
from mlflow import MlflowClient

client = MlflowClient(f"sqlite:///{sys.argv[1]}/mlflow.db")
experiment = client.create_experiment("local", artifact_location=f"file://{sys.argv[1]}/files")
run = client.create_run(experiment)
client.log_text(run.info.run_id, "weights", "step_100.txt")
for _ in range(3):
    path = client.download_artifacts(run.info.run_id, "step_100.txt")
own = run.info.artifact_uri.removeprefix("file://")
print(f"mlflow {mlflow.__version__}: returned {'the file itself' if path.startswith(own) else 'a copy'}")
PY
mkdir "$folder/temporary"
told=$(TMPDIR="$folder/temporary" "$folder/venv/bin/python" "$folder/look.py" "$folder" 2> >(grep -v "INFO" >&2))
left=$(find "$folder/temporary" -name step_100.txt | wc -l)
echo "$told; after three downloads and the end of the process, $left copies are left"
[[ $told == *"a copy" && $left == 3 ]]

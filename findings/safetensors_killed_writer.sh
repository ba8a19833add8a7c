#!/usr/bin/env bash
# safetensors 0.8.0: save_file writes to a hidden file with a random name (.tmpXXXXXX) in the folder of its target, and
# renames it. Where the process is killed meanwhile, as by a queue or for want of memory, that file stays for good, as large
# as the checkpoint: one more each time, found by no pattern such as *.safetensors. Version 0.7.0 writes in place: no such
# file, but the checkpoint before is gone once writing begins, and a cut one stands in its place.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/save.py" <<'PY'
import sys

import numpy as np
from safetensors.numpy import save_file

weights = np.zeros(20_000_000, np.float32)
while True:
    save_file({"weights": weights}, f"{sys.argv[1]}/step.safetensors")
    print("saved", flush=True)
PY
cat > "$folder/look.py" <<'PY'
import os
import random
import subprocess
import sys
import tempfile
import time

import safetensors

WHOLE = 80_000_000
random.seed(1)
hidden, cut = 0, 0
for _ in range(40):
    with tempfile.TemporaryDirectory() as place:
        with subprocess.Popen([sys.executable, sys.argv[1], place], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.05))
            process.kill()
        hidden += any(name.startswith(".tmp") for name in os.listdir(place))
        cut += os.path.getsize(f"{place}/step.safetensors") < WHOLE
        if hidden + cut:
            break
print(f"safetensors {safetensors.__version__}: a hidden file is left: {hidden > 0}; the checkpoint is cut: {cut > 0}")
expected = (False, True) if safetensors.__version__ == "0.7.0" else (True, False)
sys.exit(0 if (hidden > 0, cut > 0) == expected else 1)
PY
for version in 0.7.0 0.8.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version" numpy==2.3.5
    "$folder/$version/bin/python" "$folder/look.py" "$folder/save.py"
done

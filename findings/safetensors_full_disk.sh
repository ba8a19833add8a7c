#!/usr/bin/env bash
# safetensors 0.7.0: where a file cannot be written to its end (here a limit on the size of files stands for a full disk),
# save_file raises SafetensorError, which is no OSError: `except OSError` around a checkpoint does not catch it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.7.0 numpy==2.3.5
cat > "$folder/look.py" <<'PY'
import resource
import signal
import sys

import numpy as np
import safetensors
from safetensors.numpy import save_file

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    save_file({"weight": np.zeros(100_000)}, f"{sys.argv[1]}/model.safetensors")
    found = None
except Exception as error:
    found = error
print(f"safetensors {safetensors.__version__}: {type(found).__name__}, an OSError: {isinstance(found, OSError)}. {found}")
sys.exit(0 if type(found).__name__ == "SafetensorError" and not isinstance(found, OSError) else 1)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"

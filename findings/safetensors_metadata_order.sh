#!/usr/bin/env bash
# safetensors 0.8.0: the entries of a file's metadata are written in an order drawn anew at every call. So the same arrays
# with the same metadata of six entries give different files, even within one process, and a checksum of a checkpoint says
# nothing about its arrays. Without metadata, or with one entry, the bytes are the same every time.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.3.5
cat > "$folder/look.py" <<'PY'
import hashlib
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

arrays = {"weight": np.arange(4, dtype=np.float32)}


def files(entries):
    metadata = {f"key{number}": str(number) for number in range(entries)} or None
    written = [save(arrays, metadata=metadata) for _ in range(20)]
    assert all(np.array_equal(load(each)["weight"], arrays["weight"]) for each in written)
    return len({hashlib.sha256(each).hexdigest() for each in written})


found = {entries: files(entries) for entries in (0, 1, 6)}
print(f"safetensors {safetensors.__version__}: entries of metadata -> different files of 20 equal calls: {found}")
sys.exit(0 if found[0] == found[1] == 1 and found[6] > 10 else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

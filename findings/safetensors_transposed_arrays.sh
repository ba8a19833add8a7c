#!/usr/bin/env bash
# safetensors 0.8.0: an array of NumPy whose rows do not lie one after the other in memory, such as a transposed one, is
# written as it lies there, under its own shape. It is read back without an error and with its numbers in other places.
# Version 0.7.0 writes what the array reads; of PyTorch, 0.8.0 refuses such a tensor and says so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/look.py" <<'PY'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

weight = np.arange(6, dtype=np.float32).reshape(2, 3).T
found = load(save({"weight": weight}))["weight"]
print(f"safetensors {safetensors.__version__}: written {weight.tolist()}, read {found.tolist()}")
expected = sys.argv[1] == "equal"
sys.exit(0 if np.array_equal(found, weight) == expected and found.shape == weight.shape else 1)
PY
for each in "0.7.0 equal" "0.8.0 other"; do
    python3 -m venv "$folder/${each% *}"
    "$folder/${each% *}/bin/pip" install --quiet --disable-pip-version-check "safetensors==${each% *}" numpy==2.3.5
    "$folder/${each% *}/bin/python" "$folder/look.py" "${each#* }"
done

#!/usr/bin/env bash
# NumPy 2.4.6: exp, log and tanh of float32 have other bits on processors with other vector instructions, since NumPy chooses its
# loops when it is loaded; the square root has the same. NPY_DISABLE_CPU_FEATURES shows it on one machine, which needs AVX2.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
cat > "$folder/look.py" <<'PY'
import hashlib
import json
import sys

import numpy as np

x = np.random.default_rng(0).standard_normal(200_000, dtype=np.float32)
positive = np.abs(x) + np.float32(0.001)
found = {"exp": np.exp(x), "tanh": np.tanh(x), "log": np.log(positive), "sqrt": np.sqrt(positive)}
features = np.show_config(mode="dicts")["SIMD Extensions"].get("found") or ["baseline"]
json.dump({"features": features} | {name: hashlib.sha256(y).hexdigest()[:8] for name, y in found.items()}, sys.stdout)
PY
cat > "$folder/judge.py" <<'PY'
import json
import sys

all_features, baseline = (json.loads(text) for text in sys.argv[1:])
print(all_features, baseline, sep="\n")
differ = [name for name in ("exp", "tanh", "log", "sqrt") if all_features[name] != baseline[name]]
print("differ:", ", ".join(differ))
sys.exit(0 if differ == ["exp", "tanh", "log"] else 1)
PY
all_features=$("$folder/venv/bin/python" "$folder/look.py")
names=$("$folder/venv/bin/python" -c 'import sys, json; print(" ".join(json.loads(sys.argv[1])["features"]))' "$all_features")
baseline=$(NPY_DISABLE_CPU_FEATURES="$names" "$folder/venv/bin/python" "$folder/look.py")
"$folder/venv/bin/python" "$folder/judge.py" "$all_features" "$baseline"

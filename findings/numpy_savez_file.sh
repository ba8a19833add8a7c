#!/usr/bin/env bash
# NumPy 2.3.5: np.savez takes arrays as keyword arguments beside its own parameter `file`, so an array of that name cannot be
# saved: TypeError. Whoever saves arrays under names that others choose needs a prefix, or zipfile and np.lib.format.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.3.5
cat > "$folder/look.py" <<'PY'
import io
import sys

import numpy as np

found = {}
for name in ("file", "array"):
    for save in (np.savez, np.savez_compressed):
        try:
            save(io.BytesIO(), **{name: np.zeros(3)})
            found[save.__name__, name] = "saved"
        except TypeError as error:
            found[save.__name__, name] = str(error)
print(f"NumPy {np.__version__}: {found}")
sys.exit(0 if all((found[key] == "saved") == (key[1] != "file") for key in found) else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

#!/usr/bin/env bash
# NumPy 2.3.5 with its OpenBLAS: the same product of the same float32 matrices has other bits with two threads than with one,
# for a part of all shapes, and other bits again under kernels of another processor (OPENBLAS_CORETYPE). With the Nehalem kernels
# the number of threads changes nothing. Whoever promises equal bits records kernel and threads, or keeps to one thread.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.3.5 threadpoolctl==3.6.0
cat > "$folder/look.py" <<'PY'
import hashlib
import json
import sys

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

random = np.random.default_rng(0)
differ, shapes, digest = 0, 0, hashlib.sha256()
for rows in (64, 256, 512, 768):
    for inner in (64, 192, 384, 500):
        for columns in (64, 100, 384, 700):
            left = random.standard_normal((rows, inner), dtype=np.float32)
            right = random.standard_normal((inner, columns), dtype=np.float32)
            found = []
            for threads in (1, 2):
                with threadpool_limits(threads, user_api="blas"):
                    found.append((left @ right).tobytes())
            differ += found[0] != found[1]
            shapes += 1
            digest.update(found[0])
kernel = threadpool_info()[0]["architecture"]
json.dump({"kernel": kernel, "differ": differ, "shapes": shapes, "digest": digest.hexdigest()[:12]}, sys.stdout)
PY
cat > "$folder/judge.py" <<'PY'
import json
import sys

haswell, nehalem = (json.loads(text) for text in sys.argv[1:])
for each in (haswell, nehalem):
    print(f"{each['kernel']} kernels: {each['differ']} of {each['shapes']} shapes differ between one thread and two; ", end="")
    print(f"with one thread, all products together have the digest {each['digest']}")
sys.exit(0 if haswell["differ"] > 0 and nehalem["differ"] == 0 and haswell["digest"] != nehalem["digest"] else 1)
PY
haswell=$(OPENBLAS_NUM_THREADS=2 OPENBLAS_CORETYPE=Haswell "$folder/venv/bin/python" "$folder/look.py")
nehalem=$(OPENBLAS_NUM_THREADS=2 OPENBLAS_CORETYPE=Nehalem "$folder/venv/bin/python" "$folder/look.py")
"$folder/venv/bin/python" "$folder/judge.py" "$haswell" "$nehalem"

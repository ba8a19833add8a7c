#!/usr/bin/env bash
# SciPy 1.16.3: the routines of scipy.linalg.blas keep the interpreter lock while they compute, saxpy and sgemm alike. No other
# thread of Python runs meanwhile, however long the call takes. NumPy's own loops and products let go of it. Whoever takes a BLAS
# routine in place of two NumPy passes, to save time in one thread, may lose more than that with several.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.3.5 scipy==1.16.3
cat > "$folder/look.py" <<'PY'
import threading
import time

import numpy as np
from scipy.linalg import blas

counted, running = 0, True


def count():
    global counted
    while running:
        counted += 1


def counts_a_second(call) -> float:
    """How fast another thread of Python counts while the call computes, over as many calls as take a second."""
    before, started = counted, time.perf_counter()
    while time.perf_counter() - started < 1:
        call()
    return (counted - before) / (time.perf_counter() - started)


x, y = np.ones(50_000_000, np.float32), np.zeros(50_000_000, np.float32)
left = np.asfortranarray(np.ones((2500, 2500), np.float32))
product = np.zeros_like(left)
calls = {
    "scipy saxpy": lambda: blas.saxpy(x, y, a=0.5),
    "numpy add": lambda: np.add(x, y, out=y),
    "scipy sgemm": lambda: blas.sgemm(1.0, left, left, 0.0, product, overwrite_c=True),
    "numpy matmul": lambda: np.matmul(left, left, out=product),
}
thread = threading.Thread(target=count)
thread.start()
found = {name: counts_a_second(call) for name, call in calls.items()}
running = False
thread.join()
for name, speed in found.items():
    print(f"{name}: another thread counts {speed:,.0f} a second")
assert found["scipy saxpy"] < found["numpy add"] / 4, "saxpy lets other threads run"
assert found["scipy sgemm"] < found["numpy matmul"] / 4, "sgemm lets other threads run"
PY
"$folder/venv/bin/python" "$folder/look.py"

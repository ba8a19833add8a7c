#!/usr/bin/env bash
# NumPy 2.4.6: np.unique of a million different 64-bit integers, as hashes of n-grams are, takes many times as long as to
# sort them and compare neighbours; and many times as long as np.unique with return_counts=True, which gives more, and
# sorts. Alone, it fills a table of hashes, which the documentation of np.unique_values calls the faster way since 2.3. It
# is faster where values repeat often.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
cat > "$folder/look.py" <<'PY'
import sys
import time

import numpy as np

random = np.random.default_rng(0)
arrays = {
    "a million different values": random.integers(0, 2**63, 1_000_000, dtype=np.uint64),
    "a million of 5,000 values": random.integers(0, 5000, 1_000_000, dtype=np.uint64),
}


def sort_and_compare(values):
    values = np.sort(values)
    return values[np.concatenate([[True], values[1:] != values[:-1]])]


ways = {
    "unique": np.unique,
    "unique with counts": lambda values: np.unique(values, return_counts=True)[0],
    "sort and compare": sort_and_compare,
}


def milliseconds(way, values):
    """Of the process, the least of five times."""
    taken = []
    for _ in range(5):
        started = time.process_time()
        way(values)
        taken.append(time.process_time() - started)
    return 1000 * min(taken)


print(f"NumPy {np.__version__}, milliseconds")
found = {}
for name, values in arrays.items():
    assert all(np.array_equal(way(values), ways["unique"](values)) for way in ways.values())
    found[name] = {way: milliseconds(ways[way], values) for way in ways}
    print(f"{name}:", ", ".join(f"{way} {taken:.0f}" for way, taken in found[name].items()))
different = found["a million different values"]
others = different["unique with counts"], different["sort and compare"]
sys.exit(0 if different["unique"] > 2 * max(others) else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

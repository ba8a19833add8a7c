#!/usr/bin/env bash
# transformers 5.24.0: get_linear_schedule_with_warmup, and its cosine sibling, give the first update the learning rate 0, since
# they count it as step 0 of the warm-up; the first batch teaches nothing. The last update has 1 / (steps - warm-up), not 0.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 numpy==2.3.5
cat > "$folder/look.py" <<'PY'
import sys

import torch
import transformers
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

rates = {}
for build in (get_linear_schedule_with_warmup, get_cosine_schedule_with_warmup):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = build(optimizer, num_warmup_steps=2, num_training_steps=10)
    used = []
    for _ in range(10):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    rates[build.__name__] = used
linear = rates["get_linear_schedule_with_warmup"]
print(f"transformers {transformers.__version__}: rates of 10 updates, 2 of warm-up: {linear}")
sys.exit(0 if all(used[0] == 0 and used[-1] > 0 for used in rates.values()) and abs(linear[-1] - 1 / 8) < 1e-9 else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

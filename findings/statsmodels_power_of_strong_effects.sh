#!/usr/bin/env bash
# statsmodels 0.15.0 with scipy 1.17.1: the power of a t test for a strong effect can be NaN between values that are right:
# with three pairs it is 0.975 at five standard deviations, NaN at ten, and 1 at twenty. scipy's noncentral t distribution,
# which it is taken from, has no value there. In a table of powers over effects or sample sizes, as planning needs one, the
# surest cells are the ones that are missing.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check statsmodels==0.15.0 scipy==1.17.1
cat > "$folder/look.py" <<'PY'
import math
import sys
import warnings

import scipy
import statsmodels
from statsmodels.stats.power import TTestPower

warnings.simplefilter("ignore")
wrong = 0
print(f"statsmodels {statsmodels.__version__}, scipy {scipy.__version__}: power at 5 %")
for pairs in (3, 5, 10, 30):
    powers = {effect: float(TTestPower().power(effect, pairs, 0.05)) for effect in (1, 2, 5, 10, 20)}
    print(f"{pairs} pairs:", ", ".join(f"{effect} sd {power:.3f}" for effect, power in powers.items()))
    values = list(powers.values())
    wrong += any(math.isnan(value) and not math.isnan(after) for value, after in zip(values, values[1:]))
sys.exit(0 if wrong == 4 else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

#!/usr/bin/env bash
# statsmodels 0.14.5: the Wilson interval of a share of 100 % or 0 % can end on the wrong side of the share itself, by one rounding:
# proportion_confint(n, n) has an upper bound just below 1 for some n. Where matplotlib draws it as an error bar, the length is negative
# and it raises, so that a figure of accuracies fails on the day that one of them is perfect.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check statsmodels==0.14.5 scipy==1.16.3 matplotlib==3.10.7
cat > "$folder/look.py" <<'PY'
from matplotlib.figure import Figure
from statsmodels.stats.proportion import proportion_confint

upper = {count: float(proportion_confint(count, count, method="wilson")[1]) for count in range(1, 2001)}
below = [count for count, bound in upper.items() if bound < 1]
print(f"of n = 1 to 2,000, the upper bound of n right of n is below 1 for {len(below)}, such as n = {below[:5]}")
assert below, "the bound is at least the share now"
low, high = proportion_confint(below[0], below[0], method="wilson")
panel = Figure().subplots()
try:
    panel.errorbar([0], [1.0], yerr=[[1.0 - low], [high - 1.0]])
    raise SystemExit("matplotlib draws a negative length now")
except ValueError as error:
    print("matplotlib:", error)
PY
"$folder/venv/bin/python" "$folder/look.py"

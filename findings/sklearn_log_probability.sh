#!/usr/bin/env bash
# scikit-learn 1.9.1: LogisticRegression.predict_log_proba is the logarithm of predict_proba. On float32 features, which give float32
# scores, a class more than about 103 nats behind has the probability 0 and the log-probability -inf, although decision_function is
# finite and in float64 the answer is an ordinary number. A code length or a cross-entropy of held-out examples becomes infinite by it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1
cat > "$folder/look.py" <<'PY'
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression

warnings.simplefilter("ignore")  # of the logarithm of zero, which is what is looked at
features, labels, far = np.array([[0.0], [1.0], [2.0]]), np.array([0, 1, 2]), np.array([[60.0]])
found = {}
for kind in (np.float32, np.float64):
    model = LogisticRegression(C=100).fit(features.astype(kind), labels)
    found[kind] = model.predict_log_proba(far.astype(kind))[0]
    scores = model.decision_function(far.astype(kind))[0]
    print(f"{kind.__name__}: log-probabilities {found[kind]}, scores {scores}")
    assert np.isfinite(scores).all()
assert np.isinf(found[np.float32]).any(), "float32 gives finite log-probabilities now"
assert np.isfinite(found[np.float64]).all()
PY
"$folder/venv/bin/python" "$folder/look.py"

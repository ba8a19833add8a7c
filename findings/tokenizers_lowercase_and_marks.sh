#!/usr/bin/env bash
# tokenizers 0.22.1: BertNormalizer(lowercase=True) strips every combining mark as well (strip_accents=None follows lowercase).
# That is more than é -> e: か and が are one letter afterwards, and so are Hindi कुल (total) and कल (yesterday, tomorrow).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.22.1
cat > "$folder/look.py" <<'PY'
import sys

import tokenizers
from tokenizers.normalizers import BertNormalizer

pairs = {"が": "か", "ぱ": "は", "कुल": "कल", "resumé": "resume"}
default, kept = BertNormalizer(lowercase=True), BertNormalizer(lowercase=True, strip_accents=False)
same = {one: default.normalize_str(one) == default.normalize_str(other) for one, other in pairs.items()}
apart = all(kept.normalize_str(one) != kept.normalize_str(other) for one, other in pairs.items())
print(f"tokenizers {tokenizers.__version__}: the same word as {pairs} after lower-casing: {same}; with strip_accents=False all differ: {apart}")
sys.exit(0 if all(same.values()) and apart else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

#!/usr/bin/env bash
# Hydra 1.3.8 reads an override as a number wherever it can: the abbreviated commit 7e91234 is 7 times 10 to the 91234, so inf.
# A field of type str gets the text "inf"; the digits are gone.
# In quotes inside the word, revision="'7e91234'", it stays text.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hydra-core==1.3.8 omegaconf==2.3.0
cat > "$folder/look.py" <<'PY'
import sys
from dataclasses import dataclass

import hydra
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore


@dataclass
class Config:
    revision: str = "main"


ConfigStore.instance().store(name="config", node=Config)
with initialize(version_base="1.3", config_path=None):
    found = [
        compose("config", overrides=[word]).revision
        for word in ("revision=7e91234", "revision=1234567", "revision='7e91234'", "revision=7f91234")
    ]
print(f"Hydra {hydra.__version__}: 7e91234 -> {found[0]!r}, 1234567 -> {found[1]!r}, '7e91234' -> {found[2]!r}, 7f91234 -> {found[3]!r}")
sys.exit(0 if found == ["inf", "1234567", "7e91234", "7f91234"] else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

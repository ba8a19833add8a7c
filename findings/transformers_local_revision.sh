#!/usr/bin/env bash
# transformers 5.24.0: from_pretrained takes no notice of revision= where the name is a folder. A name that no revision has is no error,
# and whoever walks over the checkpoints of a local model by their revisions evaluates one model again and again. Of the same folder laid
# out as the cache of a repository (refs/NAME, snapshots/NAME), revisions are read, and a wrong one is refused.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0
cat > "$folder/look.py" <<'PY'
import json
import os
import sys
from pathlib import Path

root = Path(sys.argv[1])
os.environ |= {"HF_HUB_CACHE": str(root / "hub"), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
from transformers import AutoConfig

local, cached = root / "local", root / "hub" / "models--own--bert"
for place, size in ((local, 32), (cached / "snapshots" / "early", 64), (cached / "snapshots" / "late", 128)):
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": size, "num_attention_heads": 2}))
(cached / "refs").mkdir()
for name in ("early", "late"):
    (cached / "refs" / name).write_text(name)

for revision in ("early", "no-such-revision"):
    size = AutoConfig.from_pretrained(str(local), revision=revision).hidden_size
    print(f"folder, revision {revision}: hidden size {size}")
    assert size == 32
sizes = {name: AutoConfig.from_pretrained("own/bert", revision=name).hidden_size for name in ("early", "late")}
print("repository in the cache:", sizes)
assert sizes == {"early": 64, "late": 128}
try:
    AutoConfig.from_pretrained("own/bert", revision="no-such-revision")
    raise SystemExit("a wrong revision of a cached repository is taken now")
except OSError as error:
    print("repository in the cache, revision no-such-revision:", type(error).__name__)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"

#!/usr/bin/env bash
# Hydra 1.3.8: `--multirun group=glob(*)` goes over everything that is registered in the group, so also over the schemas that
# an application keeps in the ConfigStore to check its YAML files, and that are no options by themselves.
# The sweep has one job more than there are files.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hydra-core==1.3.8 omegaconf==2.3.0
mkdir -p "$folder/conf/optimizer"
printf 'defaults:\n  - optimizer: sgd\n  - _self_\n' > "$folder/conf/config.yaml"
for name in sgd adam; do printf 'defaults:\n  - optimizer_schema\n  - _self_\nname: %s\n' "$name" > "$folder/conf/optimizer/$name.yaml"; done
cat > "$folder/look.py" <<'PY'
import sys
from dataclasses import dataclass

import hydra
from hydra.core.config_store import ConfigStore


@dataclass
class Optimizer:
    name: str = "nothing chosen"


ConfigStore.instance().store(group="optimizer", name="optimizer_schema", node=Optimizer)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    with open(f"{sys.path[0]}/seen.txt", "a") as file:
        print(config.optimizer.name, file=file)


main()
PY
cd "$folder"
venv/bin/python look.py --multirun 'optimizer=glob(*)' hydra.sweep.dir=out hydra/job_logging=none hydra/hydra_logging=none
seen=$(sort seen.txt | paste -sd,)
echo "Hydra 1.3.8: two files in the group, jobs of glob(*): $seen"
test "$seen" = "adam,nothing chosen,sgd"

#!/usr/bin/env bash
# hydra-core 1.3.8: Plugins.instance().register(Class) takes a launcher class, and a configuration may then choose it. But Hydra turns the
# class into its name again and imports that, from below hydra_plugins only: a registered launcher of another module is refused when the
# sweep starts, and one that says it is of hydra_plugins.NAME is found only if that module can be imported.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hydra-core==1.3.8
cat > "$folder/look.py" <<'PY'
import sys
import types

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf


class Quiet(Launcher):
    def setup(self, *, hydra_context, task_function, config):
        pass

    def launch(self, job_overrides, initial_job_idx):
        return []


def instantiate(target):
    config = OmegaConf.create({"hydra": {"launcher": {"_target_": target}}})
    try:
        return Plugins.instance().instantiate_launcher(
            hydra_context=None, task_function=lambda config: None, config=config
        )
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


Plugins.instance().register(Quiet)
own = instantiate("__main__.Quiet")
print("registered, by the name of its module:", own)
assert isinstance(own, str)

Quiet.__module__ = "hydra_plugins.mine"
Plugins.instance().register(Quiet)
below = instantiate("hydra_plugins.mine.Quiet")
print("registered as a class of hydra_plugins.mine:", below)
assert isinstance(below, str)

for name in ("hydra_plugins", "hydra_plugins.mine"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["hydra_plugins"].__path__ = []
sys.modules["hydra_plugins"].mine = sys.modules["hydra_plugins.mine"]
sys.modules["hydra_plugins.mine"].Quiet = Quiet
found = instantiate("hydra_plugins.mine.Quiet")
print("with such a module made in the process:", type(found).__name__)
assert isinstance(found, Quiet)
PY
"$folder/venv/bin/python" "$folder/look.py"

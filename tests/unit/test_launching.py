"""What fails in Hydra or its launcher is one error, and names what died."""

import os
import subprocess
import sys

import pytest

from minibert.errors import MinibertError
from minibert.running import launchers, launching, life, sweeper
from minibert.running.launching import call_hydra
from minibert.running.naming import run_name


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError("No space left\n\non device"), "OSError: No space left"),
        (TypeError("cannot pickle '_thread.lock' object"), "TypeError: cannot pickle '_thread.lock' object"),
    ],
)
def test_a_launcher_that_fails_is_one_line(monkeypatch, failure, words):
    def fail(**_):
        raise failure

    monkeypatch.setattr(launching, "_run_hydra", fail)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(MinibertError) as caught:
        call_hydra(print, ["--multirun"])
    assert str(caught.value) == words
    assert "HYDRA_FULL_ERROR" not in os.environ


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (None, 0), (2, 2), ("a message", 1)])
def test_hydras_exit_code_is_passed_on(monkeypatch, code, expected):
    def leave(**_):
        raise SystemExit(code)

    monkeypatch.setattr(launching, "_run_hydra", leave)
    assert call_hydra(print, []) == expected


def test_hydra_finds_the_launcher_without_a_folder_of_plugins():
    """As in an installation that has no other plugin of Hydra."""
    code = (
        "import sys; sys.modules['hydra_plugins'] = None\n"  # importing it fails
        "from hydra.core.plugins import Plugins\n"
        "from omegaconf import OmegaConf\n"
        "from minibert.config.launcher import CoresLauncherConfig\n"
        "from minibert.running import launching\n"
        "Plugins.instance(); launching._register(launching.CoresLauncher)\n"
        "made = Plugins.instance()._instantiate(OmegaConf.structured(CoresLauncherConfig(processes=3)))\n"
        "print(type(made).__name__, made.processes)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert made.stdout == "CoresLauncher 3\n", made.stderr


def test_hydra_gets_its_words_and_the_arguments_of_the_process_stay(monkeypatch):
    before, got = list(sys.argv), {}
    monkeypatch.setattr(launching, "_run_hydra", lambda **given: got.update(given))
    assert call_hydra(print, ["--multirun", "seed=0,1"]) == 0
    assert got["args"].multirun and got["args"].overrides == ["seed=0,1"] and got["task_function"] is print
    assert sys.argv == before
    assert call_hydra(print, ["--unknown"]) == 2


def test_a_sweep_of_one_run_can_be_named_within_hydra(monkeypatch, tmp_path):
    """No key is swept, so the name says what deviates from the defaults: these are composed during the run."""
    names = []

    def train(config, choices, display):
        names.append(run_name(config, choices, []))
        return life.Outcome("id", life.Status.FINISHED)

    monkeypatch.setattr(life, "train", train)
    monkeypatch.setattr(life.interruption, "watch", lambda follow_parent: None)
    words = ["--multirun", "hydra/launcher=basic", "model=tiny", "seed=4", f"tracking.folder={tmp_path}"]
    assert call_hydra(life.job, words) == 0
    assert names == ["sotu · tiny · muon · seed 4"]


def test_only_the_runs_that_are_asked_for_are_composed(monkeypatch, tmp_path):
    """Their places are those among all runs that the words ask for."""
    trained = []
    monkeypatch.setattr(
        life, "train", lambda config, *_: trained.append(config.seed) or life.Outcome("id", life.Status.FINISHED)
    )
    monkeypatch.setattr(life.interruption, "watch", lambda follow_parent: None)
    words = ["--multirun", "hydra/launcher=basic", "model=tiny", "seed=4,5,6,7", f"tracking.folder={tmp_path}"]
    with launchers.launching(launchers.Launch(["seed"], [1, 3], lambda run, death: None)):
        assert call_hydra(life.job, [*words, sweeper.PLANNED]) == 0
    assert trained == [5, 7]
    runs = [["model=tiny", "seed=5"]]
    assert (launchers._names(runs, ["seed"]), launchers._names(runs, None)) == (["seed=5"], ["model=tiny seed=5"])

"""Launchers of clusters: a run that is lost is begun again, and what they need is said before anything starts."""

import signal
from collections import deque
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from minibert import interruption
from minibert.config.launcher import LAUNCHERS
from minibert.errors import MinibertError
from minibert.run import main
from minibert.running import capacity, launcher_checks
from minibert.running.capacity import fit
from minibert.running.cluster import ClusterLauncher, LostError, PerformAnywhere
from minibert.running.plan import plan
from minibert.running.submitit_launchers import SubmititSlurmLauncher, SubmittedRun

SERVER = "tracking.uri=http://host:5000"


class Engine(ClusterLauncher):
    """Ends one run after the other, as a script says: number of a run -> what happens to it, in turns."""

    def __init__(self, script, tries=2, at_once=None):
        self.settings = SimpleNamespace(tries=tries)
        self.script = {run: deque(ends) for run, ends in script.items()}
        self.room, self.most, self.cancelled = at_once, 0, []

    @property
    def at_once(self):
        return self.room

    def engine(self):
        return nullcontext()

    def submit(self, runs):
        return [(number, len(self.script[number])) for number, _ in runs]

    def ended(self, handles):
        self.most = max(self.most, len(handles))
        return handles[:1]

    def result(self, handle):
        end = self.script[handle[0]].popleft()
        if isinstance(end, Exception):
            raise end
        return end

    def cancel(self, handles):
        self.cancelled += handles


def lost():
    return LostError("lost with its machine")


def runs(count):
    return [(number, [f"seed={number}"]) for number in range(count)]


def test_a_run_that_is_lost_is_begun_again_after_those_that_wait():
    engine, deaths = Engine({0: [lost(), None], 1: [None], 2: [None]}, at_once=1), []
    assert engine.train(runs(3), deaths.append) == {}
    assert [(death.job, death.how, death.final) for death in deaths] == [(0, "lost with its machine", False)]
    assert engine.most == 1 and not any(engine.script.values())


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_a_run_that_is_lost_every_time_is_given_up_and_the_others_go_on(tries):
    engine, deaths = Engine({0: [lost() for _ in range(tries)], 1: [None], 2: ["ValueError: no"]}, tries), []
    failures = engine.train(runs(3), deaths.append)
    assert failures == {0: "its worker process was lost with its machine", 2: "ValueError: no"}
    assert [death.final for death in deaths] == [False] * (tries - 1) + [True]


def test_a_signal_lets_the_runs_that_are_begun_end_and_begins_no_other(monkeypatch):
    engine = Engine({0: [None], 1: [None], 2: [None]}, at_once=2)
    reasons = iter([None])
    monkeypatch.setattr(interruption, "reason", lambda: next(reasons, "SIGINT"))
    assert engine.train(runs(3), lambda death: None) == {}
    assert engine.cancelled == [(1, 1)]


def refusal(*words):
    with pytest.raises(MinibertError) as caught:
        launcher_checks.check_launcher(plan(["model=debug", "seed=0,1", *words], multirun=True))
    return str(caught.value)


@pytest.mark.parametrize(
    ("launcher", "package", "extra"),
    [("ray", "ray", "ray"), ("submitit_slurm", "submitit", "slurm"), ("submitit_local", "submitit", "slurm")],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, launcher, package, extra):
    monkeypatch.setattr(launcher_checks, "find_spec", lambda name: None)
    message = refusal(f"hydra/launcher={launcher}", SERVER)
    assert f"the package {package}" in message and f"pip install 'minibert[{extra}]'" in message


@pytest.mark.parametrize("launcher", ["ray", "submitit_slurm"])
@pytest.mark.parametrize("uri", ["null", "sqlite:////tmp/mlflow.db"])
def test_several_machines_need_a_server(monkeypatch, launcher, uri):
    monkeypatch.setattr(launcher_checks, "find_spec", lambda name: name)
    assert "need an MLflow server" in refusal(f"hydra/launcher={launcher}", f"tracking.uri={uri}")


def test_a_launcher_of_the_same_name_of_another_package_is_refused(monkeypatch):
    other = SimpleNamespace(_target_="hydra_plugins.other.Launcher")
    monkeypatch.setattr(launcher_checks, "chosen_launcher", lambda words: ("submitit_slurm", other))
    assert "another package has a launcher of this name: hydra_plugins.other.Launcher" in refusal()


def test_a_refused_launcher_ends_the_command_before_a_store_is_made(tmp_path, capsys):
    assert main(["-m", "model=debug", "seed=0,1", "hydra/launcher=ray", f"tracking.folder={tmp_path}/s"]) == 2
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hydra/launcher=ray", "training.lanes=3"], ["hydra.launcher.cpus=3", "hydra.launcher.memory_gb=1.3"]),
        (
            ["hydra/launcher=submitit_slurm", "hydra.launcher.cpus=4", "hydra.launcher.memory_gb=2.5"],
            ["hydra.launcher.cpus=4", "hydra.launcher.memory_gb=2.5"],
        ),
        (["hydra/launcher=basic"], []),
    ],
)
def test_a_run_asks_for_its_memory_and_a_core_a_lane(monkeypatch, words, told):
    monkeypatch.setattr(capacity, "estimate_run_memory", lambda config: 1_234_000_000)
    planned = plan(["model=debug", "seed=0,1", *words], multirun=True)
    assert fit(planned)[0] == told


def test_a_run_is_composed_where_it_is_trained(monkeypatch, tmp_path):
    """With the folders of that machine."""
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    seen = {}

    def task(composed):
        seen.update(seed=composed.seed, folder=composed.tracking.folder, cache=composed.data.cache)

    words = ["model=debug", "seed=4", "tracking.folder=${oc.env:SCRATCH}/mlruns", "hydra/launcher=ray"]
    assert PerformAnywhere(task)((0, words)) is None
    assert seen == {"seed": 4, "folder": f"{tmp_path}/mlruns", "cache": f"{tmp_path}/mlruns/cache"}


def test_what_a_run_cannot_start_for_comes_back_as_a_text():
    assert PerformAnywhere(lambda composed: "no text")((0, ["model=debug"])) == "no text"
    assert "unknown key" in PerformAnywhere(lambda composed: None)((0, ["modle=debug"]))


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """submitit takes a machine for a cluster of Slurm if there is a command ``srun``."""
    pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def test_slurm_is_asked_for_what_the_settings_say(slurm):
    settings = {key: value for key, value in vars(LAUNCHERS["submitit_slurm"]()).items() if key != "_target_"}
    settings |= {
        "folder": str(slurm),
        "cpus": 2,
        "memory_gb": 1.5,
        "partition": "long",
        "further": {"mail-user": "me"},
    }
    launcher = SubmititSlurmLauncher(**settings)
    with launcher.engine():
        executor = launcher._executor._executor
        text = executor._make_submission_file_text("command", "1")
    for line in ("cpus-per-task=2", "mem=1536M", "time=240", "partition=long", "signal=USR2@120", "mail-user=me"):
        assert f"#SBATCH --{line}" in text, text
    assert executor.max_num_timeout == 20


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR2, True), (signal.SIGTERM, False)])
def test_a_job_that_is_asked_to_end_is_queued_again_after_its_step_only_for_submitits_signal(
    monkeypatch, number, requeued
):
    pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")
    for name in ("reason", "exit_code", "noted_at", "deferred", "parent", "passes_on"):
        monkeypatch.setattr(interruption._State, name, getattr(interruption._State, name))
    before = {each: signal.getsignal(each) for each in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)}
    happened = []
    signal.signal(signal.SIGUSR2, lambda *_: happened.append("queued"))

    def perform(run):
        signal.raise_signal(number)
        happened.append("step ended")

    try:
        with pytest.raises(SystemExit) as caught:
            SubmittedRun(perform, (0, []))()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert caught.value.code == 128 + number
    assert happened == ["step ended", "queued"][: 1 + requeued]

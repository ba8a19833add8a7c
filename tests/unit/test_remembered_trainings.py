"""What the comparison over ten minutes takes from an earlier call: numbers of the same settings and conditions."""

from dataclasses import replace

import pytest

from tests.benchmarks import ten_minutes
from tests.benchmarks.trainings import Trained, Training, conditions

OWN = Training("minibert", 100, 10, lanes=2)
PEER = Training("bert", 100, 10, learning_rate=1e-3, lanes=2)


@pytest.fixture
def trained(monkeypatch) -> list[Training]:
    """What is trained, in place of trainings that take seconds at least."""
    asked: list[Training] = []

    def run(training: Training) -> Trained:
        asked.append(training)
        return Trained([0.1] * 16, [10], [5.0 + len(asked)], 0.25, {})

    monkeypatch.setattr(ten_minutes, "run", run)
    return asked


@pytest.fixture
def elsewhere(monkeypatch):
    """``elsewhere(name, value)``: from now on, one of the conditions is another."""

    def change(name: str, value: str) -> None:
        known = ten_minutes.conditions
        monkeypatch.setattr(ten_minutes, "conditions", lambda kind: known(kind) | {name: value})

    return change


@pytest.mark.parametrize("training", [OWN, PEER], ids=["minibert", "a peer"])
@pytest.mark.parametrize("other", [{"every": 20}, {"lanes": 1}, {"steps": 200}, {"seed": 1}], ids=repr)
def test_a_training_with_another_option_is_another_and_both_are_kept(trained, tmp_path, training, other):
    first, second = (ten_minutes.remembered(each, tmp_path) for each in (training, replace(training, **other)))
    assert len(trained) == 2 and first.losses != second.losses
    assert ten_minutes.remembered(training, tmp_path) == first
    assert ten_minutes.remembered(replace(training, **other), tmp_path) == second
    assert len(trained) == 2


@pytest.mark.parametrize(
    "name", ["kernel.name", "kernel.vectors", "processor", "version.numpy", "version.torch", "code.data"]
)
def test_numbers_of_other_kernels_versions_or_code_are_not_taken(trained, elsewhere, tmp_path, name):
    first = ten_minutes.remembered(PEER, tmp_path)
    elsewhere(name, "another")
    assert ten_minutes.remembered(PEER, tmp_path) != first and len(trained) == 2


def test_where_the_text_is_cached_changes_no_number(trained, tmp_path):
    for cache in ("here", "there"):
        ten_minutes.remembered(replace(OWN, cache=cache), tmp_path)
    assert len(trained) == 1


def test_the_recipe_is_that_of_today(trained):
    """The words are the same for a default that has changed, so what they compose counts."""
    others = [replace(OWN, words=words) for words in ((), ("model=tiny",), ("model.layers=5",))]
    assert len({ten_minutes.identity(each) for each in others}) == 3
    assert ten_minutes.identity(PEER) != ten_minutes.identity(replace(PEER, model=None))


def test_the_pace_is_measured_anew_under_other_kernels_and_known_again_under_the_first(
    trained, elsewhere, monkeypatch, tmp_path
):
    monkeypatch.setattr(ten_minutes.psutil, "cpu_times_percent", lambda interval: psutil_times())
    file = tmp_path / "pace.json"
    for calls in (1, 1):
        assert ten_minutes.pace({"minibert": OWN}, file, 1) == {"minibert": 0.1} and len(trained) == calls
    elsewhere("kernel.name", "another")
    ten_minutes.pace({"minibert": OWN}, file, 1)
    assert len(trained) == 2
    elsewhere("kernel.name", conditions.conditions("minibert")["kernel.name"])
    ten_minutes.pace({"minibert": OWN}, file, 1)
    assert len(trained) == 2


def psutil_times():
    """Without the second of waiting: a machine that does nothing else."""
    from psutil import cpu_times

    return cpu_times()._replace(idle=100.0)


def test_the_conditions_name_the_kernels_the_packages_and_the_code(monkeypatch):
    own, peer = conditions.conditions("minibert"), conditions.conditions("bert")
    assert own["kernel.name"] and own["version.numpy"] and own["code.model"]
    assert {"version.torch", "ATEN_CPU_CAPABILITY", "code.data"} <= set(peer) and "code.model" not in peer
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert conditions.conditions("bert") != peer and conditions.conditions("minibert") == own

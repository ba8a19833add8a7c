"""The plan of ``--dry-run``: what is found, what continues, and what the rest would take."""

from dataclasses import replace
from pathlib import Path

import pytest

from minibert.config import config_hash
from minibert.data.corpora import load_corpus
from minibert.run import main
from minibert.running.forecast import Cost, Expected, costs, summary
from minibert.running.plan import plan
from minibert.tracking import claim, start_run
from minibert.tracking.consumption import BEGAN, COUNTED, SECONDS
from minibert.tracking.processes import process_tags
from minibert.tracking.tables import RunRow
from tests.support.reports import copied_store

SIZE = {"model.layers": "2", "training.lanes": "1"}


def row(seconds, steps=100, besides=10.0, status="FINISHED", **parameters):
    metrics = {"seconds": seconds}
    return RunRow("a", "a", status, 0.0, seconds + besides, SIZE | parameters, {}, metrics, steps)


def test_the_cost_of_a_run_is_the_median_of_those_of_its_size_and_lanes():
    runs = [row(100.0), row(300.0), row(200.0), row(9.0, status="KILLED"), row(50.0, **{"training.lanes": "2"})]
    one, two = costs(runs).values()
    assert (one.seconds_per_step, one.seconds_besides, one.runs) == (2.0, 10.0, 3)
    assert one.seconds(50) == 110.0
    assert (two.seconds_per_step, two.runs) == (0.5, 1)


def test_the_time_between_an_interruption_and_the_next_start_is_no_cost():
    resumed = replace(row(100.0, besides=86_400.0), tags={SECONDS: "104.0", BEGAN: COUNTED})
    lost = replace(row(100.0, besides=86_400.0), tags={SECONDS: "50.0", BEGAN: "7.0"})
    (cost,) = costs([resumed, lost]).values()
    assert (cost.seconds_besides, cost.runs) == (4.0, 2)
    (cost,) = costs([lost]).values()
    assert (cost.seconds_per_step, cost.seconds_besides) == (1.0, 0.0)


def test_only_what_is_left_to_train_is_counted():
    cost = Cost(2.0, 10.0, 1e6, 3)
    plan = [
        Expected("found", "found", False, 0, cost),
        Expected("half", "continues", True, 50, cost),
        Expected("whole", "to be trained", True, 100, cost),
        Expected("other size", "to be trained", True, 100, None),
    ]
    first, second, third = summary(plan)
    assert first == "4 runs, 3 of them to be trained."
    assert second.startswith("About 0:05:20, one run after the other, and 2.0 MB of disk, from 3 earlier runs")
    assert third.startswith("1 run of a size that the store does not know")
    assert "no estimate" in summary(plan[3:])[1]
    assert len(summary(plan[:1])) == 1


@pytest.fixture
def words(books, tmp_path):
    small = ["model=debug", "training=debugging", "data=text", f"data.path={books}/*.txt", "training.steps=8"]
    return [*small, f"tracking.folder={tmp_path}"]


def test_the_plan_names_what_is_found_and_what_continues_and_writes_nothing(
    words, empty_database, tmp_path, capsys
):
    jobs = plan([*words, "seed=0,1,2,3"], multirun=True).jobs
    text = load_corpus(jobs[0].config.data).content_hash
    store = copied_store(empty_database, tmp_path)
    keys = [config_hash(job.config, text) for job in jobs]
    for key, end in zip(keys[:3], ("FINISHED", "KILLED", "KILLED"), strict=True):
        with claim(store, key) as held:
            run = start_run(held, "x", {}, process_tags())
            run.log({"train/loss": 6.0}, 4)
            run.finish(end)
        if key == keys[1]:
            (run.folder / "resume.safetensors").write_bytes(b"")
    before = sorted(path for path in tmp_path.rglob("*") if "mlflow.db" not in path.name)
    assert main(["--multirun", "--dry-run", *words, "seed=0,1,2,3"]) == 0
    out = capsys.readouterr().out
    lines = {
        f"seed {seed}": next(line for line in out.splitlines() if f"seed {seed}" in line) for seed in range(4)
    }
    assert "found finished" in lines["seed 0"] and "continues near step 4" in lines["seed 1"]
    assert "left no checkpoint" in lines["seed 2"] and "to be trained" in lines["seed 3"]
    assert "4 runs, 3 of them to be trained." in out and "no estimate" in out
    assert sorted(path for path in tmp_path.rglob("*") if "mlflow.db" not in path.name) == before


def test_a_plan_needs_no_store_and_makes_none(words, tmp_path, capsys):
    assert main(["--dry-run", *words]) == 0
    assert "1 run, 1 of them to be trained." in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_disk_of_a_run_counts_a_file_at_several_places_once_and_shared_code_by_its_share(tmp_path):
    run, code = tmp_path / "run", Path("model") / "code" / "minibert"
    (run / "checkpoints").mkdir(parents=True)
    (run / code).mkdir(parents=True)
    (run / "checkpoints" / "step_8").write_bytes(bytes(1000))
    (run / code / "a.py").write_bytes(bytes(600))
    for source, target in (
        (run / "checkpoints" / "step_8", run / "model" / "parameters"),
        (run / "checkpoints" / "step_8", tmp_path / "of MLflow's model"),
        (run / code / "a.py", tmp_path / "of another run"),
    ):
        target.hardlink_to(source)
    (cost,) = costs([replace(row(100.0), address=str(run))]).values()
    assert cost.bytes == 1000 + 600 / 2

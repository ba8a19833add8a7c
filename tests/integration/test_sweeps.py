"""Sweeps: what is run, what is skipped, and what a failing run does to the others."""

import json
import shutil
from itertools import product

import numpy as np
import pytest
from omegaconf import OmegaConf

from minibert.config import CONF
from minibert.run import main
from minibert.running.plan import groups, plan
from minibert.running.sweep_checks import check_metric
from minibert.tracking import open_store


def runs(folder, kind):
    store = open_store(None, folder, "minibert")
    return store.client.search_runs([store.experiment_id], f"tags.`minibert.kind` = '{kind}'")


def few_steps(experiment, small_settings, folder):
    """The experiment at its smallest: two values of whatever it sweeps, and one seed where it sweeps more."""
    stated = OmegaConf.load(CONF / "experiment" / f"{experiment}.yaml").hydra.sweeper.params
    values = {
        key: str(text).split(",")[: 1 if key == "seed" and len(stated) > 1 else 2] for key, text in stated.items()
    }
    swept = [f"{key}={','.join(first)}" for key, first in values.items()]
    few = ["training.steps=4", "evaluation.documents=all"]
    small = [word for word in small_settings if word.partition("=")[0] not in values]
    return [f"+experiment={experiment}", *small, *swept, *few, f"tracking.folder={folder}"]


INSTRUMENTS = {
    "layer_knowledge": ["evaluation.steps=last"],
    "representation_scaling": ["evaluation.minimal_pairs.data=[agreement]"],
}
"""Experiments that ask a trained model what it knows -> words without which they would ask for a download, or for
checkpoints that so few steps do not keep"""


def small_treebank(folder):
    """A file of CoNLL-U: 60 different sentences of three words."""
    pronouns, verbs, nouns = (
        ("we", "they", "you", "i"),
        ("see", "keep", "find"),
        ("laws", "ships", "roads", "books", "men"),
    )
    lines = []
    for pronoun, verb, noun in product(pronouns, verbs, nouns):
        lines += [
            f"1\t{pronoun}\t_\tPRON\t_\t_\t2\tnsubj\t_\t_",
            f"2\t{verb}\t_\tVERB\t_\t_\t0\troot\t_\t_",
            f"3\t{noun}\t_\tNOUN\t_\t_\t2\tobj\t_\t_\n",
        ]
    (folder / "small.conllu").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "small.conllu"


EXPERIMENTS = [name for name in groups()["experiment"] if name != "masking_sweep"]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_shipped_experiment_runs_and_reports(
    small_settings, empty_database, rough_figures, tmp_path, capsys, experiment
):
    """In this process, one run after another. The test below starts the processes that a user would."""
    shutil.copy(empty_database, tmp_path)
    words = [*few_steps(experiment, small_settings, tmp_path), "hydra/launcher=basic", "diagnostics.figures=[]"]
    if experiment != "attention_evolution":  # it asks what a diagnostic records
        words.append("diagnostics=off")
    if experiment in INSTRUMENTS:
        treebank = f"evaluation.probing.treebank={small_treebank(tmp_path)}"
        words += [*INSTRUMENTS[experiment], treebank, "evaluation.quick=true"]
    code = main(words)
    assert code == 0, capsys.readouterr()
    (parent,) = runs(tmp_path, "sweep")
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in runs(tmp_path, "run")} == {parent.info.run_id}
    page = (tmp_path / "reports" / experiment / "index.html").read_text()
    assert "nothing to compare" not in page
    if experiment in INSTRUMENTS:
        recorded = [run.data.metrics for run in runs(tmp_path, "run")]
        assert all("probing/accuracy/part_of_speech/layer_0" in metrics for metrics in recorded)


def test_a_sweep_runs_nothing_the_second_time_and_prints_the_same_table(command, door, small_settings, tmp_path):
    """The first time as its user gives it, in a new process with workers, on a store that does not exist."""
    words = [*few_steps("masking_sweep", small_settings, tmp_path), "diagnostics=off", "diagnostics.figures=[]"]
    first = command(*words)
    assert first.returncode == 0, first.stdout + first.stderr
    children = runs(tmp_path, "run")
    assert len(children) == 2
    report = tmp_path / "reports" / "masking_sweep"
    assert (report / "index.html").exists()
    drawn = {kind: {path.stem for path in report.glob(f"*.{kind}")} for kind in ("png", "svg")}
    assert drawn["png"] == drawn["svg"] and "<path" in (report / "finals.svg").read_text()
    assert "mlflow ui --backend-store-uri" in first.stdout

    second = door(*words)
    assert second.returncode == 0
    assert {run.info.end_time for run in runs(tmp_path, "run")} == {run.info.end_time for run in children}
    table = first.stdout[first.stdout.index("┏") :]
    assert second.stdout[second.stdout.index("┏") :] == table


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_failing_run_leaves_the_others_running_and_its_reason_in_the_parent(
    door, small_settings, empty_database, rough_figures, tmp_path
):
    shutil.copy(empty_database, tmp_path)
    words = ["optimizer.learning_rate=1e12,1e-3", "training.steps=6", "hydra/launcher=basic", "diagnostics=off"]
    words.append("tracking.report=false")
    result = door("--multirun", *small_settings, *words, f"tracking.folder={tmp_path}")
    assert result.returncode == 1
    by_name = {run.info.run_name: run for run in runs(tmp_path, "run")}
    assert by_name["learning rate 0.001"].info.status == "FINISHED"
    failed = by_name["learning rate 1e12"]
    assert failed.info.status == "FAILED"
    assert "not finite" in failed.data.tags["minibert.reason"]
    assert "The first array that is not finite is layers.0." in failed.data.tags["minibert.reason"]
    artifacts = tmp_path / "artifacts" / failed.info.run_id / "artifacts"
    assert (artifacts / "checkpoints" / "step_0000001.safetensors").exists()
    with np.load(artifacts / "failure" / "batch.npz") as batch:
        assert batch["input_ids"].shape == batch["labels"].shape == (8, 32)
        assert batch["words_ids"].shape == batch["words_raised"].shape
        assert np.isin(batch["labels"][batch["labels"] >= 0], batch["words_ids"]).all()
    assert json.loads((artifacts / "failure" / "location.json").read_text())["step"] == 1
    (parent,) = runs(tmp_path, "sweep")
    assert parent.info.status == "FAILED"
    assert "learning rate 1e12" in parent.data.tags["minibert.reason"]
    assert result.stdout.count("The first array that is not finite is") == 1
    assert "1 of 2 runs finished" in result.stdout
    printed = result.stdout.replace("\n", " ")
    assert f"`python -m minibert.report optimizer.learning_rate tracking.folder={tmp_path}` makes it" in printed
    assert not (tmp_path / "reports").exists()


def test_the_record_of_a_run_is_complete(door, small_settings, empty_database, rough_figures, tmp_path):
    shutil.copy(empty_database, tmp_path)
    asked = [*small_settings, "evaluation.intrinsic.enabled=true"]
    assert door(*asked, "training.steps=6", f"tracking.folder={tmp_path}").returncode == 0
    (run,) = runs(tmp_path, "run")
    parameters, tags, metrics = run.data.params, run.data.tags, run.data.metrics
    assert parameters["model.hidden_size"] == "32"
    assert {f"seeds.{stream}" for stream in ("init", "data", "masking", "dropout")} <= parameters.keys()
    for tag in (
        "git.commit",
        "git.dirty",
        "version.numpy",
        "corpus.hash",
        "tokenizer.hash",
        "minibert.config_hash",
    ):
        assert tags[tag]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == tags["corpus.hash"][: len(dataset.dataset.digest)]
    expected = [
        "train/loss", "train/learning_rate", "train/tokens_per_second",
        "gradient_norm/global", "gradient_norm/layer_0",
        "eval/loss", "eval/masked_accuracy", "eval/perplexity", "eval/bits_per_byte", "eval/nats_below_unigram",
        "eval/loss_at_rate/0.40",
        "baseline/unigram_entropy", "baseline/bigram_cross_entropy", "tokens_seen", "tokens_predicted", "flops",
        "effective_rank/embeddings.token.weight", "effective_rank/layers.1.attention.query.weight",
    ]  # fmt: skip
    assert set(expected) <= metrics.keys()
    config = plan(asked, False).jobs[0].config
    for name in metrics:
        check_metric(name, config)  # a study may be of any of them
    artifacts = tmp_path / "artifacts" / run.info.run_id / "artifacts"
    found = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    checkpoints = {f"checkpoints/step_{step:07d}.safetensors" for step in (0, 1, 2, 4, 6)}
    figures = {f"figures/training/{name}.png" for name in ("loss", "learning_rate", "gradient_norm")}
    figures |= {"figures/index.html", "figures/health/health.png", "health.json"}
    figures |= {"figures/landscape/coarse_slices.png"}
    figures |= {f"evaluation/intrinsic/{name}.png" for name in ("loss_by_kind", "reliability")}
    figures |= {"evaluation/intrinsic/step_0000006.json", "evaluation.html"}
    model = {name for name in found if name.startswith("model/")}
    assert "model/MLmodel" in model
    arrays = {name for name in found if name.startswith("arrays/")}
    assert f"arrays/weight_spectra/step_{6:07d}.npz" in arrays
    assert checkpoints | figures | {"config.yaml", "tokenizer.json"} == found - model - arrays

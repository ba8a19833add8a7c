"""A tracked run back as a model."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from tokenizers import Tokenizer

from minibert.config import ROOT, Config, restore
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.saved import copy_into, load_checkpoint


@dataclass(frozen=True)
class LoadedRun:
    """What :func:`load_run` returns."""

    model: MiniBERT
    tokenizer: Tokenizer
    config: Config
    step: int
    """The optimizer step that the parameters are of"""


def load_run(run_id: str, step: int | None = None, uri: str | None = None) -> LoadedRun:
    """Model, tokenizer and configuration of a tracked run, at its last kept checkpoint or at the one of ``step``.

    ``uri`` is the MLflow store; the default is the SQLite store of this checkout. Raises :class:`MinibertError`
    when there is no such run, or no checkpoint of that step.
    """
    database = ROOT / "mlruns" / "mlflow.db"
    if uri is None and not database.exists():
        raise MinibertError(f"There is no store at {database}. Name one: load_run(run_id, uri='sqlite:///...').")
    folder = _artifacts(run_id, uri or f"sqlite:///{database}")
    checkpoints = {int(path.stem.split("_")[1]): path for path in (folder / "checkpoints").glob("step_*.safetensors")}
    if not checkpoints or (step is not None and step not in checkpoints):
        kept = ", ".join(map(str, sorted(checkpoints))) or "none"
        raise MinibertError(f"Run {run_id} has no checkpoint of step {step}. Kept steps: {kept}.")
    step = max(checkpoints) if step is None else step
    config = restore(OmegaConf.load(folder / "config.yaml"))
    model = MiniBERT(config.model, config.seeds.init)
    tensors, _ = load_checkpoint(checkpoints[step])
    copy_into(model.params, tensors, checkpoints[step])
    return LoadedRun(model, Tokenizer.from_file(str(folder / "tokenizer.json")), config, step)


def _artifacts(run_id: str, uri: str) -> Path:
    """The run's artifacts as a local folder: in place for a local store, downloaded from a remote one."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        return Path(download_artifacts(run_id=run_id, artifact_path="", tracking_uri=uri))
    except MlflowException as error:
        raise MinibertError(f"Run {run_id} is not to be had from {uri}: {str(error).splitlines()[0]}") from error

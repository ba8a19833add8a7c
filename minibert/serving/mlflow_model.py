"""A trained network that answers: fill-mask and sentence embeddings, also as an MLflow model.

The MLflow model is a folder with parameters, tokenizer and minibert's own code. MLflow loads it through
:func:`_load_pyfunc`, so nothing in it is pickled, and it needs no checkout:

    mlflow models serve -m runs:/<run id>/model --env-manager local
"""

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from minibert.collection import importing
from minibert.config import PACKAGE
from minibert.data.tokenizer import encode_texts, load_tokenizer
from minibert.errors import MinibertError, sentence, unknown_name
from minibert.model.bert import MiniBERT
from minibert.model.factory import build_recorded
from minibert.model.saved import load_checkpoint
from minibert.training.checkpoints import checkpoint_name, save_checkpoint

BATCH = 32
"""Texts in one pass"""

REQUIREMENTS = ("hydra-core", "mlflow", "numpy", "omegaconf", "safetensors", "scipy", "tokenizers")
"""What the code of a served model imports"""

KEPT, DATA = "served", "data/network"
"""Folders: in the working folder of a store, of what models have alike; in a model, of what differs"""
OF_ITS_OWN = ("run_id", "model_id", "model_uuid", "model_size_bytes", "utc_time_created")
"""What MLflow's description of a model says of that model alone"""

NOTE_OF_USE = """Fills masks and embeds sentences:

    mlflow models serve -m runs:/{0}/model --env-manager local

From Python: `minibert.load_run("{0}")`; for `transformers`: `python -m minibert.export run={0} folder=FOLDER`."""


def fill_mask(
    model: MiniBERT, tokenizer: Tokenizer, texts: Sequence[str], top_k: int = 5
) -> list[list[list[tuple[str, float]]]]:
    """The ``top_k`` likeliest tokens at every [MASK]: text -> mask -> (token, probability).

    >>> fill_mask(model, tokenizer, ["the [MASK] of the union ."])  # doctest: +SKIP
    [[[("state", 0.41), ("people", 0.07), ...]]]

    Raises :class:`MinibertError` for a text without [MASK] or one that is too long for the model.
    """
    if not 1 <= top_k <= tokenizer.get_vocab_size():
        raise MinibertError(f"top_k={top_k}: out of range. Allowed: 1 to {tokenizer.get_vocab_size()}.")
    filled = []
    for chunk, ids, real in _encode(tokenizer, texts):
        masked = ids == tokenizer.token_to_id("[MASK]")
        for text, row in zip(chunk, masked, strict=True):
            if not row.any():
                raise MinibertError(
                    f"{_shortened(text)}: has no [MASK] to fill. Allowed: at least one in each text."
                )
        logits, _ = model.forward(ids, real, predicted=masked)
        ranked = iter(_likeliest(logits, tokenizer, top_k))
        filled += [[next(ranked) for _ in range(row.sum())] for row in masked]
    return filled


def embed_sentences(model: MiniBERT, tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """Mean of the last hidden states over a text's tokens, [CLS] and [SEP] included.    n texts -> (n, D)

    Reimers and Gurevych, "Sentence-BERT", EMNLP 2019. Raises :class:`MinibertError` for a text that is too long.
    """
    embeddings = [np.empty((0, model.config.hidden_size), model.config.dtype)]
    for _, ids, real in _encode(tokenizer, texts):
        _, cache = model.forward(ids, real)
        weights = real / real.sum(axis=1, keepdims=True)
        embeddings.append(np.einsum("bt,btd->bd", weights.astype(model.config.dtype), cache.hidden_states[-1]))
    return np.concatenate(embeddings)


class ServedModel:
    """What MLflow calls: a column of texts and the parameters ``task`` and ``top_k``."""

    def __init__(self, model: MiniBERT, tokenizer: Tokenizer):
        self.model = model
        self.tokenizer = tokenizer

    def predict(self, model_input, params: Mapping | None = None) -> list:
        """For ``fill-mask``, text -> mask -> [{"token", "probability"}, ...]; for ``embedding``, text -> D
        numbers.

        ``model_input`` is a DataFrame whose first column holds the texts. An error in them is raised as MLflow's
        own exception, whose message its server sends to the client.
        """
        from mlflow.exceptions import MlflowException

        params = {"task": "fill-mask", "top_k": 5} | dict(params or {})
        try:
            return self._answer(list(model_input.iloc[:, 0]), **params)
        except MinibertError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _answer(self, texts: list[str], task: str, top_k: int) -> list:
        if task == "embedding":
            return embed_sentences(self.model, self.tokenizer, texts).tolist()
        if task != "fill-mask":
            raise unknown_name("task", task, ("fill-mask", "embedding"))
        return [
            [[{"token": token, "probability": share} for token, share in mask] for mask in masks]
            for masks in fill_mask(self.model, self.tokenizer, texts, top_k)
        ]


def log_served_model(run, model: MiniBERT, tokenizer: Tokenizer, step: int) -> None:
    """Store the model as ``runs:/<run id>/model``; ``run`` is an open :class:`minibert.tracking.runs.Run`.

    ``step``: that of the parameters. Where the run has kept them on this machine, that file is the model's, too.
    """
    from minibert.tracking.models import log_model  # a served model does not need it

    kept = run.artifact_folder("checkpoints")
    checkpoint = kept / checkpoint_name(step) if kept else None

    def write(folder: Path, model_id: str | None) -> None:
        _save_without_code(folder, model, tokenizer, run.store.work / KEPT, run.id, model_id, checkpoint)

    try:
        log_model(run, "masked language model", NOTE_OF_USE.format(run.id), write, PACKAGE)
    except OSError as error:
        message = f"The model could not be stored: {sentence(error)} Mend that, and run again."
        raise MinibertError(message) from error


def save_served_model(folder: Path, model: MiniBERT, tokenizer: Tokenizer) -> None:
    """Write an MLflow pyfunc model to ``folder``, which must not exist yet."""
    from minibert.tracking.models import CODE
    from minibert.tracking.shared_files import copy_code

    with tempfile.TemporaryDirectory() as kept:
        _save_without_code(folder, model, tokenizer, Path(kept))
    copy_code(PACKAGE, folder / CODE / PACKAGE.name)


def _save_without_code(
    folder: Path,
    model: MiniBERT,
    tokenizer: Tokenizer,
    kept: Path,
    run_id: str | None = None,
    model_id: str | None = None,
    checkpoint: Path | None = None,
) -> None:
    """All of a served model but the modules of minibert, which are the same for all models.

    ``kept``: folder with what MLflow writes beside the networks (:func:`_files_beside`). ``checkpoint``: see
    :func:`_save_network`.
    """
    import yaml
    from mlflow.models import Model
    from mlflow.models.model import MLMODEL_FILE_NAME

    shutil.copytree(_files_beside(kept), folder)
    network = folder / DATA
    _save_network(network, model, tokenizer, checkpoint)
    about = yaml.safe_load((folder / MLMODEL_FILE_NAME).read_text(encoding="utf-8"))
    size = about["model_size_bytes"] + sum(path.stat().st_size for path in network.iterdir())
    of_its_own = Model(run_id=run_id, artifact_path="model", model_id=model_id, model_size_bytes=size).to_dict()
    Model.from_dict(about | {key: of_its_own[key] for key in OF_ITS_OWN if key in of_its_own}).save(
        str(folder / MLMODEL_FILE_NAME)
    )


def _files_beside(kept: Path) -> Path:
    """A folder with the files of a served model that are the same for all networks: what MLflow writes of
    environment, signature and example. They are made when first needed, and anew where they are damaged; MLflow
    looks at all installed packages.
    """
    requirements = [f"{name}=={version(name)}" for name in REQUIREMENTS]
    depends = [Path(__file__).read_text(encoding="utf-8"), platform.python_version(), *requirements]
    key = hashlib.sha256("\n".join(depends).encode()).hexdigest()[:16]
    for folder in kept.glob(f"{key}-*"):
        if folder.name == f"{key}-{_digest(folder)}":
            return folder
        shutil.rmtree(folder, ignore_errors=True)  # damaged
    with importing():
        import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.models.model import MLMODEL_FILE_NAME
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    from minibert.tracking.models import CODE

    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema([ColSpec(AnyType())]),
        params=ParamSchema(
            [ParamSpec("task", DataType.string, "fill-mask"), ParamSpec("top_k", DataType.long, 5)]
        ),
    )
    about = Model(artifact_path="model")
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as temporary:
        made, network = Path(temporary) / "made", Path(temporary) / Path(DATA).name
        network.mkdir()
        mlflow.pyfunc.save_model(
            made,
            loader_module="minibert.serving.mlflow_model",
            data_path=str(network),
            mlflow_model=about,
            pip_requirements=requirements,
            signature=signature,
            input_example=(["the [MASK] of the union"], {"task": "fill-mask", "top_k": 5}),
        )
        about.flavors[mlflow.pyfunc.FLAVOR_NAME][mlflow.pyfunc.CODE] = CODE
        about.save(str(made / MLMODEL_FILE_NAME))
        folder = kept / f"{key}-{_digest(made)}"
        with suppress(OSError):  # another process was faster
            made.rename(folder)
    return folder


def _digest(folder: Path) -> str:
    """A hash of the names and contents of all files in a folder."""
    from minibert.tracking.provenance import digest  # a served model does not need it

    files = [path for path in folder.rglob("*") if path.is_file()]
    return digest({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})


def _save_network(folder: Path, model: MiniBERT, tokenizer: Tokenizer, checkpoint: Path | None = None) -> None:
    """What :func:`_load_pyfunc` reads. The file of parameters keeps the hash of their tokenizer.

    A ``checkpoint`` of the same gets a second place as that file. Neither is ever written in place, only replaced.
    """
    from minibert.tracking.shared_files import link  # a served model does not need it

    content = tokenizer.to_str(pretty=True).encode()
    about = {"model": asdict(model.config), "tokenizer": hashlib.sha256(content).hexdigest()}
    parameters = folder / "parameters.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    if checkpoint is not None and _is_of(checkpoint, model, about):
        link(checkpoint, parameters)
    else:
        save_checkpoint(parameters, dict(model.params), about)
    (folder / "tokenizer.json").write_bytes(content)


def _is_of(checkpoint: Path, model: MiniBERT, about: dict) -> bool:
    """Whether a file is a whole checkpoint, with the parameters of the model to the bit, and says this of them."""
    try:
        tensors, told = load_checkpoint(checkpoint)
    except MinibertError:  # it is missing, or damaged
        return False
    return (
        about.items() <= told.items()
        and tensors.keys() == set(model.params)
        and all(tensors[name].tobytes() == array.tobytes() for name, array in model.params.items())
    )


def _load_pyfunc(path: str) -> ServedModel:
    """Called by MLflow, which looks for this name in the loader module, with the folder of the parameters."""
    parameters, vocabulary = Path(path) / "parameters.safetensors", Path(path) / "tokenizer.json"
    tensors, about = load_checkpoint(parameters)
    tokenizer = load_tokenizer(vocabulary)
    if about.get("tokenizer") not in (None, hashlib.sha256(vocabulary.read_bytes()).hexdigest()):
        raise MinibertError(f"{vocabulary}: is damaged, or not the tokenizer that the model was trained with.")
    return ServedModel(build_recorded(tensors, about, parameters), tokenizer)


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[tuple[Sequence[str], np.ndarray, np.ndarray]]:
    """Chunks of n texts, their ids (n, T), and which of these are tokens, not padding, (n, T) bool."""
    for text in texts:
        if not isinstance(text, str):
            raise MinibertError(f"texts: {type(text).__name__} was given. Allowed: a list of strings.")
    padding = tokenizer.token_to_id("[PAD]")
    for start in range(0, len(texts), BATCH):
        chunk = texts[start : start + BATCH]
        encoded = [encoding.ids for encoding in encode_texts(tokenizer, chunk)]
        lengths = np.array([len(ids) for ids in encoded])
        real = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(real.shape, padding)
        ids[real] = np.concatenate(encoded)
        yield chunk, ids, real


def _likeliest(logits: np.ndarray, tokenizer: Tokenizer, top_k: int) -> list[list[tuple[str, float]]]:
    """logits (P, V) -> for each row the ``top_k`` most probable tokens of the tokenizer, in that order.

    Probabilities are over all V rows of the model's table, which may be more than there are tokens.
    """
    logits = logits.astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    best = np.argsort(-shares[:, : tokenizer.get_vocab_size()], axis=1, kind="stable")[:, :top_k]
    return [
        [(tokenizer.id_to_token(int(token)) or "", float(row[token])) for token in tokens]
        for row, tokens in zip(shares, best, strict=True)
    ]


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")

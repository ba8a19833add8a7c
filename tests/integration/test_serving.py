"""A trained run as a model that others use: answers, the MLflow model, and the exported folder."""

import hashlib
import subprocess
import sys
import warnings
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from safetensors.numpy import load_file

from minibert import MiniBERT, MinibertError, ModelConfig, load_run
from minibert.config import Config, DataConfig, PositionConfig, RelativeConfig, restore
from minibert.config.model import POSITIONS
from minibert.data.tokenizer import load_tokenizer, train_tokenizer
from minibert.export import main as export_main
from minibert.serving.loading import find_run
from minibert.serving.mlflow_model import (
    _load_pyfunc,
    _save_network,
    embed_sentences,
    fill_mask,
    log_served_model,
    save_served_model,
)
from minibert.tracking.claims import claim
from minibert.tracking.runs import start_run
from minibert.tracking.store import open_store
from minibert.training.checkpoints import save_checkpoint

TEXTS = ["The river runs to the sea.", "Sailors [MASK] near the [MASK] and the sea"]

pytestmark = pytest.mark.usefixtures("whole_models")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(
        ["The river runs to the sea; the sea runs to the sky.", "Sailors, skippers and skies near the river."],
        vocab_size=70,
        lowercase=True,
    )


@pytest.fixture(scope="module")
def model():
    """A variant that transformers does not have, with more rows in its table than there are tokens."""
    config = ModelConfig(
        vocab_size=80,
        hidden_size=16,
        layers=2,
        heads=2,
        feed_forward_size=24,
        max_length=32,
        activation="relu",
        position=RelativeConfig(distance=5),
    )
    model = MiniBERT(config)
    model.params.vector[:] += 0.3 * np.random.default_rng(0).normal(size=model.params.vector.shape)
    return model


@pytest.fixture(scope="module")
def served(model, tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "model"
    save_served_model(folder, model, tokenizer)
    return folder


def test_fill_mask_ranks_the_tokens_of_every_mask_by_probability(model, tokenizer):
    (masks,) = fill_mask(model, tokenizer, TEXTS[1:], top_k=70)
    tokenizer.encode_special_tokens = False
    ids = np.array([tokenizer.encode(TEXTS[1]).ids])
    logits, _ = model.forward(ids)
    places = np.flatnonzero(ids[0] == tokenizer.token_to_id("[MASK]"))
    assert len(masks) == len(places) == 2
    for mask, place in zip(masks, places, strict=True):
        shares = np.exp(logits[0, place].astype("float64"))
        shares /= shares.sum()
        assert [share for _, share in mask] == sorted((share for _, share in mask), reverse=True)
        assert {token for token, _ in mask} == set(tokenizer.get_vocab())  # and no row without a token
        for token, share in mask:
            assert share == pytest.approx(shares[tokenizer.token_to_id(token)], rel=1e-4)


def test_answers_do_not_depend_on_the_texts_beside(model, tokenizer):
    texts = [f"the {'sea ' * (number % 7)}[MASK]" for number in range(40)]  # more than are computed at once
    together = fill_mask(model, tokenizer, texts)
    alone = [fill_mask(model, tokenizer, [text])[0] for text in texts]
    for left, right in zip(together, alone, strict=True):
        assert [token for token, _ in left[0]] == [token for token, _ in right[0]]
    embedded = embed_sentences(model, tokenizer, texts)
    one_by_one = np.concatenate([embed_sentences(model, tokenizer, [text]) for text in texts])
    assert np.allclose(embedded, one_by_one, atol=1e-5)


def test_an_embedding_is_the_mean_of_the_last_hidden_states(model, tokenizer):
    _, cache = model.forward(np.array([tokenizer.encode(TEXTS[0]).ids]))
    expected = cache.hidden_states[-1][0].mean(axis=0)
    assert np.allclose(embed_sentences(model, tokenizer, TEXTS)[0], expected, atol=1e-5)
    assert embed_sentences(model, tokenizer, []).shape == (0, 16)


@pytest.mark.parametrize(
    ("texts", "top_k", "complaint"),
    [
        (["a [MASK]", "no mask here"], 5, "'no mask here': has no"),
        (["a [MASK]"], 0, "top_k=0: out of range. Allowed: 1 to 70"),
        (["sea " * 40 + "[MASK]"], 5, "longer than the position table"),
        ([None], 5, "NoneType was given"),
    ],
)
def test_texts_that_cannot_be_filled_are_explained(model, tokenizer, texts, top_k, complaint):
    with pytest.raises(MinibertError, match=complaint):
        fill_mask(model, tokenizer, texts, top_k)


def test_the_mlflow_model_answers_as_minibert_does(served, model, tokenizer):
    import mlflow.pyfunc
    import pandas as pd

    loaded = mlflow.pyfunc.load_model(str(served))
    texts = ["the [MASK] runs", "near [MASK], [MASK]"]
    expected = [
        [[{"token": token, "probability": share} for token, share in mask] for mask in masks]
        for masks in fill_mask(model, tokenizer, texts, top_k=3)
    ]
    assert loaded.predict(pd.DataFrame({"text": texts}), params={"top_k": 3}) == expected
    assert loaded.predict(texts, params={"task": "fill-mask", "top_k": 3}) == expected
    embedded = loaded.predict(texts, params={"task": "embedding"})
    assert np.allclose(embedded, embed_sentences(model, tokenizer, texts))
    with pytest.raises(Exception, match=r"unknown name 'translate'.*Allowed: embedding, fill-mask"):
        loaded.predict(texts, params={"task": "translate"})


def test_the_mlflow_model_states_its_signature_and_example(served):
    import mlflow.models

    about = mlflow.models.Model.load(str(served))
    assert [parameter.name for parameter in about.signature.params.params] == ["task", "top_k"]
    assert about.load_input_example(str(served)) == ["the [MASK] of the union"]
    assert about.load_input_example_params(str(served)) == {"task": "fill-mask", "top_k": 5}


def test_nothing_in_the_mlflow_model_is_pickled_and_it_needs_no_checkout(served, tmp_path):
    assert {path.suffix for path in served.rglob("*") if path.is_file()} <= {
        "", ".yaml", ".json", ".txt", ".safetensors", ".py", ".md", ".css", ".js", ".html", ".typed",
    }  # fmt: skip
    script = f"""
import mlflow.pyfunc
print(mlflow.pyfunc.load_model({str(served)!r}).predict(["a [MASK]"], params={{"top_k": 1}}))
import minibert
print(minibert.__file__)
"""
    result = subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "probability" in result.stdout and str(served) in result.stdout


SMALL = ModelConfig(
    vocab_size=80, hidden_size=16, layers=2, heads=2, feed_forward_size=24, max_length=32,
    dropout=0.25, attention_dropout=0.5, segments=2, norm_epsilon=1e-5, init_scale=0.3, init_gain=0.5,
)  # fmt: skip
OWN_FIELDS = {"distance": 3, "keys": False, "buckets": 8, "farthest": 20, "base": 77.0, "fraction": 0.5}
"""Of position schemes, away from their defaults"""


def variants() -> dict[str, ModelConfig]:
    """One network for every choice that a configuration has."""
    made = {
        f"{item.name}={choice}": replace(SMALL, **{item.name: choice})
        for item in fields(ModelConfig)
        for choice in item.metadata.get("choices", ())
    }
    for name, schema in POSITIONS.items():
        own = {item.name: OWN_FIELDS[item.name] for item in fields(schema) if item.name in OWN_FIELDS}
        made[f"position={name}"] = replace(SMALL, position=schema(name=name, **own))
    made["qk_norm"] = replace(SMALL, qk_norm=True)
    made["matched"] = replace(SMALL, activation="swiglu", match_feed_forward=True)
    made["heads"] = replace(SMALL, auxiliary_heads=["nsp", "token_order", "replaced_token"])
    return made


@pytest.mark.parametrize("config", variants().values(), ids=variants())
def test_every_variant_is_saved_served_and_loaded(config, tokenizer, tmp_path):
    model = MiniBERT(config)
    _save_network(tmp_path, model, tokenizer)
    again, parameters = tmp_path / "again", "parameters.safetensors"
    _save_network(again, model, tokenizer, checkpoint=tmp_path / parameters)
    assert (again / parameters).samefile(tmp_path / parameters)
    served = _load_pyfunc(str(tmp_path))
    assert served.model.config == config
    assert served.model.params.vector.tobytes() == model.params.vector.tobytes()
    assert fill_mask(served.model, served.tokenizer, TEXTS[1:]) == fill_mask(model, tokenizer, TEXTS[1:])
    recorded = Config(model=config, data=DataConfig(name="made up", cache="nowhere"))
    recorded.tracking.folder = "nowhere"
    assert restore(OmegaConf.create(OmegaConf.to_yaml(OmegaConf.structured(recorded)))) == recorded
    assert restore(asdict(config), ModelConfig) == config


@pytest.fixture(scope="module")
def tracked(model, tokenizer, tmp_path_factory):
    """The ids of two finished runs and their store: one that transformers can express, and one that it cannot."""
    folder = tmp_path_factory.mktemp("runs")
    store = open_store(None, folder, "serving")
    ids = []
    for kind in (MiniBERT(replace(model.config, activation="gelu", position=PositionConfig())), model):
        with claim(store, f"hash of {kind.config.activation}", on_wait=print) as claimed:
            content = tokenizer.to_str(pretty=True).encode()
            run = start_run(claimed, "a run", {}, {"tokenizer.hash": hashlib.sha256(content).hexdigest()})
            config = Config(model=kind.config)
            config.data.name, config.data.cache, config.tracking.folder = "made up", "nowhere", "nowhere"
            run.log_text(OmegaConf.to_yaml(OmegaConf.structured(config)), "config.yaml")
            tokenizer.save(str(run.folder / "tokenizer.json"))
            run.log_artifact(run.folder / "tokenizer.json")
            for step in (0, 8):
                tensors = {name: array + step for name, array in kind.params.items()}
                run.keep(f"step_{step}.safetensors", partial(save_checkpoint, tensors=tensors, about={}))
            log_served_model(run, kind, tokenizer, 8)
            run.finish("FINISHED")
            ids.append(run.id)
    return ids, store.uri


def test_a_tracked_run_serves_its_model_under_its_id(tracked, model, tokenizer):
    import mlflow
    import mlflow.pyfunc

    (_, run_id), uri = tracked
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    finally:
        mlflow.set_tracking_uri(before)
    assert loaded.metadata.run_id == run_id
    answer = loaded.predict(["the [MASK]"], params={"top_k": 1})
    assert answer[0][0][0]["token"] == fill_mask(model, tokenizer, ["the [MASK]"])[0][0][0][0]
    assert mlflow.active_run() is None


def test_the_page_of_a_model_has_its_run_settings_and_use_and_there_is_one_a_run(tracked, model, tokenizer):
    from mlflow import MlflowClient

    (_, run_id), uri = tracked
    client = MlflowClient(tracking_uri=uri)
    (output,) = client.get_run(run_id).outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.source_run_id, str(logged.status)) == ("model", run_id, "READY")
    assert f"runs:/{run_id}/model" in logged.tags["mlflow.note.content"]
    assert {file.path for file in client.list_logged_model_artifacts(logged.model_id)} >= {
        "MLmodel",
        "code",
        "data",
    }
    assert len(client.search_logged_models([logged.experiment_id])) == 2


def test_a_run_is_loaded_by_the_first_characters_of_its_id_or_as_the_last(tracked):
    (first, last), uri = tracked
    expected = load_run(last, uri=uri).model.params.vector.tobytes()
    assert load_run(last[:8], uri=uri).model.params.vector.tobytes() == expected
    assert load_run("last", uri=uri).model.params.vector.tobytes() == expected
    with pytest.raises(MinibertError, match="2 runs are called so") as error:
        load_run("a run", uri=uri)
    assert first[:8] in str(error.value) and last[:8] in str(error.value)


def test_of_a_run_that_trains_the_newest_checkpoint_is_taken_with_a_warning(tracked):
    (run_id, _), uri = tracked
    client = open_store(uri, None, "serving").client
    client.update_run(run_id, status="RUNNING")
    try:
        with pytest.warns(UserWarning, match="still being trained, .* newest checkpoint, of step 8 of") as told:
            assert load_run(run_id, uri=uri).step == 8
        assert len(told) == 1 and told[0].filename == __file__
        with warnings.catch_warnings(action="error"):
            load_run(run_id, 0, uri)
    finally:
        client.update_run(run_id, status="FINISHED")


def test_an_exported_run_is_read_back(tracked, tmp_path, capsys):
    (run_id, _), uri = tracked
    folder = tmp_path / "exported"
    assert export_main([f"run={run_id[:8]}", f"folder={folder}", "step=0", f"uri={uri}"]) == 0
    assert f"run {run_id[:8]} at step 0 -> {folder}" in capsys.readouterr().out
    expected = load_run(run_id, 0, uri)
    back = MiniBERT.from_pretrained(folder)
    assert back.params.vector.tobytes() == expected.model.params.vector.tobytes()
    assert load_tokenizer(folder).to_str() == expected.tokenizer.to_str()
    assert set(load_file(folder / "model.safetensors")) > {"esm.encoder.emb_layer_norm_after.bias"}


def test_each_checkpoint_is_exported_to_a_folder_of_its_own(tracked, tmp_path, capsys):
    """The words that this run read are not known: the folders have the names of the steps, and it is said why."""
    (run_id, _), uri = tracked
    folder = tmp_path / "exported"
    assert export_main([f"run={run_id}", f"folder={folder}", "checkpoints=all", f"uri={uri}"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [f"run {run_id[:8]} at step {step} -> {folder / f'step_{step}'}" for step in (0, 8)]
    assert told[2].startswith("Named by steps, since the words are not known: ") and "tokens_seen" in told[2]
    for step in (0, 8):
        expected = load_run(run_id, step, uri).model.params.vector
        assert MiniBERT.from_pretrained(folder / f"step_{step}").params.vector.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run={0}", "folder={full}"], "exists already"),
        (["run={0}", "folder={new}", "checkpoints=0,7"], "no checkpoint of step 7. Kept steps: 0, 8"),
        (["run={0}", "folder={new}", "checkpoints=last"], "checkpoints=last: names no checkpoints. Allowed: all"),
        (["run={0}", "folder={new}", "checkpoints=all", "step=8"], "step=8: says the same as checkpoints="),
        (["run={0}", "folder={new}", "step=7"], "no checkpoint of step 7. Kept steps: 0, 8"),
        (["run={0}", "folder={new}", "step=last"], "step=last: is not a step"),
        (["run={1}", "folder={new}"], "Nearest is esm, but for model.activation=relu (allowed: gelu)"),
        (["run=nonsense", "folder={new}"], "nonsense"),
        (["run={0}"], "folder must be given"),
        (["run={0}", "foldr={new}"], "unknown name 'foldr' (did you mean 'folder'?)"),
        (["run={0}", "folder"], "folder: has no value"),
    ],
)
def test_an_export_that_cannot_be_made_is_one_line(tracked, tmp_path, capsys, words, complaint):
    ids, uri = tracked
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    places = {"full": tmp_path / "full", "new": tmp_path / "new"}
    assert export_main([*(word.format(*ids, **places) for word in words), f"uri={uri}"]) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("config.yaml", lambda content: content[: len(content) // 2], "config.yaml: "),
        ("config.yaml", lambda content: content[: content.index(b"seeds:")], "lacks seeds.dropout"),
        ("config.yaml", lambda content: b"- a list", "is not the configuration of a run"),
        ("config.yaml", lambda content: b"\xff\xfe", "cannot be read as the configuration"),
        ("config.yaml", lambda content: content.replace(b"layers:", b"layrs:"), "does not know (model.layrs: Key"),
        ("config.yaml", lambda content: content.replace(b"heads: 2", b"heads: two"), "model.heads: str 'two' was"),
        ("tokenizer.json", lambda content: content[: len(content) // 2], "cannot be read as a tokenizer"),
        ("tokenizer.json", lambda content: b"", "cannot be read as a tokenizer"),
        ("tokenizer.json", lambda content: b"{}", "cannot be read as a tokenizer"),
        (
            "tokenizer.json",
            lambda content: content.replace(b'"s"', b'"S"'),
            "is damaged, or not the tokenizer that run",
        ),
        ("checkpoints/step_8.safetensors", lambda content: content[:-1] + b"\x00", "does not match its checksum"),
        ("checkpoints/step_abc.safetensors", lambda content: b"", "its name gives no step"),
        ("checkpoints/step_9.safetensors", lambda content: b"", "broken, or not one of minibert's"),
    ],
)
def test_a_damaged_or_foreign_file_of_a_run_is_one_message(tracked, tmp_path, capsys, name, change, complaint):
    (run_id, _), uri = tracked
    path = find_run(run_id, uri).folder / name
    content = path.read_bytes() if path.exists() else None
    path.write_bytes(change(content))
    try:
        with pytest.raises(MinibertError) as error:
            load_run(run_id, uri=uri)
        assert export_main([f"run={run_id}", f"folder={tmp_path / 'new'}", f"uri={uri}"]) == 2
    finally:
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
    assert complaint in str(error.value) and str(path) in str(error.value)
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_served_model_tells_a_tokenizer_that_is_not_its_own(model, tokenizer, tmp_path):
    _save_network(tmp_path, model, tokenizer)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"sea"', '"see"'))
    with pytest.raises(MinibertError, match=r"tokenizer\.json: is damaged, or not the tokenizer"):
        _load_pyfunc(str(tmp_path))


def test_parameters_that_are_not_finite_are_neither_loaded_nor_served(tracked, tokenizer, tmp_path):
    (run_id, _), uri = tracked
    model = load_run(run_id, uri=uri).model
    model.params["layers.1.feed_forward.in.weight"][0, :3] = np.nan
    _save_network(tmp_path, model, tokenizer)
    with pytest.raises(MinibertError, match=r"layers\.1\.feed_forward\.in\.weight holds 3 NaN"):
        _load_pyfunc(str(tmp_path))

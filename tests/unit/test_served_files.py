"""What MLflow writes beside a network is made once, and every model has it as if it were its own."""

import numpy as np
import pytest
import yaml

from minibert.config import ModelConfig
from minibert.data.tokenizer import train_tokenizer
from minibert.model.bert import MiniBERT
from minibert.serving import mlflow_model
from minibert.serving.mlflow_model import DATA, OF_ITS_OWN


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["the state of the union is strong"], vocab_size=60, lowercase=True)


def network(tokenizer, hidden_size=8):
    sizes = {"vocab_size": tokenizer.get_vocab_size(), "hidden_size": hidden_size, "feed_forward_size": 16}
    return MiniBERT(ModelConfig(layers=1, heads=2, max_length=16, **sizes), 0)


def files(folder):
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    return {name: content for name, content in found.items() if not name.startswith(DATA) and name != "MLmodel"}


def test_models_differ_in_their_network_and_in_what_mlflow_says_of_them_alone(tokenizer, tmp_path, monkeypatch):
    import mlflow.pyfunc

    made, save = [], mlflow.pyfunc.save_model

    def counted(*words, **more):
        made.append(words)
        return save(*words, **more)

    monkeypatch.setattr(
        mlflow.pyfunc, "save_model", lambda *words, **more: made.append(words) or save(*words, **more)
    )
    kept = tmp_path / "kept"
    for name, hidden_size in (("one", 8), ("two", 12)):
        model = network(tokenizer, hidden_size)
        mlflow_model._save_without_code(tmp_path / name, model, tokenizer, kept, f"run {name}", f"m-{name}")
    assert len(made) == 1 and len(list(kept.iterdir())) == 1
    assert files(tmp_path / "one") == files(tmp_path / "two") and len(files(tmp_path / "one")) == 5
    one, two = (yaml.safe_load((tmp_path / name / "MLmodel").read_text()) for name in ("one", "two"))
    assert (one["run_id"], two["model_id"]) == ("run one", "m-two")
    assert {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)} == set(OF_ITS_OWN)
    examples = sum(len(content) for name, content in files(tmp_path / "one").items() if "example" in name)
    assert one["model_size_bytes"] - examples == sum(
        path.stat().st_size for path in (tmp_path / "one" / DATA).iterdir()
    )


@pytest.mark.parametrize("damage", ["emptied", "removed", "added"])
def test_what_is_kept_is_made_anew_where_it_is_damaged(tokenizer, tmp_path, damage):
    model, kept = network(tokenizer), tmp_path / "kept"
    mlflow_model._save_without_code(tmp_path / "whole", model, tokenizer, kept)
    (folder,) = kept.iterdir()
    if damage == "added":
        (folder / "more.txt").write_text("of another")
    else:
        (folder / "conda.yaml").unlink()
    if damage == "emptied":
        (folder / "conda.yaml").touch()
    mlflow_model._save_without_code(tmp_path / "again", model, tokenizer, kept)
    assert files(tmp_path / "again") == files(tmp_path / "whole") and len(list(kept.iterdir())) == 1


def test_the_description_is_that_of_a_model_which_mlflow_saves_whole(tokenizer, tmp_path):
    from mlflow.models import Model

    model = network(tokenizer)
    mlflow_model._save_without_code(tmp_path / "model", model, tokenizer, tmp_path / "kept", "a run", "m-1")
    about = Model.load(str(tmp_path / "model"))
    assert about.signature.inputs is not None and about.load_input_example(str(tmp_path / "model"))
    loaded = mlflow_model._load_pyfunc(str(tmp_path / "model" / DATA))
    assert np.array_equal(loaded.model.params.vector, model.params.vector)
    text = (tmp_path / "model" / "MLmodel").read_text()
    again = tmp_path / "again"
    about.save(str(again))
    assert again.read_text() == text

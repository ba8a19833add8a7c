"""How messages are put together."""

import pytest

from minibert.errors import MinibertError, sentence
from minibert.model.factory import load_model
from minibert.tracking.explanations import explain
from minibert.training.checkpoints import save_checkpoint


@pytest.mark.parametrize("text", ["It is away", "It is away.", "It is away. ", "It is away..\n"])
def test_a_sentence_has_one_full_stop(text):
    assert sentence(ValueError(text)) == "It is away."


@pytest.mark.parametrize("text", ["RESOURCE_DOES_NOT_EXIST: no such run", "RESOURCE_DOES_NOT_EXIST: no such run."])
def test_what_the_store_says_ends_with_one_full_stop(text):
    assert explain("sqlite:///mlflow.db", ValueError(text)) == "RESOURCE_DOES_NOT_EXIST: no such run."


def test_an_error_within_an_error_ends_with_one_full_stop(tmp_path):
    path = tmp_path / "step_1.safetensors"
    save_checkpoint(path, {}, {"model": {"layers": 1}})
    with pytest.raises(MinibertError, match=r"step_1\.safetensors: .*[^.]\.$"):
        load_model(path)

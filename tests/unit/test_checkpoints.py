import numpy as np
import pytest

from minibert.errors import MinibertError
from minibert.model.saved import copy_into, load_checkpoint
from minibert.training.checkpoints import log_spaced_steps, save_checkpoint


def test_steps_are_log_spaced_then_even():
    assert log_spaced_steps(1800, 500) == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1500, 1800]
    assert log_spaced_steps(5, 500) == [0, 1, 2, 4, 5]


def test_what_is_saved_is_loaded_to_the_bit(tmp_path):
    tensors = {"a.weight": np.random.default_rng(0).normal(size=(3, 6)).astype("float32")[:, ::2]}
    save_checkpoint(tmp_path / "new" / "x.safetensors", tensors, {"step": 3, "seconds": 0.1 + 0.2})
    loaded, about = load_checkpoint(tmp_path / "new" / "x.safetensors")
    assert loaded["a.weight"].tobytes() == np.ascontiguousarray(tensors["a.weight"]).tobytes()
    assert about == {"step": 3, "seconds": 0.1 + 0.2}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("content", [b"", b"\x10\x00", b"not a checkpoint at all", None])
def test_a_broken_checkpoint_is_one_clear_error(tmp_path, content):
    path = tmp_path / "x.safetensors"
    if content is None:
        save_checkpoint(path, {"a": np.zeros(100)}, {})
        content = path.read_bytes()[:-50]
    path.write_bytes(content)
    with pytest.raises(MinibertError, match="broken.*Delete it"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(MinibertError, match=r"no checkpoint at .*x\.safetensors"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_tensors_that_do_not_fit_are_all_listed(tmp_path):
    target = {"a": np.zeros(2), "b": np.zeros(3)}
    with pytest.raises(MinibertError, match=r"a is missing; c is unknown; b has shape \(4,\), not \(3,\)"):
        copy_into(target, {"b": np.zeros(4), "c": np.zeros(1)}, tmp_path / "x")

import resource

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from support.damage import with_one_flipped_bit

from minibert.errors import MinibertError
from minibert.model.saved import copy_into, copy_parameters, load_checkpoint
from minibert.training.checkpoints import log_spaced_steps, save_checkpoint


def test_steps_are_log_spaced_then_even():
    assert log_spaced_steps(1800, 500) == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1500, 1800]
    assert log_spaced_steps(5, 500) == [0, 1, 2, 4, 5]
    assert log_spaced_steps(1200, 500, per_doubling=0) == [0, 1000, 1200]


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
    with pytest.raises(MinibertError, match=r"broken, or not|is no checkpoint"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(MinibertError, match=r"no checkpoint at .*x\.safetensors"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_tensors_that_do_not_fit_are_all_listed(tmp_path):
    target = {"a": np.zeros(2), "b": np.zeros(3)}
    with pytest.raises(MinibertError, match=r"a is missing; c is unknown; b has shape \(4,\), not \(3,\)"):
        copy_into(target, {"b": np.zeros(4), "c": np.zeros(1)}, tmp_path / "x")


def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    weight = random.normal(size=(3, 2)).astype("float32")
    return {"a.weight": weight, "b.bias": random.normal(size=2), "n": np.arange(3)}


def test_a_flipped_bit_in_any_byte_is_told(tmp_path):
    path, about = tmp_path / "x.safetensors", {"progress": {"step": 40, "loss_sum": 1.5}}
    save_checkpoint(path, tensors(), about)
    read = 0
    for _ in with_one_flipped_bit(path):
        try:
            loaded, told = load_checkpoint(path)
        except MinibertError as error:
            assert "broken" in str(error) or "no checkpoint" in str(error)
            continue
        read += 1  # a blank of the header became another: nothing of the content changed
        assert told == about and loaded.keys() == tensors().keys()
        assert all(loaded[name].tobytes() == tensor.tobytes() for name, tensor in tensors().items())
    assert read < 8


def test_a_checkpoint_of_a_version_without_checksums_is_read(tmp_path):
    save_file(tensors(), tmp_path / "old.safetensors", metadata={"minibert": '{"step": 3}'})
    loaded, about = load_checkpoint(tmp_path / "old.safetensors")
    assert about == {"step": 3} and np.array_equal(loaded["a.weight"], tensors()["a.weight"])


def test_changed_tensors_or_settings_behind_an_old_checksum_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, tensors(), {"step": 3})
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    other = tensors() | {"n": np.arange(3) + 1}
    for changed, text in ((other, metadata["minibert"]), (tensors(), '{"step": 4}')):
        save_file(changed, path, metadata=metadata | {"minibert": text})
        with pytest.raises(MinibertError, match="does not match its checksum"):
            load_checkpoint(path)


@pytest.fixture
def full_disk():
    """The operating system refuses to write more than 2,000 bytes into any file: as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_the_last_checkpoint_is_kept_and_there_is_one_message(tmp_path, full_disk):
    path = tmp_path / "resume.safetensors"
    save_checkpoint(path, tensors(), {"step": 1})
    with pytest.raises(MinibertError, match=r"could not be written.*The one before it is kept. Free some space"):
        save_checkpoint(path, {"a": np.zeros(1000)}, {"step": 2})
    assert load_checkpoint(path)[1] == {"step": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["resume.safetensors"]


def test_of_many_tensors_that_do_not_fit_a_few_are_named(tmp_path):
    with pytest.raises(MinibertError) as error:
        copy_into({f"layer_{n}": np.zeros(2) for n in range(200)}, {"x": np.zeros(2)}, tmp_path / "x")
    assert "layer_0 is missing" in str(error.value) and "and 195 more like this; x is unknown" in str(error.value)
    assert len(str(error.value)) < 500


def test_parameters_that_are_not_finite_are_counted_and_named(tmp_path):
    bad = {"a.weight": np.array([1.0, np.nan, np.inf, np.nan]), "b.bias": np.ones(4)}
    with pytest.raises(MinibertError, match=r"a\.weight holds 2 NaN and 1 infinite of 4 values"):
        copy_parameters({name: np.zeros(4) for name in bad}, bad, tmp_path / "x")

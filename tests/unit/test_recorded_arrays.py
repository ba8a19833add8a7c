"""Arrays that diagnostics recorded: damage is told when they are read."""

import numpy as np
import pytest
from support.damage import with_one_flipped_bit

from minibert.errors import MinibertError
from minibert.tracking.records import read_arrays


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "step_0000004.npz"
    arrays = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.arange(5)}
    np.savez_compressed(path, **arrays)
    return path, arrays


def test_a_flipped_bit_in_any_byte_of_recorded_arrays_is_told(recorded):
    path, arrays = recorded
    size, told = path.stat().st_size, 0
    for _ in with_one_flipped_bit(path):
        try:
            step, read = read_arrays(path)
        except MinibertError:
            told += 1
            continue
        assert step == 4 and read.keys() == arrays.keys()  # a date or a flag of the archive was another
        assert all(np.array_equal(read[name], arrays[name]) for name in arrays)
    assert told > size / 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("step_0000004.npz", b""),
        ("step_0000004.npz", b"nothing of the kind"),
        ("step_0000004.npz", b"PK\x03\x04"),
        ("step_abc.npz", None),
        ("other.npz", None),
    ],
)
def test_foreign_or_cut_arrays_are_one_message(recorded, name, content):
    path = recorded[0].rename(recorded[0].with_name(name))
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MinibertError, match=rf"{name}: is damaged, or holds no recorded arrays"):
        read_arrays(path)

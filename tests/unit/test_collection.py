"""The garbage collector passes over what was imported, and over nothing else."""

import gc
import subprocess
import sys

import pytest

from minibert.collection import importing, without_collection

IMPORTED = """
import gc
from minibert.collection import importing
with importing():
    import email.mime.text
    assert not gc.isenabled()
frozen = gc.get_freeze_count()
with importing():
    import email.mime.text
assert frozen > 0 and gc.isenabled() and gc.get_freeze_count() == frozen
"""


def test_what_was_imported_is_passed_over_and_a_second_import_freezes_nothing():
    result = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_an_import_that_fails_leaves_the_collector_as_it_was():
    with pytest.raises(ModuleNotFoundError), importing():
        import minibert.nowhere  # noqa: F401
    assert gc.isenabled()


def test_within_a_pause_an_import_does_not_end_it():
    with without_collection():
        with importing():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()

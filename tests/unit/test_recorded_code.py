"""The recorded code beside that of now: a changed comment is no other code."""

import subprocess

import pytest

from minibert.tracking import provenance
from minibert.tracking.provenance import OUTSIDE, ROOMS, digest, sources
from minibert.tracking.recorded_code import changed_files
from tests.unit.test_floors import arrows

SCALE = '"""A room."""\n\n\ndef scale(x):\n    return 2 * x  # twice\n'


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a package of one room, a folder, and one that is a file."""
    package = tmp_path / "package"
    (package / "model" / "part").mkdir(parents=True)
    (package / "model" / "scale.py").write_text(SCALE)
    (package / "model" / "part" / "other.py").write_text("y = 1\n")
    (package / "randomness.py").write_text("z = 1\n")
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    monkeypatch.setattr(provenance, "PACKAGE", package)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "Begin")
    return package


def git(folder, *arguments):
    command = ["git", "-C", folder, "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def changes(package, room):
    """Of a room, between what is committed and what is there now."""
    now = {path: path.read_bytes() for path in package.rglob("*.py")}
    git(package, "stash", "-u")
    recorded = digest(sources(room))
    for path, content in now.items():
        path.write_bytes(content)
    return changed_files(room, git(package, "rev-parse", "HEAD"), recorded)


def test_comments_docstrings_and_layout_are_no_change(checkout):
    (checkout / "model" / "scale.py").write_text(
        'def scale(x):\n    "Twice."\n    return (\n        2 * x\n    )\n'
    )
    assert changes(checkout, "model") == []


def test_a_file_that_does_something_else_is_named(checkout):
    (checkout / "model" / "scale.py").write_text(SCALE.replace("2 * x", "3 * x"))
    (checkout / "model" / "new.py").write_text("w = 1\n")
    (checkout / "randomness.py").write_text("z = 2\n")
    assert changes(checkout, "model") == ["model/new.py", "model/scale.py"]
    assert changes(checkout, "randomness") == ["randomness.py"]


def test_code_that_was_not_committed_or_is_not_here_cannot_be_compared(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    assert changed_files("model", commit, digest(sources("model"))) == []
    assert changed_files("model", commit, "0123456789ab") is None
    for other in ("unknown", "0" * 40, "--output=taken", "HEAD"):
        assert changed_files("model", other, digest(sources("model"))) is None
    assert not list(checkout.parent.rglob("taken"))


def test_the_code_of_a_room_is_known_by_a_digest_that_files_and_their_order_decide():
    assert digest({"b.py": b"1", "a/c.py": b"2"}) == digest({"a/c.py": b"2", "b.py": b"1"})
    assert len({digest(files) for files in ({"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""})}) == 4


def executed_by(start: str) -> set[str]:
    """The modules of the package that a module needs, and those that these need, in the end."""
    found, left = set(), [start]
    while left:
        name = left.pop()
        if name in found or name == "minibert" or not name.startswith("minibert."):
            continue
        found.add(name)
        left += [*arrows()[name], name.rpartition(".")[0]]
    return found


def room_of(module: str, rooms) -> str | None:
    """The room or file of the package that a module is in, of several the innermost."""
    path = module.removeprefix("minibert.").replace(".", "/")
    return max((room for room in rooms if f"{path}/".startswith(f"{room}/")), key=len, default=None)


def test_every_module_of_a_training_run_is_in_a_room_or_said_to_decide_no_number():
    modules = executed_by("minibert.running.life")
    assert len(modules) > 200 and "minibert.running.assembly" in modules
    placed = {module: room_of(module, (*ROOMS, *OUTSIDE)) for module in modules}
    assert [module for module, room in placed.items() if room is None] == []
    assert set(placed.values()) == {*ROOMS, *OUTSIDE}  # and none is named in vain
    assert placed["minibert.running.assembly"] == "running/assembly"


def test_a_room_that_is_one_file_within_a_folder_is_compared_as_the_others_are(checkout):
    (checkout / "running").mkdir()
    assembly = checkout / "running" / "assembly.py"
    assembly.write_text(SCALE)
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "Assemble")
    assembly.write_text(SCALE.replace("2 * x", "3 * x"))
    assert changes(checkout, "running/assembly") == ["running/assembly.py"]

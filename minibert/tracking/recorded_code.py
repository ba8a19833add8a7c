"""The code that a run was computed with beside that of now: does it do something else, or only read otherwise?"""

import ast
import io
import re
import subprocess
import tarfile

from minibert.tracking import provenance

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def changed_files(room: str, commit: str, recorded: str) -> list[str] | None:
    """The files of a room of the package that do something else now than at a commit, sorted.

    Comments, docstrings and layout are passed over: the syntax trees are compared. ``recorded`` is the digest of
    the room on record (:func:`minibert.tracking.provenance.digest`). None if that code cannot be had: git or the
    commit is not here, or the room had changes then that were not committed.
    """
    before, now = _committed(room, commit), provenance.sources(room)
    if before is None or provenance.digest(before) != recorded:
        return None
    paths = sorted(before.keys() | now.keys())
    return [path for path in paths if _meaning(before.get(path, b"")) != _meaning(now.get(path, b""))]


def _committed(room: str, commit: str) -> dict[str, bytes] | None:
    """Path within the package -> content, of the file or the files of a room at a commit."""
    if not COMMIT.fullmatch(commit):
        return None
    folder = f"{provenance.PACKAGE.name}/{room}"
    content = _archive(commit, folder) or _archive(commit, f"{folder}.py")
    if content is None:
        return None
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".py") else None
            if file is not None:
                found[member.name.removeprefix(f"{provenance.PACKAGE.name}/")] = file.read()
    return found


def _archive(commit: str, path: str) -> bytes | None:
    """What git has at a path of a commit, as a tar file; None if there is nothing, or no git."""
    command = ["git", "--no-optional-locks", "-C", str(provenance.CHECKOUT), "archive", "--format=tar"]
    try:
        return subprocess.run([*command, commit, path], capture_output=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return None


class _WithoutWords(ast.NodeTransformer):
    """Takes out the strings that stand alone: docstrings, and those below a field."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else node


def _meaning(source: bytes) -> str:
    """The syntax tree of a file as text, without comments, docstrings and layout."""
    try:
        return ast.dump(_WithoutWords().visit(ast.parse(source)))
    except (SyntaxError, ValueError):  # of another version of Python
        return repr(source)

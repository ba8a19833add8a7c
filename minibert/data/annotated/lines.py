"""Lines of a text file, and tables with tabs between their columns: what all readers of this folder share."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from minibert.errors import MinibertError
from minibert.files import expanded


def as_path(given: Any) -> Path:
    """The path that a text names, with ``~`` for a home folder.

    Raises :class:`MinibertError` for what names none.
    """
    with suppress(TypeError):  # neither a text nor a path
        if str(given).strip() and "\0" not in str(given):
            return expanded(given)
    raise MinibertError(f"{given!a:.100}: is no path. Allowed: the path of a file or a folder.")


def files_in(folder: Path) -> list[Path]:
    """The files of a folder and of the folders in it, by name, less what is hidden: macOS leaves ``._name`` beside
    each file of a copy, and Jupyter ``.ipynb_checkpoints``."""
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(
        path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_lines(file: Path, holds: str) -> list[str]:
    """All lines of a UTF-8 file. A byte-order mark and either end of line are taken off.

    ``holds`` names what the file must have at least one of, such as ``pair``. Raises :class:`MinibertError` for a
    file that cannot be read, is not UTF-8, has a NUL character, or is empty.
    """
    if file.exists() and not (file.is_file() or file.is_dir()):  # reading a pipe would wait for its writer
        raise MinibertError(f"{file}: is a pipe or a device. Allowed: a file with at least one {holds}.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MinibertError(
            f"{file}: is not UTF-8, from byte {error.start} on. Convert it: iconv -t utf-8."
        ) from error
    except OSError as error:
        raise MinibertError(
            f"{file}: cannot be read ({error.strerror}). Allowed: a file with at least one {holds}."
        ) from error
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise bad_line(file, number, "a NUL character, as files have that are not text", "text in UTF-8")
    if not text.strip():
        raise MinibertError(f"{file}: is empty. Allowed: files with at least one {holds}.")
    return text.split("\n")


def numbered_lines(file: Path, holds: str, comment: str | None = None) -> list[tuple[int, str]]:
    """The lines of :func:`read_lines` that are neither blank nor begin with ``comment``, with their numbers."""
    lines = [
        (number, line)
        for number, line in enumerate(read_lines(file, holds), 1)
        if line.strip() and not (comment and line.startswith(comment))
    ]
    if not lines:
        raise MinibertError(f"{file}: has only comments. Allowed: files with at least one {holds}.")
    return lines


def read_table(
    file: Path, columns: Sequence[str], holds: str, bare: bool = False, comment: str | None = None
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a tab-separated file with their numbers: column -> text, without outer white space.

    The first line is the heading. It names at least ``columns``, in any order. ``bare``: a file without a heading
    is allowed too, with just these columns in this order. Quotation marks are ordinary characters.

    Raises :class:`MinibertError` for a file that cannot be read or has no row, for another heading, and for a row
    with another number of columns.
    """
    lines = numbered_lines(file, holds, comment)
    number, first = lines[0]
    heading = [name.strip().lower() for name in first.split("\t")]
    if set(columns) <= set(heading):
        if repeated := [name for name in heading if name and heading.count(name) > 1]:
            raise bad_line(file, number, f"the column {repeated[0]} twice in the heading", "each column once")
        lines = lines[1:]
    elif bare and not set(columns) & set(heading):
        heading = list(columns)
    else:
        allowed = f"at least the columns {_listed(columns)}" + (", or no heading" if bare else "")
        raise bad_line(file, number, f"the heading {', '.join(heading)}", allowed)
    if not lines:
        raise MinibertError(f"{file}: has a heading and no row. Allowed: files with at least one {holds}.")
    rows = []
    for number, line in lines:
        values = [value.strip() for value in line.split("\t")]
        if len(values) != len(heading):
            allowed = f"{_listed(heading)}, with tabs between them"
            raise bad_line(file, number, f"{len(values)} of {len(heading)} columns", allowed)
        rows.append((number, dict(zip(heading, values, strict=True))))
    return rows


def bad_line(file: Path, number: int, given: str, allowed: str) -> MinibertError:
    """The error for one line: where it stands, what it holds, and what it may hold."""
    return MinibertError(f"{file}, line {number}: {given}. Allowed: {allowed}.")


def is_text(value: object) -> bool:
    """Whether a value is a text that can be written down: JSON can also spell halves of characters, and NUL."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)

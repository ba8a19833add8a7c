"""The options of the benchmarks: numbers within bounds, files and folders that can be written, errors of one line.

What cannot be measured or written is refused before anything is measured.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from minibert.errors import MinibertError
from minibert.files import nearest_there

MOST = 1_000_000
"""Of every number that is given"""
REFUSED = 2
"""Exit code of a benchmark whose options are refused"""


class Parser(argparse.ArgumentParser):
    """Reads the words of one benchmark. What it refuses is told in one line, with exit code 2."""

    def __init__(self, module: str, summary: str):
        """``module``: of the benchmark, within this package. ``summary``: what it measures, in a sentence."""
        summary = summary.strip().split("\n")[0]
        super().__init__(prog=f"python -m tests.benchmarks.{module}", description=summary, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        self.exit(REFUSED, f"{self.prog}: {message.removeprefix('argument ')}\n")

    def add_json(self, what: str = "every time, with versions, BLAS and machine") -> None:
        """``--json FILE``, where ``what`` was measured is written."""
        self.add_argument("--json", type=new_file, metavar="FILE", help=f"write {what}")

    def require_markers(self, lab_book: Path | None, begin: str, end: str) -> None:
        """Refuse a folder whose README.md lacks one of the two lines that the results are written between."""
        if lab_book is None:
            return
        text = (lab_book / PAGE).read_text(encoding="utf-8", errors="replace")
        if begin not in text or end not in text:
            self.error(
                f"--lab-book {lab_book}: its {PAGE} lacks a marker. Both lines belong in it: {begin} and {end}"
            )


PAGE = "README.md"
"""The page of a folder of the lab book"""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Within this context, or as a decorator: an error of minibert is told in one line, with exit code 2."""
    try:
        yield
    except MinibertError as error:
        print(error, file=sys.stderr)
        raise SystemExit(REFUSED) from error


def measured_before(file: Path) -> dict:
    """What an earlier call wrote into a file of its folder; nothing if there is none."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, RecursionError) as error:
        raise MinibertError(f"{file}: is damaged. Remove it, and what it held is measured anew.") from error


def whole(at_least: int = 1, at_most: int = MOST) -> Callable[[str], int]:
    """Reads a whole number, such as that of rounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,7}", text) or not at_least <= int(text) <= at_most:
            raise _refused(text, f"Allowed: a whole number from {at_least} to {at_most:,}.")
        return int(text)

    return read


def positive(text: str) -> float:
    """A number above zero, such as that of minutes."""
    return _number(text, lambda number: 0 < number <= MOST, f"a number above 0, at most {MOST:,}")


def rate(text: str) -> float:
    """A share of what is left out, such as dropout."""
    return _number(text, lambda number: 0 <= number < 1, "a number from 0 on, below 1")


def share(text: str) -> Fraction:
    """A part of a whole, such as ``1/10``."""
    try:
        found = Fraction(text)
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if not 0 < found <= 1:
        raise _refused(text, "Allowed: a number above 0, at most 1, such as 1/10 or 0.1.")
    return found


def new_file(text: str) -> Path:
    """A file that can be written, in a folder that is there."""
    path = Path(text)
    with _readable(text):
        if not text.strip() or path.is_dir():
            raise _refused(text, "Not the name of a file. Give one, such as results.json.")
        if not path.parent.is_dir():
            raise _refused(text, f"There is no folder {path.parent}. Make it, or give another file.")
        if not _takes_files(path):
            raise _refused(text, "It cannot be written. Give another file.")
    return path


def new_folder(text: str) -> Path:
    """A folder that can be written; it, and those above it, may be missing."""
    path = Path(text)
    with _readable(text):
        place = nearest_there(path)
        if not text.strip() or not place.is_dir():
            raise _refused(text, f"{place} is a file. Give a folder." if text.strip() else "Give a folder.")
        if not _takes_files(path):
            raise _refused(text, f"{place} cannot be written to. Give another folder.")
    return path


def lab_book(text: str) -> Path:
    """A folder of the lab book: its page, which is to hold the results, is there."""
    path = Path(text)
    with _readable(text):
        if not (path / PAGE).is_file():
            raise _refused(text, f"There is no {PAGE} in it. Give the folder of an experiment.")
        if not _takes_files(path):
            raise _refused(text, "It cannot be written to.")
    return path


def program(text: str) -> str:
    """A file that can be run, such as another interpreter."""
    with _readable(text):
        if not Path(text).is_file() or not os.access(text, os.X_OK):
            raise _refused(
                text, "No program is there. Give the path of an interpreter, such as minicons/bin/python."
            )
    return text


def _takes_files(path: Path) -> bool:
    """Whether a folder, or the nearest one above that is there, takes a new file; of a file, whether it can be
    written. Rights alone do not tell it: ``/proc`` has them and takes none."""
    place = nearest_there(path)
    if not place.is_dir():
        return os.access(place, os.W_OK)
    try:
        with TemporaryDirectory(dir=place, prefix="."):
            return True
    except OSError:
        return False


def _number(text: str, fits: Callable[[float], bool], allowed: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not fits(found):  # no comparison holds for what is no number
        raise _refused(text, f"Allowed: {allowed}.")
    return found


@contextmanager
def _readable(text: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise _refused(text, f"{error.strerror}. Give another name.") from error


def _refused(text: str, what: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text or repr(text)} was given. {what}")

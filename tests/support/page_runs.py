"""Working through a page in a copy of a checkout: every command is given, every block run, every file written."""

import io
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module, reload
from pathlib import Path
from textwrap import indent
from urllib.request import urlopen

from minibert import interruption
from minibert.errors import MinibertError
from tests.support.copies import Copy
from tests.support.page_rules import (
    INSTEAD,
    LOOKED_AT,
    PLACEHOLDERS,
    SERVED,
    SHELL,
    SKIPPED,
)
from tests.support.page_sizes import with_small_sizes
from tests.support.pages import Part, changed, pages, parts_of

OF_THE_PACKAGE = ("minibert", "conf", "analysis")
"""Folders whose files are read when the package is imported"""
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/")
ENDS_OF_COMMAND, ENDS_OF_WORDS = ("&&", ";", "||", "&"), ("|", ">", ">>", "<", "2>", "2>&1")
LONGEST = 3000
"""Characters that are shown of what a command printed"""


class NotDone(Exception):
    """Something on a page does not do what it says."""


@dataclass(frozen=True)
class Checkout:
    """A copy of a checkout with a store, in which a page is worked through."""

    folder: Path
    run: str
    sweep: str

    @property
    def done(self) -> Path:
        """What pages before this one have done already: one command a line."""
        return self.folder.parent / "done.txt"

    def make_newest(self) -> None:
        """Let ``last`` be the run and the sweep of this checkout, whatever other pages have trained."""
        with closing(sqlite3.connect(self.folder / "mlruns" / "mlflow.db")) as database, database:
            for each in (self.sweep, self.run):
                now = int(time.time() * 1000)
                database.execute("UPDATE runs SET start_time = ? WHERE run_uuid = ?", (now, each))


@dataclass
class Reader:
    """Someone who works through one page, from the top to the bottom."""

    checkout: Checkout
    parts: Sequence[Part]
    changed_before: bool = False
    """Whether the files of the package have been written already"""
    names: dict = field(default_factory=lambda: {"__name__": "__main__"})
    done: list[str] = field(default_factory=list)
    before: set[str] = field(default_factory=set)
    """Commands that pages before this one have given"""

    def work(self) -> list[str]:
        """What could not be done, and why. After a block that fails, the blocks below it are left out."""
        os.chdir(self.checkout.folder)
        sys.path.append(str(self.checkout.folder))
        self.checkout.make_newest()
        if self.checkout.done.exists():
            self.before = set(self.checkout.done.read_text().splitlines())
        failures: list[str] = []
        broken = False
        for part in self.parts:
            if broken and part.kind == "python":
                continue
            printed = io.StringIO()
            try:
                with redirect_stdout(printed), redirect_stderr(printed):
                    sys.stdin = io.StringIO()
                    self._do(part)
            except (Exception, SystemExit) as error:
                broken = broken or part.kind == "python"
                failures.append(_told(part, error, printed.getvalue()))
        with self.checkout.done.open("a") as file:
            file.writelines(f"{each}\n" for each in self.done)
        return failures

    def _do(self, part: Part) -> None:
        if part.kind == "python":
            exec(compile("\n" * (part.line - 1) + part.text, part.page, "exec"), self.names)
        elif part.kind == "command":
            self._command(part.text)
        elif not (self.changed_before and of_the_package(part)):
            write(part, Path())
            if part.file.endswith(".py") and "/" not in part.file:
                self.names |= _public(Path(part.file).stem)

    def _command(self, text: str) -> None:
        for beginning in SKIPPED:
            if text.startswith(beginning):
                return
        text = next((command for beginning, command in INSTEAD.items() if text.startswith(beginning)), text)
        if text.split()[0] in SHELL and "&&" not in text:
            _in_shell(text)
            return
        for words in commands_of(filled(text, self.checkout)):
            self._words(words)

    def _words(self, words: list[str]) -> None:
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        text = " ".join(words)
        for beginning, look in LOOKED_AT.items():
            if text.startswith(beginning):
                if wrong := look(words):
                    raise NotDone(wrong)
                return
        if words[0] in SHELL:
            _in_shell(shlex.join(words))
        elif words[0] == "export":
            os.environ.update(word.split("=", 1) for word in words[1:])
        elif words[0] == "minibert":
            self._door("minibert", words[1:])
        elif words[:2] == ["python", "-m"] and words[2].split(".")[0] in ("minibert", "analysis"):
            self._door(words[2], words[3:])
        elif words[0] == "python" and words[1].endswith(".py"):
            exec(compile(Path(words[1]).read_text(), words[1], "exec"), {"__name__": "__main__"})
        elif words[:2] == ["python", "-c"]:
            exec(compile(words[2], "python -c", "exec"), {"__name__": "__main__"})
        else:
            raise NotDone(
                f"the tests do not know what to do with '{words[0]}'. Add a row to SKIPPED or LOOKED_AT in "
                "tests/support/page_rules.py, or call the block ```text if nobody is to type it."
            )

    def _door(self, module: str, words: list[str]) -> None:
        """Give a command of the package in this process, unless a page before has given the same."""
        module, main, words = _entered(module, words)
        typed = self._known_as(module, words)
        if typed in self.before:
            return
        own = {Path(part.file).stem for part in self.parts if part.file.startswith("conf/experiment/")}
        prepared = with_small_sizes(module, words, own)
        self.done.append(typed)
        if prepared is None or self._known_as(module, prepared) in self.before:
            return
        self.done.append(self._known_as(module, prepared))
        if module == "minibert.export":  # it writes to a new folder
            for word in prepared:
                if word.startswith("folder=") and not Path(word[7:]).is_absolute():
                    shutil.rmtree(word[7:], ignore_errors=True)
        serves = module in SERVED and SERVED[module](prepared)
        code = self._served(main, prepared) if serves else main(prepared)
        if code:
            raise NotDone(f"exit code {code} of: {shlex.join([module, *prepared])}")

    def _known_as(self, module: str, words: Sequence[str]) -> str:
        """What a command is remembered as. At the top of a page, the run and the sweep with an id are the last."""
        text = shlex.join([module, *sorted({*words} - {"evaluation=full"})])
        return text.replace(self.checkout.run, "last").replace(self.checkout.sweep, "last")

    def _served(self, main: Callable, words: list[str]) -> int:
        """Open the page that a command serves, then end it by Ctrl-C. Returns 0 if both could be done."""
        printed = self.checkout.folder.parent / "served.txt"
        printed.unlink(missing_ok=True)

        def entered(words: list[str]) -> int:
            with interruption.watching():  # as in a process of its own
                return main(words)

        with Copy(entered, [*words, "port=0", "browser=false"], printed) as server:
            server.until(lambda: ADDRESS.search(server.printed) is not None)
            address = ADDRESS.search(server.printed)
            if address is None:
                raise NotDone(server.printed)
            with urlopen(address[0]) as answer:
                assert b"<html" in answer.read().lower()
            os.kill(server.pid, signal.SIGINT)
            if (code := server.wait()) != 128 + signal.SIGINT:
                raise NotDone(f"exit code {code} after Ctrl-C: {server.printed}")
            return 0


def _in_shell(text: str) -> None:
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True)
    if done.returncode:
        raise NotDone(f"exit code {done.returncode}: {done.stderr}")


def filled(text: str, checkout: Checkout) -> str:
    """A command with what is meant in place of every placeholder."""
    for pattern, meant in PLACEHOLDERS:
        text = re.sub(pattern, meant, text)
    return text.replace("<run>", checkout.run).replace("<sweep>", checkout.sweep)


def commands_of(text: str) -> list[list[str]]:
    """The commands of a line, as lists of words. What they read from and print to is left out."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    found: list[list[str]] = [[]]
    left_out = False
    for word in reader:
        if word in ENDS_OF_COMMAND:
            found.append([])
            left_out = False
        elif word in ENDS_OF_WORDS or left_out:
            left_out = True
        else:
            found[-1].append(word)
    return [words for words in found if words]


def _entered(module: str, words: list[str]) -> tuple[str, Callable[[list[str]], int], list[str]]:
    """Module, function and words of a command; ``minibert`` alone has the name of its module as the first word."""
    from minibert.command_line.doors import DOORS, overview

    if module == "minibert":
        if words in (["--help"], ["-h"]):
            return module, lambda _: print(overview()) or 0, words
        first, words = (words[0], words[1:]) if words and words[0] in DOORS else ("run", words)
        module = f"minibert.{first}"
    return module, import_module(module).main, words


def of_the_package(part: Part) -> bool:
    """Whether a file is one that the package reads when it is imported."""
    return part.file.split("/")[0] in OF_THE_PACKAGE and part.kind in ("file", "added", "change")


def write(part: Part, folder: Path) -> None:
    """Write or change the file that a page names, within a folder."""
    path = folder / part.file
    if part.file.startswith("/") or ".." in path.parts:
        raise NotDone(f"{part.file}: is not within the checkout")
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if part.kind == "change":
        text = changed(before, part.text)
    else:
        text = f"{before.rstrip()}\n\n\n{part.text}" if part.kind == "added" and before else part.text
    path.write_text(text, encoding="utf-8")


def _public(module: str) -> dict:
    """The names of a module beside the reader's work, as it is now."""
    found = reload(sys.modules[module]) if module in sys.modules else import_module(module)
    return {name: value for name, value in vars(found).items() if not name.startswith("__")}


def _told(part: Part, error: BaseException, printed: str) -> str:
    """One failure, for whoever writes the page."""
    short = isinstance(error, (NotDone, MinibertError)) and part.kind != "python"
    why = str(error) if short else "".join(traceback.format_exception(error))
    text = part.text if part.kind == "command" else f"a block ({part.kind} {part.file})".replace(" )", ")")
    capitals = (
        sorted(set(re.findall(r"(?<![\w$\[-])[A-Z][A-Z_]+(?![\w\]])", text))) if part.kind == "command" else []
    )
    hint = f"\n{', '.join(capitals)}: a placeholder needs a row in PLACEHOLDERS of tests/support/page_rules.py."
    shown = f"{why[-LONGEST:]}\n{printed[-LONGEST:]}{hint if capitals else ''}"
    return f"{part.place}: {text}\n{indent(shown.strip(), '    ')}"


def work_here(name: str, run: str, sweep: str) -> int:
    """Work through a page that changes the package, in a copy of the checkout that is the present folder.

    The files of the package have been changed already. Prints what could not be done; returns an exit code.
    """
    parts = parts_of(name, pages()[name].read_text(encoding="utf-8"))
    failures = Reader(Checkout(Path.cwd(), run, sweep), parts, changed_before=True).work()
    print("\n\n".join(failures))
    return int(bool(failures))

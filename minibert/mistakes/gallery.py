"""The gallery: a list of all mistakes, and one of them shown with its check."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from minibert.command_line.arguments import argument
from minibert.command_line.terminal import print_table
from minibert.command_line.words import names
from minibert.config import ROOT
from minibert.diagnostics.plotting import document
from minibert.errors import MinibertError, sentence
from minibert.files import expanded, replacing
from minibert.mistakes.catalogue import MISTAKES, PARTS, choose, derivation
from minibert.mistakes.figures import draw
from minibert.mistakes.gradient_check import Comparison
from minibert.mistakes.injection import difference
from minibert.mistakes.mistake import Mistake
from minibert.mistakes.trial import GradientTrial, Trial, allowed, try_out

MARK = '<meta name="generator" content="minibert.gallery">'
SOFTWARE = "minibert.gallery"
"""What a picture of the gallery says it was made by"""
WRONG = "WRONG"
MOST_ROWS = 14
"""Arrays in the table of a trial"""
HEAD = 1000
"""Bytes at the beginning of a page or a picture that hold what it was made by"""


@dataclass(frozen=True)
class Gallery:
    """The words of ``minibert gallery``."""

    names: list[str] = argument(
        "mistakes to show, or parts of the code such as layer_norm; without any, all are listed",
        "[NAME,...]",
        [],
        names,
    )
    folder: str | None = argument(
        "where the figures are written; mlruns/gallery of this checkout if not given", "FOLDER", None
    )
    html: str | None = argument("write what is shown to this file as well, with its figures in it", "FILE", None)


def gather(words: Sequence[str]) -> list[str]:
    """The words of a command line, with those that are names alone as one word ``names=[...]`` at the end.

    Raises :class:`MinibertError` for a name without a letter, which would otherwise stand for all.
    """
    alone = [word for place, word in enumerate(words) if _is_name(word, words[place - 1] if place else "")]
    others = [word for place, word in enumerate(words) if not _is_name(word, words[place - 1] if place else "")]
    if not all(word.strip() for word in alone):
        raise MinibertError(f"'': is no name. Name a mistake, or parts: {', '.join(PARTS)}.")
    return [*others, f"names=[{','.join(alone)}]"] if alone else others


def _is_name(word: str, before: str) -> bool:
    return "=" not in word and not word.startswith("-") and before != "--html"


def visit(asked: Gallery, console: Console) -> bool:
    """List the mistakes, or show those that are asked for. Returns whether each that was shown is caught.

    Raises :class:`MinibertError` for an unknown name, and for a folder or file that cannot be written.
    """
    chosen = choose(asked.names)
    if not chosen:
        if asked.html:
            raise MinibertError(f"html={asked.html}: shows nothing. Name a mistake, or parts: {', '.join(PARTS)}.")
        _list(console)
        return True
    target = None if asked.html is None else expanded(asked.html, "html")
    folder = ROOT / "mlruns" / "gallery" if asked.folder is None else expanded(asked.folder, "folder")
    if target is not None:
        _refuse_other_files(target, "html", "page", MARK)
    if asked.folder is not None:  # the folder of this checkout is the gallery's own
        for mistake in chosen:
            _refuse_other_files(_figure(folder, mistake), "folder", "picture", SOFTWARE)
    if target is not None:
        _refuse_unwritable(target, "html")
    _refuse_unwritable(_figure(folder, chosen[0]), "folder")
    caught, body = True, [f"<h1>{escape('The gallery of wrong gradients')}</h1>"]
    for mistake in chosen:
        trial = try_out(mistake)
        caught &= bool(trial.caught)
        body += _show(mistake, trial, folder, console)
    if target is not None:
        content = document.page("The gallery of wrong gradients", body).replace("<title>", f"{MARK}\n<title>", 1)
        _write(target, content.encode(), "html")
        console.print(f"page: {target}")
    return caught


def _list(console: Console) -> None:
    table = Table(show_edge=False)
    for column in ("name", "the mistake", "caught by"):
        table.add_column(column)
    for part in PARTS:
        for mistake in choose([part]):
            table.add_row(mistake.name, mistake.said, mistake.test_file)
        table.add_section()
    print_table(console, table)
    console.print(
        f"{len(MISTAKES)} mistakes in {len(PARTS)} parts. A name shows one of them, a part all of its own."
    )


def rows(trial: Trial) -> tuple[list[str], list[list[str]]]:
    """The numbers of a trial as a table: the heads of its columns, and its rows, the wrong ones first."""
    if isinstance(trial, GradientTrial):
        heads = ["array", "right: error", "wrong: gradient", "wrong: slope", "wrong: error", ""]
        lines = [_row(right, wrong) for right, wrong in zip(trial.right, trial.wrong, strict=True)]
    else:
        heads = ["output", "entries", "largest difference / largest entry", ""]
        lines = [
            [name, f"{trial.right[name].size:,}", _error(wrong), WRONG if name in trial.caught else "same"]
            for name, (_, wrong) in trial.errors.items()
        ]
    lines.sort(key=lambda line: line[-1] != WRONG)
    left = len(lines) - MOST_ROWS
    if left > 1:
        wrong = sum(line[-1] == WRONG for line in lines[MOST_ROWS:])
        rest = [f"and {left} more", *[""] * (len(heads) - 2), f"{wrong} wrong" if wrong else lines[-1][-1]]
        lines = [*lines[:MOST_ROWS], rest]
    return heads, lines


def _row(right: Comparison, wrong: Comparison) -> list[str]:
    slope = "0, in theory" if wrong.zero else f"{wrong.numerical:.6g}"
    shown = "both are 0" if math.isnan(wrong.error) else _error(wrong.error)
    verdict = "right" if wrong.right else WRONG
    return [right.name, _error(right.error), f"{wrong.analytical:.6g}", slope, shown, verdict]


def _error(error: float) -> str:
    return f"{error:.2g}" if error == 0 or error >= 0.01 else f"{error:.0e}"


def _show(mistake: Mistake, trial: Trial, folder: Path, console: Console) -> list[str]:
    """Print one mistake and write its figure. Returns its part of the page."""
    changed = difference(mistake.where, mistake.changes)
    console.print(mistake.name, style="bold")
    console.print(f"{sentence(mistake.said[0].upper() + mistake.said[1:])} {sentence(mistake.why)}")
    console.print(f"\nminibert.{mistake.where.replace(':', '.')}")
    console.print(Syntax(changed, "diff").highlight(changed))
    heads, lines = rows(trial)
    table = Table(show_edge=False)
    for place, column in enumerate(heads):
        table.add_column(column, justify="right" if 0 < place < len(heads) - 1 else "left")
    for line in lines:
        table.add_row(*line)
    print_table(console, table)
    drawn = draw(mistake, trial)
    picture = document.picture(mistake.name, drawn, SOFTWARE)
    path = _figure(folder, mistake)
    _write(path, picture.png, "folder")
    console.print(f"\n{_verdict(mistake, trial)}", style="green" if trial.caught else "red")
    facts = _facts(mistake)
    console.print(f"figure: {path}")
    for fact in facts:
        console.print(fact)
    console.print()
    return [
        f'<h2 id="{escape(mistake.name)}">{escape(mistake.name)}</h2>',
        f"<p>{escape(sentence(mistake.said[0].upper() + mistake.said[1:]))} {escape(sentence(mistake.why))}</p>",
        f'<div class="scroll plain" tabindex="0"><pre><code>{_coloured(changed)}</code></pre></div>',
        document.figure(f"figure-{mistake.name}", picture),
        document.table(heads, lines),
        f'<p class="answer">{escape(_verdict(mistake, trial))}</p>',
        "<ul>" + "".join(f"<li>{escape(fact)}</li>" for fact in facts) + "</ul>",
    ]


def _coloured(changed: str) -> str:
    """Lines of right code as deleted, of wrong code as inserted, each on a ground of its colour."""
    marks = {"-": ("del", "0, 158, 115"), "+": ("ins", "213, 94, 0")}
    shown = []
    for line in changed.splitlines():
        tag, colour = marks.get(line[:1], ("span", ""))
        style = f' style="text-decoration: none; background: rgba({colour}, 0.2)"' if colour else ""
        shown.append(f"<{tag}{style}>{escape(line)}</{tag}>")
    return "\n".join(shown)


def _verdict(mistake: Mistake, trial: Trial) -> str:
    count = len(trial.errors)
    if not trial.caught:
        return f"NOT CAUGHT: {mistake.name} changes nothing that is compared here."
    if isinstance(trial, GradientTrial):
        return f"caught: {len(trial.caught)} of {count} gradients are wrong by more than {allowed(trial):.0e}"
    return (
        f"caught: {len(trial.caught)} of {count} outputs differ; the test below compares them with what is right"
    )


def _facts(mistake: Mistake) -> list[str]:
    """The test, the derivation, and where it was seen."""
    page = derivation(mistake)
    return [
        f"test: tests/{mistake.test}",
        *([f"derivation: {page}"] if page else []),
        *(f"seen: {each.project}, {each.year}: {each.what} ({each.address})" for each in mistake.seen),
    ]


def _figure(folder: Path, mistake: Mistake) -> Path:
    return folder / f"{mistake.name}.png"


def _refuse_other_files(target: Path, key: str, kind: str, mark: str) -> None:
    """Raises :class:`MinibertError` for a path where something else than a page or picture of the gallery is."""
    try:
        if target.is_dir():
            advice = f"the name of a file in it: html={target}/page.html" if key == "html" else "another folder"
            raise MinibertError(f"{key}={target}: is a folder. Give {advice}.")
        if not target.exists():
            return
        if target.is_file():
            with target.open("rb") as opened:
                if mark.encode() in opened.read(HEAD):
                    return
    except OSError as error:
        raise MinibertError(f"{key}={target}: cannot be read ({sentence(error)}) Give another name.") from error
    other = "name" if key == "html" else "folder"
    raise MinibertError(f"{key}={target}: is there, and is no {kind} of the gallery. Give another {other}.")


def _refuse_unwritable(path: Path, key: str) -> None:
    """Make the folder of a file, and raise :class:`MinibertError` if nothing can be written there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise MinibertError(f"{key}={path}: cannot be written ({sentence(error)})") from error


def _write(path: Path, content: bytes, key: str) -> None:
    try:
        with replacing(path, durable=False) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise MinibertError(f"{key}={path}: cannot be written ({sentence(error)})") from error

"""Write results to the lab book:  python -m analysis.lab_book masking_sweep

Writes the part of ``experiments/<study>/README.md`` between two markers, and its figures. The text around the
markers is not changed. The index ``experiments/README.md`` is written anew.
"""

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from minibert.command_line.arguments import argument, door_help, names_store, read_arguments
from minibert.command_line.help import asks_for_help
from minibert.config import ROOT
from minibert.diagnostics.plotting.style import Drawing
from minibert.errors import MinibertError
from minibert.files import expanded, replacing
from minibert.tracking.lookup import open_named_store

from .answers import answer, comparisons
from .evidence import Evidence, gather
from .examination import Examination, Section
from .figure_parts import save
from .figures import draw
from .findings import Findings
from .further_results import beside, efficiency_in_words
from .lab_book_index import BEGIN, END, write_index
from .output import folder_name
from .protocol import duration, environments
from .published_effects import write_published_effects
from .study_words import NOTE, OLDER, StudyWords
from .tables import Table, costs, results, tuning

NO_RESULT = ("tracking.", "data.cache=", "hydra.launcher.")
"""What words begin with that say how runs are recorded, and how many are trained at once"""
DOWNLOADED = ("blimp", "sst2", "ud_english_ewt", "zorro")
"""Data sets that a command downloads by their names"""
ABSOLUTE = re.compile(r"([=,\[]|^)/(?:[^,\]/]+/)*([^,\]/]+)/?")
MARKUP = re.compile(
    r"[\\`*<$~]|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|\](?=[(\[])|^\[(?=[^\]\n]*\]:)|^[#>+-](?=\s|#)", re.MULTILINE
)
"""Characters of a text that Markdown may take for its own, where it may"""
ENTITIES = {"<": "&lt;", "&": "&amp;", "$": "&#36;", "~": "&#126;"}
"""What not every reader of Markdown lets a backslash escape, on a code host and on a site"""
FIGURES = {
    "curves.png": "Learning curves",
    "lr_range.png": "Loss against learning rate",
    "finals.png": "Final means",
}


SUMMARY = "Write the results of a sweep into experiments/<study>/README.md, between two markers, and the index."
EXAMPLES = {"masking_sweep": "the study's newest sweep"}


@dataclass(frozen=True)
class LabBookWords(StudyWords):
    """The words of ``python -m analysis.lab_book``."""

    lab_book: str = argument("folder that has a folder per study", "FOLDER", str(ROOT / "experiments"))


def write_lab_book(evidence: Evidence, folder: Path) -> Path:
    """Write the results to ``folder/README.md`` and return its path.

    A file without the markers gets them at its end; a missing one begins with the question.
    Raises :class:`MinibertError` when only one of the markers is there, and when a figure would take the place of
    a file that the results do not show.
    """
    findings, examination = evidence.findings, evidence.examination
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else opening(findings)
    if BEGIN not in text and END not in text:
        text = f"{text.rstrip()}\n\n## Result\n\n{BEGIN}\n{END}\n"
    own = examination.figures if examination else {}
    drawn = {name: figure for name, figure in draw(evidence).items() if name in FIGURES or name in own}
    for name in drawn:
        if (folder / name).exists() and f"]({name})" not in text.partition(BEGIN)[2]:
            raise MinibertError(f"{folder / name}: would be replaced, and is no figure of the results. Move it.")
    write_between(path, text, BEGIN, END, _results(evidence, list(drawn)))
    for name, figure in drawn.items():
        save(figure, folder / name)
    return path


def write_between(path: Path, text: str, begin: str, end: str, part: str) -> None:
    """Write ``text`` to the path, with ``part`` in place of what is between the two lines ``begin`` and ``end``.

    Raises :class:`MinibertError` when only one of them is there.
    """
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise MinibertError(f"{path}: one of the two markers is gone. Both lines belong in it:\n{begin}\n{end}")
    # The file is replaced as a whole or not at all: the text around the markers has no other copy.
    with replacing(path) as temporary:
        temporary.write_text(f"{before}{begin}\n\n{part}\n{end}{after}", encoding="utf-8")


def entry(evidence: Evidence, figures: Iterable[str]) -> str:
    """Question, hypothesis and results in Markdown. ``figures``: the names of those that lie beside it."""
    return f"{opening(evidence.findings)}\n{_results(evidence, list(figures))}"


def opening(findings: Findings) -> str:
    """The head of an entry: the question and, if one was stated, the hypothesis."""
    study = findings.study
    hypothesis = f"\n**Hypothesis.** {plain(study.hypothesis)}\n" if study.hypothesis else ""
    return f"# {plain(' '.join(study.title.split()))}\n{hypothesis}"


def _results(evidence: Evidence, figures: list[str]) -> str:
    findings, examination = evidence.findings, evidence.examination
    study, environment = findings.study, environments(findings.study)
    dirty = " with uncommitted changes" if "true" in environment.get("git.dirty", "") else ""
    kernel = f" on {environment['kernel.name']} kernels" if "kernel.name" in environment else ""
    took = f"; {trained} of training in all" if (trained := duration(study)) else ""
    given, again = portable(study.command), by_names(study.command)
    named = f"Again with {code(again)}, which downloads the data. " if again != given else ""
    parts = [
        f"**{plain(answer(findings, examination))}**",
        *map(plain, comparisons(findings, examination)),
        *_examination(examination),
        *(["### All combinations"] if examination and examination.sections else []),
        markdown(results(findings)),
        *map(plain, beside(findings)),
        *(markdown(table) for table in [tuning(findings)] if table),
        *(f"![{FIGURES[name]}]({name})" for name in figures if name in FIGURES),
        *map(plain, efficiency_in_words(findings)),
        *(markdown(costs(findings, found)) for found in findings.efficiencies),
        *([plain(study.worked_out)] if study.worked_out else []),
        *(f"Missing: {plain(f'{name} ({why})')}." for name, why in study.missing.items()),
        f"{named}Run on {datetime.fromisoformat(study.opened):%d %B %Y} with {code(given)}, commit "
        f"`{environment.get('git.commit', 'unknown')}`{dirty}, "
        f"Python {environment.get('version.python', 'unknown')}, "
        f"NumPy {environment.get('version.numpy', 'unknown')}{kernel}, "
        f"{environment.get('machine.cpus', '?')} processors ({environment.get('machine.platform', 'unknown')})"
        f"{took}.",
    ]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """A text as Markdown that shows it as it is: names and reasons come from data.

    >>> plain("the rate of <b>*bold*</b> is 0.4 [0.3, 0.5], of part_of_speech 0.2")
    'the rate of &lt;b>\\\\*bold\\\\*&lt;/b> is 0.4 [0.3, 0.5], of part_of_speech 0.2'
    """
    return MARKUP.sub(lambda found: ENTITIES.get(found[0], f"\\{found[0]}"), text)


def code(text: str) -> str:
    """A text as a span of code in Markdown, whatever grave accents it holds."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"


def portable(command: str) -> str:
    """A command as another machine would be given it: without where things are kept, and folders by their names.

    >>> portable("python -m minibert.run +experiment=x tracking.folder=/a/b data.path=/c/books seed=0,1")
    'python -m minibert.run +experiment=x data.path=FOLDER/books seed=0,1'
    """
    return _elsewhere(command, lambda folder: f"FOLDER/{folder}")


def by_names(command: str) -> str:
    """The same, with the names of data sets, which are downloaded, in place of folders that are called like them.

    >>> by_names("python -m minibert.run evaluation.minimal_pairs.data=[agreement,/a/zorro]")
    "python -m minibert.run 'evaluation.minimal_pairs.data=[agreement,zorro]'"
    """
    return _elsewhere(command, lambda folder: folder if folder in DOWNLOADED else f"FOLDER/{folder}")


def _elsewhere(command: str, named: Callable[[str], str]) -> str:
    words = [word for word in shlex.split(command) if not (names_store(word) or word.startswith(NO_RESULT))]
    return shlex.join(ABSOLUTE.sub(lambda found: found[1] + named(found[2]), word) for word in words)


def _examination(examination: Examination | None) -> list[str]:
    """The tables and figures of the study's own question, and their limits; or its sections."""
    if examination is None:
        return []
    if examination.sections:
        return [text for section in examination.sections for text in _section(section, examination)]
    limits = _points(examination.limits)
    return [
        *map(markdown, examination.tables),
        *_figures(examination.figures),
        *([f"Limits of these:\n\n{limits}"] if limits else []),
    ]


def _section(section: Section, examination: Examination) -> list[str]:
    return [
        f"### {plain(section.title)}",
        *map(plain, section.sentences),
        *([_points(section.points)] if section.points else []),
        *map(plain, section.notes),
        *_figures({name: examination.figures[name] for name in section.figures}),
        *map(markdown, section.tables),
    ]


def _points(points: Iterable[str]) -> str:
    return "\n".join(f"* {plain(point)}" for point in points)


def _figures(figures: Mapping[str, Drawing]) -> list[str]:
    return [
        f"![{plain(beginning(drawing.caption))}]({name})\n\n{plain(drawing.caption)}"
        for name, drawing in figures.items()
    ]


def beginning(caption: str) -> str:
    """What a figure shows, for those who do not see it: its caption to the first stop.

    >>> beginning("Accuracy of a probe at each layer; 0 is the output of the embeddings. Dots: seeds.")
    'Accuracy of a probe at each layer'
    """
    return re.split(r"[.;:](?:\s|$)", caption, maxsplit=1)[0].translate(str.maketrans("[]", "()"))


def markdown(table: Table) -> str:
    """The table with its title above and its note below."""

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(map(_cell, cells)) + " |"

    rule = line(("---", *("---:" for _ in table.columns[1:])))
    rows = [line(table.columns), rule, *map(line, table.rows)]
    return "\n".join([f"{plain(table.title)}:", "", *rows, "", plain(table.note)])


def _cell(text: str) -> str:
    """Within a row, no text begins a line: the character put in front tells :func:`plain` so."""
    return plain("|" + " ".join(text.split()))[1:].replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """Write the results that the command line asks for. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    called = "python -m analysis.lab_book"
    if asks_for_help(arguments, lambda: door_help(called, SUMMARY, LabBookWords, EXAMPLES, NOTE)):
        return 0
    try:
        asked = read_arguments(LabBookWords, arguments, OLDER, bare="study")
    except MinibertError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        store = open_named_store(asked.tracking)
        evidence = gather(store, asked.study, asked.sweep)
        lab_book = expanded(asked.lab_book, "lab_book")
        print(write_lab_book(evidence, lab_book / folder_name(asked.study)))
        write_published_effects(lab_book)
        print(write_index(lab_book))
    except MinibertError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    from minibert.command_line.doors import enter

    enter("analysis.lab_book")

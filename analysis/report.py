"""From a tracked sweep to its report:  python -m analysis.report masking_sweep

Reads MLflow only, and writes a page, figures (PNG and SVG), CSV files and an entry for a lab book (Markdown) to
``<folder>/reports/<name>/`` and, as the artifact ``report``, to the sweep's own record.
"""

import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import matplotlib

from minibert.command_line.arguments import argument, command, door_help, read_arguments
from minibert.command_line.help import asks_for_help
from minibert.command_line.terminal import open_console, print_table
from minibert.errors import MinibertError
from minibert.files import expanded
from minibert.tracking import Store
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.lookup import open_named_store, short_id

from .answers import answer, comparisons, details
from .csv_files import write_csv
from .evidence import Evidence, gather
from .examination import Examination
from .figure_parts import save
from .figures import draw
from .further_results import beside, efficiency_in_words
from .lab_book import entry
from .output import fingerprint, folder_name, is_written, new_report, seal
from .page.links import Links
from .page.render import render
from .study import Study
from .study_words import NOTE, OLDER, StudyWords
from .tables import Table, results, tuning

SUMMARY = "Write the report of a sweep, finished or not, from its recorded runs."
EXAMPLES = {
    "masking_sweep": "the study's newest sweep",
    "last": "the sweep that was started last, with a study or without: it is worked out which settings vary",
    "masking_sweep sweep=SWEEP_ID output=my_report": "another sweep of it, to a folder of your own",
}


@dataclass(frozen=True)
class ReportWords(StudyWords):
    """The words of ``minibert report``."""

    output: str | None = argument("folder to write to; <store>/reports/<name> if not given", "FOLDER", None)


@dataclass(frozen=True)
class ReportResult:
    path: Path
    """The page, ``index.html``."""
    table: Table
    """Final means and differences, for the terminal."""
    answer: str
    details: tuple[str, ...]
    missing: dict[str, str]
    """Name -> why, of the runs that have no result."""
    evidence: Evidence


def write_report(
    store: Store,
    study_name: str,
    output: Path | str | None = None,
    sweep_id: str | None = None,
    again: bool = True,
) -> ReportResult:
    """Report on the sweep ``sweep_id``, or on the last opened one of the study, finished or not.

    If not ``again``, a report that would not change is left as it is.

    Raises :class:`MinibertError` when the study has no runs, when the store cannot be read, and when the folder
    holds what no report wrote (:func:`analysis.output.new_report`).
    """
    evidence = gather(store, study_name, sweep_id)
    findings, examination = evidence.findings, evidence.examination
    folder = expanded(output, "output") if output else default_folder(store, findings.study)
    study = replace(findings.study, opened="")  # anew by each command that finds all runs
    told = replace(evidence, findings=replace(findings, study=study))
    told = fingerprint(told, store.uri, matplotlib.__version__)
    if again or not is_written(folder, told):
        _write(evidence, store, folder, told)
    return ReportResult(
        path=folder / "index.html",
        table=results(findings, most_beside=1),
        answer=answer(findings, examination),
        details=tuple(details(findings, examination)),
        missing=findings.study.missing,
        evidence=evidence,
    )


def _write(evidence: Evidence, store: Store, folder: Path, told: str) -> None:
    findings, unstored = evidence.findings, None
    with new_report(store, folder) as made:
        figures = {}
        for name, figure in draw(evidence).items():
            save(figure, made / name)
            figure.set_layout_engine("none")  # all is in its place: to find it again takes up to half of the time
            save(figure, (made / name).with_suffix(".svg"))
            figures[name] = (made / name).read_bytes()
        write_csv(findings, made)
        (made / "entry.md").write_text(entry(evidence, figures), encoding="utf-8")
        links = Links(store, findings.study.sweep_id, [run.id for run in findings.study.runs])
        page = render(evidence, figures, datetime.now().astimezone(), links)
        (made / "index.html").write_text(page, encoding="utf-8")
        try:
            artifacts_of(store, findings.study.sweep_id).add(made, "report")
            seal(made, told)
        except MinibertError as error:
            unstored = error  # the report is useful even if the store refuses it
    if unstored:
        raise unstored


def default_folder(store: Store, study: Study) -> Path:
    """Where the report of a sweep is written if no folder is given.

    The name of an experiment is that of its newest sweep; sweeps without one may share a name, and have folders
    of their own.
    """
    own = f"-{short_id(study.sweep_id)}" if study.may_share_its_name else ""
    return store.folder / "reports" / (folder_name(study.name) + own)


def print_result(result: ReportResult, reasons: bool = True) -> None:
    """The table, the answer and where the report is, to the terminal.

    ``reasons``: why a run has no result; a sweep that has just ended has told it.
    """
    console = open_console()
    if result.table.rows:
        print_table(console, rich_table(result.table))
    if tuned := tuning(result.evidence.findings):
        print_table(console, rich_table(tuned))
    examination = result.evidence.examination
    for table in _tables(examination):
        print_table(console, rich_table(table))
    for name, why in result.missing.items():
        console.print(f"missing: {name} ({why if reasons else why.partition(':')[0]})")
    if worked_out := result.evidence.findings.study.worked_out:
        console.print(f"\n{worked_out}", soft_wrap=False)
    console.print()
    console.print(result.answer, style="bold", soft_wrap=False)
    findings = result.evidence.findings
    for section in examination.sections if examination else ():
        if told := [*section.sentences, *(f"• {point}" for point in section.points), *section.notes]:
            console.print(f"\n{section.title}", style="bold")
            for sentence in told:
                console.print(sentence, soft_wrap=False)
    further = [*comparisons(findings, examination), *beside(findings), *efficiency_in_words(findings)]
    for sentence in further:
        console.print(sentence, soft_wrap=False)
    console.print(f"\nReport: {result.path}")


def _tables(examination: Examination | None) -> list[Table]:
    """The tables of a study's own question that are not folded in."""
    if examination is None:
        return []
    sections = [section for section in examination.sections if not section.folded]
    return [*examination.tables, *(table for section in sections for table in section.tables)]


def rich_table(table: Table):
    """The table for rich to print."""
    from rich.table import Table as RichTable
    from rich.text import Text

    title, note = Text(table.title), Text(table.note)
    printed = RichTable(title=title, caption=note, title_justify="left", caption_justify="left")
    for index, column in enumerate(table.columns):
        printed.add_column(Text(column), justify="left" if index == 0 else "right")
    for row in table.rows:
        # A number that is broken over two lines is hard to read, so only titles may wrap.
        printed.add_row(*(Text(cell, no_wrap=True) for cell in row))
    return printed


def main(arguments: list[str] | None = None) -> int:
    """Write the report that the command line asks for. Returns the exit code: 2 if that cannot be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: door_help(command("report"), SUMMARY, ReportWords, EXAMPLES, NOTE)):
        return 0
    try:
        asked = read_arguments(ReportWords, arguments, OLDER, bare="study")
        store = open_named_store(asked.tracking)
        print_result(write_report(store, asked.study, asked.output, asked.sweep))
    except MinibertError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from minibert.command_line.doors import enter

    enter("analysis.report")

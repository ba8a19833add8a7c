"""From a tracked sweep to its report:  python -m analysis.report masking_sweep

Reads MLflow only, and writes a page, figures and CSV files to ``<folder>/reports/<study>/`` and, as the
artifact ``report``, to the sweep's own record.
"""

import argparse
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from minibert.command_line.help import installed_version
from minibert.command_line.terminal import open_console, print_table
from minibert.errors import MinibertError
from minibert.tracking import Store
from minibert.tracking.artifacts import artifacts_of
from minibert.tracking.store import open_existing_store

from .answers import answer, details
from .figures import draw
from .findings import Findings
from .output import folder_name, new_report
from .page import render
from .panels import save
from .questions.studies import find_everything
from .tables import Table, results, tuning, write_csv


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
    findings: Findings


def write_report(
    store: Store, study_name: str, output: Path | None = None, sweep_id: str | None = None
) -> ReportResult:
    """Report on the sweep ``sweep_id``, or on the last opened one of the study, finished or not.

    Raises :class:`MinibertError` when the study has no runs, when the store cannot be read, and when the folder
    holds what no report wrote (:func:`analysis.output.new_report`).
    """
    findings = find_everything(store, study_name, sweep_id)
    folder = Path(output).expanduser() if output else store.folder / "reports" / folder_name(study_name)
    unstored = None
    with new_report(store, folder) as made:
        figures = {}
        for name, figure in draw(findings).items():
            save(figure, made / name)
            figures[name] = (made / name).read_bytes()
        write_csv(findings, made)
        page = render(findings, figures, datetime.now().astimezone())
        (made / "index.html").write_text(page, encoding="utf-8")
        try:
            artifacts_of(store, findings.study.sweep_id).add(made, "report")
        except MinibertError as error:
            unstored = error  # a report that the store does not take is still worth having
    if unstored:
        raise unstored
    return ReportResult(
        path=folder / "index.html",
        table=results(findings, most_beside=1),
        answer=answer(findings),
        details=tuple(details(findings)),
        missing=findings.study.missing,
        findings=findings,
    )


def print_result(result: ReportResult) -> None:
    """The table, the answer and where the report is, to the terminal."""
    console = open_console()
    if result.table.rows:
        print_table(console, rich_table(result.table))
    if tuned := tuning(result.findings):
        print_table(console, rich_table(tuned))
    for table in result.findings.examination.tables if result.findings.examination else ():
        print_table(console, rich_table(table))
    for name, why in result.missing.items():
        console.print(f"missing: {name} ({why})")
    console.print()
    console.print(result.answer, style="bold", soft_wrap=False)
    for sentence in result.details:
        console.print(sentence, soft_wrap=False)
    console.print(f"\nReport: {result.path}")


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


def open_named_store(arguments: argparse.Namespace) -> Store:
    """The store that the command line names. Reading never makes a new one."""
    return open_existing_store(arguments.uri, arguments.folder, arguments.experiment)


def argument_parser(module: str, description: str) -> argparse.ArgumentParser:
    """The arguments that the report and the lab book share."""
    parser = argparse.ArgumentParser(
        prog=f"python -m analysis.{module}", description=description, epilog="For example: %(prog)s masking_sweep"
    )
    parser.add_argument("--version", action="version", version=f"minibert {installed_version()}")
    parser.add_argument("study", help="study.name of the experiment file, for example masking_sweep")
    parser.add_argument("--folder", help="tracking.folder of the sweep; mlruns of this checkout if not given")
    parser.add_argument("--uri", help="tracking.uri of the sweep, if its store is not in the folder")
    parser.add_argument("--experiment", default="minibert", help="tracking.experiment of the sweep")
    parser.add_argument(
        "--sweep", metavar="ID", help="its id, the first 8 characters of it, or last; by default the study's last"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    parser = argument_parser("report", "Write the report of a tracked sweep.")
    parser.add_argument("--output", help="folder to write to instead of <folder>/reports/<study>")
    parsed = parser.parse_args(arguments)
    try:
        store = open_named_store(parsed)
        print_result(write_report(store, parsed.study, parsed.output, parsed.sweep))
    except MinibertError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

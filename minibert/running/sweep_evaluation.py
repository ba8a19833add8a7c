"""What the runs of a sweep know, side by side: one table for each instrument, at the terminal and as a page."""

from collections.abc import Mapping, Sequence
from html import escape

from minibert.command_line.terminal import print_table
from minibert.diagnostics.plotting import document
from minibert.evaluation import results
from minibert.evaluation.catalogue import NAMES
from minibert.evaluation.instruments import Table
from minibert.evaluation.overview import Asked, runs_tables
from minibert.evaluation.page import PAGE, table_section
from minibert.running.progress import Display
from minibert.tracking.lookup import short_id
from minibert.tracking.records import Record
from minibert.tracking.store import Store


def show_runs(store: Store, sweep_id: str, run_ids: Sequence[str], display: Display) -> None:
    """Print what all runs were found to know, and write it to ``evaluation.html`` of the sweep."""
    runs = {}
    for run_id in run_ids:
        record = _record(store, run_id)
        name = f"{record.entity().info.run_name or ''} ({short_id(run_id)})".strip()
        asked = [Asked(each, found) for each in NAMES if (found := results.read(record, each))]
        if asked:
            runs[name] = asked
    tables = runs_tables(runs)
    if not tables:
        return
    for table in tables:
        print_table(display.console, _printed(table))
    sweep = _record(store, sweep_id)
    sweep.log_bytes(page(sweep.entity().info.run_name or sweep_id, tables, runs).encode(), PAGE)
    display.note(f"all runs on one page: artifact {PAGE} of the sweep {short_id(sweep_id)}")


def page(name: str, tables: Sequence[Table], runs: Mapping[str, Sequence[Asked]]) -> str:
    """The page of a sweep. Each run has a page of its own."""
    body = (
        "<h1>What the runs know</h1>",
        f'<p class="soft">The sweep {escape(name)}: {len(runs)} evaluated runs. Each has its own page, '
        f"{PAGE}, among its artifacts; the report of the sweep has means over seeds.</p>",
        *map(table_section, tables),
    )
    return document.page(f"What the runs of {name} know", body)


def _record(store: Store, run_id: str) -> Record:
    uri = store.client.get_run(run_id).info.artifact_uri or ""
    return Record(store, run_id, uri, continued=True)


def _printed(table: Table):
    from rich.table import Table as RichTable
    from rich.text import Text

    printed = RichTable(
        title=Text(table.title), caption=Text(table.caption), title_justify="left", caption_justify="left"
    )
    for column in table.columns:
        printed.add_column(Text(column))
    for row in table.rows:
        printed.add_row(
            *(Text("–" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row)
        )
    return printed

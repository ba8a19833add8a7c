"""Records whose points are read from the tables of a local store, while they are written through MLflow.

The health of a run and its figures read some hundred histories, each of which takes MLflow twenty times as long.
"""

import atexit
import sqlite3
import weakref

from minibert.tracking.databases import read_only
from minibert.tracking.infinities import restored
from minibert.tracking.records import Record
from minibert.tracking.tables import is_known

NAMES = "SELECT key FROM latest_metrics WHERE run_uuid = ? ORDER BY key"
HISTORY = "SELECT step, value, is_nan FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY step, timestamp, value"


class DirectRecord(Record):
    """A record that asks MLflow only where the tables are not of a revision that is known."""

    _connection: sqlite3.Connection | None = None
    _asks_mlflow = False

    def history(self, metric: str) -> tuple[list[int], list[float]]:
        rows = self._rows(HISTORY, metric)
        if rows is None:
            return super().history(metric)
        newest = {step: float("nan") if is_nan else restored(value) for step, value, is_nan in rows}
        return list(newest), list(newest.values())

    def metric_names(self, prefix: str = "") -> list[str]:
        rows = self._rows(NAMES)
        if rows is None:
            return super().metric_names(prefix)
        return [name for (name,) in rows if name.startswith(prefix)]

    def _rows(self, query: str, *words: str) -> list[tuple] | None:
        """What the tables answer of this run; None if MLflow is to be asked."""
        if self.store.database is None or self._asks_mlflow:
            return None
        try:
            if self._connection is None:
                self._connection = read_only(self.store.database)
                # At exit before the connections of MLflow, of which the last that is closed completes the file.
                atexit.register(weakref.finalize(self, self._connection.close))
                self._asks_mlflow = not is_known(self._connection)
            return None if self._asks_mlflow else self._connection.execute(query, (self.id, *words)).fetchall()
        except sqlite3.Error:  # also where another thread asks than the one that did first
            return None

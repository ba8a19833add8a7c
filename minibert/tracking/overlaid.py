"""MLflow's client of a server, with what the journals in a folder have and the server lacks.

While the server is away, what is read of runs with a journal comes from there. All else is asked of the server,
and fails as it does without journals.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minibert.tracking.addresses import without_passwords
from minibert.tracking.journal import Journal, journals
from minibert.tracking.outage import Outage
from minibert.tracking.recollection import artifact_paths, histories, of_entity, recollect
from minibert.tracking.retries import PatientClient, at_once, is_transient

UNKNOWN = "unknown"
"""Stands for the id of an experiment that the server could not be asked for yet"""
IDS = "ids"
"""The folder of files, each named by an id that a run has here, with the id that the server has for it"""
MOST = 1000
"""Runs of one page of a search"""


class OverlaidClient:
    """Offers what is used of MLflow's client to read. Other calls are those of :class:`PatientClient`."""

    def __init__(
        self, server, uri: str, work: Path, experiment: str | None, find_experiment: Callable[[Any], str]
    ):
        self.server = PatientClient(server)
        self.tracking_uri = uri
        self.work = work
        self.outage = Outage(uri, work)
        self.experiment_id: str | None = None
        self.takes_all = False
        """Whether it sends all journals of the folder, also those that were begun for another address"""
        self._experiment = experiment
        self._find_experiment = find_experiment
        self._histories: tuple[str, int, dict[str, list]] = ("", 0, {})

    def __getattr__(self, name: str):
        return getattr(self.server, name)

    def get_run(self, run_id: str):
        if (journal := self._journal(run_id)) is None:
            return self.server.get_run(self.real_id(run_id))
        real = journal.sent["run"]
        entity = real and self._try(lambda: self.server.get_run(real))
        return self._overlaid(journal, entity)

    def search_runs(self, experiment_ids: Sequence[str], filter_string: str = "", **options):
        """The runs that the server finds; those with a journal as their journals say."""
        from mlflow.store.entities import PagedList
        from mlflow.utils.search_utils import SearchUtils

        found = self._try(lambda: self.server.search_runs(self._known(experiment_ids), filter_string, **options))
        kept = {}
        for journal in self._journals():
            real = journal.sent["run"]
            if found is None or not journal.is_sent or real is None:
                kept[real or journal.folder.name] = journal
        names = {each.sent["run"]: each for each in self._journals()}
        runs = []
        for run in found or []:
            if run.info.run_id not in kept:
                named = names.get(run.info.run_id)
                if named is not None and named.folder.name != run.info.run_id:
                    run = of_entity(run, named.folder.name).entity()
                runs.append(run)
        if not options.get("page_token"):
            runs += SearchUtils.filter([self.get_run(each.folder.name) for each in kept.values()], filter_string)
        if kept:
            runs = SearchUtils.sort(runs, options.get("order_by") or [])
            if options.get("max_results", MOST) < MOST:
                runs = runs[: options["max_results"]]
        return PagedList(runs, found.token if found else None)

    def get_metric_history(self, run_id: str, key: str) -> list:
        if (journal := self._journal(run_id)) is None:
            return self.server.get_metric_history(self.real_id(run_id), key)
        real = journal.sent["run"]
        sent = real and self._try(lambda: self.server.get_metric_history(real, key))
        if sent is None:
            self._require_whole(journal)
            return self._recollected(journal).get(key, [])
        known = {(each.value, each.timestamp, each.step) for each in sent}
        new = histories(journal.waiting()).get(key, [])
        return [*sent, *(each for each in new if (each.value, each.timestamp, each.step) not in known)]

    def list_artifacts(self, run_id: str, path: str | None = None) -> list:
        from mlflow.entities import FileInfo

        if (journal := self._journal(run_id)) is None:
            return self.server.list_artifacts(self.real_id(run_id), path)
        real, prefix = journal.sent["run"], f"{path}/" if path else ""
        sent = real and self._try(lambda: self.server.list_artifacts(real, path))
        found = {item.path: item for item in sent or ()}
        for name, place in artifact_paths(journal).items():
            if name.startswith(prefix):
                first, _, rest = name.removeprefix(prefix).partition("/")
                size = None if rest else place.stat().st_size
                found.setdefault(prefix + first, FileInfo(prefix + first, bool(rest), size))
        return sorted(found.values(), key=lambda item: item.path)

    def download_artifacts(self, run_id: str, path: str, dst_path: str) -> str:
        """A local path: the copy beside the journal, if a run is the only one to write it, or in ``dst_path``."""
        if (journal := self._journal(run_id)) is None:
            return self.server.download_artifacts(self.real_id(run_id), path, dst_path)
        place, real = journal.artifact(path), journal.sent["run"]
        waits = any(each["do"] == "artifact" and each["path"] == path for each in journal.waiting())
        single = _is_run(journal) and not (place.is_dir() and _base(journal))
        if place.exists() and (single or waits or real is None):
            return str(place)
        fetched = real and self._try(lambda: self.server.download_artifacts(real, path, dst_path))
        if fetched is None:
            self._require_whole(journal)
            return str(place)
        if place.is_dir():
            shutil.copytree(place, fetched, dirs_exist_ok=True)
        return str(fetched)

    def real_id(self, run_id: str) -> str:
        """The id that the server has for a run; that given, if it has none yet."""
        try:
            return Journal(self.work / run_id).sent["run"] or (self.work / IDS / run_id).read_text()
        except OSError:
            return run_id

    def _try(self, call: Callable[[], Any], force: bool = False) -> Any:
        """``call()``, or None if the server is away."""
        if not (force or self.outage.is_due):
            return None
        try:
            with at_once():
                answer = call()
        except Exception as error:
            if not is_transient(error):
                raise
            self.outage.begin(error)
            return None
        self.outage.end()
        return answer

    def _asked(self) -> str:
        """The id of the experiment; the server is asked for it once."""
        if self.experiment_id is None:
            self.experiment_id = self._find_experiment(self.server)
        return self.experiment_id

    def _known(self, experiments: Sequence[str]) -> list[str]:
        return [self._asked() if each == UNKNOWN else each for each in experiments]

    def _journal(self, run_id: str) -> Journal | None:
        journal = Journal(self.work / run_id)
        return journal if journal.exists else None

    def _journals(self) -> list[Journal]:
        """Those of this experiment of this server."""
        uri, found = without_passwords(self.tracking_uri), []
        for journal in journals(self.work):
            first, _ = next(journal.operations(), (None, 0))
            here = self.takes_all or (first or {}).get("uri") == uri
            if first and here and self._experiment in (None, first.get("experiment")):
                found.append(journal)
        return found

    def _overlaid(self, journal: Journal, entity):
        run, waiting = journal.folder.name, journal.waiting()
        if not entity:
            return recollect(journal, self.experiment_id or UNKNOWN).entity()
        if not waiting and entity.info.run_id == run:
            return entity
        return of_entity(entity, run).add(waiting).entity()

    def _recollected(self, journal: Journal) -> dict[str, list]:
        size = journal.path.stat().st_size
        if self._histories[:2] != (journal.folder.name, size):
            self._histories = journal.folder.name, size, histories(journal.all())
        return self._histories[2]

    def _require_whole(self, journal: Journal) -> None:
        """Raise what the server failed with, if a part of the record is only there."""
        if _base(journal) and self.outage.error is not None:
            raise self.outage.error


def _base(journal: Journal) -> bool:
    """Whether a part of the run was recorded elsewhere, so that it is not in the journal."""
    return any(each.get("base") for each in journal.beginnings())


def _is_run(journal: Journal) -> bool:
    return any(each.get("kind") == "run" for each in journal.beginnings())

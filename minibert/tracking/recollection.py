"""A run as its journal has it, in MLflow's entities: what is read of it while its server is away."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minibert.tracking.journal import Journal, Operation
from minibert.tracking.status import Status

SESSION = "minibert.session"
"""The tag with the journal that writes a run: whoever continues it elsewhere puts in another"""
ADDRESS = "journal:"
"""What the address of artifacts begins with while no server has the run"""
Point = tuple[float, int, int]
"""Value, time in milliseconds since 1970, step"""


@dataclass
class Recollection:
    """A run, to which operations are added in their order."""

    id: str
    experiment_id: str
    name: str = ""
    status: str = Status.RUNNING
    started: int = 0
    ended: int | None = None
    address: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Point] = field(default_factory=dict)
    """The last point of each metric"""

    def add(self, operations: Iterable[Operation]) -> "Recollection":
        for operation in operations:
            match operation["do"]:
                case "begin" if operation.get("base"):
                    self._load(operation["base"])
                    self.tags[SESSION] = operation["session"]
                case "create":
                    self.name, self.started = operation["name"], operation["at"]
                    self.tags |= operation["tags"]
                case "batch":
                    self.parameters = operation["params"] | self.parameters  # MLflow never changes one
                    self.tags |= operation["tags"]
                    for name, value, at, step, *_ in operation["metrics"]:
                        if name not in self.metrics or (step, at) >= self.metrics[name][:0:-1]:
                            self.metrics[name] = value, at, step
                case "untag":
                    self.tags.pop(operation["key"], None)
                case "status":
                    self.status, self.ended = operation["status"], operation["end"]
        return self

    def entity(self) -> Any:
        """The run as MLflow's client returns one."""
        from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag

        info = RunInfo(
            run_id=self.id,
            experiment_id=self.experiment_id,
            user_id=self.tags.get("mlflow.user", ""),
            status=self.status,
            start_time=self.started,
            end_time=self.ended,
            lifecycle_stage="active",
            artifact_uri=self.address,
            run_name=self.name,
        )
        data = RunData(
            [Metric(name, *point) for name, point in self.metrics.items()],
            [Param(*item) for item in self.parameters.items()],
            [RunTag(*item) for item in self.tags.items()],
        )
        return Run(info, data)

    def plain(self) -> dict[str, Any]:
        """The same as JSON data."""
        return {
            "name": self.name, "status": self.status, "started": self.started, "ended": self.ended,
            "address": self.address, "tags": self.tags, "parameters": self.parameters, "metrics": self.metrics,
        }  # fmt: skip

    def _load(self, plain: Mapping[str, Any]) -> None:
        for name, value in plain.items():
            setattr(self, name, value)
        self.metrics = {name: (value, at, step) for name, (value, at, step) in self.metrics.items()}


def recollect(journal: Journal, experiment_id: str) -> Recollection:
    """All that a journal says of its run. Its id is the name of the working folder."""
    run = journal.folder.name
    return Recollection(run, experiment_id, address=f"{ADDRESS}{run}").add(journal.all())


def of_entity(entity, run_id: str) -> Recollection:
    """The same of a run as a server has it; ``run_id`` is the name by which it is known here."""
    info = entity.info
    return Recollection(
        id=run_id,
        experiment_id=info.experiment_id,
        name=info.run_name or "",
        status=str(info.status),
        started=info.start_time,
        ended=info.end_time,
        address=info.artifact_uri or "",
        tags=dict(entity.data.tags),
        parameters=dict(entity.data.params),
        metrics={each.key: (each.value, each.timestamp, each.step) for each in entity.data.to_proto().metrics},
    )


def histories(operations: Iterable[Operation]) -> dict[str, list]:
    """Metric -> its points among operations, as MLflow's entities."""
    from mlflow.entities import Metric

    found: dict[str, list] = {}
    for operation in operations:
        for name, value, at, step, *_ in operation["metrics"] if operation["do"] == "batch" else ():
            found.setdefault(name, []).append(Metric(name, value, at, step))
    return found


def artifact_paths(journal: Journal) -> dict[str, Path]:
    """Path of an artifact -> its copy beside the journal."""
    files = (path for path in journal.artifacts.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(journal.artifacts).as_posix(): path for path in files}

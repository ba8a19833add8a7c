"""How a run or a sweep stands."""

from enum import StrEnum


class Status(StrEnum):
    """The words of MLflow's store, and one more for a run that was not trained again."""

    RUNNING = "RUNNING"
    """Also after a kill -9, since nothing tells the store of that"""
    SCHEDULED = "SCHEDULED"
    """Of MLflow; minibert never sets it"""
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    """It was asked to end, and the same command continues it"""
    FOUND = "FOUND"
    """It had finished before, so it was not trained again. Never in the store"""

    UNKNOWN = "UNKNOWN"
    """A damaged record has none of these words. Never in the store"""

    @classmethod
    def _missing_(cls, value: object) -> "Status":
        return cls.UNKNOWN

    @property
    def is_end(self) -> bool:
        """Whether a record can be closed with it."""
        return self in (Status.FINISHED, Status.FAILED, Status.KILLED)

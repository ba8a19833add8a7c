"""What an instrument found at a step, as the JSON file ``evaluation/<instrument>/step_<step>.json``."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from minibert.errors import MinibertError
from minibert.evaluation.headlines import Headline
from minibert.evaluation.instruments import Findings, Table

FOLDER = "evaluation"
DAMAGED = ".damaged"
"""Suffix of a file that was set aside"""


class Place(Protocol):
    """Where results are kept: the record of a run (:class:`minibert.tracking.records.Record`), or a folder."""

    id: str

    def artifacts(self, folder: str) -> list[str]: ...
    def read(self, path: str) -> bytes: ...
    def log_bytes(self, content: bytes, path: str) -> None: ...
    def remove_artifacts(self, path: str) -> None: ...
    def log_results(self, metrics: Mapping[str, float], step: int) -> None: ...


@dataclass(frozen=True)
class Result:
    """The findings, and what they depend on."""

    instrument: str
    step: int
    asked: dict[str, Any]
    """Settings of the instrument and ``quick``: with these, ``key`` and ``data`` the same, nothing is computed
    again"""
    key: str
    """Of the model: :attr:`minibert.evaluation.instruments.Subject.key`"""
    seconds: float
    findings: Findings
    data: str = ""
    """SHA-256 of the user's own files that the settings name"""

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.instrument}/step_{self.step:07d}.json"

    def answers(self, other: "Result") -> bool:
        """Whether it answers what the other asks: about the same model and data, in the same way or with all data
        where the other is quick. An answer for which data were missing does not.
        """
        careful = {**other.asked, "quick": False}
        same = self.key == other.key and self.data == other.data
        return same and self.asked in (other.asked, careful) and not self.findings.missing


def write(place: Place, result: Result) -> None:
    """Keep a result. Raises :class:`TypeError` for findings that are no JSON data."""
    text = json.dumps(_finite(asdict(result)), indent=1, allow_nan=False, default=_plain)
    place.log_bytes(text.encode(), result.path)


def read(place: Place, instrument: str, note: Callable[[str], None] = lambda what: None) -> dict[int, Result]:
    """Step -> what is kept of an instrument, in order of steps.

    A file that is damaged is set aside under another name, one that cannot be opened is passed over, and ``note``
    takes a message that says so. Raises :class:`MinibertError` for a damaged file that cannot be set aside.
    """
    found = {}
    for path in place.artifacts(f"{FOLDER}/{instrument}"):
        if not path.endswith(".json"):
            continue
        try:
            content = place.read(path)
        except MinibertError as error:
            note(str(error))
            continue
        try:
            result = _result(path, content)
        except MinibertError as error:
            place.log_bytes(content, path + DAMAGED)
            place.remove_artifacts(path)
            note(f"{error} It is set aside as {path.rpartition('/')[2]}{DAMAGED}.")
            continue
        found[result.step] = result
    return dict(sorted(found.items()))


def _result(path: str, content: bytes) -> Result:
    try:
        plain = json.loads(content)
        findings = plain.pop("findings")
        tables = [Table(**table) for table in findings.pop("tables")]
        metrics = {name: math.nan if value is None else value for name, value in findings.pop("metrics").items()}
        headlines = [Headline(**headline) for headline in findings.pop("headlines", [])]
        findings = Findings(**findings, metrics=metrics, tables=tables, headlines=headlines)
        result = Result(**plain, findings=findings)
        if result.path != path:
            raise ValueError(f"holds the results of {result.path}")
        return result
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MinibertError(
            f"{path}: is damaged, or holds no results ({error}). `python -m minibert.evaluate` computes it again."
        ) from error


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for both."""
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, as numbers and lists."""
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be kept. Allowed: numbers, texts, lists, dictionaries")

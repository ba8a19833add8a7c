"""Runs the diagnostics of a run at their steps, and records what they return."""

import logging
import posixpath
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from minibert.diagnostics.engine.registry import AFTER_UPDATE, AT_END, Diagnostic
from minibert.errors import MinibertError, Refused

NAME = re.compile(r"[\w.\- :/]+")
FOREIGN = re.compile(r"[^\w.\- :/]")
LONGEST_NAME = 150
RESERVED = ("mlflow.", "minibert.")

_logger = logging.getLogger(__name__)

PROBE_PASS, PASS_AFTER = "probe pass", "pass after the update"
"""Passes that several diagnostics share. Their time is counted for none of them."""


class Diagnostics:
    """The diagnostics of one run: says what each step has to provide for them, and runs those that are due.

    ``record`` takes what they return: ``log(metrics, step)``, ``log_arrays(name, step, arrays)``,
    ``log_figure(figure, path)``, ``set_tags(tags)``, ``log_dict(content, path)``.

    A diagnostic that fails does not run again, and training goes on: a warning and the tag
    ``diagnostics.failed.<name>`` say why. A returned value that cannot be recorded, or whose name MLflow does not
    accept, is left out: a warning and the tag ``diagnostics.left_out.<name>`` say so once.
    """

    def __init__(self, chosen: Iterable[Diagnostic], steps: Iterable[int], last: int, record):
        self.chosen = list(chosen)
        self.steps = frozenset(steps)
        self.last = last
        self.record = record
        self.failed: dict[str, str] = {}
        self.left_out: dict[str, dict[str, str]] = {}
        """Diagnostic -> name of a value that is not recorded -> why"""
        self.seconds = dict.fromkeys((PROBE_PASS, PASS_AFTER, *(each.name for each in self.chosen)), 0.0)
        """Time spent in each diagnostic, and in each pass that they share, since this process began"""
        self.announce: Callable[[str], None] = lambda name: None
        """Called with the name of a diagnostic of the end before it runs: it may take longer than a step"""

    @property
    def asks(self) -> frozenset[str]:
        """All that the diagnostics ask for, at any step."""
        return frozenset().union(*(each.asks for each in self.chosen))

    def needs(self, step: int) -> frozenset[str]:
        """What the diagnostics ask for after ``step`` optimizer steps; empty if none is due."""
        due = [each.asks | {"step"} for each in self._due(step)]
        return frozenset().union(*due)

    def needs_update(self, step: int) -> bool:
        """Whether a diagnostic that is due asks for the update."""
        return any(each.asks & AFTER_UPDATE for each in self._due(step))

    def run_due(self, snapshot, updated: bool) -> None:
        """Run what is due at the snapshot's step: diagnostics that need no update before it, the others after it.

        A diagnostic is left out if the snapshot lacks what it asks for: there is no update at the end of training.
        A diagnostic of the last update is recorded at the step that the update leads to.
        """
        if not updated and "probe" in self.needs(snapshot.step):
            with self._timed(PROBE_PASS):
                _ = snapshot.probe  # now, while the parameters are still those of the step
        for each in self._due(snapshot.step):
            if bool(each.asks & AFTER_UPDATE) == updated:
                self._run_on(each, snapshot, self.last if each.every == "end" else snapshot.step)

    @property
    def needs_last_update(self) -> bool:
        """Whether a diagnostic asks for the last update, which may be known as the last only afterwards."""
        return any(each.every == "end" and each.asks & AFTER_UPDATE for each in self.chosen)

    def run_on_last_update(self, snapshot) -> None:
        """Run the diagnostics of the last update, after training has ended at the step after the snapshot's."""
        for each in self.chosen:
            last = each.every == "end" and each.asks & AFTER_UPDATE and "after" not in each.asks
            if last and each.name not in self.failed:
                self._run_on(each, snapshot, snapshot.step + 1)

    def end_at(self, step: int) -> None:
        """Training has ended at this step, before or at the planned one."""
        self.last = step

    def _run_on(self, each: Diagnostic, snapshot, step: int) -> None:
        """Run one diagnostic, and record what it returns at ``step``."""
        arguments = {name: getattr(snapshot, name, None) for name in each.asks - {"after"}}
        lanes = (value for name, value in arguments.items() if name.startswith("lane_"))
        if any(value is None for value in arguments.values()) or any(len(shares or ()) < 2 for shares in lanes):
            return
        if "after" in each.asks:
            with self._timed(PASS_AFTER):
                arguments["after"] = snapshot.after
        self._run(each, arguments, step)

    def conclude(self) -> None:
        """Run the diagnostics that read the whole record of the run."""
        for each in self.chosen:
            if each.asks & AT_END:
                self._run(each, {"record": self.record}, self.last)

    def _due(self, step: int) -> list[Diagnostic]:
        return [
            each for each in self.chosen if each.name not in self.failed and each.due(step, self.steps, self.last)
        ]

    def _run(self, each: Diagnostic, arguments: dict, step: int) -> None:
        if each.every == "end":
            self.announce(each.name.replace("_", " "))
        try:
            with self._timed(each.name):
                found = each.function(**arguments)
                found = dict(found) if isinstance(found, Mapping) else {each.name: found}
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self.failed[each.name] = reason
            _logger.warning(
                "diagnostic %s failed at step %d and is left out from here on: %s", each.name, step, reason
            )
            self.record.set_tags({_tag("failed", each.name): f"step {step}: {reason}"})
            return
        self._keep(each.name, found, step)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - started

    def _keep(self, name: str, found: dict, step: int) -> None:
        metrics, arrays = {}, {}
        for key, value in found.items():
            with self._guarded(name, key, step):
                value = _plain(value)
                if value is None:
                    continue
                if isinstance(value, np.ndarray):
                    arrays[_text(key)] = value
                    continue
                _check_name(key)
                if isinstance(value, str):
                    self.record.set_tags({key: value})
                elif isinstance(value, list | tuple | Mapping):
                    self.record.log_dict(dict(value) if isinstance(value, Mapping) else value, f"{key}.json")
                elif hasattr(value, "savefig"):
                    self.record.log_figure(value, f"figures/{key}/step_{step:07d}.png")
                else:
                    metrics[key] = _number(value)
        if metrics:
            self.record.log(metrics, step)
        if arrays:
            with self._guarded(name, "arrays", step):
                _check_name(name)
                self.record.log_arrays(name, step, arrays)

    @contextmanager
    def _guarded(self, name: str, key: object, step: int) -> Iterator[None]:
        """Leave out a value that cannot be recorded. An error of the store is raised: no diagnostic caused it."""
        try:
            yield
        except Exception as error:
            if isinstance(error, MinibertError) and not isinstance(error, Refused):
                raise
            reasons = self.left_out.setdefault(name, {})
            if str(key) in reasons:
                return
            reasons[str(key)] = " ".join(str(error).split()) or type(error).__name__
            _logger.warning("diagnostic %s: %s is not recorded (step %d): %s", name, key, step, reasons[str(key)])
            text = "; ".join(f"{key}: {reason}" for key, reason in reasons.items())
            self.record.set_tags({_tag("left_out", name): text})


def _plain(value: object) -> object:
    """NumPy's scalars as Python's, other values as they are. Raises :class:`TypeError` for objects and bytes."""
    if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, bytes | bytearray):
        raise TypeError("bytes cannot be kept; decode them")
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        raise TypeError("an array of objects cannot be kept; give it a numeric dtype")
    return value


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"a {type(value).__name__} cannot be kept; give a real number, text, array, list, dictionary or figure"
        ) from None


def _tag(what: str, name: str) -> str:
    """The tag that says what became of a diagnostic; characters that MLflow refuses in a tag are replaced."""
    return f"diagnostics.{what}.{re.sub(FOREIGN, '_', name)}"


def _text(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"the name {name!r} is not a text")
    return name


def _check_name(name: object) -> None:
    """Raise :class:`ValueError` for what MLflow accepts neither as a metric nor as the path of an artifact."""
    name = _text(name)
    if not NAME.fullmatch(name) or posixpath.normpath(name) != name or name.startswith(("/", "../")):
        raise ValueError("a name may hold letters, digits, _, -, ., :, spaces, and / between its parts")
    if len(name) > LONGEST_NAME or name == "..":
        raise ValueError(f"a name may have {LONGEST_NAME} characters at most")
    if name.startswith(RESERVED):
        raise ValueError(f"names that begin with {' or '.join(RESERVED)} are used for runs themselves")

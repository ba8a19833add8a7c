"""Instruments, asked at the checkpoints of a model; what they find is kept, and shown on one page."""

import hashlib
import logging
import time
import traceback
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

from minibert.data.annotated.lines import as_path
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation import results
from minibert.evaluation.catalogue import NAMES, instrument
from minibert.evaluation.instruments import Conclusion, Findings, Subject
from minibert.evaluation.page import PAGE, Part, page, when
from minibert.evaluation.results import Place, Result

_logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What became of each instrument."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Of those that were computed"""
    kept: list[str] = field(default_factory=list)
    """Those whose results were there already, at all steps"""
    skipped: dict[str, str] = field(default_factory=dict)
    """Without data: the reason"""
    failed: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)
    """What was found or is kept, at the last step"""
    partial: dict[str, list[str]] = field(default_factory=dict)
    """Instrument -> the data that it answered without, with the reasons"""

    @property
    def answered(self) -> list[str]:
        return [*self.seconds, *self.kept]

    @property
    def shortfall(self) -> str:
        """How many instruments answered, which did not or only in part, and what to do; empty if all did.

        The reasons are told before.
        """
        lacking = {
            "failed": self.failed,
            "left out for lack of data": self.skipped,
            "answered in part": self.partial,
        }
        told = [f"{what}: {', '.join(names)}" for what, names in lacking.items() if names]
        if not told:
            return ""
        asked = {*self.answered, *self.failed, *self.skipped} - {PAGE}
        answered = [name for name in self.answered if name not in self.failed]
        return (
            f"{len(answered)} of {len(asked)} instruments answered; {'; '.join(told)}. The reasons, and "
            "what can be done, are above. The same command asks these again, and keeps the other answers."
        )


def ask(
    asked: Mapping[str, object],
    steps: Iterable[int],
    subject: Callable[[int], Subject],
    place: Place,
    about: Mapping[str, str],
    announce: Callable[[str], None] = lambda what: None,
) -> Outcome:
    """Ask the instruments about the model at each step, and write ``evaluation.html`` with all that is kept.

    ``asked``: name -> settings. ``subject(step)`` gives the model of a step, ``about`` what the page says of it
    (:func:`minibert.evaluation.page.page`). What was found before, with the same settings, of the same model, is
    not computed again. An instrument without data is skipped, one that fails is left out, both with the reason,
    and the others go on.
    """
    outcome, steps = Outcome(), list(steps)
    for name, settings in asked.items():
        try:
            content = _content(vars(settings))
            seconds = sum(
                _measure(name, settings, content, step, subject, place, about, announce, outcome) for step in steps
            )
            if seconds:
                outcome.seconds[name] = seconds
            else:
                outcome.kept.append(name)
        except Unavailable as error:
            outcome.skipped[name] = str(error)
            announce(f"{_readable(name)}: no data, so it is left out; the reason is told at the end")
        except MinibertError as error:
            outcome.failed[name] = str(error)
        except Exception as error:  # a bug in one instrument: the others can still answer
            outcome.failed[name] = f"{type(error).__name__}: {error}"
            _logger.debug("%s", traceback.format_exc())
        if name in outcome.failed:
            announce(f"{_readable(name)}: failed; the reason is told at the end")
    try:
        write_page(place, subject, about, outcome, asked, announce)
    except MinibertError as error:  # a full disk: what was found before is kept, and told
        outcome.failed[PAGE] = str(error)
    return outcome


def _measure(
    name: str,
    settings,
    content: str,
    step: int,
    subject: Callable[[int], Subject],
    place: Place,
    about: Mapping[str, str],
    announce: Callable[[str], None],
    outcome: Outcome,
) -> float:
    """Measure at one step, unless it was done before. Returns the seconds that it took; 0 if it was.

    ``content``: of the files that the settings name (:func:`_content`)
    """
    model = subject(step)
    plain = {key: value for key, value in asdict(settings).items() if key != "enabled"}
    plain["quick"] = model.quick
    wanted = Result(name, step, plain, model.key, 0.0, Findings(""), content)
    named = f"{_readable(name)}{when(about, step)}"
    before = results.read(place, name, announce).get(step)
    if before is not None and before.answers(wanted):
        outcome.summaries[name] = before.findings.summary
        return 0.0
    if before is not None and before.key == wanted.key and model.quick and not before.asked.get("quick"):
        announce(
            f"{named}: the answer that is kept was asked without quick=true, and stays. Leave quick=true out to "
            "ask anew."
        )
        outcome.summaries[name] = before.findings.summary
        return 0.0
    announce(named)
    started = time.perf_counter()
    findings = instrument(name).measure(model, settings)
    seconds = time.perf_counter() - started
    if findings.missing:
        outcome.partial[name] = findings.missing
        announce(f"{named}: some of its data could not be had; the reason is told at the end")
    if before is not None and _is_fuller(before, replace(wanted, findings=findings)):
        announce(f"{named}: the answer that is kept has more of the data, and stays.")
        outcome.summaries[name] = before.findings.summary
        return seconds
    place.log_results(findings.metrics, step)  # before the file, whose presence says that all is done
    results.write(place, replace(wanted, seconds=seconds, findings=findings))
    outcome.summaries[name] = findings.summary
    return seconds


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _is_fuller(before: Result, new: Result) -> bool:
    """Whether an answer to the same question has data that a new one could not have."""
    same = before.key == new.key and before.asked == new.asked
    return same and len(before.findings.missing) < len(new.findings.missing)


def _content(settings: Mapping[str, object]) -> str:
    """SHA-256 of the user's own files that the settings name, so that an edited file is read again."""
    found = hashlib.sha256()
    for value in settings.values():
        for each in value if isinstance(value, list) else [value]:
            # Where a text is no path, or a file cannot be read, the instrument says so.
            with suppress(MinibertError, OSError):
                path = as_path(each)
                for file in [path] if path.is_file() else sorted(path.rglob("*")):
                    if file.is_file():
                        found.update(f"{file.relative_to(path)}".encode(errors="surrogateescape"))
                        found.update(file.read_bytes())
    return found.hexdigest()


def write_page(
    place: Place,
    subject: Callable[[int], Subject],
    about: Mapping[str, str],
    outcome: Outcome,
    asked: Container[str],
    announce: Callable[[str], None] = lambda what: None,
) -> None:
    """``evaluation.html`` and the figures, of all results that are kept of this model."""
    parts, failed, keys = [], dict(outcome.failed), _Keys(subject)
    for name in NAMES:
        try:
            by_step = results.read(place, name, announce)
            own = {step: each for step, each in by_step.items() if each.key == keys[step]}
            if strange := sorted(by_step.keys() - own.keys()):
                which = f" of step {', '.join(map(str, strange))}" if when(about, 0) else ""
                announce(f"{name}: what is kept{which} is of another model or version, and is not shown")
            part = _part(name, own, place) if own else None
            _remove_other_figures(name, part, place)
            parts += [part] if part else []
        except Exception as error:  # damage, or a bug in drawing: the other parts are shown
            failed.setdefault(name, f"{type(error).__name__}: {error}")
            if name in asked:
                outcome.failed.setdefault(name, failed[name])
            _logger.debug("%s", traceback.format_exc())
    place.log_bytes(page(about, parts, outcome.skipped, failed).encode(), PAGE)


class _Keys(dict[int, str | None]):
    """Step -> the key of the model there; None where there is none. Each model is loaded once."""

    def __init__(self, subject: Callable[[int], Subject]):
        self._subject = subject

    def __missing__(self, step: int) -> str | None:
        try:
            self[step] = self._subject(step).key
        except MinibertError:  # no checkpoint of this step, or one that cannot be read
            self[step] = None
        return self[step]


def _part(name: str, by_step: Mapping[int, Result], place: Place) -> Part:
    """One instrument on the page. Steps asked with other settings than the last one are not drawn with it."""
    last = by_step[max(by_step)]
    alike = {step: each for step, each in by_step.items() if (each.asked, each.data) == (last.asked, last.data)}
    asked = instrument(name)
    conclusion: Conclusion = asked.conclude({step: each.findings for step, each in alike.items()})
    if conclusion.metrics:
        place.log_results(conclusion.metrics, last.step)
    part = Part(asked, alike, conclusion)
    for figure, picture in part.pictures.items():
        place.log_bytes(picture.png, _figure_path(name, figure))
    return part


def _figure_path(name: str, figure: str) -> str:
    return f"{results.FOLDER}/{name}/{figure}.png"


def _remove_other_figures(name: str, part: Part | None, place: Place) -> None:
    """Remove the figures of an earlier page that this one does not have, such as those of former data sets."""
    shown = {_figure_path(name, figure) for figure in part.pictures} if part else set()
    for path in place.artifacts(f"{results.FOLDER}/{name}"):
        if path.endswith(".png") and path not in shown:
            place.remove_artifacts(path)

"""The settings that the runs of a study share, those that differ, and the limits of the results."""

import math
from collections.abc import Sequence

from minibert.config.evaluation import ASKED_AFTERWARDS
from minibert.tracking.consumption import JOULES, PROCESSOR_SECONDS
from minibert.tracking.provenance import CAUSES, UNRECORDED, continuations, explained

from .findings import Findings
from .quantities import quantity
from .study import Study
from .tracked_runs import TrackedRun
from .values import joined, shown

NOT_SCIENCE = ("tracking.", "study.", *ASKED_AFTERWARDS)
"""What the settings that do not change the training of a run begin with."""
MOST_NAMED = 6
MOST_VALUES = 12
ENVIRONMENT = ("kernel.", "git.", "version.", "machine.", "data.")


def common_settings(study: Study) -> dict[str, str]:
    """The parameters that have one value in all runs."""
    return {key: shown(values)[values.pop()] for key, values in _settings(study).items() if len(values) == 1}


def varied_settings(study: Study) -> list[str]:
    """The names of the parameters that differ between runs: the factor first, then the seeds."""
    varied = [key for key, values in _settings(study).items() if len(values) > 1]
    factors = study.factors or (study.factor,)
    return sorted(varied, key=lambda key: (key not in factors, not key.startswith("seed"), key))


def differing(study: Study) -> dict[str, str]:
    """The parameters that differ between runs, with their values."""
    named = {}
    for key in varied_settings(study):
        values = list(shown(run.parameters.get(key, "–") for run in study.runs).values())
        named[key] = ", ".join(values[:MOST_VALUES]) + (
            f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
        )
    return named


def duration(study: Study) -> str:
    """How long the runs trained, all together; empty where that is not recorded."""
    seconds = sum(value for run in study.runs if math.isfinite(value := run.final("seconds")))
    return _long(seconds) if seconds else ""


def cost(study: Study) -> dict[str, str]:
    """Training time, processor time and energy of all runs together, as far as they are recorded."""
    found = {"training, evaluation apart": duration(study)}
    for tag, title, in_words in (
        (PROCESSOR_SECONDS, "processor time of the processes", _long),
        (JOULES, "energy of the processors, whatever else they did", lambda joules: f"{joules / 3600:,.1f} Wh"),
    ):
        values = [float(run.tags[tag]) for run in study.runs if tag in run.tags]
        if values:
            some = (
                "" if len(values) == len(study.runs) else f" ({len(values)} of {len(study.runs)} runs recorded it)"
            )
            found[title] = in_words(sum(values)) + some
    if JOULES not in {tag for run in study.runs for tag in run.tags}:
        found["energy"] = "not recorded: the machine let nobody read it"
    return {title: text for title, text in found.items() if text}


def _long(seconds: float) -> str:
    if seconds <= 60:
        return "a minute"
    return f"{seconds / 3600:,.1f} hours" if seconds >= 2 * 3600 else f"{math.ceil(seconds / 60)} minutes"


def environments(study: Study) -> dict[str, str]:
    """Code, packages, machine and corpus of the runs; several values where the runs differ."""
    found: dict[str, list[str]] = {}
    for run in study.runs:
        for key, value in sorted(run.tags.items()):
            if key.startswith(ENVIRONMENT) and value not in found.setdefault(key, []):
                found[key].append(value)
    return {key: " and ".join(values) for key, values in found.items()}


def limits(findings: Findings) -> list[str]:
    """The limits of the results that the records show."""
    study = findings.study
    environment = environments(study)
    counts = {group.final.n for group in findings.groups}
    found = []
    if counts and max(counts) >= 2:
        seeds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
        found.append(
            f"{seeds} seeds per {study.kind}: intervals are wide, and a difference that is not separated may "
            "well be there."
        )
        several = len(findings.groups) > 1
        tested = any(group.adjusted_p == group.adjusted_p for group in findings.groups)
        found.append(
            "Intervals are Student's t over seeds, 95 % each for its own comparison."
            + " A difference counts as separated when its p value, adjusted by Holm's method for all comparisons "
            "with the baseline, is below 0.05." * tested
        )
        if several and not study.factors and quantity(study.metric).higher_is_better is not None:
            found.append("Which group is best was chosen after seeing the means, which flatters it a little.")
    diverged = sum(group.diverged for group in findings.groups)
    if diverged:
        found.append(f"{diverged} finished runs have no finite {study.metric}; they are left out of the means.")
    found.append(_held_fixed(study))
    found.append("Training time is that of this machine, and of whatever else it was doing.")
    if " and " in environment.get("git.commit", ""):
        found.append("The runs come from more than one commit of the code.")
    if "true" in environment.get("git.dirty", ""):
        found.append("The code had changes that are in no commit.")
    return [*found, *kernels(study), *continued(study)]


def kernels(study: Study) -> list[str]:
    """A sentence if the runs were not all of one kernel: the runs of each but the most frequent one are named."""
    runs: dict[str, list[TrackedRun]] = {}
    for run in study.runs:
        runs.setdefault(", ".join(run.tags.get(tag, UNRECORDED) for tag in CAUSES["kernel"]), []).append(run)
    if len(runs) < 2:
        return []
    most, *others = sorted(runs, key=lambda kernel: -len(runs[kernel]))
    named = "; ".join(f"{kernel}: {_named(runs[kernel])}" for kernel in others)
    return [
        f"The runs are not all of one kernel, on which the last digits depend ({most}: {len(runs[most])} runs; "
        f"{named})."
    ]


def continued(study: Study) -> list[str]:
    """A sentence for each change under which runs were continued, with their names."""
    runs: dict[str, list[TrackedRun]] = {}
    for run in study.runs:
        if changes := continuations(run.tags):
            runs.setdefault("; ".join(explained(changes)) or "another branch of the code", []).append(run)
    return [
        f"Interrupted, and continued under something else ({changes}), so that their bits are those of neither: "
        f"{_named(those)}."
        for changes, those in runs.items()
    ]


def _named(runs: Sequence[TrackedRun]) -> str:
    names = [f"{run.name} ({run.id[:8]})" for run in runs[:MOST_NAMED]]
    return ", ".join(names) + (f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else "")


def _held_fixed(study: Study) -> str:
    """A sentence on the settings that are equal in all runs, and those that differ along with the factor."""
    compared = joined([*(study.factors or (study.factor,)), *([study.tuned] if study.tuned else [])])
    along = study.following
    other = f"Settings other than {compared}"
    if along:
        more = f" and {len(along) - MOST_NAMED} more" if len(along) > MOST_NAMED else ""
        differ = "differs" if len(along) == 1 else "differ"
        other = f"{', '.join(along[:MOST_NAMED])}{more} {differ} along with {compared}; all other settings"
    changed = f"the order of the {study.kind}s" if len(study.values) > 1 else "the result"
    return (
        f"{other}, seeds apart, are the same in all runs, as recorded: another corpus, model size or length of "
        f"training may change {changed}."
    )


def _settings(study: Study) -> dict[str, set[str]]:
    keys = sorted({key for run in study.runs for key in run.parameters if not key.startswith(NOT_SCIENCE)})
    return {key: {run.parameters.get(key, "–") for run in study.runs} for key in keys}

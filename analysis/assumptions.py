"""The assumptions of a comparison, checked on the recorded configurations before anything is averaged.

Runs are averaged over seeds and paired by seed. This is valid only if the runs of one value of the factor differ
only in their seeds, and if each seed occurs once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from minibert.command_line.settings import is_seed
from minibert.config.evaluation import ASKED_AFTERWARDS
from minibert.errors import MinibertError, nearest

from .values import joined, shown

if TYPE_CHECKING:
    from .tracked_runs import TrackedRun

NO_RESULT = ("tracking.", "study.", "data.cache", *ASKED_AFTERWARDS)
"""What the settings that do not change the training of a run begin with"""
CORPUS = ("corpus.hash", "tokenizer.hash")
CHOICE, ASKED = "choice.", "choice.evaluation"
"""Tags name the option of a group as ``choice.<group>``. That of ``evaluation`` is of what is asked later"""
MOST_NAMED, LONGEST_VALUE = 5, 40


def check(
    study: str, factor: str, tuned: str | None, metric: str, swept: Sequence[str], runs: Sequence["TrackedRun"]
) -> None:
    """Refuse a comparison that the runs do not allow. ``swept``: the keys and groups that the sweep went over.

    Raises :class:`MinibertError` where no run recorded the factor, the tuned key or the metric, where the runs
    differ in anything but these and their seeds, and where two finished runs are of one setting and one seed.
    """
    settings = {key for run in runs for key in run.parameters}
    for role, key in (("factor", factor), ("tuned", tuned)):
        if key is not None and settings and key not in settings:
            raise _unrecorded(study, f"study.{role}={key}", key, settings, "a setting of the runs")
    _check_metric(study, metric, runs)
    if others := _other_factors(factor, tuned, swept, runs):
        compared = f"the factor {factor}" + (f", the tuned key {tuned}" if tuned else "")
        raise MinibertError(
            f"study '{study}': its runs differ in {listed(others)}. Allowed: {compared} and seeds, because "
            "runs are averaged over seeds and paired by seed. Give the sweep again with one value of what is "
            "named: runs that have finished are not trained again."
        )
    _refuse_doubles(study, (factor, tuned), runs)


def check_replicates(
    study: str, compared: Sequence[str | None], metric: str, runs: Sequence["TrackedRun"]
) -> None:
    """Refuse a metric that no run recorded, and two finished runs of one setting and one seed."""
    _check_metric(study, metric, runs)
    _refuse_doubles(study, compared, runs)


def _check_metric(study: str, metric: str, runs: Sequence["TrackedRun"]) -> None:
    metrics = {name for run in runs for name in run.metrics}
    if metric not in metrics and any(run.finished for run in runs):
        raise _unrecorded(study, f"study.metric={metric}", metric, metrics, "a metric of the runs")


def following(compared: Sequence[str | None], runs: Sequence["TrackedRun"]) -> list[str]:
    """The settings that differ between the runs along with what is compared, which is left out."""
    varied = varied_settings([run.parameters for run in runs])
    return sorted(key for key in varied if key not in compared)


def replicate(parameters: Mapping[str, str], *compared: str | None) -> tuple[str, ...]:
    """The key that pairs runs: the seed and those of its random streams, without the compared ones."""
    return tuple(f"{key}={parameters[key]}" for key in sorted(parameters) if is_seed(key) and key not in compared)


def _other_factors(
    factor: str, tuned: str | None, swept: Sequence[str], runs: Sequence["TrackedRun"]
) -> dict[str, list[str]]:
    """Key -> values, of the settings that differ between the runs and do not follow the factor and the tuned key.

    A key follows these two if their values determine its value, such as a field of an option, or an interpolation.
    """
    recorded = [recorded_settings(run.parameters, run.tags) for run in runs]
    varied = {key: values for key, values in varied_settings(recorded).items() if key not in (factor, tuned)}
    at_one_place: dict[tuple, list[Mapping[str, str]]] = {}
    for settings in recorded:
        at_one_place.setdefault((settings.get(factor), settings.get(tuned or "")), []).append(settings)
    free = {key for found in at_one_place.values() for key in varied_settings(found)} - {factor, tuned}
    # If runs are missing, a second swept key may seem to follow the first.
    if factor in swept and (tuned is None or tuned in swept):
        free |= {key for key in swept if key in varied}
    return {key: varied[key] for key in swept if key in free} or {key: varied[key] for key in sorted(free)}


def recorded_settings(parameters: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Settings, options of groups and facts about the text of a run, by name."""
    groups = {
        tag.removeprefix(CHOICE): option for tag, option in tags.items() if tag.startswith(CHOICE) and tag != ASKED
    }
    return {**groups, **{tag: tags[tag] for tag in CORPUS if tag in tags}, **parameters}


def varied_settings(recorded: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """Key -> values, of the settings with several values, without seeds.

    A missing key is not a value: options have different fields, and a run that was killed early recorded only a
    part of its settings.
    """
    found: dict[str, list[str]] = {}
    for settings in recorded:
        for key, value in settings.items():
            if not (is_seed(key) or key.startswith(NO_RESULT)) and value not in found.setdefault(key, []):
                found[key].append(value)
    return {key: values for key, values in found.items() if len(values) > 1}


def _refuse_doubles(study: str, compared: Sequence[str | None], runs: Iterable["TrackedRun"]) -> None:
    """A mean would use both runs of a seed and a pair only one: they would cover different runs."""
    seen: dict[tuple, TrackedRun] = {}
    for run in runs:
        if not run.finished:
            continue
        other = seen.setdefault((run.value, run.setting, replicate(run.parameters, *compared)), run)
        if other is not run:
            raise MinibertError(
                f"study '{study}': the runs {other.id[:8]} ({other.name}) and {run.id[:8]} ({run.name}) have the "
                "same settings and seeds. Allowed: one finished run of each. Delete one of them in MLflow."
            )


def _unrecorded(study: str, given: str, name: str, recorded: set[str], allowed: str) -> MinibertError:
    return MinibertError(
        f"study '{study}': {given}: no run recorded it{nearest(name, sorted(recorded))}. Allowed: {allowed}. Give "
        "the sweep again with the right name: runs that have finished are not trained again."
    )


def listed(varied: Mapping[str, Sequence[str]]) -> str:
    """``optimizer (adamw, sgd) and training.steps (60, 70)``"""

    def named(key: str) -> str:
        texts = shown(varied[key]).values()
        values = [text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…" for text in texts]
        more = ", …" if len(values) > MOST_NAMED else ""
        return f"{key} ({', '.join(values[:MOST_NAMED])}{more})"

    keys = list(varied)
    found = [named(key) for key in keys[:MOST_NAMED]]
    if len(keys) > MOST_NAMED:
        found.append(f"{len(keys) - MOST_NAMED} more")
    return joined(found)

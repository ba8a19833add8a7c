"""Which settings vary in a sweep that names no factor, worked out from what its runs recorded."""

from collections.abc import Mapping, Sequence

from minibert.config.run import FOLLOWS

from .assumptions import listed, varied_settings

MOST_NAMED = 4
Settings = Mapping[str, str]


def varying(recorded: Sequence[Settings], swept: Sequence[str]) -> list[str]:
    """The settings and groups by which the runs differ, seeds apart: as few as determine all other settings.

    ``recorded``: settings and options of every run (:func:`analysis.assumptions.recorded_settings`). ``swept``:
    the keys and groups that the command swept over. They come first, and in their order. A setting that another
    one determines, such as a field of an option, is left out.
    """
    varied = varied_settings(recorded)
    found = [key for key in swept if key in varied]
    while free := _undetermined(recorded, varied, found):
        found.append(min(free, key=lambda key: (_rank(key), -len(varied[key]), key)))
    for key in [key for key in found if key not in swept]:
        others = [other for other in found if other != key]
        if not _undetermined(recorded, varied, others):
            found = others
    return found


def explanation(recorded: Sequence[Settings], found: Sequence[str], seeds: int, all_begun: bool = True) -> str:
    """What :func:`varying` found, in sentences.

    ``seeds``: the most runs that differ in seeds alone. ``all_begun``: whether every planned run is recorded.
    """
    varied = varied_settings(recorded)
    replicates = "Runs that differ in their seeds alone are replicates" if seeds > 1 else one_seed(all_begun)
    if not found:
        return f"Worked out from the recorded configurations: nothing but seeds varies. {replicates}."
    following = sorted(key for key in varied if key not in found and not _is_derived(recorded, key))
    more = f" and {len(following) - MOST_NAMED} more" if len(following) > MOST_NAMED else ""
    follow = "varies" if len(following) == 1 else "vary"
    along = f" {', '.join(following[:MOST_NAMED])}{more} {follow} along with that." if following else ""
    named = listed({key: varied[key] for key in found})
    verb = "vary" if len(found) > 1 else "varies"
    return f"Worked out from the recorded configurations: {named} {verb}.{along} {replicates}."


def one_seed(all_begun: bool) -> str:
    return "There is one seed" if all_begun else "So far there is one seed"


def _undetermined(recorded: Sequence[Settings], varied: Mapping, found: Sequence[str]) -> set[str]:
    """The varied settings that differ between runs with the same values of those found."""
    at_one_place: dict[tuple, list[Settings]] = {}
    for settings in recorded:
        at_one_place.setdefault(tuple(settings.get(key) for key in found), []).append(settings)
    return {key for runs in at_one_place.values() for key in varied_settings(runs) if key in varied} - set(found)


def _is_derived(recorded: Sequence[Settings], key: str) -> bool:
    """Whether every run took the value of the setting that this one follows where it is not given."""
    source = FOLLOWS.get(key)
    return source is not None and all(settings.get(key) == settings.get(source) for settings in recorded)


def _rank(key: str) -> int:
    """An option of a group explains its fields, and a name is easier to read than what follows from it."""
    return 0 if "." not in key else 1 if key.endswith(".name") else 2

"""Which sweep a command belongs to: its name, and the hash by which the store finds it.

Two commands are of one sweep if they have the same name, sweep over the same keys, and start from the same
settings and text. Seeds do not count, nor do the values that are swept over: more of them make a sweep grow.
Settings count as they are composed, so that an edited experiment file, or another default, is another sweep.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from omegaconf import OmegaConf

from minibert.command_line.settings import filled_keys, groups, is_seed
from minibert.config.evaluation import ASKED_AFTERWARDS
from minibert.running.composition import compose_all, without_hydra
from minibert.running.naming import seeds_name
from minibert.running.plan import Plan

BETWEEN = " x "
LONGEST_NAME = 200
NOT_COMPUTED = ("tracking.", "study.", "data.cache", *ASKED_AFTERWARDS)
"""Settings that change no result, as :func:`minibert.config.config_hash` has it"""


def sweep_name(planned: Plan) -> str:
    """The name of the study or, without one, what is swept over: ``masking.rate x optimizer``.

    A sweep over seeds alone is called by what it trains: ``sotu · base · muon · seeds``.
    """
    first = planned.jobs[0]
    varied = BETWEEN.join(key for key in planned.keys if not is_seed(key))
    return first.config.study.name or varied[:LONGEST_NAME] or seeds_name(first.config, first.choices)


def sweep_hash(planned: Plan, name: str, corpora: Collection[str]) -> str:
    """SHA-256 of what the commands of one sweep have in common. ``corpora``: the hashes of its texts."""
    swept = sorted(key for key in planned.keys if not is_seed(key))
    filled = {key for group in swept if group in groups() for key in filled_keys(group)}
    # An option of a swept group may lack a setting that is given for others: its word counts as it stands.
    stated = sorted(word for word in planned.fixed if _key(word) in filled and _key(word) not in swept)
    start = {
        key: value
        for key, value in _composed(planned)
        if key not in filled and key not in swept and not is_seed(key) and not key.startswith(NOT_COMPUTED)
    }
    text = "" if any(key.split(".")[0] == "data" for key in swept) else "".join(sorted(set(corpora)))
    identity = json.dumps([name, swept, stated, start, text], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()


def first_values(planned: Plan) -> dict[str, str]:
    """Key or group that is swept over, seeds apart -> its first value, with which the others are compared."""
    found = {}
    for word in planned.jobs[0].overrides if planned.sweep else ():
        if not is_seed(_key(word)):
            found[_key(word)] = word.partition("=")[2].strip("'\"")
    return found


def _composed(planned: Plan) -> Iterator[tuple[str, Any]]:
    """The settings of one run as they are composed. Interpolations stay, so that no swept value is in others."""
    swept = min((job.overrides for job in planned.jobs), default=()) if planned.sweep else ()
    words = [word for word in (*planned.fixed, *swept) if not _key(word).startswith("tracking.")]
    return iter(_settings(tuple(words)))


@lru_cache
def _settings(words: tuple[str, ...]) -> list[tuple[str, Any]]:
    composed = without_hydra(compose_all(words)).config
    return list(_flat(OmegaConf.to_container(composed, resolve=False), ""))


def _flat(values: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")

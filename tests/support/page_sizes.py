"""Small sizes for the commands on the pages: they are added behind the words that the page has."""

from collections.abc import Sequence
from pathlib import Path

from tests.support.page_rules import (
    ADDED,
    ADDED_WITHOUT,
    COMPOSED,
    EVALUATED,
    SMALL,
    STEPS,
    UNTYPED,
)

TRAINING_FLAGS = {"-m", "--multirun", "--dry-run"}
REPORTS = ("minibert.report", "analysis.report", "analysis.lab_book")


def with_small_sizes(module: str, words: list[str], own: set[str]) -> list[str] | None:
    """The words of a command with small sizes behind them. None: it is composed, and that is all.

    ``own`` are the experiments that the page writes. Raises :class:`MinibertError` for words that are not
    allowed.
    """
    if {"--help", "-h"} & {*words}:
        return words
    if module == "minibert.run":
        return _of_run(words, own)
    if module == "minibert.search":
        return _of_search(words)
    if module in REPORTS:
        shipped = {path.stem for path in Path("conf/experiment").glob("*.yaml")} - own
        words = ["masking_sweep" if word in shipped else word for word in words]
    words = [*words, *ADDED.get(module, [])]
    if module == "minibert.evaluate":
        asked = next((word for word in words if word.startswith("evaluation=")), "evaluation=full")
        words += EVALUATED.get(asked, [])
    for (program, beginning), added in ADDED_WITHOUT.items():
        if program == module and not any(word.startswith(beginning) for word in words):
            words += added
    return words


def _of_run(words: list[str], own: set[str]) -> list[str] | None:
    from minibert.command_line.words import read
    from minibert.running.plan import plan

    flags = [word for word in words if word.startswith("-")]
    if _is_shipped(words, own):
        return None
    if {*flags} - TRAINING_FLAGS:
        return words
    typed = [word for word in words if not word.startswith("-")]
    planned = plan(typed, bool({"-m", "--multirun"} & {*flags}))
    mine = {f"+experiment={name}" for name in own}
    if "--dry-run" not in flags and any(word.startswith(tuple(COMPOSED)) and word not in mine for word in typed):
        return None
    config = planned.jobs[0].config
    swept = []
    for place, word in enumerate(read(text, sweeping=True) for text in planned.sweep):
        values = sorted(
            word.values, key=lambda value: word.key == config.study.factor and value != _baseline(config)
        )
        swept.append(word.at(",".join(values[: 1 if place else 2])))
    if planned.sweep or {*flags} - {"--dry-run"}:
        swept.append("hydra/launcher=basic")
    kept = [word for word in typed if word.lstrip("+").split("=")[0] not in planned.keys]
    most = STEPS["typed" if any(word.startswith("training.steps=") for word in typed) else "untyped"]
    sizes = {"training.steps": min(config.training.steps, most), **SMALL}
    added = [f"{key}={value}" for key, value in sizes.items() if key not in planned.keys]
    quick = ["evaluation.quick=true"] if any(word.startswith("evaluation=") for word in typed) else []
    return [*flags, *kept, *swept, *added, *quick, *_untyped(typed)]


def _is_shipped(words: list[str], own: set[str]) -> bool:
    """Whether an experiment that is shipped is all that a command asks for: other tests compose and train it."""
    name = words[0].removeprefix("+experiment=") if len(words) == 1 else ""
    return name not in own and Path("conf/experiment", f"{name}.yaml").is_file()


def _baseline(config) -> str:
    return str(config.study.baseline)


def _of_search(words: list[str]) -> list[str]:
    from minibert.running.search.reading import read_search

    searched = read_search(words).search.parameters
    added = [f"{key}={value}" for key, value in {"training.steps": 4, **SMALL}.items() if key not in searched]
    return [*words, *ADDED["minibert.search"], *added, *_untyped(words)]


def _untyped(typed: Sequence[str]) -> list[str]:
    return [
        word
        for beginning, added in UNTYPED.items()
        if not any(given.lstrip("+").startswith(beginning) for given in typed)
        for word in added
    ]

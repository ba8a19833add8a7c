"""What ``minibert run`` answers without training: help, version, composed configuration, completion."""

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minibert.command_line.completion import completion
from minibert.command_line.help import help_text, installed_version
from minibert.command_line.settings import groups, options_with
from minibert.errors import MinibertError
from minibert.running.plan import compose, typed

CONFIGURATIONS = ("job", "hydra", "all")
FLAGS = (
    "--help (-h)", "--version", "--multirun (-m)", "--dry-run", "--cfg job|hydra|all (-c)", "--info (-i)",
    "--shell-completion install=bash|zsh|fish", "--hydra-help",
)  # fmt: skip
DRY_RUN = "--dry-run"
"""The flag for a plan instead of runs"""
HYDRAS_OWN = ("--info", "-i", "--hydra-help")
"""Flags that Hydra answers"""


def answer(arguments: Sequence[str]) -> int | None:
    """Print what the flags ask for. Returns the exit code, or None if they ask for a run.

    Raises :class:`MinibertError` for an unknown flag, and for words from which no configuration can be composed.
    """
    asked, flags, words = _read(arguments)
    if asked == "--help":
        print(help_text(words, lambda: _composed(words)))
    elif asked == "--version":
        print(f"minibert {installed_version()}")
    elif asked == "--shell-completion":
        print(completion(words), end="")
    elif asked == "--cfg":
        return _show_configuration(words, flags)
    elif asked in HYDRAS_OWN:
        _, *others = words if asked != "--hydra-help" and words and "=" not in words[0] else ("", *words)
        compose(others)
        return _ask_hydra(arguments)
    else:
        return None
    return 0


def _ask_hydra(arguments: Sequence[str]) -> int:
    """Pass the command line on to Hydra."""
    from minibert.running.launching import call_hydra  # here: a single run does without it
    from minibert.running.life import job

    return call_hydra(job, list(arguments))


def _composed(words: Sequence[str]) -> Any:
    """The configuration of a run with the options that the words choose, such as ``optimizer=lion``.

    An option within another one, such as ``optimizer/inner=lion``, brings that one with it. Raises
    :class:`MinibertError` for options that do not go together.
    """
    chosen = {}
    for word in words:
        group, _, option = word.lstrip("+").partition("=")
        if option in groups().get(group, []):
            chosen.setdefault(group, []).append(option)
    for group in list(chosen):
        outer, _, part = group.rpartition("/")
        if outer and outer not in chosen:
            chosen[outer] = options_with(outer, part)[:1]
    return compose([f"{group}={option}" for group, options in chosen.items() for option in options])


def _read(arguments: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """(the flag to answer, all flags, all other words). Raises :class:`MinibertError` for an unknown flag."""
    long = {"-h": "--help", "-c": "--cfg", "-sc": "--shell-completion", "-m": "--multirun", "-i": "--info"}
    questions = ("--help", "--version", "--cfg", "--shell-completion", *HYDRAS_OWN)
    flags, words, asked = [], [], None
    for word in arguments:
        if not word.startswith("-"):
            words.append(word)
            continue
        flag, equals, value = word.partition("=")
        flag = long.get(flag, flag)
        if flag not in (*questions, "--multirun", "--resolve", DRY_RUN):
            raise MinibertError(f"{word}: unknown flag. Allowed: {', '.join(FLAGS)}.")
        flags.append(flag)
        words += [value] if equals else []
        asked = flag if flag in questions else asked
    if "--resolve" in flags and asked != "--cfg":
        raise MinibertError("--resolve: goes with --cfg only.")
    return asked, flags, words


def _show_configuration(words: list[str], flags: list[str]) -> int:
    """Print the composed configuration. A value that is not allowed is shown, and then refused."""
    kinds = [word for word in words if word in CONFIGURATIONS]
    given = [word for word in words if word not in CONFIGURATIONS]
    if len(kinds) != 1:
        raise MinibertError(f"--cfg: needs one of {', '.join(CONFIGURATIONS)}, such as --cfg job.")
    composed = compose(given, "--multirun" in flags)
    shown = composed if kinds[0] != "hydra" else OmegaConf.masked_copy(composed, "hydra")
    if kinds[0] == "job":
        shown = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    try:
        print(OmegaConf.to_yaml(shown, resolve="--resolve" in flags), end="")
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise MinibertError(f"{reason}. Leave out --resolve to see it unresolved.") from error
    del composed.hydra
    typed(composed)
    return 0

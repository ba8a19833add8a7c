"""Words that a shell may complete, and the scripts by which bash, zsh and fish ask for them."""

import os
from collections.abc import Sequence

from minibert.command_line.doors import DOORS
from minibert.command_line.settings import groups, settings
from minibert.command_line.words import HYDRA_KEYS, launchers
from minibert.errors import MinibertError, unknown_name

SHELLS = ("bash", "zsh", "fish")

BASH = """\
_minibert() {
    local IFS=$'\\n'
    COMPREPLY=($(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        minibert --shell-completion query=bash 2>/dev/null))
}
complete -o nospace -o default -F _minibert minibert
"""
SCRIPTS = {
    "bash": BASH,
    "zsh": "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" + BASH,
    "fish": (
        "complete -c minibert -f -a "
        "'(env COMP_LINE=(commandline -cp | string collect) minibert --shell-completion query=fish 2>/dev/null)'\n"
    ),
}

FLAGS = (
    "--help", "--version", "--multirun", "--dry-run", "--cfg", "--info", "--shell-completion", "--hydra-help",
)  # fmt: skip


def completion(words: list[str]) -> str:
    """The script that a shell evaluates, or the words that complete what was typed."""
    action, _, shell = (words[0] if words else "").partition("=")
    if action not in ("install", "query") or len(words) > 1:
        raise MinibertError("--shell-completion: needs a shell. Allowed: install=bash, install=zsh, install=fish.")
    if shell not in SHELLS:
        raise unknown_name(action, shell, SHELLS)
    if action == "install":
        return SCRIPTS[shell]
    _, *typed = os.environ.get("COMP_LINE", "").split(" ")
    current = (typed[-1] if typed else "").lstrip("'\"")
    found = [*doors(typed), *completions(current)]
    breaks = os.environ.get("COMP_WORDBREAKS", "") if shell == "bash" else ""
    kept = max((current.rfind(sign) for sign in breaks if sign in "=:@"), default=-1) + 1
    return "".join(word[kept:] + "\n" for word in found)


def doors(typed: Sequence[str]) -> list[str]:
    """The commands that begin with what was typed, where the first word is being completed."""
    return [door for door in DOORS if door.startswith(typed[0])] if len(typed) == 1 else []


def completions(current: str) -> list[str]:
    """The words that begin with ``current``: settings, groups and flags, then the values of one of them."""
    if current.startswith("-"):
        return [flag for flag in FLAGS if flag.startswith(current)]
    word = current.lstrip("+")
    plus = current[: len(current) - len(word)]
    key, equals, value = word.partition("=")
    if equals:
        before, comma, _ = value.rpartition(",")
        found = [f"{key}={before}{comma}{name}" for name in _values(key)]
    elif "." in word:
        found = [f"{name}=" for name in (*settings(), *HYDRA_KEYS)]
    else:
        parts = dict.fromkeys(name.partition(".")[0] + "." for name in settings() if "." in name)
        single = [f"{name}=" for name in settings() if "." not in name]
        found = [*(f"{group}=" for group in groups()), *single, *parts, "hydra/launcher="]
    return [plus + name for name in found if name.startswith(word)]


def _values(key: str) -> Sequence[str]:
    if key in groups():
        return groups()[key]
    if key == "hydra/launcher":
        return launchers()
    if key not in settings():
        return ()
    return settings()[key].choices or (("true", "false") if settings()[key].kind is bool else ())

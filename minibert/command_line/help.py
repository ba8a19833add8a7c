"""What a command answers without a run: help, its version, the composed configuration, words to complete."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from textwrap import fill

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minibert.command_line.settings import groups, settings, unknown_key
from minibert.command_line.words import HYDRA_KEYS, launchers
from minibert.errors import MinibertError, unknown_name
from minibert.running.plan import compose, typed

CONFIGURATIONS = ("job", "hydra", "all")
SHELLS = ("bash", "zsh", "fish")
SWEEP_FLAGS = ("-m", "--multirun")
FLAGS = (
    "--help (-h)", "--version", "--multirun (-m)", "--cfg job|hydra|all (-c)", "--info (-i)",
    "--shell-completion install=bash|zsh|fish", "--hydra-help",
)  # fmt: skip
HYDRAS_OWN = ("--info", "-i", "--hydra-help")
"""Questions that Hydra answers."""

HELP = """\
minibert trains small BERTs on a CPU and records what happens.

  {command} [FLAGS] [KEY=VALUE ...]

  {command}                                             the base model on the State of the Union addresses
  {command} model=debug training=debugging              the same in seconds, to see it work
  {command} model=tiny masking.rate=0.4 seed=1          other sizes and settings
  {command} data=text data.path='books/*.txt'           your own UTF-8 files, one document each
  {command} --multirun masking.rate=0.15,0.40 seed=0,1  a sweep: every combination
  {command} +experiment=masking_sweep                   a sweep that ships with its question and report

Groups, and the options to choose from (GROUP=OPTION):
{groups}

Settings (KEY=VALUE): {command} --help GROUP lists those of a group, --cfg job shows all with their values.
A text is taken as it stands. In a sweep, commas separate values; a text of data.* with a comma is quoted twice:
data.path="'a,b.txt'". range(0,3), choice(a,b) and glob(*) are several values, too.

Flags:
  -m, --multirun                  run every combination of the values given
  -c, --cfg job|hydra|all         show what a run is composed of, without running it; --resolve fills in ${{...}}
  -h, --help [GROUP]              this text, or the settings of a group
  --version                       the version of minibert
  --shell-completion install=bash|zsh|fish
                                  what your shell needs to complete words:
                                  eval "$(minibert --shell-completion install=bash)"
  -i, --info [all|defaults|...]   how Hydra finds its files; --hydra-help says more

Afterwards:
  python -m minibert.inspect run=RUN_ID                 look inside a run      (--help)
  python -m minibert.export run=RUN_ID folder=FOLDER    write it for `transformers`
  python -m analysis.report STUDY                       the report of a sweep
"""

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


def answer(arguments: Sequence[str], ask_hydra: Callable[[], int]) -> int | None:
    """Answer what the flags ask for, on the terminal. Returns the exit code, or None where they ask for a run.

    ``ask_hydra`` passes the command line on to Hydra. Raises :class:`MinibertError` for an unknown flag, and for
    words that no configuration can be composed of.
    """
    asked, flags, words = _read(arguments)
    if asked == "--help":
        print(help_text(words))
    elif asked == "--version":
        print(f"minibert {installed_version()}")
    elif asked == "--shell-completion":
        print(_completion(words), end="")
    elif asked == "--cfg":
        return _show_configuration(words, flags)
    elif asked in HYDRAS_OWN:
        _, *others = words if asked != "--hydra-help" and words and "=" not in words[0] else ("", *words)
        compose(others)
        return ask_hydra()
    else:
        return None
    return 0


def asks_for_help(arguments: Sequence[str], text: str) -> bool:
    """Print ``text``, or the version, where a command without further flags is asked for it."""
    if {"-h", "--help"} & set(arguments):
        print(text.strip())
        return True
    if "--version" in arguments:
        print(f"minibert {installed_version()}")
        return True
    return False


def installed_version() -> str:
    try:
        return version("minibert")
    except PackageNotFoundError:
        return "(not installed: run from its folder)"


def help_text(words: Sequence[str] = ()) -> str:
    """The help of ``minibert``; with a group among the words, the settings of that."""
    parts = [word.partition("=")[0].lstrip("+") for word in words]
    if not parts:
        width = max(map(len, groups())) + 2
        further = " " * (width + 2)
        lines = [
            fill(", ".join(options), 112, initial_indent=f"  {group:<{width}}", subsequent_indent=further)
            for group, options in groups().items()
        ]
        return HELP.format(command=_command(), groups="\n".join(lines)).strip()
    found = [_group_help(part) for part in parts]
    return "\n\n".join(found)


def _group_help(group: str) -> str:
    place = {"position": "model.position", "optimizer/inner": "optimizer.inner"}.get(group, group)
    inside = [each for key, each in settings().items() if key == place or key.startswith(place + ".")]
    if not inside and group not in groups():
        raise unknown_key(f"--help {group}", group)
    lines = [f"{group}=" + " | ".join(groups()[group])] if group in groups() else []
    width = max((len(each.key) for each in inside), default=0) + 2
    for each in inside:
        default = getattr(each.owner(), each.field.name)
        lines.append(f"  {each.key:<{width}}{each.describe()}; by default {default}")
    return "\n".join(lines)


def _read(arguments: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """(what is asked, all flags, all other words). Raises :class:`MinibertError` for a flag that there is not."""
    long = {"-h": "--help", "-c": "--cfg", "-sc": "--shell-completion", "-m": "--multirun", "-i": "--info"}
    questions = ("--help", "--version", "--cfg", "--shell-completion", *HYDRAS_OWN)
    flags, words, asked = [], [], None
    for word in arguments:
        if not word.startswith("-"):
            words.append(word)
            continue
        flag, equals, value = word.partition("=")
        flag = long.get(flag, flag)
        if flag not in (*questions, "--multirun", "--resolve"):
            raise MinibertError(f"{word}: unknown flag. Allowed: {', '.join(FLAGS)}.")
        flags.append(flag)
        words += [value] if equals else []
        asked = flag if flag in questions else asked
    if "--resolve" in flags and asked != "--cfg":
        raise MinibertError("--resolve: goes with --cfg only.")
    return asked, flags, words


def _show_configuration(words: list[str], flags: list[str]) -> int:
    """Print what is composed. A value that is not allowed is still shown, and refused after it."""
    kinds = [word for word in words if word in CONFIGURATIONS]
    given = [word for word in words if word not in CONFIGURATIONS]
    if len(kinds) != 1:
        raise MinibertError(f"--cfg: needs one of {', '.join(CONFIGURATIONS)}, such as --cfg job.")
    composed = compose(given, "--multirun" in flags)
    shown = composed if kinds[0] != "hydra" else OmegaConf.masked_copy(composed, "hydra")
    if kinds[0] == "job":
        shown = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
    try:
        print(OmegaConf.to_yaml(shown, resolve="--resolve" in flags), end="")
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise MinibertError(f"{reason}. Leave --resolve out to see it as it stands.") from error
    del composed.hydra
    typed(composed)
    return 0


def _completion(words: list[str]) -> str:
    """The script that a shell takes up, or the words that it may go on with."""
    action, _, shell = (words[0] if words else "").partition("=")
    if action not in ("install", "query") or len(words) > 1:
        raise MinibertError("--shell-completion: needs a shell. Allowed: install=bash, install=zsh, install=fish.")
    if shell not in SHELLS:
        raise unknown_name(action, shell, SHELLS)
    if action == "install":
        return SCRIPTS[shell]
    current = os.environ.get("COMP_LINE", "").rsplit(" ", 1)[-1].lstrip("'\"")
    found = completions(current)
    breaks = os.environ.get("COMP_WORDBREAKS", "") if shell == "bash" else ""
    kept = max((current.rfind(sign) for sign in breaks if sign in "=:@"), default=-1) + 1
    return "".join(word[kept:] + "\n" for word in found)


def completions(current: str) -> list[str]:
    """The words that begin with ``current``: settings, groups and flags, then the values of one of them."""
    if current.startswith("-"):
        flags = ["--help", "--version", "--multirun", "--cfg", "--info", "--shell-completion", "--hydra-help"]
        return [flag for flag in flags if flag.startswith(current)]
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


def _command() -> str:
    """How this program was called."""
    return "minibert" if os.path.basename(sys.argv[0]) == "minibert" else "python -m minibert.run"

"""What a command answers without a run: its help, the settings of a group, its version."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from textwrap import fill
from typing import Any

from omegaconf import OmegaConf

from minibert.command_line.arguments import command
from minibert.command_line.doors import DOORS
from minibert.command_line.settings import groups, settings, settings_with, unknown_key
from minibert.command_line.words import plain
from minibert.config import VARIANTS
from minibert.errors import unknown_name

HELP = """\
minibert trains small BERTs on a CPU and records what happens.

  {run} [FLAGS] [KEY=VALUE ...]

  {run}                                             ten minutes on the State of the Union addresses
  {run} model=debug training=debugging              the same in seconds, to see that it works
  {run} model=tiny masking.rate=0.4 seed=1          other sizes and settings
  {run} data=text data.path='books/*.txt'           your own UTF-8 files, one document each
  {run} --multirun masking.rate=0.15,0.40 seed=0,1  a sweep: every combination
  {run} +experiment=masking_sweep                   a sweep that is shipped, with its question and report

Groups, and the options to choose from (GROUP=OPTION):
{groups}

Settings (KEY=VALUE): {run} --help GROUP lists those of a group, --cfg job shows all with their values.
A text is taken as it stands. In a sweep, commas separate values; a text of data.* with a comma is quoted twice:
data.path="'a,b.txt'". range(0,3), choice(a,b) and glob(*) also give several values.

Flags:
  -m, --multirun                  run every combination of the values given
  --dry-run                       show the plan: which runs are found, and how long the others would take
  -c, --cfg job|hydra|all         show the composed configuration, without running it; --resolve fills in ${{...}}
  -h, --help [GROUP]              this text, or the settings of a group
  --version                       the version of minibert
  --shell-completion install=bash|zsh|fish
                                  the script by which a shell completes words:
                                  eval "$(minibert --shell-completion install=bash)"
  -i, --info [all|defaults|...]   how Hydra finds its files; --hydra-help says more

Afterwards:
  {inspect} run=RUN_ID               diagnostics on the checkpoints of a run (--help)
  {reproduce} run=RUN_ID             the run once more from its record: is it equal to the bit?
  {export} run=RUN_ID folder=FOLDER  the run as a folder that `transformers` reads
  {report} SWEEP                     the report of a sweep
  {sweeps} list                      all sweeps; also show, resume, reap, relocate, prune
"""
PLACES = {"position": "model.position", "optimizer/inner": "optimizer.inner"}
"""Group -> where its settings stand, if not under its own name"""


def asks_for_help(arguments: Sequence[str], text: Callable[[], str]) -> bool:
    """Print the help, or the version, if the command line asks for it."""
    if {"-h", "--help"} & set(arguments):
        print(text())
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


def help_text(words: Sequence[str] = (), compose: Callable[[], Any] = dict) -> str:
    """The help of ``minibert run``, or the settings of the groups that the words name.

    ``compose()`` is the configuration of a run: its values are told where they are others than the schemas state.

    Raises :class:`MinibertError` for a group, a setting or an option that is not there.
    """
    parts = [[part.strip() for part in word.lstrip("+").partition("=")] for word in words]
    if not parts:
        width = max(map(len, groups())) + 2
        further = " " * (width + 2)
        lines = [
            fill(", ".join(options), 112, initial_indent=f"  {group:<{width}}", subsequent_indent=further)
            for group, options in groups().items()
        ]
        doors = {door: command(door) for door in DOORS}
        return HELP.format(groups="\n".join(lines), **doors).strip()
    for group, _, option in parts:
        _require_options(group, option)
    composed = OmegaConf.create(compose())
    found = [_group_help(group, option, composed) for group, _, option in parts]
    return "\n\n".join(found)


def _require_options(group: str, given: str) -> None:
    """Raise :class:`MinibertError` for an option that its group does not have; several stand between commas."""
    if group in groups() and given and "(" not in given:
        for name in given.strip("[]").split(","):
            if plain(name.strip()) not in groups()[group]:
                raise unknown_name(f"--help {group}={given}", name, groups()[group])


def _options(group: str) -> list[str]:
    """The options whose fields differ, of a group or of the group within it."""
    if group == "optimizer/inner":
        return [option for option in VARIANTS["optimizer"] if option != "lookahead"]
    return list(VARIANTS.get(group, {}))


def _holders(key: str, group: str) -> list[str]:
    """The options of a group that have a setting."""
    outer = {"optimizer": "lookahead"} if group == "optimizer/inner" else {}
    return [option for option in _options(group) if key in settings_with({**outer, group: option})]


def _is_held(key: str, group: str, option: str) -> bool:
    """Whether an option has a setting, or lets an option within it have it."""
    inner = "optimizer.inner.name" if group == "optimizer" and key.startswith("optimizer.inner.") else key
    return option in _holders(inner, group)


def _goes_with(key: str) -> str:
    """The options that a setting goes with, where others of its group do not have it."""
    places = {PLACES.get(group, group): group for group in (*VARIANTS, "optimizer/inner")}
    inside = [place for place in places if key.startswith(f"{place}.")]
    if not inside:
        return ""
    group = places[max(inside, key=len)]
    holders = _holders(key, group)
    needed = ["optimizer=lookahead"] if group == "optimizer/inner" else []
    if 0 < len(holders) < len(_options(group)):
        needed.append(f"{group}={' or '.join(holders)}")
    return f"; goes with {' and '.join(needed)}" if needed else ""


def _group_help(group: str, option: str, composed: Any) -> str:
    """The settings of a group: with an option of it, those that the option has; else also what goes with which."""
    place = PLACES.get(group, group)
    inside = [each for key, each in settings().items() if key == place or key.startswith(place + ".")]
    if not inside and group not in groups():
        raise unknown_key(f"--help {group}", group)
    lines = [f"{group}=" + " | ".join(groups()[group])] if group in groups() else []
    inside = [each for each in inside if each.is_open]
    if option in groups().get(group, []):
        name = OmegaConf.select(composed, f"{place}.name", default=option)  # an option may be of another's schema
        option = name if name in _options(group) else ""
    else:
        option = ""
    if option:
        inside = [each for each in inside if _is_held(each.key, group, option)]
    width = max((len(each.key) for each in inside), default=0) + 2
    for each in inside:
        default = OmegaConf.select(composed, each.key, default=getattr(each.owner(), each.field.name))
        if isinstance(default, list):
            default = f"[{','.join(map(str, default))}]"
        if default is None or isinstance(default, bool):
            default = {None: "null", True: "true", False: "false"}[default]
        needed = "" if option else _goes_with(each.key)
        lines.append(f"  {each.key:<{width}}{each.describe()}{needed}; by default {default}")
    return "\n".join(lines)

"""What a command answers without a run: its help, the settings of a group, its version."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from textwrap import fill
from typing import Any

from omegaconf import OmegaConf

from minibert.command_line.arguments import command
from minibert.command_line.doors import DOORS
from minibert.command_line.settings import groups, settings, unknown_key

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
    """
    parts = [word.partition("=")[0].lstrip("+") for word in words]
    if not parts:
        width = max(map(len, groups())) + 2
        further = " " * (width + 2)
        lines = [
            fill(", ".join(options), 112, initial_indent=f"  {group:<{width}}", subsequent_indent=further)
            for group, options in groups().items()
        ]
        doors = {door: command(door) for door in DOORS}
        return HELP.format(groups="\n".join(lines), **doors).strip()
    composed = OmegaConf.create(compose())
    found = [_group_help(part, composed) for part in parts]
    return "\n\n".join(found)


def _group_help(group: str, composed: Any) -> str:
    place = {"position": "model.position", "optimizer/inner": "optimizer.inner"}.get(group, group)
    inside = [each for key, each in settings().items() if key == place or key.startswith(place + ".")]
    if not inside and group not in groups():
        raise unknown_key(f"--help {group}", group)
    lines = [f"{group}=" + " | ".join(groups()[group])] if group in groups() else []
    inside = [each for each in inside if each.is_open]
    width = max((len(each.key) for each in inside), default=0) + 2
    for each in inside:
        default = OmegaConf.select(composed, each.key, default=getattr(each.owner(), each.field.name))
        if isinstance(default, list):
            default = f"[{','.join(map(str, default))}]"
        if default is None or isinstance(default, bool):
            default = {None: "null", True: "true", False: "false"}[default]
        lines.append(f"  {each.key:<{width}}{each.describe()}; by default {default}")
    return "\n".join(lines)

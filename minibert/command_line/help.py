"""What a command answers without a run: help, its version, the composed configuration, words to complete."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from textwrap import fill

from minibert.command_line.settings import groups, settings, unknown_key

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


def _command() -> str:
    """How this program was called."""
    return "minibert" if os.path.basename(sys.argv[0]) == "minibert" else "python -m minibert.run"

"""The index of the lab book, ``experiments/README.md``: each question with its answer, made from the pages.

Written after every page that ``python -m analysis.lab_book`` writes. A page without results is listed as open.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from minibert.errors import MinibertError
from minibert.files import replacing

BEGIN = "<!-- results: begin. Written by `python -m analysis.lab_book`; changes in here are lost. -->"
END = "<!-- results: end -->"
"""The results of a page are between these two lines"""
QUESTIONS = (
    "attention_evolution", "layer_knowledge", "masking_sweep", "representation_scaling", "init_sweep",
)  # fmt: skip
"""The five research questions come first, the others by name"""
TITLE = "# The lab book\n"
OPENING = f"""{TITLE}
Five research questions, then others. **Bold: the answer.** Below it, how sure: ± and [low, high] are 95 %
intervals over seeds, differences are paired by seed, and *not separated* is judged after Holm's adjustment
([words](../docs/glossary.md#words)).
"""
CLOSING = """## How to read this

An answer holds for the sizes, the corpus and the minutes that its page tells, and losses of different pages do
not compare. Each page has the hypothesis that was written before, the protocol and the limits. An interval is for
its own comparison alone: it may leave out 0 although Holm's adjustment, which counts all comparisons of a page,
does not separate the two. Minutes are those of all trainings added up; two of them run at a time on two cores.
Commands download the data that they name. This index is made from the pages by `python -m analysis.lab_book`.
"""
SHORT = re.compile(r"^\*\*In short\.\*\* (.+?)$(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
"""The answer in words alone, written by hand above the results"""
ANSWER = re.compile(r"^\*\*(.+)\*\*$", re.MULTILINE)
FIGURE = re.compile(r"^!\[(.+)\]\((\S+)\)$", re.MULTILINE)
OPEN = re.compile(r"^Not separated from the baseline .+$", re.MULTILINE)
"""What is not known, for an answer of one sentence"""
RUN = re.compile(
    r"^(?:Again with `(?P<again>.+?)`.*?\. )?Run on (?P<date>.+?) with `(?P<given>.+?)`"
    r"(?:.*?; (?P<took>(?:a|[\d,.]+) \w+) of training in all)?",
    re.MULTILINE,
)
MADE = re.compile(r"^Made with `(.+?)` (.+)\.$", re.MULTILINE)
"""Of a page that is made from others"""
SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
LONGEST = 380
"""Characters of an answer: whole sentences, up to here"""


@dataclass(frozen=True)
class Entry:
    """What the index tells of a page."""

    name: str
    question: str
    answer: str = ""
    short: str = ""
    """The answer without numbers"""
    figure: tuple[str, str] | None = None
    """What it shows, and its file"""
    command: str = ""
    about: str = ""
    """When it was run, and how long that took"""


def write_index(folder: Path) -> Path:
    """Write the index of the pages in the folders of ``folder`` (``experiments/``). Returns its path.

    Raises :class:`MinibertError` when it would take the place of a file that is no such index.
    """
    path = folder / "README.md"
    if path.exists() and not path.read_text(encoding="utf-8").startswith(TITLE):
        raise MinibertError(f"{path}: would be replaced, and is no index of a lab book. Move it.")
    entries = [read_entry(page) for page in folder.glob("*/README.md")]
    last = len(QUESTIONS)
    places = {name: place for place, name in enumerate(QUESTIONS)}
    entries.sort(key=lambda entry: (places.get(entry.name, last), entry.name))
    answered = [section(entry) for entry in entries if entry.answer]
    waiting = [f"* [{entry.question}]({entry.name}/README.md)" for entry in entries if not entry.answer]
    open_ = ["## Not run yet\n\n" + "\n".join(waiting) + "\n"] if waiting else []
    parts = [OPENING, *answered, *open_, CLOSING]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")
    return path


def read_entry(page: Path) -> Entry:
    """The question, answer, first figure and command of a page of the lab book."""
    text = page.read_text(encoding="utf-8")
    question = next((line[2:] for line in text.splitlines() if line.startswith("# ")), page.parent.name)
    part = text.partition(BEGIN)[2].partition(END)[0]
    figure, short = FIGURE.search(part), SHORT.search(text)
    return Entry(
        page.parent.name,
        question,
        _answer(part),
        " ".join(short[1].split()) if short else "",
        (figure[1], figure[2]) if figure else None,
        *_command(part),
    )


def _answer(part: str) -> str:
    """The first sentences of the answer. One that has a single sentence is followed by what is not known."""
    found, open_ = ANSWER.search(part), OPEN.search(part)
    if not found:
        return ""
    single = not SENTENCE.search(found[1])
    return shortened(f"{found[1]} {open_[0]}" if open_ and single else found[1])


def _command(part: str) -> tuple[str, str]:
    """The command that makes the results again, and what the index says of it; both empty if a page has none."""
    if made := MADE.search(part):
        return made[1], made[2]
    if run := RUN.search(part):
        took = f"{run['took']} of training" if run["took"] else "its page has no minutes"
        return run["again"] or run["given"], f"{took}; run on {run['date']}"
    return "", ""


def section(entry: Entry) -> str:
    """A question of the index in Markdown."""
    page = f"{entry.name}/README.md"
    parts = [f"## [{entry.question}]({page})", *([f"**{entry.short}**"] if entry.short else []), entry.answer]
    if entry.figure:
        about, file = entry.figure
        parts.append(f"[![{about}]({entry.name}/{file})]({page})")
    if entry.command:
        parts.append(f"Again: `{entry.command}` ({entry.about}).")
    return "\n\n".join(parts) + "\n"


def shortened(answer: str) -> str:
    """The first sentences of an answer: all that fit in :data:`LONGEST` characters, and the first in any case.

    >>> shortened("Rate 0.4 is best. The others are worse.")
    'Rate 0.4 is best. The others are worse.'
    """
    sentences = SENTENCE.split(answer)
    kept = sentences[0]
    for sentence in sentences[1:]:
        if len(kept) + len(sentence) >= LONGEST:
            break
        kept += f" {sentence}"
    return kept

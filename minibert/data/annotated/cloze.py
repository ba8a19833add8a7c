"""Cloze prompts: a sentence with a gap, and the words that make it true.

Petroni et al., "Language Models as Knowledge Bases?" (LAMA), EMNLP 2019.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from minibert.data.annotated.analogies import Analogy
from minibert.data.annotated.lines import as_path, bad_line, read_table
from minibert.errors import MinibertError

GAP = "[MASK]"
BETWEEN_ANSWERS = "|"


class Cloze(NamedTuple):
    """A prompt with one gap."""

    prompt: str
    """Holds :data:`GAP` once"""
    answers: tuple[str, ...]
    """Each of them is right"""
    relation: str = "facts"
    """What is asked for, such as ``capital``"""


class Template(NamedTuple):
    relation: str
    sections: tuple[str, ...]
    """Of the analogies"""
    prompt: str
    """With ``{first}`` and ``{second}``, the words of a pair such as *Athens* and *Greece*"""
    answer: str
    """``first`` or ``second``: the word that is asked for, where the gap is"""


CAPITALS = ("capital-common-countries", "capital-world")
TEMPLATES = (
    Template("capital", CAPITALS, "The capital of {second} is {first}.", "first"),
    Template("country_of_capital", CAPITALS, "{first} is the capital of {second}.", "second"),
    Template("currency", ("currency",), "The currency of {first} is the {second}.", "second"),
    Template("nationality", ("gram6-nationality-adjective",), "The people of {first} are {second}.", "second"),
)
WITH_ARTICLE = frozenset({"Bahamas", "Gambia", "Netherlands", "Philippines", "USA"})
"""Countries of the analogies that English calls *the Netherlands*"""


def read_cloze(file: str | Path) -> list[Cloze]:
    """The prompts of a tab-separated file with a heading: the columns ``prompt`` and ``answers`` (``|`` between
    several), and, if it is there, ``relation``; otherwise the file's name is the relation.

    Raises :class:`MinibertError` for a file that cannot be read or has no prompt, a heading without these columns,
    and a line whose prompt has not just one [MASK] or which has no answer, by its number.
    """
    file = as_path(file)
    prompts = []
    for number, row in read_table(file, ("prompt", "answers"), "prompt"):
        gaps = row["prompt"].count(GAP)
        if gaps != 1:
            raise bad_line(file, number, f"{gaps} times {GAP} in the prompt {row['prompt']!r}", "once")
        answers = tuple(dict.fromkeys(filter(None, map(str.strip, row["answers"].split(BETWEEN_ANSWERS)))))
        if not answers:
            raise bad_line(file, number, "no answer", f"words, with {BETWEEN_ANSWERS} between several")
        prompts.append(Cloze(row["prompt"], answers, row.get("relation") or file.stem))
    return prompts


def template_cloze(analogies: Iterable[Analogy], templates: Sequence[Template] = TEMPLATES) -> list[Cloze]:
    """A prompt for every pair of words in the analogies that a template is for, in order of the templates.

    A pair counts once, however many analogies it is in. Prompts that are the same become one with several answers.

    Raises :class:`MinibertError` if no analogy is in a section that a template is for.
    """
    pairs: dict[str, dict[tuple[str, str], None]] = {}
    for a, b, c, d, section in analogies:
        pairs.setdefault(section, {}).update({(a, b): None, (c, d): None})
    answers: dict[tuple[str, str], dict[str, None]] = {}
    for template in templates:
        for section in template.sections:
            for first, second in pairs.get(section, ()):
                words: dict[str, str] = {"first": first, "second": second}
                answer = words[template.answer]
                shown = {place: _with_article(word) for place, word in words.items()}
                shown[template.answer] = _with_article(answer).replace(answer, GAP)
                prompt = template.prompt.format(**shown)
                answers.setdefault((prompt, template.relation), {})[answer] = None
    if not answers:
        wanted = dict.fromkeys(section for template in templates for section in template.sections)
        raise MinibertError(
            f"analogies: the sections {', '.join(pairs) or 'none'} were given. "
            f"Allowed: at least one of {', '.join(wanted)}."
        )
    return [Cloze(prompt, tuple(found), relation) for (prompt, relation), found in answers.items()]


def _with_article(word: str) -> str:
    return f"the {word}" if word in WITH_ARTICLE else word

"""Small changes to a text that keep its meaning, and sentences to apply them to.

A change is a function ``(text, random) -> text``; ``random`` is a NumPy generator: the same seed, the same text.
"""

import re

import numpy as np

TYPO_RATE = 0.2
"""Of the words of at least :data:`SHORTEST` letters, the share that gets a typo; at least one a text."""
SHORTEST = 4

SENTENCES = (
    "the large ship left the harbour before the storm began",
    "many people want to help their children learn to read",
    "the price of bread was high, and the small shops had to close",
    "a new road will connect the town with the distant hills",
    "our country needs honest judges and a quick answer to this question",
    "the farmers sold their land and started a new life near the river",
    "it is hard to build a strong house on wet ground",
    "the committee gave its answer after a difficult debate",
    "war brings sorrow to the rich and the poor",
    "they hope to end the work by the beginning of spring",
    "the old teacher was happy to see so many faces in the hall",
    "a big fire destroyed the mill, but nobody was hurt",
    "congress must show that the law protects every worker",
    "the engine is fast, but it needs a lot of fuel",
    "she purchased three maps and kept the finest one",
    "the nation should aid those who lost their homes in the flood",
    "this method is simple and gives the correct result",
    "the doctor was sure that the sick boy would get well quickly",
    "we ought to keep the peace and guard our liberty",
    "the report tells the entire story of the voyage",
)
"""Plain sentences made up for this purpose, each with words that :data:`SYNONYMS` has."""

_GROUPS = (
    "large big", "begin start", "began started", "beginning start", "help aid", "want wish", "small little",
    "close shut", "new recent", "road street", "town city", "distant remote", "country nation", "quick fast",
    "answer reply", "hard difficult", "build construct", "strong sturdy", "ground soil", "sorrow grief",
    "rich wealthy", "end finish", "happy glad", "destroyed ruined", "show prove", "worker labourer",
    "purchased bought", "finest best", "method way", "simple easy", "correct right", "sure certain",
    "sick ill", "quickly rapidly", "guard protect", "liberty freedom", "entire whole", "story tale",
    "voyage journey", "high steep", "house home", "kept held", "honest truthful", "old aged", "hope expect",
    "ship vessel", "storm tempest",
)  # fmt: skip


def _pairs(groups: tuple[str, ...]) -> dict[str, str]:
    """Each word of a pair -> the other; a word of two pairs keeps the first."""
    pairs: dict[str, str] = {}
    for first, second in (group.split() for group in groups):
        pairs.setdefault(first, second)
        pairs.setdefault(second, first)
    return pairs


SYNONYMS = _pairs(_GROUPS)
"""Word -> a word of like meaning, in lower case."""


def make_typos(text: str, random: np.random.Generator) -> str:
    """Slips in :data:`TYPO_RATE` of the longer words: two letters swapped, one left out, or one doubled.

    The first letter stays. A text without a word of four letters stays as it is.
    """
    words = [match for match in re.finditer(r"[^\W\d_]+", text) if len(match.group()) >= SHORTEST]
    if not words:
        return text
    count = max(1, round(TYPO_RATE * len(words)))
    chosen = np.sort(random.choice(len(words), count, replace=False))
    for index in reversed(chosen):  # from the end, so that the positions of earlier words stay valid
        match = words[index]
        text = text[: match.start()] + _slip(match.group(), random) + text[match.end() :]
    return text


def change_case(text: str, random: np.random.Generator) -> str:
    """Every word with its first letter in the other case: ``like This`` becomes ``Like this``."""
    return re.sub(r"[^\W\d_]+", lambda match: match.group()[0].swapcase() + match.group()[1:], text)


def replace_synonyms(text: str, random: np.random.Generator) -> str:
    """Replace every word in :data:`SYNONYMS` by its synonym. An initial capital is kept."""

    def replace(match: re.Match) -> str:
        word = match.group()
        other = SYNONYMS.get(word.lower()) or word
        return other[0].upper() + other[1:] if word[0].isupper() else other

    return re.sub(r"[^\W\d_]+", replace, text)


TEXT_CHANGES = {"typos": make_typos, "case": change_case, "synonym": replace_synonyms}


def _slip(word: str, random: np.random.Generator) -> str:
    """One typo; where the letters to be swapped are the same, one is left out instead."""
    kind, place = random.integers(3), int(random.integers(1, len(word) - 1))
    if kind == 0 and word[place] != word[place + 1]:
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    if kind == 2:
        return word[: place + 1] + word[place:]
    return word[:place] + word[place + 1 :]

"""Minimal pairs of subject and verb from templates: what any English model can be asked without a download."""

from collections.abc import Iterator

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.minimal_pairs import MinimalPair
from minibert.errors import MinibertError
from minibert.randomness import generator

FIELD = "subject_verb_agreement"
NOUNS = (
    ("nation", "nations"), ("law", "laws"), ("state", "states"), ("citizen", "citizens"), ("country", "countries"),
    ("officer", "officers"), ("bank", "banks"), ("ship", "ships"), ("treaty", "treaties"), ("report", "reports"),
    ("member", "members"), ("president", "presidents"), ("court", "courts"), ("man", "men"), ("woman", "women"),
    ("child", "children"), ("house", "houses"), ("book", "books"), ("friend", "friends"), ("road", "roads"),
)  # fmt: skip
"""Singular and plural"""
VERBS = (("is", "are"), ("was", "were"), ("has been", "have been"))
ADJECTIVES = ("new", "great", "important", "good", "necessary", "large", "ready", "old", "strong", "free")
TEMPLATES = {
    "simple": "the {subject} {verb} {end} .",
    "adjective": "the {adjective} {subject} {verb} {end} .",
    "attractor_phrase": "the {subject} of the {other} {verb} {end} .",
    "attractor_clause": "the {subject} that we gave to the {other} {verb} {end} .",
}
"""Paradigm -> its sentences. An attractor is a noun of the other number between subject and verb: who goes by the
nearest noun is wrong. Linzen, Dupoux and Goldberg, "Assessing the Ability of LSTMs to Learn Syntax-Sensitive
Dependencies", TACL 2016."""


def agreement_pairs(tokenizer: Tokenizer, count: int = 200, seed: int = 0) -> list[MinimalPair]:
    """``count`` pairs of each paradigm, half of them with a singular subject. Only the verb differs within a pair.

    Of a noun and a verb, both forms are one piece in the vocabulary, so that both sentences of a pair have as many
    pieces. Raises :class:`MinibertError` where the vocabulary has too few of them.
    """
    nouns, verbs = _known(tokenizer, NOUNS), _known(tokenizer, VERBS)
    adjectives = [word for word in ADJECTIVES if _is_known(tokenizer, word)]
    pairs = []
    for number, (paradigm, template) in enumerate(TEMPLATES.items()):
        made = list(dict.fromkeys(_sentences(template, nouns, verbs, adjectives)))
        if len(made) < count:
            raise MinibertError(
                f"agreement: {count} pairs of each paradigm were asked for, and {len(made)} of {paradigm} can be "
                f"made of the words that the vocabulary has whole ({len(nouns)} nouns, {len(verbs)} verbs, "
                f"{len(adjectives)} adjectives). Allowed: fewer pairs, or a tokenizer of more English text."
            )
        halves = [[pair for pair in made if pair[2] == plural] for plural in (0, 1)]
        order = generator(seed, number)
        for half, wanted in zip(halves, (count - count // 2, count // 2), strict=True):
            chosen = np.sort(order.permutation(len(half))[:wanted])
            pairs += [MinimalPair(half[place][0], half[place][1], paradigm, FIELD) for place in chosen]
    return pairs


def _sentences(template: str, nouns, verbs, adjectives) -> Iterator[tuple[str, str, int]]:
    """Right sentence, wrong sentence, and the number of the subject: 0 for one, 1 for several."""
    for plural in (0, 1):
        for noun in nouns:
            for verb in verbs:
                for end in adjectives:
                    for extra in _extras(template, noun, end, plural, nouns, adjectives):
                        words = {"subject": noun[plural], "end": end, **extra}
                        right, wrong = (template.format(verb=verb[form], **words) for form in (plural, 1 - plural))
                        yield right, wrong, plural


def _extras(template: str, noun, end: str, plural: int, nouns, adjectives) -> Iterator[dict[str, str]]:
    """What else a sentence of the template has."""
    if "{other}" in template:
        yield from ({"other": other[1 - plural]} for other in nouns if other != noun)
    elif "{adjective}" in template:
        yield from ({"adjective": adjective} for adjective in adjectives if adjective != end)
    else:
        yield {}


def _known(tokenizer: Tokenizer, forms) -> list[tuple[str, str]]:
    return [both for both in forms if all(_is_known(tokenizer, form) for form in both)]


def _is_known(tokenizer: Tokenizer, words: str) -> bool:
    return all(tokenizer.token_to_id(word) is not None for word in words.split())

"""Sentences in which the order of two words, or a negation, decides what is said: from templates, in English."""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from tokenizers import Tokenizer

from minibert.data.tokenizer import encode_texts

ACTIVE, PASSIVE, NEGATION = "role_reversal_active", "role_reversal_passive", "negation"
ROLES = (
    ("people", "elected", "president"), ("people", "elected", "governor"), ("people", "adopted", "constitution"),
    ("senate", "ratified", "treaty"), ("senate", "confirmed", "appointment"), ("president", "vetoed", "bill"),
    ("president", "signed", "law"), ("president", "appointed", "minister"), ("congress", "passed", "act"),
    ("congress", "passed", "resolution"), ("congress", "enacted", "law"), ("court", "decided", "case"),
    ("court", "decided", "question"), ("court", "tried", "prisoner"), ("judge", "heard", "case"),
    ("army", "defended", "country"), ("army", "occupied", "city"), ("army", "captured", "fort"),
    ("general", "commanded", "army"), ("captain", "commanded", "ship"), ("government", "paid", "debt"),
    ("government", "reduced", "tax"), ("bank", "issued", "money"), ("bank", "paid", "interest"),
    ("commission", "examined", "claim"), ("committee", "prepared", "report"), ("secretary", "presented", "report"),
    ("secretary", "received", "letter"), ("men", "built", "road"), ("men", "built", "house"),
    ("company", "constructed", "railroad"), ("company", "constructed", "canal"), ("farmer", "sold", "cotton"),
    ("farmer", "raised", "wheat"), ("soldiers", "won", "war"), ("soldiers", "fought", "battle"),
    ("citizens", "obeyed", "law"), ("citizens", "paid", "tax"), ("nation", "declared", "war"),
    ("woman", "bought", "bread"), ("man", "bought", "land"), ("child", "learned", "lesson"),
    ("teacher", "taught", "child"), ("doctor", "treated", "patient"), ("police", "arrested", "criminal"),
    ("minister", "concluded", "treaty"), ("navy", "protected", "coast"), ("enemy", "destroyed", "town"),
)  # fmt: skip
"""Who does what to what. The verbs have one form for the past and the participle."""
ROLE_FRAMES = (
    (ACTIVE, "the {agent} [MASK] the {patient} ."),
    (ACTIVE, "last year the {agent} [MASK] the {patient} ."),
    (PASSIVE, "the {patient} will be [MASK] by the {agent} ."),
    (PASSIVE, "the {patient} may be [MASK] by the {agent} ."),
)
"""Whoever goes by which word stands on which side of the verb is right in the active and wrong in the passive"""
KINDS = {
    "country": (
        "France", "Spain", "Mexico", "England", "China", "Japan", "Russia", "Germany", "Italy", "Brazil", "Peru",
        "Austria", "Portugal", "Denmark", "Chile", "Belgium", "Sweden", "Turkey", "Egypt", "Canada",
    ),
    "state": (
        "Texas", "California", "Ohio", "Virginia", "Kansas", "Oregon", "Florida", "Louisiana", "Tennessee",
        "Kentucky", "Pennsylvania", "Massachusetts", "Illinois", "Indiana", "Alabama", "Michigan", "Nebraska",
    ),
    "city": (
        "London", "Paris", "Philadelphia", "Boston", "Chicago", "Baltimore", "Berlin", "Rome", "Vienna", "Madrid",
    ),
    "month": (
        "January", "February", "April", "June", "July", "August", "September", "October", "November", "December",
    ),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "metal": ("gold", "silver", "iron", "copper", "steel", "zinc", "tin"),
    "crop": ("wheat", "corn", "cotton", "rice", "tobacco", "sugar"),
}  # fmt: skip
"""What a thing is -> things. All are said without an article, and all kinds take ``a``."""
NEGATION_FRAMES = ("{thing} is {word}a [MASK] .", "we know that {thing} is {word}a [MASK] .")
MOST_THINGS = 5
"""Things of a kind that are set against those of another kind"""
DENIAL, FILLER = "not", "also"
"""What denies, and what stands in its place without changing what is true"""


class CompositionCase(NamedTuple):
    """A sentence and one of almost the same words that says something else, each with one [MASK]."""

    kind: str
    """What is changed: ``role_reversal_active``, ``role_reversal_passive``, ``negation``, or another"""
    prompt: str
    changed: str
    """The same with the roles reversed, or with a negation"""
    answer: str
    """What fits the prompt better than the changed sentence"""
    foil: str = ""
    """What fits the changed sentence better than ``answer`` does; empty if nothing is known to"""
    control: str = ""
    """The prompt with another change of as many words, which leaves the answer as likely as before or is of
    another kind: how much any change of words changes. May be empty"""


def composition_cases(tokenizer: Tokenizer) -> list[CompositionCase]:
    """Role reversals and negations of words that the tokenizer has whole; empty if it has too few.

    Who does what: "the senate [MASK] the treaty ." is to make *ratified* likelier than "the treaty [MASK] the
    senate ." does. What is not: "gold is a [MASK] ." is to favour *metal* over *crop* more than "gold is not a
    [MASK] ." does; and "wheat is a [MASK] ." to favour *crop* over *metal*, as often, so that it helps neither to
    prefer a word always nor to prefer it wherever there is a *not*.

    Both in the manner of Ettinger, "What BERT Is Not: Lessons from a New Suite of Psycholinguistic Diagnostics for
    Language Models", TACL 2020.
    """
    words = {word for triple in ROLES for word in triple}
    words |= {word for kind, things in KINDS.items() for word in (kind, *things)}
    frames = (*(frame for _, frame in ROLE_FRAMES), *NEGATION_FRAMES)
    words |= {word for frame in frames for word in _words(frame)} | {DENIAL, FILLER}
    whole = _whole(tokenizer, sorted(words))
    return [*_role_reversals(whole), *_negations(whole)]


def _role_reversals(whole: set[str]) -> Iterator[CompositionCase]:
    """The control is another patient."""
    triples = [triple for triple in ROLES if whole.issuperset(triple)]
    for number, (agent, verb, patient) in enumerate(triples):
        later = [*triples[number + 1 :], *triples[:number]]
        other = next((each for _, _, each in later if each not in (agent, patient)), None)
        for kind, frame in ROLE_FRAMES:
            if not whole.issuperset(_words(frame)):
                continue
            yield CompositionCase(
                kind,
                frame.format(agent=agent, patient=patient),
                frame.format(agent=patient, patient=agent),
                verb,
                control="" if other is None else frame.format(agent=agent, patient=other),
            )


def _negations(whole: set[str]) -> Iterator[CompositionCase]:
    """Every two kinds, as many things of the one as of the other. The control has *also* in the place of *not*."""
    things = {kind: [thing for thing in KINDS[kind] if thing in whole] for kind in KINDS if kind in whole}
    frames = [frame for frame in NEGATION_FRAMES if DENIAL in whole and whole.issuperset(_words(frame))]
    for one, other in combinations(things, 2):
        most = min(len(things[one]), len(things[other]), MOST_THINGS)
        for kind, foil in ((one, other), (other, one)):
            for thing in things[kind][:most]:
                for frame in frames:
                    affirmed, denied, filled = (
                        frame.format(thing=thing, word=word) for word in ("", f"{DENIAL} ", f"{FILLER} ")
                    )
                    yield CompositionCase(
                        NEGATION, affirmed, denied, kind, foil, filled if FILLER in whole else ""
                    )


def _words(frame: str) -> list[str]:
    return [word for word in frame.replace("{word}", "").split() if word.isalpha()]


def _whole(tokenizer: Tokenizer, words: list[str]) -> set[str]:
    unknown = tokenizer.token_to_id("[UNK]")
    encoded = (each.ids[1:-1] for each in encode_texts(tokenizer, words))
    return {word for word, ids in zip(words, encoded, strict=True) if len(ids) == 1 and ids[0] != unknown}

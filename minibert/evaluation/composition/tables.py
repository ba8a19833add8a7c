"""Order, roles, negation and phrases as tables."""

from minibert.evaluation.composition.contrasts import Contrast
from minibert.evaluation.composition.measures import CompositionalUnderstanding
from minibert.evaluation.composition.phrases import Phrases
from minibert.evaluation.composition.word_order import WORDS_PER_MASK, WordOrder
from minibert.evaluation.control_figures import plain
from minibert.evaluation.headlines import with_bounds
from minibert.evaluation.instruments import Table

EXAMPLES = 12
"""Phrases that are named"""


def tables_of(found: CompositionalUnderstanding, control: CompositionalUnderstanding) -> list[Table]:
    """A table for each part that was measured. ``control``: the same network before training."""
    tables = []
    if found.word_order is not None and control.word_order is not None:
        tables.append(_order(found.word_order, control.word_order))
    if found.contrasts:
        tables += [
            _predictions(found.contrasts, control.contrasts),
            _sentences(found.contrasts, control.contrasts),
        ]
    if found.phrases is not None and control.phrases is not None:
        tables.append(_phrases(found.phrases, control.phrases))
    return tables


def _order(found: WordOrder, control: WordOrder) -> Table:
    rows: list[list] = [["intact", found.intact.value, None, None, 0.0, control.intact.value, None]]
    for each, other in zip(found.shuffled, control.shuffled, strict=True):
        rows.append(
            [
                f"units of {each.level}", each.loss, *with_bounds(each.increase), each.moved, other.loss,
                plain(other.increase.value),
            ]
        )  # fmt: skip
    if found.unigram is not None:
        rows.append(["word frequencies, same tokens", found.unigram, None, None, None, None, None])
    caption = (
        f"Mean loss in nats over the {found.predictions:,} tokens of masked words (one word of {WORDS_PER_MASK}) "
        f"in {found.sequences:,} held-out sequences, and its increase over intact text (95 % interval over "
        "sequences). The text is cut into units of so many words, which change places between two masked words; "
        "the masked words and their positions are the same throughout. Moved: the share of words that do not "
        "keep their place. Word frequencies: each of these masked tokens by how often it is in the training text; "
        "the part Intrinsic masks others, hence another number. Untrained: the same network before its first step."
    )
    columns = ["text", "loss", "increase", "95 % interval", "moved", "loss, untrained", "increase, untrained"]
    return Table("The order of words", caption, columns, rows)


def _predictions(found: list[Contrast], control: list[Contrast]) -> Table:
    rows: list[list] = [
        [
            each.kind.replace("_", " "), each.cases, *with_bounds(each.accuracy), plain(other.accuracy.value),
            plain(each.affirmed.value), plain(each.denied.value), plain(each.same_guess.value),
            plain(each.divergence.value), plain(each.control_divergence.value), plain(other.divergence.value),
        ]
        for each, other in zip(found, control, strict=True)
    ]  # fmt: skip
    caption = (
        "Accuracy: how often the word that fits a sentence is likelier there than in the sentence with reversed "
        "roles (the senate ratified the treaty); for a negation, how often its odds against a word that does not "
        "fit are higher where it is affirmed (gold is a metal) than where it is denied. Affirmed: how often the "
        "true word is likelier than the false one there; denied: how often the false one is likelier than the "
        "true one there. Chance is 0.5 for all of them. 95 % intervals (Wilson) as if cases were independent: "
        "they share their words. Same guess: the likeliest token is the same in both sentences. Divergence "
        "(Jensen-Shannon, bits) of the two predictions; control: of the sentence and one with another patient, "
        "or with 'also' in the place of 'not'."
    )
    columns = [
        "kind", "cases", "accuracy", "95 % interval", "untrained", "affirmed", "denied", "same guess",
        "divergence", "control divergence", "divergence, untrained",
    ]  # fmt: skip
    return Table("Roles and negation", caption, columns, rows)


def _sentences(found: list[Contrast], control: list[Contrast]) -> Table:
    rows: list[list] = [
        [
            each.kind.replace("_", " "), place.replace("_", " "), cosine, each.control_cosines.get(place),
            other.cosines[place], other.control_cosines.get(place),
        ]
        for each, other in zip(found, control, strict=True)
        for place, cosine in each.cosines.items()
    ]  # fmt: skip
    caption = (
        "Mean cosine of a sentence's vector, the mean over its tokens, with that of the changed sentence and of "
        "the control sentence. Reversed roles are the same words: only their order can make a difference."
    )
    columns = ["kind", "place", "changed", "control", "changed, untrained", "control, untrained"]
    return Table("Vectors of sentences", caption, columns, rows)


def _phrases(found: Phrases, control: Phrases) -> Table:
    rows: list[list] = [
        [
            each.place.replace("_", " "), each.cosine.value, each.random.value, *with_bounds(each.gain),
            each.nearest, other.cosine.value, other.random.value,
        ]
        for each, other in zip(found.places, control.places, strict=True)
    ]  # fmt: skip
    caption = (
        "Cosine of the mean vector of a phrase with the sum of those of its two words elsewhere, as a mean over "
        f"{len(found.phrases)} phrases of the held-out text ({', '.join(found.phrases[:EXAMPLES])}, …), beside "
        "that with the sum of two other words; the difference with its 95 % interval over phrases. Nearest: how "
        "often no other phrase's words have a nearer sum. A phrase that is more than its words has a lower "
        "cosine: there is no right value."
    )
    columns = [
        "place", "own words", "other words", "difference", "95 % interval", "nearest", "own words, untrained",
        "other words, untrained",
    ]  # fmt: skip
    return Table("Phrases against their words", caption, columns, rows)

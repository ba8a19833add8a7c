"""Similarity and analogies as tables."""

from minibert.evaluation.control_figures import plain
from minibert.evaluation.headlines import with_bounds
from minibert.evaluation.instruments import Table
from minibert.evaluation.semantics.analogies import EVERY_SECTION, AnalogyAccuracy
from minibert.evaluation.semantics.measures import STATIC, STATIC_FOUND, SemanticKnowledge

VECTORS = {STATIC: "token embeddings", STATIC_FOUND: "token embeddings, words of the text"}
CONTROLS = ("untrained", "nearest to c", "most frequent answer")


def similarity_table(found: SemanticKnowledge, control: SemanticKnowledge, contexts: int) -> Table:
    rows = [
        [
            each.data, vectors_name(each.vectors), each.pairs, *with_bounds(each.correlation),
            plain(other.correlation.value), each.whole_pairs, plain(each.whole.value),
        ]
        for each, other in zip(found.similarities, control.similarities, strict=True)
    ]  # fmt: skip
    caption = (
        "Spearman's rank correlation ρ of cosines with people's scores, with its 95 % interval (Bonett and "
        "Wright, 2000, as if the pairs were independent), and that of the same network before training. A word "
        "of several pieces is their mean; the last two columns are over the pairs of words that are single "
        f"tokens. In context: the mean hidden state over at most {contexts} occurrences in the held-out text."
    )
    columns = [
        "data",
        "vectors",
        "pairs",
        "ρ",
        "95 % interval",
        "untrained",
        "pairs of single tokens",
        "ρ of these",
    ]
    return Table("Similarity of words", caption, columns, rows)


def coverage_table(found: SemanticKnowledge) -> Table:
    rows: list[list] = [[each.data, each.pairs, each.spelt, each.whole, each.found] for each in found.coverage]
    caption = (
        "Pairs both of whose words can be spelt with the vocabulary, are single tokens, and occur in the held-out "
        "text that contexts are taken from."
    )
    return Table("Coverage", caption, ["data", "pairs", "spelt", "single tokens", "in the text"], rows)


def section_table(found: SemanticKnowledge, control: SemanticKnowledge) -> Table:
    rows = [
        [
            each.section, each.given, each.questions, *with_bounds(each.accuracy), plain(other.accuracy.value),
            plain(each.nearest), plain(each.most_frequent),
        ]
        for each, other in zip(found.analogies, control.analogies, strict=True)
        if each.vectors == STATIC
    ]  # fmt: skip
    chance = found.analogies[0].chance
    caption = (
        f"a is to b as c is to d, from token embeddings by 3CosAdd, over the {found.candidates[STATIC]:,} words "
        "that are single tokens, a, b and c left out. Asked are analogies whose four words are single tokens. 95 "
        "% intervals (Wilson) as if questions were independent: those of a section share their words. Nearest to "
        "c: the answer without a and b. Most frequent answer: what is right most often in the section. Chance: "
        f"{chance:.2%}."
    )
    columns = ["section", "analogies", "asked", "accuracy", "95 % interval", *CONTROLS]
    return Table("Analogies", caption, columns, rows)


def place_table(found: SemanticKnowledge, control: SemanticKnowledge) -> Table:
    both = zip(every_section(found), every_section(control), strict=True)
    rows = [
        [
            vectors_name(each.vectors), found.candidates[each.vectors], each.questions,
            *with_bounds(each.accuracy), plain(other.accuracy.value), plain(each.nearest),
            plain(each.most_frequent),
        ]
        for each, other in both
    ]  # fmt: skip
    caption = (
        "All sections. In context, only words that occur in the held-out text are asked for and are candidates."
    )
    columns = ["vectors", "candidates", "asked", "accuracy", "95 % interval", *CONTROLS]
    return Table("Analogies by place", caption, columns, rows)


def vectors_name(vectors: str) -> str:
    """In words: ``in context, layer 0``"""
    return VECTORS.get(vectors, f"in context, {vectors.replace('_', ' ')}")


def every_section(found: SemanticKnowledge) -> list[AnalogyAccuracy]:
    """The accuracy over all sections, for each kind of vectors"""
    return [each for each in found.analogies if each.section == EVERY_SECTION]

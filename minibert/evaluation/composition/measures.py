"""Whether the model reads sentences, or only words: their order, their roles, their negation, their phrases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minibert.data.annotated.composition import CompositionCase, composition_cases
from minibert.data.packing import Sequences
from minibert.errors import Unavailable
from minibert.evaluation.composition.contrasts import Contrast, measure_contrasts
from minibert.evaluation.composition.phrases import Phrases, measure_phrases
from minibert.evaluation.composition.word_order import WordOrder, measure_word_order
from minibert.evaluation.inputs import asked_network, rows


@dataclass(frozen=True)
class CompositionalUnderstanding:
    """What :func:`measure_compositional_understanding` returns."""

    word_order: WordOrder | None
    """None without a text, and for a text without eight words in a row"""
    contrasts: list[Contrast]
    """One a kind of test case; empty without test cases"""
    phrases: Phrases | None
    """None without a text, and for a text with too few phrases"""


def measure_compositional_understanding(
    model,
    test_cases: Sequence[CompositionCase] | None = None,
    tokenizer=None,
    sequences: Sequences | None = None,
    count: int = 256,
    unigram_counts: np.ndarray | None = None,
    seed: int = 0,
    lanes: int = 2,
    phrases: int = 200,
) -> CompositionalUnderstanding:
    """The loss on shuffled against intact text, what a changed sentence changes, and phrases against their words.

    ``model`` is a MiniBERT with its ``tokenizer``, or a run of ``load_run``, which has both.
    ``test_cases`` (:mod:`minibert.evaluation.composition.contrasts`) are by default role reversals and negations
    from templates, of the words that the tokenizer has whole. ``sequences`` is a packed text that the model was
    not trained on, for the other two parts: ``count`` rows of it are shuffled
    (:mod:`minibert.evaluation.composition.word_order`), and the vectors of its most typical ``phrases`` are
    compared with those of their words (:mod:`minibert.evaluation.composition.phrases`). ``unigram_counts`` (V,),
    those of the training text, are for the baseline of the shuffled loss.

    Raises :class:`Unavailable` where none of the three can be measured, and :class:`MinibertError` for what is no
    test case, and one without exactly one [MASK] in each sentence.
    """
    model, tokenizer = asked_network(model, tokenizer)
    given = composition_cases(tokenizer) if test_cases is None else test_cases
    cases = rows(given, CompositionCase, "test_cases")
    order = found = None
    if sequences is not None:
        order = measure_word_order(
            model, tokenizer, sequences, count, unigram_counts=unigram_counts, seed=seed, lanes=lanes
        )
        found = measure_phrases(model, tokenizer, sequences, phrases, seed=seed, lanes=lanes)
    contrasts = [each for each in measure_contrasts(model, tokenizer, cases, lanes) if each.cases]
    if not contrasts and order is None and found is None:
        raise Unavailable(
            f"composition: none of {len(cases)} test cases can be asked of this vocabulary, and there is no text "
            "to shuffle. Give test cases of words that are single tokens, or held-out sequences."
        )
    return CompositionalUnderstanding(order, contrasts, found)

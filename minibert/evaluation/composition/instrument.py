"""The instrument ``composition``: order, roles, negation and phrases, beside the network before training."""

import numpy as np

from minibert.config.evaluation import CompositionConfig
from minibert.evaluation.composition.figures import conclude, values_of
from minibert.evaluation.composition.measures import (
    CompositionalUnderstanding,
    measure_compositional_understanding,
)
from minibert.evaluation.composition.tables import tables_of
from minibert.evaluation.headlines import CHANCE, UNTRAINED, Headline, headline
from minibert.evaluation.instruments import Findings, Instrument, Subject
from minibert.evaluation.intervals import Interval
from minibert.evaluation.untrained import of_untrained
from minibert.evaluation.word_vectors import spread_rows
from minibert.model.bert import MiniBERT

PHRASES = 200
QUICK_ROWS, QUICK_SEQUENCES, QUICK_PHRASES = 512, 64, 40
SOURCES = (
    'Sinha et al., "Masked Language Modeling and the Distributional Hypothesis: Order Word Matters Pre-training '
    'for Little", EMNLP 2021',
    'Ettinger, "What BERT Is Not: Lessons from a New Suite of Psycholinguistic Diagnostics for Language Models", '
    "TACL 2020",
    'Mitchell and Lapata, "Composition in Distributional Models of Semantics", Cognitive Science 2010',
)


def measure(subject: Subject, settings: CompositionConfig) -> Findings:
    """The three parts of the model, and of the same network before training.

    Raises :class:`Unavailable` where none of them can be measured.
    """
    count, phrases, text = settings.sequences, PHRASES, subject.held_out
    if subject.quick:
        count, phrases = min(count, QUICK_SEQUENCES), QUICK_PHRASES
        text = None if text is None else spread_rows(text, QUICK_ROWS)

    def ask(network: MiniBERT) -> CompositionalUnderstanding:
        return measure_compositional_understanding(
            network,
            None,
            subject.tokenizer,
            text,
            count,
            subject.unigram_counts,
            subject.seed,
            subject.lanes,
            phrases,
        )

    found, control = ask(subject.model), of_untrained(subject, "composition", (count, phrases), ask)
    return Findings(
        _summary(found, control),
        _metrics(found, control),
        tables_of(found, control),
        [*_missing(found, text is None), *_no_better(found, control)],
        values_of(found, control),
        headlines=_headlines(found, control),
        used={"sequences": count, "phrases": phrases} if subject.quick else {},
    )


def _metrics(found: CompositionalUnderstanding, control: CompositionalUnderstanding) -> dict[str, float]:
    metrics = {}
    for prefix, each in (("", found), ("untrained_", control)):
        if each.word_order is not None:
            metrics[f"composition/{prefix}loss_intact"] = each.word_order.intact.value
            for level in each.word_order.shuffled:
                metrics[f"composition/{prefix}loss_shuffled/{level.level}"] = level.loss
                metrics[f"composition/{prefix}loss_increase/{level.level}"] = level.increase.value
        for contrast in each.contrasts:
            kind = contrast.kind
            metrics[f"composition/{prefix}accuracy/{kind}"] = contrast.accuracy.value
            metrics[f"composition/{prefix}affirmed_accuracy/{kind}"] = contrast.affirmed.value
            metrics[f"composition/{prefix}denied_accuracy/{kind}"] = contrast.denied.value
            metrics[f"composition/{prefix}divergence/{kind}"] = contrast.divergence.value
            metrics[f"composition/{prefix}control_divergence/{kind}"] = contrast.control_divergence.value
        for place in each.phrases.places if each.phrases else ():
            metrics[f"composition/{prefix}phrase_cosine/{place.place}"] = place.cosine.value
            metrics[f"composition/{prefix}random_phrase_cosine/{place.place}"] = place.random.value
    if found.word_order is not None and found.word_order.unigram is not None:
        metrics["composition/unigram_loss"] = found.word_order.unigram
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def _headlines(found: CompositionalUnderstanding, control: CompositionalUnderstanding) -> list[Headline]:
    headlines = []
    if found.word_order is not None and control.word_order is not None:
        single, other = found.word_order.shuffled[0], control.word_order.shuffled[0]
        headlines.append(
            headline(
                "order of words",
                "rise of the loss in random order, nats",
                f"composition/loss_increase/{single.level}",
                single.increase,
                found.word_order.sequences,
                "sequences",
                {UNTRAINED: other.increase.value},
            )
        )
    for each, other in zip(found.contrasts, control.contrasts, strict=True):
        headlines.append(
            headline(
                each.kind.replace("_", " "),
                "accuracy",
                f"composition/accuracy/{each.kind}",
                each.accuracy,
                each.cases,
                "cases",
                {UNTRAINED: other.accuracy.value, CHANCE: 0.5},
            )
        )
    return headlines


def _summary(found: CompositionalUnderstanding, control: CompositionalUnderstanding) -> str:
    said = []
    if found.word_order is not None and control.word_order is not None:
        single, other = found.word_order.shuffled[0], control.word_order.shuffled[0]
        said.append(
            f"With single words in random order, the masked loss rises from {found.word_order.intact.value:.2f} "
            f"by {_with_interval(single.increase, 'z.2f')} nats; untrained by {abs(other.increase.value):.2f}."
        )
    for each, other in zip(found.contrasts, control.contrasts, strict=True):
        said.append(
            f"{each.kind.replace('_', ' ').capitalize()} is told apart in {_with_interval(each.accuracy, '.1%')} "
            f"of {each.cases} cases; untrained {other.accuracy.value:.1%}, chance 50 %."
        )
    if not said and found.phrases is not None:
        last = found.phrases.places[-1]
        said.append(
            f"The vectors of phrases have a cosine of {last.cosine.value:.2f} with the sum of their words, and of "
            f"{last.random.value:.2f} with that of other words."
        )
    return " ".join(said)


def _with_interval(interval: Interval, form: str) -> str:
    return f"{interval.value:{form}} (95 % interval {interval.low:{form}} to {interval.high:{form}})"


def _missing(found: CompositionalUnderstanding, no_text: bool) -> list[str]:
    notes = []
    if no_text:
        notes.append("The order of words and phrases are left out: there is no held-out text.")
    elif found.word_order is None:
        notes.append("The order of words is left out: the held-out text has no eight words in a row.")
    if not no_text and found.phrases is None:
        notes.append("Phrases are left out: the held-out text repeats too few pairs of words.")
    if not found.contrasts:
        notes.append("Roles and negation are left out: the vocabulary lacks the words of the templates.")
    notes += [
        f"{each.kind.replace('_', ' ')}: {each.left_out} of {each.cases + each.left_out} cases are left out."
        for each in found.contrasts
        if each.left_out
    ]
    return notes


def _no_better(found: CompositionalUnderstanding, control: CompositionalUnderstanding) -> list[str]:
    notes = []
    if found.word_order is not None and found.word_order.unigram is not None:
        worse = [each.level for each in found.word_order.shuffled if each.loss > found.word_order.unigram]
        if worse:
            units = ("single words" if level == 1 else f"units of {level} words" for level in worse)
            notes.append(
                f"With {' and '.join(units)} in random order, the loss is above that of word frequencies alone: "
                "wrong neighbours mislead the model more than none would."
            )
        if found.word_order.intact.value >= found.word_order.unigram:
            notes.append("On intact text the model is no better than word frequencies alone.")
    for each, other in zip(found.contrasts, control.contrasts, strict=True):
        beaten = [
            name
            for name, value in (("untrained", other.accuracy.value), ("chance", 0.5))
            if each.accuracy.low <= value
        ]
        if beaten:
            kind = each.kind.replace("_", " ")
            notes.append(
                f"{kind}: the model is no better than the control {', nor '.join(beaten)}, by its interval."
            )
        if np.isfinite(each.denied.value) and each.denied.low <= 0.5 < each.affirmed.low:
            notes.append(
                f"{each.kind}: the true word is preferred where it is affirmed, and the false one is not "
                "preferred where it is denied: the negation is not understood."
            )
    return notes


INSTRUMENT = Instrument("composition", "Are sentences read, or only words?", measure, conclude, SOURCES)

"""The instrument ``semantics``: similarity of words and analogies, beside the network before training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minibert.config.evaluation import SemanticsConfig
from minibert.data.annotated.analogies import GOOGLE_ANALOGIES, Analogy, read_analogies
from minibert.data.annotated.word_pairs import WordPair, read_word_pairs
from minibert.errors import Unavailable
from minibert.evaluation.headlines import CHANCE, UNTRAINED, Headline, headline
from minibert.evaluation.instruments import Findings, Instrument, Subject
from minibert.evaluation.intervals import Interval
from minibert.evaluation.metric_names import metric_part
from minibert.evaluation.semantics.analogies import EVERY_SECTION
from minibert.evaluation.semantics.figures import conclude, values_of
from minibert.evaluation.semantics.measures import STATIC, SemanticKnowledge, probe_semantic_knowledge
from minibert.evaluation.semantics.tables import (
    CONTROLS,
    coverage_table,
    every_section,
    place_table,
    section_table,
    similarity_table,
    vectors_name,
)
from minibert.evaluation.untrained import of_untrained
from minibert.evaluation.word_vectors import spread_rows
from minibert.model.bert import MiniBERT

QUICK_ROWS, QUICK_CONTEXTS = 128, 4
SOURCES = (
    'Finkelstein et al., "Placing Search in Context: The Concept Revisited" (WordSim-353), 2002',
    'Hill, Reichart and Korhonen, "SimLex-999", Computational Linguistics 2015',
    'Mikolov, Chen, Corrado and Dean, "Efficient Estimation of Word Representations in Vector Space", 2013',
    'Linzen, "Issues in evaluating semantic spaces using word analogies", RepEval 2016',
    'Bommasani, Davis and Cardie, "Interpreting Pretrained Contextualized Representations via Reductions to '
    'Static Embeddings", ACL 2020',
)


def measure(subject: Subject, settings: SemanticsConfig) -> Findings:
    """Similarity and analogies of the model, and of the same network before training.

    Raises :class:`Unavailable` where no data set can be had, or none has words of the vocabulary.
    """
    pairs, analogies, missing = read_data(settings.data)
    notes = list(missing)
    sequences, contexts = subject.held_out, settings.contexts
    if sequences is None:
        notes.append("Vectors in context are left out: there is no held-out text.")
    elif subject.quick:
        sequences, contexts = spread_rows(sequences, QUICK_ROWS), min(contexts, QUICK_CONTEXTS)
        notes.append(f"Quick: contexts are taken from {len(sequences)} rows of the held-out text.")

    def ask(network: MiniBERT) -> SemanticKnowledge:
        return probe_semantic_knowledge(
            network, subject.tokenizer, pairs, analogies, sequences, contexts, subject.lanes
        )

    found = ask(subject.model)
    control = of_untrained(subject, "semantics", (pairs, analogies, contexts), ask)
    tables = []
    if found.similarities:
        tables += [similarity_table(found, control, contexts), coverage_table(found)]
    if found.analogies:
        tables += [section_table(found, control), place_table(found, control)]
    notes += [*_left_out(found), *_no_better(found, control)]
    values = values_of(found, control)
    return Findings(
        _summary(found, control),
        _metrics(found, control),
        tables,
        notes,
        values,
        missing,
        _headlines(found, control),
        {"contexts": contexts} if subject.quick and sequences is not None else {},
    )


def read_data(names: Sequence[str]) -> tuple[dict[str, list[WordPair]], list[Analogy], list[str]]:
    """Word pairs by data set, analogies, and notes on the data sets that cannot be had.

    A name is that of a list, or the path of a file: ``.txt`` has analogies, any other ending word pairs. Raises
    :class:`Unavailable` where nothing can be had.
    """
    pairs: dict[str, list[WordPair]] = {}
    analogies: list[Analogy] = []
    notes = []
    for name in names:
        try:
            if name == GOOGLE_ANALOGIES or name.endswith(".txt"):
                analogies += read_analogies(name)
            else:
                title = Path(name).stem if Path(name).stem not in pairs else name
                pairs[title] = read_word_pairs(name)
        except Unavailable as error:
            notes.append(f"{name} is left out: {error}")
    if not pairs and not analogies:
        raise Unavailable(" ".join(notes) or "evaluation.semantics.data: names no data set.")
    return pairs, analogies, notes


def _metrics(found: SemanticKnowledge, control: SemanticKnowledge) -> dict[str, float]:
    metrics = {}
    for prefix, knowledge in (("", found), ("untrained_", control)):
        for each in knowledge.similarities:
            name = f"semantics/{prefix}spearman/{metric_part(each.data)}/{each.vectors}"
            metrics[name] = each.correlation.value
        for each in knowledge.analogies:
            name = f"semantics/{prefix}analogy_accuracy"
            if each.vectors != STATIC:
                if each.section == EVERY_SECTION:
                    metrics[f"{name}_in_context/{each.vectors}"] = each.accuracy.value
            elif each.section == EVERY_SECTION:
                metrics[name] = each.accuracy.value
            else:
                metrics[f"{name}/{metric_part(each.section)}"] = each.accuracy.value
    for each in found.coverage:
        metrics[f"semantics/coverage/{metric_part(each.data)}"] = each.spelt / max(each.pairs, 1)
    for each in every_section(found)[:1]:
        metrics["semantics/coverage/analogies"] = each.questions / max(each.given, 1)
        metrics["semantics/nearest_analogy_accuracy"] = each.nearest
        metrics["semantics/frequent_answer_analogy_accuracy"] = each.most_frequent
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def _headlines(found: SemanticKnowledge, control: SemanticKnowledge) -> list[Headline]:
    """Of token embeddings: similarity in each data set, and analogies of all sections"""
    headlines = [
        headline(
            each.data,
            "Spearman's ρ",
            f"semantics/spearman/{metric_part(each.data)}/{STATIC}",
            each.correlation,
            each.pairs,
            "pairs",
            {UNTRAINED: other.correlation.value, CHANCE: 0.0},
        )
        for each, other in zip(found.similarities, control.similarities, strict=True)
        if each.vectors == STATIC
    ]
    for each, other in zip(every_section(found)[:1], every_section(control)[:1], strict=True):
        controls = {UNTRAINED: other.accuracy.value, "nearest word": each.nearest}
        headlines.append(
            headline(
                "analogies",
                "accuracy",
                "semantics/analogy_accuracy",
                each.accuracy,
                each.questions,
                "questions",
                controls | {"most frequent answer": each.most_frequent},
            )
        )
    return headlines


def _summary(found: SemanticKnowledge, control: SemanticKnowledge) -> str:
    parts = []
    for each, other in zip(found.similarities, control.similarities, strict=True):
        if each.vectors == STATIC and np.isfinite(each.correlation.value):
            parts.append(
                f"{each.data} ρ = {_signed(each.correlation)}, untrained {other.correlation.value:.2f}, "
                f"{each.pairs:,} pairs"
            )
    said = []
    if parts:
        said.append(f"Cosines of token embeddings against people's scores: {'; '.join(parts)}.")
    for each, other in zip(every_section(found)[:1], every_section(control)[:1], strict=True):
        if each.questions:
            low, high = each.accuracy.low, each.accuracy.high
            said.append(
                f"{each.accuracy.value:.1%} of {each.questions:,} analogies are completed rightly (95 % interval "
                f"{low:.1%} to {high:.1%}); untrained {other.accuracy.value:.1%}, the nearest word to c "
                f"{each.nearest:.1%}, the most frequent answer of the section {each.most_frequent:.1%}."
            )
    return " ".join(said)


def _left_out(found: SemanticKnowledge) -> list[str]:
    notes = [
        f"{each.data}: {each.pairs - each.spelt:,} of {each.pairs:,} pairs have a word that cannot be spelt with "
        "the vocabulary, and are left out."
        for each in found.coverage
        if each.spelt < each.pairs
    ]
    for each in every_section(found)[:1]:
        if each.questions < each.given:
            notes.append(
                f"{each.given - each.questions:,} of {each.given:,} analogies have a word that is not a single "
                "token, and are left out."
            )
    return notes


def _no_better(found: SemanticKnowledge, control: SemanticKnowledge) -> list[str]:
    """Where the control is within the model's interval, or above it"""
    weak = [
        f"{each.data} ({vectors_name(each.vectors)})"
        for each, other in zip(found.similarities, control.similarities, strict=True)
        if each.correlation.low <= other.correlation.value
    ]
    notes = []
    if weak:
        notes.append(f"No better than the untrained network, by the model's interval: {', '.join(weak)}.")
    for each, other in zip(every_section(found), every_section(control), strict=True):
        beaten_by = [
            name
            for name, value in zip(CONTROLS, (other.accuracy.value, each.nearest, each.most_frequent), strict=True)
            if each.accuracy.low <= value
        ]
        if beaten_by:
            name = vectors_name(each.vectors)
            notes.append(f"Analogies ({name}): no better than the control {', nor '.join(beaten_by)}.")
    return notes


def _signed(interval: Interval) -> str:
    text = f"{interval.value:.2f} (95 % interval {interval.low:.2f} to {interval.high:.2f})"
    return text.replace("-", "−")


INSTRUMENT = Instrument("semantics", "Do words of like meaning have like vectors?", measure, conclude, SOURCES)

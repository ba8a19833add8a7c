"""The instrument ``facts``: cloze prompts, beside frequency and the network before training."""

from collections.abc import Sequence

import numpy as np

from minibert.config.evaluation import FactsConfig
from minibert.data.annotated.analogies import read_analogies
from minibert.data.annotated.cloze import Cloze, read_cloze, template_cloze
from minibert.errors import Unavailable
from minibert.evaluation.facts.figures import conclude, values_of
from minibert.evaluation.facts.measures import EVERY_RELATION, FactualKnowledge, probe_factual_knowledge
from minibert.evaluation.facts.tables import asked_of, choice_table, example_table, rank_table
from minibert.evaluation.headlines import CHANCE, UNTRAINED, Headline, headline
from minibert.evaluation.instruments import Findings, Instrument, Subject
from minibert.evaluation.intervals import Interval
from minibert.evaluation.metric_names import metric_part
from minibert.evaluation.untrained import of_untrained
from minibert.model.bert import MiniBERT

TEMPLATES = "templates"
"""The name of the prompts from templates"""
QUICK_PROMPTS = 200
"""Of each relation, at most"""
SOURCES = (
    'Petroni et al., "Language Models as Knowledge Bases?" (LAMA), EMNLP 2019',
    'Kassner, Dufter and Schütze, "Multilingual LAMA: Investigating Knowledge in Multilingual Pretrained Language '
    'Models", EACL 2021',
)


def measure(subject: Subject, settings: FactsConfig) -> Findings:
    """How high the model, and the same network before training, place the right word.

    Raises :class:`Unavailable` where no prompts can be had, or none has an answer that is a single token.
    """
    clozes, missing = read_data(settings.data)
    notes = list(missing)
    if subject.quick:
        clozes = _fewer(clozes)

    def ask(network: MiniBERT) -> FactualKnowledge:
        return probe_factual_knowledge(network, subject.tokenizer, clozes, subject.unigram_counts, subject.lanes)

    found, control = ask(subject.model), of_untrained(subject, "facts", clozes, ask)
    tables = [rank_table(found, control), choice_table(found, control), example_table(found)]
    notes += [*_left_out(found, len(clozes)), *_no_better(found, control)]
    values = values_of(found, control)
    return Findings(
        _summary(found, control),
        _metrics(found, control),
        tables,
        notes,
        values,
        missing,
        _headlines(found, control),
        {"prompts of a relation": QUICK_PROMPTS} if subject.quick else {},
    )


def read_data(names: Sequence[str]) -> tuple[list[Cloze], list[str]]:
    """The prompts of all data sets, and notes on those that cannot be had.

    A name is ``templates`` or the path of a tab-separated file. Raises :class:`Unavailable` where nothing can be
    had.
    """
    clozes: list[Cloze] = []
    notes = []
    for name in names:
        try:
            clozes += template_cloze(read_analogies()) if name == TEMPLATES else read_cloze(name)
        except Unavailable as error:
            notes.append(f"{name} is left out: {error}")
    if not clozes:
        raise Unavailable(" ".join(notes) or "evaluation.facts.data: names no prompts.")
    return clozes, notes


def _fewer(clozes: Sequence[Cloze]) -> list[Cloze]:
    """At most :data:`QUICK_PROMPTS` of each relation, the first ones"""
    kept, counts = [], {}
    for cloze in clozes:
        counts[cloze.relation] = counts.get(cloze.relation, 0) + 1
        if counts[cloze.relation] <= QUICK_PROMPTS:
            kept.append(cloze)
    return kept


def _metrics(found: FactualKnowledge, control: FactualKnowledge) -> dict[str, float]:
    metrics = {}
    for each, other in zip(found.relations, control.relations, strict=True):
        part = "" if each.relation == EVERY_RELATION else f"/{metric_part(each.relation)}"
        for name, scores in asked_of(each, other).items():
            prefix = "" if name == "model" else f"{name}_"
            metrics[f"facts/{prefix}precision_at_1{part}"] = scores.precision_at_1.value
            metrics[f"facts/{prefix}precision_at_10{part}"] = scores.precision_at_10.value
            metrics[f"facts/{prefix}mean_reciprocal_rank{part}"] = scores.mean_reciprocal_rank
        metrics[f"facts/choice_accuracy{part}"] = each.choice.value
        metrics[f"facts/untrained_choice_accuracy{part}"] = other.choice.value
        metrics[f"facts/frequent_answer_choice_accuracy{part}"] = each.choice_by_frequency
        metrics[f"facts/chance_choice_accuracy{part}"] = each.choice_by_chance
    metrics["facts/coverage"] = found.relations[-1].asked / max(found.relations[-1].given, 1)
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def _headlines(found: FactualKnowledge, control: FactualKnowledge) -> list[Headline]:
    every, other = found.relations[-1], control.relations[-1]
    frequent = None if every.frequent_words is None else every.frequent_words.precision_at_1.value
    return [
        headline(
            "right word of all words",
            "P@1",
            "facts/precision_at_1",
            every.model.precision_at_1,
            every.asked,
            "prompts",
            {
                UNTRAINED: other.model.precision_at_1.value,
                "most frequent answer": every.most_frequent_answers.precision_at_1.value,
                "most frequent word": frequent,
            },
        ),
        headline(
            "right word of a relation's answers",
            "accuracy",
            "facts/choice_accuracy",
            every.choice,
            every.asked,
            "prompts",
            {
                UNTRAINED: other.choice.value,
                "most frequent answer": every.choice_by_frequency,
                CHANCE: every.choice_by_chance,
            },
        ),
    ]


def _summary(found: FactualKnowledge, control: FactualKnowledge) -> str:
    every, other = found.relations[-1], control.relations[-1]
    scores, relations = every.model, len(found.relations) - 1
    return (
        f"The right word is the likeliest of {found.candidates:,} in {_share(scores.precision_at_1)} of "
        f"{every.asked:,} prompts (mean over {relations} relations), and among the first ten in "
        f"{scores.precision_at_10.value:.1%}; untrained {other.model.precision_at_1.value:.1%} and "
        f"{other.model.precision_at_10.value:.1%}, the most frequent answers of the relation "
        f"{every.most_frequent_answers.precision_at_1.value:.1%} and "
        f"{every.most_frequent_answers.precision_at_10.value:.1%}. Among the answers of the relation alone it is "
        f"preferred in {_share(every.choice)}; untrained {other.choice.value:.1%}, chance "
        f"{every.choice_by_chance:.1%}."
    )


def _share(interval: Interval) -> str:
    return f"{interval.value:.1%} (95 % interval {interval.low:.1%} to {interval.high:.1%})"


def _left_out(found: FactualKnowledge, given: int) -> list[str]:
    said = (
        (found.no_answer, "have no answer that the vocabulary has as one token, and are left out"),
        (found.too_long, "are longer than the model's positions, and are left out"),
        (found.unknown, "were asked with a word that the tokenizer does not know"),
    )
    return [f"{count:,} of {given:,} prompts {what}." for count, what in said if count]


def _no_better(found: FactualKnowledge, control: FactualKnowledge) -> list[str]:
    every, other = found.relations[-1], control.relations[-1]
    first, by_answers = every.model.precision_at_1, every.most_frequent_answers.precision_at_1.value
    asked = (
        ("P@1", first, {"untrained": other.model.precision_at_1.value, "most frequent answers": by_answers}),
        (
            "Choice among answers",
            every.choice,
            {"untrained": other.choice.value, "chance": every.choice_by_chance},
        ),
    )
    notes = []
    for title, interval, controls in asked:
        beaten = [name for name, value in controls.items() if interval.low <= value]
        if beaten:
            notes.append(
                f"{title}: the model is no better than the control {', nor '.join(beaten)}, by its interval."
            )
    return notes


INSTRUMENT = Instrument("facts", "Are statements of fact completed rightly?", measure, conclude, SOURCES)

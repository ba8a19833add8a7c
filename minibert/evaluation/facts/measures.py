"""Whether the model completes a statement of fact with the right word, beside what frequency alone does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.cloze import Cloze, read_cloze
from minibert.errors import MinibertError, Unavailable
from minibert.evaluation.facts.ranks import (
    Answered,
    Prompt,
    Rank,
    frequency_ranks,
    model_answers,
    precision,
    prepare_prompts,
    reciprocal,
    relation_answers,
    relation_ranks,
)
from minibert.evaluation.inputs import asked_network, rows, texts
from minibert.evaluation.intervals import Interval, mean_of_shares, share
from minibert.evaluation.word_vectors import vocabulary_words
from minibert.model.bert import MiniBERT

EVERY_RELATION = "all"


@dataclass(frozen=True)
class Scores:
    """How high the right words stand among all words."""

    precision_at_1: Interval
    precision_at_10: Interval
    mean_reciprocal_rank: float


@dataclass(frozen=True)
class RelationKnowledge:
    """What is known of one relation, or of ``all``: the mean over relations."""

    relation: str
    given: int
    """Prompts"""
    asked: int
    """Those with an answer that is a single token"""
    model: Scores
    most_frequent_answers: Scores
    """Answering every prompt with the words that are most often right in its relation. It knows the answers"""
    frequent_words: Scores | None
    """Answering every prompt with the most frequent words of the training text; None without counts"""
    choice: Interval
    """How often the model prefers a right word to all other answers of the relation"""
    choice_by_frequency: float
    """The same of the answer that is right most often in the relation"""
    choice_by_chance: float
    """1 / answers of the relation, as a mean over prompts"""


@dataclass(frozen=True)
class Completion:
    """A prompt, its answers, and what the model says."""

    prompt: str
    relation: str
    answers: tuple[str, ...]
    """Those that are single tokens"""
    guess: str
    """The likeliest word"""
    rank: int
    """Of the best answer, from 1"""
    probability: float
    """Of that answer, over the whole vocabulary"""


@dataclass(frozen=True)
class FactualKnowledge:
    """What :func:`probe_factual_knowledge` returns."""

    relations: list[RelationKnowledge]
    """In the order given, ``all`` last"""
    completions: list[Completion]
    candidates: int
    """Words that a prompt may be completed with"""
    no_answer: int
    """Prompts left out, as none of their answers is a single token"""
    too_long: int
    """Prompts left out, with more tokens than the model has positions"""
    unknown: int
    """Prompts that were asked with an [UNK] in them"""


def probe_factual_knowledge(
    model: MiniBERT,
    tokenizer: Tokenizer,
    clozes: Sequence[Cloze] | str | Path,
    unigram_counts: np.ndarray | None = None,
    lanes: int = 2,
) -> FactualKnowledge:
    """The rank of the right word at the [MASK] of a prompt, among the words that the vocabulary has whole.

    P@k is the share of prompts with an answer among the first k words. The mean reciprocal rank is the mean of
    1 / rank. Only answers of one token count; of several the best, and the others are no candidates. Small models
    rarely name the right word of thousands, so it is also asked among the answers of the relation alone. The
    score of ``all`` is the mean over relations. ``unigram_counts`` (V,), those of the training text, are for the
    baseline of frequent words. The other baseline is the most frequent answers of the relation.

    ``clozes``: also the path of a table, or tuples such as ("Paris is in [MASK].", ("France",), "country").

    Raises :class:`MinibertError` for no prompts, for what is no prompt and for one without exactly one [MASK], and
    :class:`Unavailable` where none can be asked.

    Petroni et al., "Language Models as Knowledge Bases?" (LAMA), EMNLP 2019; among the answers of the relation:
    Kassner, Dufter and Schütze, "Multilingual LAMA", EACL 2021.
    """
    model, tokenizer = asked_network(model, tokenizer)
    clozes = [_with_answers(each) for each in rows(clozes, Cloze, "clozes", read_cloze)]
    if not clozes:
        raise MinibertError("facts: no prompts were given. Give at least one.")
    prompts = prepare_prompts(model, tokenizer, clozes)
    asked = prompts.asked
    if not asked:
        raise Unavailable(
            f"facts: none of {len(clozes)} prompts can be asked. {prompts.no_answer} have no answer that the "
            f"vocabulary has as one token, {prompts.too_long} are longer than the model's positions. Give other "
            "prompts, or a larger vocabulary."
        )
    answered = model_answers(model, tokenizer, asked, lanes)
    by_relation = relation_ranks(asked)
    by_frequency = None if unigram_counts is None else frequency_ranks(asked, tokenizer, unigram_counts)
    completions = [
        Completion(
            prompt.cloze.prompt,
            prompt.cloze.relation,
            tuple(str(tokenizer.id_to_token(answer)) for answer in prompt.answers),
            str(tokenizer.id_to_token(each.best)),
            each.among_words.higher + 1,
            each.probability,
        )
        for prompt, each in zip(asked, answered, strict=True)
    ]
    relations = []
    for relation in dict.fromkeys(prompt.cloze.relation for prompt in asked):
        own = np.flatnonzero([prompt.cloze.relation == relation for prompt in asked])
        given = sum(cloze.relation == relation for cloze in clozes)
        relations.append(_relation(relation, given, own, asked, answered, by_relation, by_frequency))
    return FactualKnowledge(
        [*relations, _mean(relations, len(clozes))],
        completions,
        len(vocabulary_words(tokenizer)),
        prompts.no_answer,
        prompts.too_long,
        prompts.unknown,
    )


def _with_answers(cloze: Cloze) -> Cloze:
    """The prompt with its answers as a tuple: a single one may be given as it is."""
    answers = texts(cloze.answers, f"answers of {cloze.prompt!a}")
    if not answers:
        raise MinibertError(f"{cloze.prompt!a}: has no answer. Give at least one.")
    return cloze._replace(answers=tuple(answers))


def _relation(
    relation: str,
    given: int,
    own: np.ndarray,
    asked: Sequence[Prompt],
    answered: Sequence[Answered],
    by_relation: Sequence[Rank],
    by_frequency: Sequence[Rank] | None,
) -> RelationKnowledge:
    """``own`` (n,): which of the prompts are of this relation"""
    prompts = [asked[number] for number in own]
    answers = len(relation_answers(prompts)[relation])
    chosen = precision([answered[number].among_answers for number in own], 1)
    frequent = [by_relation[number] for number in own]
    return RelationKnowledge(
        relation,
        given,
        len(own),
        _scores([answered[number].among_words for number in own]),
        _scores(frequent),
        None if by_frequency is None else _scores([by_frequency[number] for number in own]),
        share(float(chosen.sum()), len(own)),
        float(precision(frequent, 1).mean()),
        float(np.mean([1 / (answers - len(prompt.answers) + 1) for prompt in prompts])),
    )


def _mean(relations: Sequence[RelationKnowledge], given: int) -> RelationKnowledge:
    """Over relations"""
    frequent = [each.frequent_words for each in relations if each.frequent_words is not None]
    return RelationKnowledge(
        EVERY_RELATION,
        given,
        sum(each.asked for each in relations),
        _mean_scores([each.model for each in relations]),
        _mean_scores([each.most_frequent_answers for each in relations]),
        _mean_scores(frequent) if frequent else None,
        mean_of_shares([each.choice for each in relations]),
        float(np.mean([each.choice_by_frequency for each in relations])),
        float(np.mean([each.choice_by_chance for each in relations])),
    )


def _scores(ranks: Sequence[Rank]) -> Scores:
    first, tenth = (share(float(precision(ranks, k).sum()), len(ranks)) for k in (1, 10))
    return Scores(first, tenth, float(reciprocal(ranks).mean()))


def _mean_scores(scores: Sequence[Scores]) -> Scores:
    return Scores(
        mean_of_shares([each.precision_at_1 for each in scores]),
        mean_of_shares([each.precision_at_10 for each in scores]),
        float(np.mean([each.mean_reciprocal_rank for each in scores])),
    )

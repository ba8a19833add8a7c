"""Where the right word of a cloze prompt stands among all words of the vocabulary."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.cloze import Cloze
from minibert.data.tokenizer import encode_texts
from minibert.errors import MinibertError
from minibert.evaluation.word_vectors import Spelling, spellings, vocabulary_words
from minibert.model.bert import MiniBERT
from minibert.model.passes import Inputs, Selection
from minibert.training.lanes import Lanes

TOKENS_AT_ONCE = 4096
"""In a batch of prompts: few enough for the scores over the vocabulary to stay small"""


class Rank(NamedTuple):
    """How many other words have a higher score than the best answer, and how many the same.

    Other right answers are not counted.
    """

    higher: int
    equal: int


class Answered(NamedTuple):
    """What the model says to a prompt."""

    among_words: Rank
    """Among all words that the vocabulary has whole"""
    among_answers: Rank
    """Among the answers of all prompts of the relation"""
    best: int
    """The token of the highest score among all words"""
    probability: float
    """Of the best answer, over the whole vocabulary"""


@dataclass(frozen=True)
class Prompt:
    """A cloze prompt that the model can be asked."""

    cloze: Cloze
    ids: np.ndarray
    """(T,) with one [MASK]"""
    mask: int
    """Where it is"""
    answers: list[int]
    """The right words that are single tokens"""


@dataclass(frozen=True)
class Prompts:
    """What :func:`prepare_prompts` returns."""

    asked: list[Prompt]
    no_answer: int
    """Left out: none of the answers is a single token"""
    too_long: int
    """Left out: more tokens than the model has positions"""
    unknown: int
    """Asked, although a word of the prompt is [UNK]"""


def prepare_prompts(model: MiniBERT, tokenizer: Tokenizer, clozes: Sequence[Cloze]) -> Prompts:
    """Raises :class:`MinibertError` for a prompt that has not exactly one [MASK]."""
    mask, unk = tokenizer.token_to_id("[MASK]"), tokenizer.token_to_id("[UNK]")
    words = set(vocabulary_words(tokenizer).values())
    spelt = spellings(tokenizer, [answer for cloze in clozes for answer in cloze.answers])
    longest = model.config.max_length if model.config.position.has_table else None
    asked, no_answer, too_long, unknown = [], 0, 0, 0
    encoded = encode_texts(tokenizer, [cloze.prompt for cloze in clozes])
    for cloze, encoding in zip(clozes, encoded, strict=True):
        ids = np.array(encoding.ids, np.int32)
        places = np.flatnonzero(ids == mask)
        if len(places) != 1:
            raise MinibertError(f"{cloze.prompt!r}: has {len(places)} [MASK]. Allowed: exactly one.")
        answers = _single(cloze.answers, spelt, words)
        if longest is not None and len(ids) > longest:
            too_long += 1
        elif not answers:
            no_answer += 1
        else:
            unknown += bool((ids == unk).any())
            asked.append(Prompt(cloze, ids, int(places[0]), answers))
    return Prompts(asked, no_answer, too_long, unknown)


def _single(answers: Sequence[str], spelt: dict[str, Spelling], words: set[int]) -> list[int]:
    pieces = (spelt.get(answer, ()) for answer in answers)
    return list(dict.fromkeys(ids[0] for ids in pieces if len(ids) == 1 and ids[0] in words))


def model_answers(
    model: MiniBERT, tokenizer: Tokenizer, prompts: Sequence[Prompt], lanes: int = 2
) -> list[Answered]:
    """What the model says to each prompt. Prompts of one length are scored together, without padding."""
    words = np.array(list(vocabulary_words(tokenizer).values()))
    of_relation = {relation: np.array(found) for relation, found in relation_answers(prompts).items()}

    def compute(part: list[int]) -> list[Answered]:
        ids = np.stack([prompts[number].ids for number in part])
        masks = [prompts[number].mask for number in part]
        predicted = np.zeros(ids.shape, bool)
        predicted[np.arange(len(part)), masks] = True
        logits, _ = model.forward_pass(Inputs(ids), Selection(predicted))
        return [
            _answered(
                scores.astype(np.float64), prompts[number], words, of_relation[prompts[number].cloze.relation]
            )
            for scores, number in zip(logits, part, strict=True)
        ]

    parts = _parts(prompts)
    found: dict[int, Answered] = {}
    with Lanes(model, lanes) as spread:
        for part, answered in zip(parts, spread.map(compute, parts), strict=True):
            found |= dict(zip(part, answered, strict=True))
    return [found[number] for number in range(len(prompts))]


def _answered(scores: np.ndarray, prompt: Prompt, words: np.ndarray, of_relation: np.ndarray) -> Answered:
    """scores (V,)"""
    largest = scores.max()
    likely = np.exp(scores[prompt.answers].max() - largest) / np.exp(scores - largest).sum()
    return Answered(
        _rank(scores, words, prompt.answers),
        _rank(scores, of_relation, prompt.answers),
        int(words[scores[words].argmax()]),
        float(likely),
    )


def _parts(prompts: Sequence[Prompt]) -> list[list[int]]:
    """The numbers of the prompts that are scored together"""
    by_length: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt.ids), []).append(number)
    parts = []
    for length, numbers in sorted(by_length.items()):
        size = max(TOKENS_AT_ONCE // length, 1)
        parts += [numbers[start : start + size] for start in range(0, len(numbers), size)]
    return parts


def relation_answers(prompts: Sequence[Prompt]) -> dict[str, list[int]]:
    """Relation -> the answers of all its prompts, each once"""
    found: dict[str, dict[int, None]] = {}
    for prompt in prompts:
        found.setdefault(prompt.cloze.relation, {}).update(dict.fromkeys(prompt.answers))
    return {relation: list(answers) for relation, answers in found.items()}


def frequency_ranks(prompts: Sequence[Prompt], tokenizer: Tokenizer, counts: np.ndarray) -> list[Rank]:
    """The ranks if every prompt is completed by how often words occur.    counts (V,)"""
    words = np.array(list(vocabulary_words(tokenizer).values()))
    return [_rank(counts, words, prompt.answers) for prompt in prompts]


def relation_ranks(prompts: Sequence[Prompt]) -> list[Rank]:
    """The ranks if every prompt is completed by how often a word is the answer in its relation.

    The prompt itself is counted, as by Petroni et al. (2019): so this baseline knows the answers.
    """
    counts: dict[str, Counter] = {}
    for prompt in prompts:
        counts.setdefault(prompt.cloze.relation, Counter()).update(prompt.answers)
    ranks = []
    for prompt in prompts:
        of_relation = counts[prompt.cloze.relation]
        others = [count for answer, count in of_relation.items() if answer not in prompt.answers]
        own = max(of_relation[answer] for answer in prompt.answers)
        ranks.append(Rank(sum(count > own for count in others), others.count(own)))
    return ranks


def _rank(scores: np.ndarray, candidates: np.ndarray, answers: list[int]) -> Rank:
    """Of the best answer, by scores (V,)"""
    others = scores[np.setdiff1d(candidates, answers)]
    own = scores[answers].max()
    return Rank(int((others > own).sum()), int((others == own).sum()))


def precision(ranks: Sequence[Rank], k: int) -> np.ndarray:
    """(n,) 1 where the answer is among the first ``k`` words, 0 elsewhere. Words of equal score come in random
    order: then it is the probability of that."""
    higher, equal = np.array([(rank.higher, rank.equal) for rank in ranks], float).reshape(-1, 2).T
    return np.clip((k - higher) / (equal + 1), 0, 1)


def reciprocal(ranks: Sequence[Rank]) -> np.ndarray:
    """(n,) 1 / rank; with words of equal score, its mean over their orders"""
    return np.array([(1 / (rank.higher + 1 + np.arange(rank.equal + 1))).mean() for rank in ranks])

"""Whether a sentence that says something else is predicted and represented differently."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.composition import CompositionCase
from minibert.data.tokenizer import encode_texts
from minibert.diagnostics.plotting.series import place_names
from minibert.errors import MinibertError
from minibert.evaluation.intervals import Interval, mean, share
from minibert.evaluation.word_vectors import cosines, spellings
from minibert.model.bert import MiniBERT
from minibert.model.passes import Inputs, Pass, Selection
from minibert.training.lanes import Lanes

TOKENS_AT_ONCE = 2048
TIE = 1e-5
"""Nats: log probabilities that differ by less are equal up to rounding"""


@dataclass(frozen=True)
class Contrast:
    """What the model makes of all test cases of a kind."""

    kind: str
    cases: int
    left_out: int
    """Cases with an answer of several tokens, with an [UNK], or longer than the model's positions"""
    accuracy: Interval
    """How often the answer is likelier in the prompt than in the changed sentence; with a foil, how often its odds
    against the foil are higher. Equal counts as half; chance is 0.5"""
    affirmed: Interval
    """How often the answer is likelier than the foil in the prompt; NaN without foils"""
    denied: Interval
    """How often the foil is likelier than the answer in the changed sentence; NaN without foils"""
    same_guess: Interval
    """How often the likeliest token is the same in both"""
    divergence: Interval
    """Mean Jensen-Shannon divergence of the two predictions, in bits: 0 if they are equal, at most 1"""
    control_divergence: Interval
    """The same of the prompt and its control sentence; NaN without"""
    cosines: dict[str, float]
    """Place -> mean cosine of the mean vectors of the two sentences"""
    control_cosines: dict[str, float]
    """Place -> the same of the prompt and its control sentence; empty without"""


class _Read(NamedTuple):
    """What the model makes of a sentence."""

    logs: np.ndarray
    """(V,) log probabilities at [MASK]"""
    vectors: np.ndarray
    """(L + 1, D): the mean over the tokens between [CLS] and [SEP]"""


def measure_contrasts(
    model: MiniBERT, tokenizer: Tokenizer, cases: Sequence[CompositionCase], lanes: int = 2
) -> list[Contrast]:
    """By kind of test case: how far the model tells the prompt from the changed sentence.

    A model of the words alone, without their order, gives equal predictions for reversed roles: accuracy 0.5,
    divergence 0. JSD(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½ (p + q): Lin, "Divergence Measures Based on the
    Shannon Entropy", 1991. Cases of a kind share their words, so the intervals are too narrow.

    Raises :class:`MinibertError` for a sentence that has not exactly one [MASK].
    """
    if not cases:
        return []
    texts = list(
        dict.fromkeys(text for case in cases for text in (case.prompt, case.changed, case.control) if text)
    )
    read = _read(model, tokenizer, texts, lanes)
    spelt = spellings(tokenizer, [word for case in cases for word in (case.answer, case.foil) if word])
    tokens = {word: ids[0] for word, ids in spelt.items() if len(ids) == 1}
    found = []
    for kind in dict.fromkeys(case.kind for case in cases):
        of_kind = [case for case in cases if case.kind == kind]
        asked = [
            case for case in of_kind if case.answer in tokens and case.prompt in read and case.changed in read
        ]
        found.append(_contrast(kind, asked, len(of_kind) - len(asked), read, tokens, model.config.layers + 1))
    return found


def _contrast(
    kind: str,
    cases: Sequence[CompositionCase],
    left_out: int,
    read: dict[str, _Read],
    tokens: dict[str, int],
    places: int,
) -> Contrast:
    foiled = [case for case in cases if case.foil in tokens]
    controlled = [case for case in cases if case.control in read]

    def log(text: str, word: str) -> float:
        return float(read[text].logs[tokens[word]])

    def support(case: CompositionCase, text: str) -> float:
        return log(text, case.answer) - (log(text, case.foil) if case.foil in tokens else 0.0)

    def preferred(pairs: list[tuple[float, float]]) -> Interval:
        differences = np.array([one - other for one, other in pairs])
        return share(float((differences > TIE).sum() + (abs(differences) <= TIE).sum() / 2), len(pairs))

    def divergences(pairs: list[tuple[str, str]]) -> Interval:
        return mean(np.array([divergence(read[one].logs, read[other].logs) for one, other in pairs]))

    def similar(pairs: list[tuple[str, str]]) -> dict[str, float]:
        if not pairs:
            return {}
        first, second = (np.stack([read[pair[side]].vectors for pair in pairs], axis=1) for side in (0, 1))
        names = place_names(places)
        return {name: float(cosines(first[place], second[place]).mean()) for place, name in enumerate(names)}

    changed = [(case.prompt, case.changed) for case in cases]
    others = [(case.prompt, case.control) for case in controlled]
    same = sum(int(read[one].logs.argmax() == read[other].logs.argmax()) for one, other in changed)
    return Contrast(
        kind,
        len(cases),
        left_out,
        preferred([(support(case, case.prompt), support(case, case.changed)) for case in cases]),
        preferred([(log(case.prompt, case.answer), log(case.prompt, case.foil)) for case in foiled]),
        preferred([(log(case.changed, case.foil), log(case.changed, case.answer)) for case in foiled]),
        share(same, len(cases)),
        divergences(changed),
        divergences(others),
        similar(changed),
        similar(others),
    )


def divergence(first: np.ndarray, second: np.ndarray) -> float:
    """The Jensen-Shannon divergence of two distributions, in bits.    log probabilities (V,) and (V,)"""
    from scipy.special import rel_entr  # here: most that import this file do without it

    one, other = np.exp(first), np.exp(second)
    middle = (one + other) / 2
    return max(float(rel_entr(one, middle).sum() + rel_entr(other, middle).sum()) / 2 / float(np.log(2)), 0.0)


def _read(model: MiniBERT, tokenizer: Tokenizer, texts: Sequence[str], lanes: int) -> dict[str, _Read]:
    """Text -> what the model makes of it; without those that have an [UNK] or are too long."""
    mask, unknown = tokenizer.token_to_id("[MASK]"), tokenizer.token_to_id("[UNK]")
    longest = model.config.max_length if model.config.position.has_table else None
    by_length: dict[int, list[tuple[str, np.ndarray]]] = {}
    for text, encoding in zip(texts, encode_texts(tokenizer, texts), strict=True):
        ids = np.array(encoding.ids, np.int32)
        count = int((ids == mask).sum())
        if count != 1:
            raise MinibertError(f"{text!r}: has {count} [MASK]. Allowed: exactly one.")
        if unknown not in ids and (longest is None or len(ids) <= longest):
            by_length.setdefault(len(ids), []).append((text, ids))
    parts = []
    for length, group in sorted(by_length.items()):
        size = max(TOKENS_AT_ONCE // length, 1)
        parts += [group[start : start + size] for start in range(0, len(group), size)]

    def compute(part: list[tuple[str, np.ndarray]]) -> list[tuple[str, _Read]]:
        ids = np.stack([each for _, each in part])
        logits, cache = model.forward_pass(Inputs(ids), Selection(ids == mask, None, everywhere=True), Pass())
        logits = logits.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        means = np.stack([states[:, 1:-1].mean(axis=1, dtype=np.float64) for states in cache.hidden_states])
        return [(text, _Read(logits[row], means[:, row])) for row, (text, _) in enumerate(part)]

    with Lanes(model, lanes) as spread:
        return dict(each for part in spread.map(compute, parts) for each in part)

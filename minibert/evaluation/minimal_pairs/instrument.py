"""The instrument ``minimal_pairs``: accuracy by paradigm, beside what knows no grammar."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import cast

import numpy as np

from minibert.config.evaluation import MinimalPairsConfig
from minibert.data.annotated.minimal_pairs import MinimalPair
from minibert.errors import Unavailable
from minibert.evaluation.headlines import CHANCE, UNTRAINED, Headline, headline
from minibert.evaluation.instruments import Conclusion, Findings, Instrument, Subject
from minibert.evaluation.metric_names import metric_part
from minibert.evaluation.minimal_pairs.figures import draw
from minibert.evaluation.minimal_pairs.measures import (
    PairScores,
    Preference,
    compare,
    gains,
    mean_preference,
    preferences,
    sentences_of,
)
from minibert.evaluation.minimal_pairs.notes import notes_on
from minibert.evaluation.minimal_pairs.sources import AGREEMENT, QUICK_PAIRS, load_data_sets
from minibert.evaluation.minimal_pairs.tables import paradigm_table, summary_table
from minibert.evaluation.pseudo_likelihood import Kind, pseudo_log_likelihoods
from minibert.files import replacing

MODEL = "model"
CONTROLS = {
    "untrained": "an untrained network of the same sizes", "length": "always the sentence of fewer word pieces",
    "unigram": "always the sentence of more frequent word pieces",
}  # fmt: skip
"""Beside chance, which is 0.5"""
SOURCES = (
    'Warstadt et al., "BLiMP: The Benchmark of Linguistic Minimal Pairs for English", TACL 2020',
    'Huebner et al., "BabyBERTa: Learning More Grammar With Small-Scale Child-Directed Language" (Zorro), CoNLL '
    "2021",
    'Salazar, Liang, Nguyen and Kirchhoff, "Masked Language Model Scoring", ACL 2020',
    'Kauf and Ivanova, "A Better Way to Do Masked Language Model Scoring", ACL 2023',
    'Linzen, Dupoux and Goldberg, "Assessing the Ability of LSTMs to Learn Syntax-Sensitive Dependencies", TACL '
    "2016",
)


def measure(subject: Subject, settings: MinimalPairsConfig) -> Findings:
    """How often the model, an untrained one, the shorter and the more frequent sentence are right.

    The accuracy of a data set is the mean over its paradigms; ``minimal_pairs/accuracy`` is the mean over the data
    sets. Raises :class:`Unavailable` where no data set can be had.
    """
    data_sets, missing = load_data_sets(subject, settings)
    notes = list(missing)
    found: dict[str, dict[str, list[Preference]]] = {}
    headlines = []
    for name, pairs in data_sets.items():
        scores, untrained = _score(subject, pairs, cast(Kind, settings.kind))
        longest = subject.model.config.max_length
        if not scores.pairs:
            notes.append(
                f"{name} is left out: every pair has a sentence longer than the model's {longest} positions."
            )
            continue
        found[name] = _preferences(scores, untrained)
        notes += notes_on(name, scores, untrained, longest)
        headlines.append(_headline(name, found[name], scores, untrained))
    if not found:
        raise Unavailable(" ".join(notes))
    overall = _overall(found)
    return Findings(
        _summary(overall, found),
        _metrics(overall, found),
        [summary_table(found, overall), *(paradigm_table(name, each) for name, each in found.items())],
        notes,
        {"data_sets": {name: _plain(each) for name, each in found.items()}},
        missing,
        headlines,
        {"pairs": min(settings.pairs or QUICK_PAIRS, QUICK_PAIRS)} if subject.quick else {},
    )


def conclude(by_step: Mapping[int, Findings]) -> Conclusion:
    """The accuracies of the last step, and over the steps where there are several."""
    found = {
        step: {
            name: {who: [Preference(**each) for each in own] for who, own in parts.items()}
            for name, parts in findings.values["data_sets"].items()
        }
        for step, findings in by_step.items()
    }
    return Conclusion(draw(found))


def _score(subject: Subject, pairs: Sequence[MinimalPair], kind: Kind) -> tuple[PairScores, np.ndarray]:
    """The differences within the pairs, and those under the untrained network, of the pairs that fit."""
    sentences = sentences_of(pairs)
    scores = pseudo_log_likelihoods(subject.model, subject.tokenizer, sentences, kind, subject.lanes)
    control = _untrained_likelihoods(subject, sentences, kind)
    changed = [score._replace(log_likelihood=float(each)) for score, each in zip(scores, control, strict=True)]
    return compare(pairs, scores, subject.unigram_counts), compare(pairs, changed).model


def _untrained_likelihoods(subject: Subject, sentences: Sequence[str], kind: Kind) -> np.ndarray:
    """(S,) nats. All checkpoints of a run share this control, so it is kept in the cache."""
    network = subject.untrained()
    key = hashlib.sha256(network.params.vector.tobytes())
    for text in (repr(network.config), subject.tokenizer.to_str(), kind, *sentences):
        key.update(hashlib.sha256(text.encode()).digest())
    file = subject.cache / "pseudo_log_likelihoods" / f"{key.hexdigest()}.npy"
    try:
        kept = np.load(file)
        if kept.shape == (len(sentences),):
            return kept
    except (OSError, ValueError, EOFError):  # not there, or damaged
        pass
    scores = pseudo_log_likelihoods(network, subject.tokenizer, sentences, kind, subject.lanes)
    likelihoods = np.array([score.log_likelihood for score in scores])
    # A cache that is full or cannot be written to costs time later, and not what was computed now.
    with suppress(OSError), replacing(file, durable=False) as temporary, temporary.open("wb") as opened:
        np.save(opened, likelihoods)
    return likelihoods


def _preferences(scores: PairScores, untrained: np.ndarray) -> dict[str, list[Preference]]:
    """Of the model and of every control that there is."""
    by_control = {"untrained": untrained, "length": scores.length, "unigram": scores.unigram}
    differences = {MODEL: scores.model, **by_control}
    return {who: preferences(scores.pairs, each) for who, each in differences.items() if each is not None}


def _headline(
    name: str, parts: Mapping[str, list[Preference]], scores: PairScores, untrained: np.ndarray
) -> Headline:
    """Of a data set. The model and a control are asked the same pairs: the interval is that of the difference."""
    whole = parts[MODEL][-1]
    names = {"untrained": UNTRAINED, "length": "fewer pieces", "unigram": "more frequent pieces"}
    differences = {"untrained": untrained, "length": scores.length, "unigram": scores.unigram}
    no_better = [
        names[who]
        for who, each in differences.items()
        if each is not None and gains(scores.pairs, scores.model, each)[-1].low <= 0
    ]
    controls: dict[str, float | None] = {names[who]: parts[who][-1].accuracy for who in names if who in parts}
    return headline(
        "agreement, from templates" if name == AGREEMENT else name,
        "accuracy",
        f"minimal_pairs/accuracy/{name}",
        (whole.accuracy, whole.low, whole.high),
        whole.pairs,
        "pairs",
        controls | {CHANCE: 0.5},
        [*no_better, *([CHANCE] if whole.low <= 0.5 else [])],
    )


def _overall(found: Mapping[str, Mapping[str, list[Preference]]]) -> dict[str, Preference]:
    """Of the model and every control: the mean over the data sets."""
    everybody = next(iter(found.values()))
    return {who: mean_preference("all", "all", [each[who][-1] for each in found.values()]) for who in everybody}


def _metrics(
    overall: Mapping[str, Preference], found: Mapping[str, Mapping[str, list[Preference]]]
) -> dict[str, float]:
    metrics = {}
    for who, whole in overall.items():
        quantity = "minimal_pairs/accuracy" if who == MODEL else f"minimal_pairs/{who}_accuracy"
        metrics[quantity] = whole.accuracy
        for name, each in found.items():
            metrics[f"{quantity}/{name}"] = each[who][-1].accuracy
            paradigms = [part for part in each[who] if part.level == "paradigm"]
            metrics |= {f"{quantity}/{name}/{metric_part(part.name)}": part.accuracy for part in paradigms}
    return metrics


def _summary(overall: Mapping[str, Preference], found: Mapping[str, Mapping[str, list[Preference]]]) -> str:
    whole = overall[MODEL]
    paradigms = sum(part.level == "paradigm" for each in found.values() for part in each[MODEL])
    controls = ", ".join(f"{CONTROLS[who]} {each.accuracy:.1%}" for who, each in overall.items() if who != MODEL)
    return (
        f"The grammatical sentence is preferred in {whole.accuracy:.1%} of the pairs (95 % interval "
        f"{whole.low:.1%} to {whole.high:.1%}; {whole.pairs:,} pairs of {paradigms} paradigms; "
        f"{', '.join(found)}). Controls: {controls}, chance 50 %."
    )


def _plain(parts: Mapping[str, list[Preference]]) -> dict[str, list[dict]]:
    return {who: [asdict(each) for each in own] for who, own in parts.items()}


INSTRUMENT = Instrument(
    "minimal_pairs",
    "Which of two sentences is preferred: the grammatical one, or the other?",
    measure,
    conclude,
    SOURCES,
)

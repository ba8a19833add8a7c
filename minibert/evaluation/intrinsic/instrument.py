"""The instrument ``intrinsic``: which words are predicted well, and how far the probabilities can be believed."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from minibert.config import EvaluationConfig
from minibert.config.evaluation import IntrinsicConfig
from minibert.data.baselines import log_unigram_frequencies
from minibert.data.batches import Batch, frozen_batches
from minibert.data.packing import Sequences, spread_evenly
from minibert.data.tokenizer import UNK
from minibert.data.vocabulary import describe_vocabulary
from minibert.errors import Unavailable
from minibert.evaluation.headlines import UNTRAINED, bounds, headline
from minibert.evaluation.instruments import Findings, Instrument, Subject, Table
from minibert.evaluation.intervals import half_width
from minibert.evaluation.intrinsic.calibration import calibrate
from minibert.evaluation.intrinsic.figures import conclude
from minibert.evaluation.intrinsic.guesses import examples
from minibert.evaluation.intrinsic.measures import (
    PIECES,
    Places,
    Predictions,
    by_band,
    frequency_bands,
    places,
    position_bands,
    predict,
)
from minibert.evaluation.intrinsic.tables import band_metrics, band_table, no_better, plain
from minibert.evaluation.untrained import of_untrained
from minibert.evaluation.whole_words import (
    unigram_surprisals,
    word_surprisals,
    words_at_random,
    words_begun,
    words_of,
)
from minibert.model.bert import MiniBERT
from minibert.model.ops import prediction_losses
from minibert.training.lanes import Lanes

FROZEN = EvaluationConfig()
"""Rate, masks and number of rows are the defaults of the evaluation during training, whatever a run has"""
QUICK_SEQUENCES = 64
WORD_SEQUENCES = 128
"""Held-out rows whose words are masked whole"""
SENTENCES, QUICK_SENTENCES = 500, 100
TOKENS_AT_ONCE = 4096
FREQUENCIES = "word frequencies"
"""The control that knows the frequencies of the training text"""


class HeldOut(NamedTuple):
    """Held-out text with the frozen masks, and what is predicted there."""

    sequences: Sequences
    batches: list[Batch]
    continues: np.ndarray
    """(V,) bool: tokens that continue a word"""
    places: Places
    model: Predictions
    untrained: np.ndarray
    """(P,) loss of each by the network before its first step"""
    unigram: np.ndarray | None
    """(P,) loss of each prediction by the word frequencies of the training text"""


def measure(subject: Subject, settings: IntrinsicConfig) -> Findings:
    """Loss and accuracy of masked tokens by kind, surprisal of whole words, calibration, and guesses to read.

    Raises :class:`minibert.errors.Unavailable` for a model without held-out text, if no treebank is given either,
    and for a treebank that cannot be had.
    """
    parts: list[Findings] = []
    # First, because a treebank that cannot be read is an error, and the rest takes longer.
    tagged = [] if settings.treebank is None else [_parts_of_speech(subject, settings.treebank)]
    if subject.held_out is not None:
        text = _predicted(subject, subject.held_out)
        parts += [
            _losses(text, subject.unigram_counts),
            _calibration(text, settings.bins),
            _whole_words(subject, text),
            _guesses(subject, text, settings.examples),
        ]
    elif settings.treebank is None:
        raise Unavailable(
            "The held-out text of this model is not known, so no token of it can be masked. Give a treebank: "
            "evaluation.intrinsic.treebank=ud_english_ewt, or the path of a CoNLL-U file."
        )
    sentences = {"sentences": QUICK_SENTENCES} if settings.treebank is not None else {}
    rows = {"held-out rows": QUICK_SEQUENCES} if subject.held_out is not None else {}
    used = Findings("", used=rows | sentences if subject.quick else {})
    return _together([*parts, *tagged, used])


def _predicted(subject: Subject, held_out: Sequences) -> HeldOut:
    size, counts = subject.model.config.vocab_size, subject.unigram_counts
    continues = describe_vocabulary(subject.tokenizer, np.zeros(size) if counts is None else counts).continues
    rows = QUICK_SEQUENCES if subject.quick else FROZEN.sequences
    at_once = max(TOKENS_AT_ONCE // held_out.input_ids.shape[1], 1)
    # As the evaluation of training has it, random replacements are tokens that the tokenizer has.
    known = subject.tokenizer.get_vocab_size()
    batches = frozen_batches(held_out, FROZEN.rate, rows, at_once, FROZEN.mask_seed, known)
    if not any(batch.predictions for batch in batches):
        raise Unavailable(
            f"The held-out text has too few tokens to mask {FROZEN.rate:.0%} of them. Give more text: a larger "
            "data.evaluation_fraction."
        )
    found = predict(subject.model, batches, subject.lanes)
    unigram = None if counts is None else -log_unigram_frequencies(counts)[found.labels]

    def losses(network: MiniBERT) -> np.ndarray:
        with Lanes(network, subject.lanes) as lanes:
            return np.concatenate(lanes.evaluate(batches, prediction_losses))

    before = of_untrained(subject, "losses of masked tokens", (rows, at_once), losses)
    return HeldOut(held_out, batches, continues, places(batches, continues), found, before, unigram)


def _losses(text: HeldOut, counts: np.ndarray | None) -> Findings:
    """The loss of all predictions, and by frequency, position and piece."""
    where, found = text.places, text.model
    kinds = {"all": (["all"], np.zeros(len(found), int))}
    if counts is not None:
        kinds["frequency"] = frequency_bands(counts[found.labels])
    kinds["position"] = position_bands(where.positions, text.sequences.input_ids.shape[1])
    kinds["piece"] = (list(PIECES), where.pieces)
    bands = {
        kind: by_band(names, own, where.sequences, found.losses, found.hits, text.unigram, text.untrained)
        for kind, (names, own) in kinds.items()
    }
    (whole,) = bands["all"]
    controls = [f"{whole.untrained:.2f} before training"]
    if counts is not None:
        controls.insert(0, f"{whole.unigram:.2f} by word frequencies alone")
    summary = (
        f"{whole.accuracy:.1%} of {len(found):,} masked tokens are predicted right, at a loss of {whole.loss:.2f} "
        f"nats (of the same tokens: {', '.join(controls)})."
    )
    tables = [band_table(kind, each) for kind, each in bands.items()]
    error = whole.error
    found_headline = headline(
        "masked tokens",
        "loss, nats a token",
        "intrinsic/loss/all",
        (whole.loss, whole.loss - error, whole.loss + error),
        len(found),
        "tokens",
        {UNTRAINED: whole.untrained, FREQUENCIES: whole.unigram},
        higher_is_better=False,
    )
    return Findings(
        summary, band_metrics(bands), tables, no_better(bands), plain(bands), headlines=[found_headline]
    )


def _calibration(text: HeldOut, bins: int) -> Findings:
    found = calibrate(text.model.confidence, text.model.hits, text.places.sequences, bins)
    error = found.equal_width.error
    over = found.mean_confidence - found.accuracy
    summary = (
        f"The probability of a guess differs by {100 * error:.1f} points from how often it is right, where "
        f"{100 * found.by_chance:.1f} points would be chance (expected calibration error)."
    )
    rows: list[list] = [
        ["mean probability of a guess", 100 * found.mean_confidence, None],
        ["guesses that are right", 100 * found.accuracy, None],
        ["calibration error, bins of equal width", 100 * error, bounds(100 * found.low, 100 * found.high)],
        ["calibration error, bins of equal mass", 100 * found.equal_mass.error, None],
        ["what a perfectly calibrated model would show by chance", 100 * found.by_chance, None],
    ]
    caption = (
        f"Of 100. The guess is the token of the highest probability. Guesses of the model are "
        f"{'too sure' if over > 0 else 'not sure enough'}, by {100 * abs(over):.1f} points. Expected calibration "
        f"error: the mean, over {bins} bins of guesses, of how far their probability is from how often they are "
        "right. It is never below 0: chance alone gives the value of the last row, in bins of equal width."
    )
    metrics = {
        "intrinsic/expected_calibration_error": error,
        "intrinsic/equal_mass_calibration_error": found.equal_mass.error,
        "intrinsic/calibration_error_by_chance": found.by_chance,
        "intrinsic/mean_confidence": found.mean_confidence,
    }
    # A bin without guesses has no accuracy, and JSON has no NaN.
    reliability = {name: np.nan_to_num(each).tolist() for name, each in asdict(found.equal_width).items()}
    interval = {"error": error, "low": found.low, "high": found.high, "by_chance": found.by_chance}
    table = Table("Calibration", caption, ["", "points", "95 % interval"], rows)
    return Findings(summary, metrics, [table], [], {"reliability": reliability | interval})


def _whole_words(subject: Subject, text: HeldOut) -> Findings:
    """The surprisal of whole words, which does not depend on how the vocabulary cuts them."""
    sequences, counts = text.sequences, subject.unigram_counts
    rows = QUICK_SEQUENCES if subject.quick else WORD_SEQUENCES
    words = words_at_random(words_of(sequences, text.continues), len(sequences), rows, FROZEN.rate)
    if not len(words):
        return Findings("", notes=["No word of the held-out text could be masked whole."])

    def surprisals(network: MiniBERT) -> np.ndarray:
        return word_surprisals(network, sequences, words, np.zeros(len(words), int), subject.lanes)

    nats = {"model": surprisals(subject.model)}
    if counts is not None:
        nats["unigram"] = unigram_surprisals(sequences, words, counts)
    nats["untrained"] = of_untrained(subject, "surprisals of whole words", rows, surprisals)
    means = [float(each.mean()) for each in nats.values()]
    table_rows: list[list] = [["nats a word", *means]]
    named = ["" if who == "model" else f"{who}_" for who in nats]
    metrics = {f"intrinsic/{who}nats_per_word": mean for who, mean in zip(named, means, strict=True)}
    begun, unknown = words_begun(sequences, text.continues), int((sequences.input_ids == UNK).sum())
    if subject.bits_of_a_nat is not None:
        bits = subject.bits_of_a_nat * begun / sequences.text_tokens
        table_rows.append(["bits a byte", *(mean * bits for mean in means)])
        metrics |= {f"intrinsic/{who}bits_per_byte": mean * bits for who, mean in zip(named, means, strict=True)}
    half = half_width(nats["model"], words.rows)
    by_name = dict(zip(nats, means, strict=True))
    found = headline(
        "whole words",
        "loss, nats a word",
        "intrinsic/nats_per_word",
        (means[0], means[0] - half, means[0] + half),
        len(words),
        "words",
        {UNTRAINED: by_name["untrained"], FREQUENCIES: by_name.get("unigram")},
        higher_is_better=False,
    )
    caption = (
        f"{len(words):,} words of the held-out text, {FROZEN.rate:.0%} of a row at the same time, with all pieces "
        "masked and then uncovered one after the other, so that vocabularies of other sizes compare. Word "
        "frequencies: of these words, the sum over their pieces, by how often each is in the training text. 95 % "
        f"interval of the model: ± {half:.2f} nats a word."
    )
    summary = f"A whole word takes {means[0]:.2f} nats."
    notes = [f"{unknown / begun:.2%} of the held-out words are [UNK] and were left out."] if unknown else []
    shown = [FREQUENCIES if who == "unigram" else who for who in nats]
    table = Table("Whole words", caption, ["", *shown], table_rows)
    return Findings(summary, metrics, [table], notes, headlines=[found])


def _guesses(subject: Subject, text: HeldOut, count: int) -> Findings:
    found = examples(subject.model, subject.tokenizer, text.batches, count, subject.lanes)
    if not found:
        return Findings("")
    rows: list[list] = [
        [
            f"{each.before} [?] {each.after}",
            each.truth,
            round(each.probability, 3),
            " · ".join(f"{token} {probability:.2f}" for token, probability in each.guesses),
        ]
        for each in found
    ]
    caption = "[?] is the token that is guessed. Other masks and replaced tokens are shown as the model sees them."
    return Findings("", tables=[Table("Guesses", caption, ["text", "truth", "its probability", "guesses"], rows)])


def _parts_of_speech(subject: Subject, treebank: str) -> Findings:
    from minibert.evaluation.intrinsic.parts_of_speech import loss_by_part_of_speech  # here: few ask for it
    from minibert.evaluation.treebank import treebank_sentences

    try:
        sentences = treebank_sentences(treebank, subject)
    except Unavailable as error:
        if subject.held_out is None:
            raise
        return Findings("", notes=[f"Parts of speech are left out. {error}"], missing=[str(error)])
    most = QUICK_SENTENCES if subject.quick else SENTENCES
    kept = [sentences[place] for place in spread_evenly(len(sentences), most)]
    found, notes = loss_by_part_of_speech(
        subject.model,
        lambda surprisals: of_untrained(subject, "surprisals by part of speech", kept, surprisals),
        subject.tokenizer,
        kept,
        subject.unigram_counts,
        subject.lanes,
    )
    if len(kept) < len(sentences):
        notes.append(f"Parts of speech: {len(kept):,} of {len(sentences):,} sentences, spread evenly over all.")
    bands = {"part_of_speech": found}
    best, worst = (min(found, key=lambda band, sign=sign: sign * band.loss).name for sign in (1, -1))
    summary = f"Of the parts of speech of {treebank}, {best} is predicted best and {worst} worst."
    table = band_table("part_of_speech", found)
    return Findings(summary, band_metrics(bands), [table], notes + no_better(bands), plain(bands))


def _together(parts: Iterable[Findings]) -> Findings:
    found = Findings("")
    for part in parts:
        summary = f"{found.summary} {part.summary}".strip()
        found = Findings(
            summary,
            found.metrics | part.metrics,
            found.tables + part.tables,
            found.notes + part.notes,
            found.values | part.values,
            found.missing + part.missing,
            found.headlines + part.headlines,
            found.used | part.used,
        )
    return found


INSTRUMENT = Instrument(
    "intrinsic",
    "Which words are predicted well, and how far can the probabilities be believed?",
    measure,
    conclude,
    (
        "Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017",
        "Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015",
        "Kauf and Ivanova, A Better Way to Do Masked Language Model Scoring, ACL 2023",
    ),
)

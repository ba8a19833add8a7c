"""The instrument ``word_learning``: when in training each word is learnt."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from minibert.config.evaluation import WordLearningConfig
from minibert.data.vocabulary import describe_vocabulary
from minibert.errors import Unavailable
from minibert.evaluation.headlines import headline
from minibert.evaluation.instruments import Conclusion, Findings, Instrument, Subject, Table
from minibert.evaluation.intervals import half_width, rank_correlation
from minibert.evaluation.whole_words import Words, unigram_surprisals, word_surprisals
from minibert.evaluation.word_learning.contexts import Followed, follow_words
from minibert.evaluation.word_learning.curves import Acquisition, Curve, acquisition, fit_curve

QUICK_WORDS, QUICK_CONTEXTS = 20, 8
LEAST_STEPS = 4
"""A sigmoid has four parameters"""
BASELINES = {"chance": "", "unigram": "_above_unigram"}
"""What a word's surprisal is before it is learnt -> ending of the metrics"""
CONTROLS = {"chance": "chance", "unigram": "word frequencies"}
"""Baseline -> what it is called beside the model"""
MEANINGS = {
    "chance": "from random chance, log V a piece (Chang and Bergen)",
    "unigram": "from the frequency of its pieces: learnt from the context",
}


@dataclass(frozen=True)
class LearntWord:
    """A word over all steps, and when it was learnt, by each baseline."""

    word: str
    frequency: float
    steps: list[int]
    surprisals: list[float]
    """Nats, at each step"""
    baselines: dict[str, float]
    """Name of :data:`BASELINES` -> surprisal, in nats"""
    curve: Curve | None
    ages: dict[str, Acquisition]


def measure(subject: Subject, settings: WordLearningConfig) -> Findings:
    """The mean surprisal of each word over its held-out contexts, each masked alone and whole.

    Raises :class:`minibert.errors.Unavailable` for a model whose held-out text is not known, and where that text
    has none of the words.
    """
    text = subject.held_out
    if text is None:
        raise Unavailable(
            "The held-out text of this model is not known, so its words have no contexts. Evaluate a recorded run "
            "instead of a folder."
        )
    size, counts = subject.model.config.vocab_size, subject.unigram_counts
    continues = describe_vocabulary(subject.tokenizer, np.zeros(size) if counts is None else counts).continues
    most = min(settings.contexts, QUICK_CONTEXTS) if subject.quick else settings.contexts
    count = min(settings.count, QUICK_WORDS) if subject.quick else settings.count
    followed, notes = follow_words(subject.tokenizer, text, continues, settings.words, count, most)
    if not followed:
        raise Unavailable(f"The held-out text has no word to follow. {' '.join(notes)}")
    places = [each.contexts for each in followed]
    words = Words.joined(places)
    surprisals = word_surprisals(subject.model, text, words, lanes=subject.lanes)
    unigram = None if counts is None else unigram_surprisals(text, words, counts)
    ends = np.cumsum([len(each) for each in places])
    rows = []
    for each, stop in zip(followed, ends, strict=True):
        own = slice(int(stop) - len(each.contexts), int(stop))
        rows.append(_row(each, surprisals[own], None if unigram is None else float(unigram[own][0]), np.log(size)))
    found = _findings(rows, notes, unigram is not None)
    return replace(found, used={"count": count, "contexts": most}) if subject.quick else found


def _row(followed: Followed, surprisals: np.ndarray, unigram: float | None, nats_of_a_piece: float) -> dict:
    pieces = int(followed.contexts.pieces[0])
    baselines = {"chance": float(pieces * nats_of_a_piece)}
    if unigram is not None:
        baselines["unigram"] = unigram
    error = half_width(surprisals, followed.contexts.rows)
    return {
        "word": followed.word,
        "pieces": pieces,
        "count": followed.count,
        "frequency": followed.frequency,
        "contexts": len(surprisals),
        "surprisal": float(surprisals.mean()),
        "error": 0.0 if np.isnan(error) else error,
        "baselines": baselines,
    }


def _findings(rows: list[dict], notes: list[str], has_unigram: bool) -> Findings:
    mean = float(np.mean([row["surprisal"] for row in rows]))
    means = {name: float(np.mean([row["baselines"][name] for row in rows])) for name in rows[0]["baselines"]}
    known = [row for row in rows if row["surprisal"] < row["baselines"]["unigram" if has_unigram else "chance"]]
    baseline = "the surprisal of their frequency" if has_unigram else "random chance"
    summary = (
        f"The {len(rows)} words take {mean:.2f} nats ({mean / np.log(2):.2f} bits) on average in their contexts ("
        f"{', '.join(f'{value:.2f} by {CONTROLS[name]}' for name, value in means.items())}); "
        f"{len(known)} of them are below {baseline}."
    )
    called = [CONTROLS[name] for name in means]
    columns = ["word", "pieces", "occurrences", "contexts", "nats", "±", "bits", *called]
    table = Table(
        "Surprisal of words",
        "Mean over held-out contexts, with the whole word masked. ±: half the 95 % interval over rows of text, in "
        "nats. Chance: log V a piece. Word frequencies: by how often its pieces are in the training text.",
        columns,
        [
            [
                row["word"], row["pieces"], row["count"], row["contexts"], row["surprisal"], row["error"],
                float(row["surprisal"] / np.log(2)), *row["baselines"].values(),
            ]
            for row in rows
        ],
    )  # fmt: skip
    metrics = {"word_learning/mean_surprisal": mean}
    metrics |= {f"word_learning/{name}_mean_surprisal": value for name, value in means.items()}
    half = float(np.sqrt(np.sum(np.square([row["error"] for row in rows]))) / len(rows))
    found = headline(
        "words followed",
        "surprisal, nats a word",
        "word_learning/mean_surprisal",
        (mean, mean - half, mean + half),
        len(rows),
        "words",
        {CONTROLS[name]: value for name, value in means.items()},
        higher_is_better=False,
    )
    return Findings(summary, metrics, [table], notes, {"words": rows}, headlines=[found])


def conclude(by_step: Mapping[int, Findings]) -> Conclusion:
    """The learning curve and the age of acquisition of each word, and what goes with the age."""
    from minibert.evaluation.word_learning.figures import draw_ages, draw_curves

    steps = sorted(by_step)
    if len(steps) < LEAST_STEPS:
        return Conclusion(
            notes=[
                f"No learning curves: {len(steps)} checkpoints were asked, and a sigmoid needs at least "
                f"{LEAST_STEPS}. Train with a higher training.checkpoints_per_doubling or a lower "
                "training.checkpoint_every, which keep more of them, and ask all: evaluation.steps=all."
            ]
        )
    learnt = learn(by_step)
    if not learnt:
        return Conclusion(notes=["No learning curves: no word was followed at all of the steps."])
    metrics: dict[str, float] = {}
    rows: list[list[str | float | int | None]] = []
    notes: list[str] = []
    for baseline in learnt[0].baselines:
        found, row, note = _ages(learnt, baseline)
        metrics |= found
        rows.append(row)
        notes += note
    columns = [
        "baseline", "learnt", "known from the start", "not learnt", "no fit", "median age, steps",
        "correlation with log frequency", "its interval", "with length", "its interval",
    ]  # fmt: skip
    caption = (
        "A word is learnt at the step where the sigmoid through its surprisals is half-way between the baseline "
        "and its lowest surprisal, and not learnt where its surprisal never falls ln 2 below the baseline. The "
        "median is over words learnt and words known from the first checkpoint, whose age is that checkpoint. "
        "Correlations are Spearman's, with 95 % intervals over words; of fewer than four words there are none."
    )
    figures = {"learning_curves": draw_curves(learnt)}
    if any(age.step is not None for word in learnt for age in word.ages.values()):
        figures["age_of_acquisition"] = draw_ages(learnt)
    tables = [Table("Age of acquisition", caption, columns, rows), _word_table(learnt)]
    return Conclusion(figures, metrics, tables, notes)


def learn(by_step: Mapping[int, Findings]) -> list[LearntWord]:
    """The words that were followed at every step, in the order of the last, with their fits and ages."""
    steps = sorted(by_step)
    rows = [{row["word"]: row for row in by_step[step].values.get("words", [])} for step in steps]
    found = []
    for word, last in rows[-1].items():
        if not all(word in each for each in rows):
            continue
        surprisals = [each[word]["surprisal"] for each in rows]
        curve = fit_curve(steps, surprisals)
        ages = {
            name: acquisition(steps, surprisals, curve, baseline) for name, baseline in last["baselines"].items()
        }
        found.append(LearntWord(word, last["frequency"], steps, surprisals, last["baselines"], curve, ages))
    return found


def _ages(learnt: list[LearntWord], baseline: str) -> tuple[dict[str, float], list, list[str]]:
    """Metrics, the row of the table, and notes of one baseline."""
    ages = [word.ages[baseline] for word in learnt]
    states = [age.state for age in ages]
    aged = [(word, age.step) for word, age in zip(learnt, ages, strict=True) if age.step is not None]
    ending = BASELINES[baseline]
    metrics = {f"word_learning/learnt_share{ending}": len(aged) / len(learnt)}
    row: list[str | float | int | None] = [MEANINGS[baseline]]
    row += [states.count(state) for state in ("learnt", "known from the start", "not learnt", "no fit")]
    if not aged:
        return metrics, [*row, *[None] * 5], [f"No word is learnt, {MEANINGS[baseline]}."]
    steps = np.array([step for _, step in aged])
    metrics[f"word_learning/median_age{ending}"] = float(np.median(steps))
    row.append(float(np.median(steps)))
    lengths = [len(word.word) for word, _ in aged]
    for name, values in (("frequency", [np.log(word.frequency) for word, _ in aged]), ("length", lengths)):
        correlation, low, high = rank_correlation(steps, np.array(values))
        if np.isnan(correlation):
            row += [None, None]
            continue
        metrics[f"word_learning/age_{name}_correlation{ending}"] = correlation
        row += [correlation, f"{low:.2f} to {high:.2f}"]
    notes = []
    early = states.count("known from the start")
    if early >= len(learnt) / 2:
        notes.append(
            f"{early} of {len(learnt)} words are known at the first checkpoint, {MEANINGS[baseline]}: their ages "
            "cannot be told apart."
        )
    return metrics, row, notes


def _word_table(learnt: list[LearntWord]) -> Table:
    names = list(learnt[0].baselines)
    columns = ["word", "per million words", "first, nats", "last, nats", *(f"age, {name}" for name in names)]
    rows: list[list[str | float | int | None]] = []
    for word in learnt:
        ages = [word.ages[name] for name in names]
        shown = [age.state if age.step is None else age.step for age in ages]
        rows.append([word.word, 1e6 * word.frequency, word.surprisals[0], word.surprisals[-1], *shown])
    caption = "First and last: mean surprisal at the first and at the last checkpoint. Age: in optimizer steps."
    return Table("Words", caption, columns, rows)


INSTRUMENT = Instrument(
    "word_learning",
    "When in training is each word learnt?",
    measure,
    conclude,
    ("Chang and Bergen, Word Acquisition in Neural Language Models, TACL 2022",),
)

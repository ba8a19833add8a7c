"""Names and units of the recorded numbers, and whether higher or lower is better."""

import math
from dataclasses import dataclass

from minibert.config.evaluation import INSTRUMENTS


@dataclass(frozen=True)
class Quantity:
    title: str
    unit: str = ""
    decimals: int = 3
    """Below 0, it is rounded to tens, hundreds and so on"""
    higher_is_better: bool | None = False
    """None for a quantity that describes a run and is not a score"""
    logarithmic: bool = False
    """Positive, over decades: statistics are of its log₁₀, so that means are geometric and differences ratios"""
    least: float = -math.inf
    most: float = math.inf
    """The smallest and the largest possible value: intervals end there"""
    scientific: bool = False
    """Shown as ``2.71e12``, to ``decimals`` places"""
    meaning: str = ""
    """What it is, for readers who do not know it"""

    @property
    def axis_label(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def scale(self, value: float) -> float:
        """The number that statistics use: the value itself or its log₁₀; NaN if it has no logarithm."""
        if not self.logarithmic:
            return value
        return math.log10(value) if value > 0 else math.nan

    def unscale(self, value):
        """The value, or array of values, that :meth:`scale` gives this number for."""
        return 10.0**value if self.logarithmic else value

    def ends(self, low: float, high: float) -> tuple[float, float]:
        """An interval on the scale of :meth:`scale`, cut to the values that are possible."""
        least, most = (-math.inf, math.inf) if self.logarithmic else (self.least, self.most)
        return min(max(low, least), most), min(max(high, least), most)

    def show(self, value: float, sign: bool = False) -> str:
        """A number on the scale of :meth:`scale` as text for tables and sentences, without its unit.

        With ``sign`` it is a difference: ``+0.120``, or ``×1.32``. ``–`` where there is none.
        """
        if value != value:
            return "–"
        if self.logarithmic and sign:
            return f"×{self.unscale(value):.2f}"
        if self.logarithmic:
            return self._with_exponent(self.unscale(value))
        if self.scientific:
            return ("+" if sign and value >= 0 else "") + self._with_exponent(value).replace("-", "−", value < 0)
        decimals = max(self.decimals, 0)
        text = f"{round(value, self.decimals):{'+' if sign else ''},.{decimals}f}"
        return text.replace("-", "−")

    def _with_exponent(self, value: float) -> str:
        mantissa, exponent = f"{value:.{self.decimals}e}".split("e")
        return f"{mantissa}e{int(exponent)}"  # as a command line takes it


def rate(title: str) -> Quantity:
    """A learning rate: a pure number. Neither a high nor a low one is better."""
    return Quantity(title, decimals=2, higher_is_better=None, logarithmic=True)


QUANTITIES = {
    "train/loss": Quantity(
        "training loss",
        "nats per predicted token",
        least=0,
        meaning="the mean −ln probability (nats) of the tokens that are predicted in training",
    ),
    "eval/loss": Quantity(
        "held-out loss",
        "nats per masked token",
        least=0,
        meaning="the mean −ln probability (nats) of masked tokens in text that no run trains on",
    ),
    "eval/bits_per_byte": Quantity(
        "held-out loss per byte",
        "bits per byte",
        least=0,
        meaning="the mean −log₂ probability of masked tokens in text that no run trains on, by their bytes",
    ),
    "eval/nats_below_unigram": Quantity(
        "lead over the unigram entropy",
        "nats",
        higher_is_better=True,
        meaning="how far the held-out loss is below the unigram entropy; below 0, the loss is above it",
    ),
    "eval/nats_below_bigram": Quantity(
        "lead over the bigram model",
        "nats",
        higher_is_better=True,
        meaning="how far the held-out loss is below that of a bigram model; below 0, the loss is above it",
    ),
    "eval/masked_accuracy": Quantity(
        "masked accuracy",
        higher_is_better=True,
        least=0,
        most=1,
        meaning="the share of masked tokens, in text that no run trains on, whose likeliest guess is right",
    ),
    "eval/perplexity": Quantity("held-out perplexity", decimals=1, least=1),
    "train/tokens_per_second": Quantity("training speed", "tokens/s", decimals=0, higher_is_better=True, least=0),
    "inside/attention_rank": Quantity("effective rank of attention matrices", "", 1, None, least=1),
    "inside/feed_forward_rank": Quantity("effective rank of feed-forward matrices", "", 1, None, least=1),
    "inside/attention_entropy": Quantity("attention entropy", "nats", 3, None, least=0),
    "effective_rank/embeddings.token.weight": Quantity("effective rank of token embeddings", "", 1, None, least=1),
    "landscape/random/width": Quantity("width along a random direction", "", 3, None, least=0),
    "landscape/random/curvature": Quantity("curvature along a random direction", "nats", 1, None),
    "landscape/update/width": Quantity("width along the last update", "", 3, None, least=0),
    "landscape/update/curvature": Quantity("curvature along the last update", "nats", 1, None),
    "lr_range/suggested_rate": rate("suggested learning rate"),
    "lr_range/lowest_loss_rate": rate("learning rate of the lowest loss"),
    "lr_range/divergence_rate": rate("learning rate of divergence"),
    "lr_range/steepest_rate": rate("learning rate of steepest descent"),
    "lr_range/learning_decades": Quantity(
        "width of the range of learning", "decades", 2, higher_is_better=None, least=0
    ),
    "lr_range/smoothed_loss": Quantity("training loss, smoothed", "nats per predicted token", least=0),
}

AXES = {
    "step": Quantity("optimizer steps", decimals=0, least=0),
    "tokens_seen": Quantity("tokens seen", decimals=0, least=0),
    "tokens_predicted": Quantity("tokens predicted", decimals=0, least=0),
    "seconds": Quantity("training time", "s", decimals=1, least=0),
    "flops": Quantity("floating-point operations", decimals=2, least=0, scientific=True),
}
"""What a curve can be drawn against; all but ``step`` are metrics recorded beside the evaluations."""


SCORES = (
    "accuracy", "selectivity", "spearman", "precision_at_1", "precision_at_10", "mean_reciprocal_rank",
    "learnt_share", "learnt_share_above_unigram", "macro_f1", "analogy_accuracy_in_context",
)  # fmt: skip
"""What an instrument calls a score of which more is better, at most 1"""
LOSSES = {
    "loss": "nats a token", "loss_intact": "nats a token", "nats_per_word": "nats a word",
    "bits_per_byte": "bits per byte", "mean_surprisal": "nats a word", "calibration_error": "",
    "code_length": "bits an example", "forgetting": "", "half_gain_step": "steps", "median_age": "steps",
    "median_age_above_unigram": "steps",
}  # fmt: skip
"""What an instrument measures of which less is better -> its unit"""


def quantity(metric: str) -> Quantity:
    """The description of a metric. Without one, its title is its name, and lower counts as better.

    Instruments name what they measure ``<instrument>/<quantity>[/<part>]``. A quantity that is, or ends in, one of
    :data:`SCORES` is better the higher it is, one of :data:`LOSSES` the lower; the others describe a model.
    """
    return QUANTITIES.get(metric) or AXES.get(metric) or _of_an_instrument(metric) or Quantity(metric)


def _of_an_instrument(metric: str) -> Quantity | None:
    room, _, rest = metric.partition("/")
    measured, *parts = rest.split("/")
    if room not in INSTRUMENTS:
        return None
    title = " ".join([room, measured, *([f"({', '.join(parts)})"] if parts else [])]).replace("_", " ")
    if measured.endswith(SCORES):
        signed = measured.endswith(("selectivity", "spearman"))
        return Quantity(title, higher_is_better=True, least=-1 if signed else 0, most=1)
    if measured.endswith("compression"):
        return Quantity(title, higher_is_better=True, least=0)
    for name, unit in LOSSES.items():
        if measured == name or measured.endswith(f"_{name}"):
            return Quantity(title, unit, least=-math.inf if name == "forgetting" else 0)
    return Quantity(title, higher_is_better=None)

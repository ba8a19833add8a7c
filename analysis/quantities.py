"""What the recorded numbers are called and measured in, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    title: str
    unit: str = ""
    decimals: int = 3
    higher_is_better: bool = False

    @property
    def axis_label(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def show(self, value: float, sign: bool = False) -> str:
        """The number as tables and sentences have it, without its unit; ``–`` where there is none."""
        if value != value:
            return "–"
        text = f"{value:{'+' if sign else ''},.{self.decimals}f}"
        return text.replace("-", "−")


QUANTITIES = {
    "eval/loss": Quantity("held-out loss", "nats per masked token"),
    "eval/nats_below_unigram": Quantity("below the unigram entropy", "nats", higher_is_better=True),
    "eval/masked_accuracy": Quantity("masked accuracy", higher_is_better=True),
    "eval/perplexity": Quantity("held-out perplexity", decimals=1),
    "train/tokens_per_second": Quantity("training speed", "tokens/s", decimals=0, higher_is_better=True),
}

AXES = {
    "step": Quantity("optimizer steps", decimals=0),
    "tokens_seen": Quantity("tokens seen", decimals=0),
    "tokens_predicted": Quantity("tokens predicted", decimals=0),
    "seconds": Quantity("training time", "s", decimals=1),
}
"""What a curve can be drawn against; all but ``step`` are metrics recorded beside the evaluations."""


def quantity(metric: str) -> Quantity:
    """The description of a metric; one that has none is called by its name, and lower counts as better."""
    return QUANTITIES.get(metric) or AXES.get(metric) or Quantity(metric)

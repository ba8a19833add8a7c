"""What ``python -m tests.benchmarks.candidates`` compares: the default, and the default with one thing changed.

All are tuned alike: every optimizer at five learning rates, every other candidate at three, each twice the one
before. The middle one is the default's; other optimizers have one of their own, which stands behind their name.
"""

from dataclasses import dataclass

OPTIMIZERS = (0.25, 0.5, 1, 2, 4)
INGREDIENTS = (0.5, 1, 2)
"""Times the middle learning rate"""


@dataclass(frozen=True)
class Candidate:
    words: tuple[str, ...]
    """What changes the default"""
    factors: tuple[float, ...] = INGREDIENTS
    """Times the learning rate of these words, all that it is trained at"""
    same_step: bool = False
    """Whether a step computes what one of the default does, with other numbers: its cost is not measured"""

    def at(self, factor: float) -> tuple[str, ...]:
        return (*self.words, f"optimizer.rate_factor={factor:g}")


def optimizer(name: str, middle: float) -> Candidate:
    return Candidate((f"optimizer={name}", f"optimizer.learning_rate={middle:g}"), OPTIMIZERS)


DEFAULT = "the default"
CANDIDATES = {
    DEFAULT: Candidate((), OPTIMIZERS),
    "AdamW (6e-3)": optimizer("adamw", 6e-3),
    "Lion (1.2e-3)": optimizer("lion", 1.2e-3),
    "LAMB (30e-3)": optimizer("lamb", 30e-3),
    "Adafactor (60e-3)": optimizer("adafactor", 60e-3),
    "SGD with momentum (0.4)": optimizer("sgd", 0.4),
    "Lookahead over Muon": Candidate(("optimizer=lookahead", "optimizer/inner=muon"), OPTIMIZERS),
    "relative vectors": Candidate(("position=relative",)),
    "relative biases": Candidate(("position=relative_bias",)),
    "ALiBi": Candidate(("position=alibi",)),
    "sinusoidal positions": Candidate(("position=sinusoidal",)),
    "whole words masked": Candidate(("masking=whole_word",)),
    "spans masked": Candidate(("masking=span",)),
    "only [MASK], no 10/10": Candidate(("masking.mask=1", "masking.random=0")),
    "15 % masked": Candidate(("masking.rate=0.15",)),
    "40 % masked": Candidate(("masking.rate=0.4",)),
    "cosine schedule": Candidate(("schedule=cosine",), same_step=True),
    "warm-up twice as long": Candidate(("schedule.warmup=0.2",), same_step=True),
    "gated attention": Candidate(("attention=gated",)),
    "queries and keys normalised": Candidate(("model.qk_norm=true",)),
    "SwiGLU": Candidate(("feed_forward=swiglu",)),
    "ReLU": Candidate(("feed_forward=relu",)),
    "norms after each sum": Candidate(("norm=post",)),
    "RMS norms": Candidate(("norm=pre_rms",)),
    "one layer of 96": Candidate(("model.hidden_size=96", "model.feed_forward_size=384")),
    "one layer of 192": Candidate(("model.hidden_size=192", "model.feed_forward_size=768")),
    "two layers of 128": Candidate(("model.layers=2",)),
    "two layers of 96": Candidate(("model.layers=2", "model.hidden_size=96", "model.feed_forward_size=384")),
    "32 rows": Candidate(("training.batch_size=32",)),
    "128 rows": Candidate(("training.batch_size=128",)),
    "short rows of 16 for half of the steps": Candidate(("curriculum=short_rows",)),
    "short rows of 8": Candidate(("curriculum=short_rows", "curriculum.sequence_length=8")),
    "rows of one document, padded": Candidate(("data.packed=false",)),
    "a vocabulary of 4,096": Candidate(("model.vocab_size=4096",)),
    "a vocabulary of 16,384": Candidate(("model.vocab_size=16384",)),
    "a head of its own": Candidate(("model.tie_word_embeddings=false",)),
    "weight decay of 0.1": Candidate(("optimizer.weight_decay=0.1",), same_step=True),
    "the mean of the last tenth of the weights": Candidate(("averaging=last",)),
    "the exponential mean of the weights": Candidate(("averaging=ema",)),
    "Xavier's initial weights": Candidate(("init=xavier",), same_step=True),
    "the default, seed 1": Candidate(("seed=1",), (1,), same_step=True),
}

"""The oldest test of a network that trains: it must be able to learn one small batch by heart."""

from dataclasses import replace

import numpy as np
import pytest

from minibert.config import AdamWConfig, Config, ModelConfig, RopeConfig
from minibert.config.averaging import AVERAGINGS
from minibert.config.data import TASKS
from minibert.config.optimizers import CLIPPINGS, LAYER_RATES, OPTIMIZERS, LookaheadConfig, RatioRatesConfig
from minibert.config.positions import POSITIONS
from minibert.config.training import ScheduleConfig
from minibert.data.batches import Batch, Questions
from minibert.model.bert import MiniBERT
from minibert.model.feed_forward import GATED
from minibert.model.initializers import INITIALIZERS
from minibert.model.ops import ACTIVATIONS
from minibert.training.trainer import Trainer

BY_HEART = 0.1
"""Nats a prediction"""
STEPS = 300
MASKS = {"none": 1, "alibi": 1}
"""Masked tokens a sequence where a position scheme hardly tells masked positions apart; elsewhere three"""
MODEL = ModelConfig(
    vocab_size=40, hidden_size=32, layers=2, heads=2, feed_forward_size=64, max_length=12,
    dropout=0.0, attention_dropout=0.0,
)  # fmt: skip
LONGER = {"relative": {"distance": 4}, "relative_bias": {"buckets": 16, "farthest": 12}}
"""Position scheme -> settings that reach over twelve tokens; others have their defaults"""
RATES = {
    "adamw": 5e-3, "lion": 1e-3, "sgd": 0.3, "lamb": 2e-2, "adafactor": 3e-2, "muon": 5e-3, "lookahead": 1e-2,
}  # fmt: skip


class TheSameBatch:
    """Four sequences of twelve random tokens, with some of them masked."""

    def __init__(self, masks: int = 3, tasks: tuple[str, ...] = ()):
        random = np.random.default_rng(0)
        original = random.integers(5, 40, (4, 12)).astype("int32")
        masked = np.zeros(original.shape, bool)
        for row in masked:
            row[random.permutation(12)[:masks]] = True
        ids, labels = np.where(masked, 4, original), np.where(masked, original, -100)
        questions = {}
        for task in tasks:
            asked = np.full(original.shape, -100, "int32")
            if task in ("nsp", "sop"):
                asked[:, 0] = [0, 1, 1, 0]
            else:
                asked[:, 1:] = random.integers(0, 2, (4, 11))
            questions[task] = Questions(asked, 1.0)
        self.batch = Batch(ids, labels, None, ids.size, int(masked.sum()), auxiliary=questions)

    def at(self, step):
        return self.batch


def model(**fields):
    return {"model": replace(MODEL, **fields)}


def others(group, options):
    """The options of a group but for the default, with their schemas."""
    return [(name, schema) for name, schema in options.items() if name != getattr(Config(), group).name]


VARIANTS = {
    "defaults": {},
    **{name: model(position=schema(name, **LONGER.get(name, {}))) for name, schema in POSITIONS.items()},
    "gated": model(attention="gated"),
    "qk_norm": model(qk_norm=True),
    **{name: model(activation=name) for name in (*ACTIVATIONS, *GATED) if name not in ("silu", MODEL.activation)},
    "post": model(norm="post"),
    "pre_rms": model(norm_kind="rms_norm"),
    "pre_embeddings": model(embedding_norm=True, first_attention_norm=False),
    "biases_none": model(
        attention_bias=False, feed_forward_bias=False, norm_bias=False, head_bias=False, decoder_bias=False
    ),
    "untied": model(tie_word_embeddings=False),
    "local": model(attention_window=4, global_every=2, position=RopeConfig(local_base=100.0)),
    "post_rms": model(norm="post", norm_kind="rms_norm"),
    **{name: model(init=name) for name in INITIALIZERS if name != MODEL.init},
    **{
        name: {"optimizer": schema(name, learning_rate=RATES.get(name, schema().learning_rate))}
        for name, schema in OPTIMIZERS.items()
        if name != "lookahead"
    },
    "lookahead": {
        "optimizer": LookaheadConfig(
            inner=AdamWConfig(learning_rate=RATES["lookahead"]), learning_rate=RATES["lookahead"]
        )
    },
    **{f"clipping {name}": {"clipping": schema(name)} for name, schema in others("clipping", CLIPPINGS)},
    **{f"averaging {name}": {"averaging": schema(name)} for name, schema in others("averaging", AVERAGINGS)},
    **{f"rates {name}": {"layer_rates": schema(name)} for name, schema in others("layer_rates", LAYER_RATES)},
    "rates ratio": {"layer_rates": RatioRatesConfig(), "optimizer": AdamWConfig(learning_rate=1e-3)},
    **{name: model(auxiliary_heads=[name]) for name in TASKS},
}  # fmt: skip


@pytest.mark.parametrize("groups", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_learns_one_batch_by_heart(groups):
    groups = {"model": MODEL, "optimizer": AdamWConfig(learning_rate=5e-3)} | groups
    config = Config(**groups, schedule=ScheduleConfig("constant", warmup=0.05))
    config.training.lanes, config.training.steps = 1, STEPS
    masks = MASKS.get(groups["model"].position.name, 3)
    batches = TheSameBatch(masks, tuple(groups["model"].auxiliary_heads))
    losses = []
    with Trainer(MiniBERT(config.model, seed=1), batches, config) as trainer:
        while not trainer.finished and (not losses or losses[-1] >= BY_HEART):
            losses.append(trainer.step().loss)
    assert losses[0] > 3
    assert losses[-1] < BY_HEART, f"still at {losses[-1]:.3f} after {len(losses)} steps"

"""Values against what their fields allow, and against each other."""

import math
from dataclasses import fields, is_dataclass

from minibert.config.data import AdaptiveMaskingConfig, ChangingMaskingConfig
from minibert.config.model import POSITIONS, ModelConfig
from minibert.config.optimizers import LookaheadConfig
from minibert.config.run import Config
from minibert.errors import MinibertError, nearest

LARGEST = 1e12
"""Of numbers that have no upper bound of their own"""
SMALLEST = 1e-37
"""Of numbers above zero: float32 begins at 1.2e-38"""
MOST_CHECKPOINTS = 100_000
"""That a run may keep"""


def validate(config, prefix: str = "") -> None:
    """Check every field against its bounds and choices, then the fields against each other."""
    problems = list(_field_problems(config, prefix))
    if not problems:
        problems = list(_combination_problems(config))
    if problems:
        raise MinibertError("\n".join(problems))


def _field_problems(config, prefix: str):
    comparisons = {
        "at_least": (lambda value, bound: value >= bound, "at least"),
        "above": (lambda value, bound: value > bound, "above"),
        "at_most": (lambda value, bound: value <= bound, "at most"),
        "below": (lambda value, bound: value < bound, "below"),
    }
    for item in fields(config):
        value, key = getattr(config, item.name), prefix + item.name
        if is_dataclass(value):
            yield from _field_problems(value, key + ".")
            continue
        if value is None:
            continue
        if isinstance(value, float | int) and not isinstance(value, bool):
            yield from _number_problems(key, value, item.metadata)
        choices = item.metadata.get("choices")
        if choices and value not in choices:
            yield f"{key}={value}: not allowed{nearest(value, choices)}. Allowed: {', '.join(choices)}."
        limits = [name for name in comparisons if name in item.metadata]
        # A comparison with NaN is false, so NaN is refused wherever there is a bound.
        if not all(comparisons[name][0](value, item.metadata[name]) for name in limits):
            allowed = " and ".join(f"{comparisons[name][1]} {item.metadata[name]}" for name in limits)
            yield f"{key}={value}: out of range. Allowed: {allowed}."


def _number_problems(key: str, value: float, bounds):
    """What no number may be, whatever its own bounds: infinite, or out of the reach of float32."""
    if not math.isfinite(value):
        yield f"{key}={value}: not a finite number. Allowed: a number, such as the default."
    elif abs(value) > LARGEST and not {"at_most", "below"} & set(bounds):
        yield f"{key}={value}: out of range. Allowed: at most {LARGEST:g}."
    elif 0 < abs(value) < SMALLEST:
        yield f"{key}={value}: too small for float32, which takes it for 0. Allowed: at least {SMALLEST:g}."


def _combination_problems(config):
    model = config if isinstance(config, ModelConfig) else getattr(config, "model", None)
    if model is not None and model.hidden_size % model.heads:
        divisors = [n for n in range(1, model.hidden_size + 1) if model.hidden_size % n == 0]
        closest = min(divisors, key=lambda n: abs(n - model.heads))
        yield (
            f"model.heads={model.heads}: does not divide model.hidden_size={model.hidden_size}. "
            f"Allowed: {', '.join(map(str, divisors))} (nearest: {closest})."
        )
    elif model is not None:
        yield from _model_problems(model)
    if not isinstance(config, Config):
        return
    tables_end = config.model.position.name in ("absolute", "relative")  # other schemes have no longest sequence
    if tables_end and config.training.sequence_length > config.model.max_length:
        yield (
            f"training.sequence_length={config.training.sequence_length}: longer than the position table. "
            f"Allowed: at most model.max_length={config.model.max_length}."
        )
    if config.masking.mask + config.masking.random > 1 + 1e-9:
        yield (
            f"masking.mask={config.masking.mask} and masking.random={config.masking.random}: "
            "their sum is out of range. Allowed: at most 1."
        )
    yield from _masking_problems(config.masking)
    yield from _objective_problems(config.objective, config.model, config.training.sequence_length)
    for group, chosen in (("masking", "adaptive"), ("curriculum", "loss")):
        if not config.objective.mlm and getattr(config, group).name == chosen:
            yield (
                f"objective.mlm=false: {group}={chosen} goes by how well masked words are predicted. "
                f"Allowed: objective.mlm=true, or another {group}."
            )
    yield from _evaluation_problems(config)
    yield from _optimizer_problems(config)
    yield from _training_problems(config)
    if config.training.accumulation > config.training.batch_size:
        yield (
            f"training.accumulation={config.training.accumulation}: more parts than sequences. "
            f"Allowed: at most training.batch_size={config.training.batch_size}."
        )
    for key, folder in (("tracking.folder", config.tracking.folder), ("data.cache", config.data.cache)):
        if not folder.strip():
            yield f"{key}=: an empty name. Allowed: a folder; a dot is the current one."
    if config.data.source == "text" and not config.data.path:
        yield "data.path=null: nothing to read. Give a file, a folder or a glob: data.path='books/*.txt'."


def _model_problems(model: ModelConfig):
    position, head_size = model.position, model.hidden_size // model.heads
    if model.qk_norm and head_size == 1:
        yield (
            f"model.qk_norm=True: heads of one entry (model.heads={model.heads}) keep nothing but a sign. "
            f"Allowed: fewer heads than model.hidden_size={model.hidden_size}."
        )
    schema = POSITIONS[position.name]
    if not isinstance(position, schema):
        yield (
            f"model.position: a {type(position).__name__} for the scheme {position.name}. "
            f"Allowed: a {schema.__name__}; on the command line, position={position.name}."
        )
    elif position.name == "rope" and head_size % 2:
        yield (
            f"position=rope: turns pairs of a head's entries, and model.hidden_size={model.hidden_size} / "
            f"model.heads={model.heads} gives heads of {head_size}. Allowed: an even head size."
        )
    elif position.name == "rope" and int(position.fraction * head_size / 2) < 1:
        yield (
            f"model.position.fraction={position.fraction}: less than one pair of a head's {head_size} entries. "
            f"Allowed: at least {2 / head_size:g}, or position=none."
        )
    elif position.name == "sinusoidal" and model.hidden_size % 2:
        yield (
            f"position=sinusoidal: is made of pairs of sine and cosine, and model.hidden_size={model.hidden_size} "
            "is odd. Allowed: an even hidden size."
        )
    elif position.name == "relative" and not (position.keys or position.values):
        yield (
            "model.position.keys=False and model.position.values=False: tell no order. "
            "Allowed: at least one of them true, or position=none."
        )
    elif position.name == "relative_bias" and position.farthest <= position.buckets // 4:
        yield (
            f"model.position.farthest={position.farthest}: within the distances that have a bucket each with "
            f"model.position.buckets={position.buckets}. Allowed: more than {position.buckets // 4}."
        )
    if position.name == "relative_bias" and position.buckets % 4:
        yield (
            f"model.position.buckets={position.buckets}: two directions, each half of them one distance a bucket. "
            "Allowed: multiples of 4."
        )


def _masking_problems(masking):
    if isinstance(masking, ChangingMaskingConfig):
        for key in ("corruption_rate", "prediction_rate"):
            if getattr(masking, key) not in (None, masking.rate):
                yield (
                    f"masking.{key}={getattr(masking, key)}: masking={masking.name} changes one rate, which "
                    "corruption and prediction both follow. Allowed: null."
                )
    if isinstance(masking, AdaptiveMaskingConfig) and not masking.lowest <= masking.rate <= masking.highest:
        yield (
            f"masking.rate={masking.rate}: outside of its bounds. Allowed: masking.lowest={masking.lowest} to "
            f"masking.highest={masking.highest}."
        )


def _optimizer_problems(config: Config):
    optimizer, schedule = config.optimizer, config.schedule
    if isinstance(optimizer, LookaheadConfig):
        optimizer = optimizer.inner
        if isinstance(optimizer, LookaheadConfig):
            yield "optimizer.inner.name=lookahead: slow weights behind slow weights. Allowed: any other optimizer."
    if config.layer_rates.name == "ratio" and optimizer.name in ("lamb", "adafactor"):
        yield (
            f"layer_rates=ratio with the optimizer {optimizer.name}: which scales its updates by the size of the "
            "weights already. Allowed: layer_rates=none or depth."
        )
    if schedule.name == "range_test" and config.training.log_every != 1:
        yield (
            f"training.log_every={config.training.log_every}: schedule=range_test goes by the loss of every step. "
            "Allowed: 1."
        )
    if schedule.name == "warmup_stable_decay" and schedule.warmup + schedule.decay > 1 + 1e-9:
        yield (
            f"schedule.warmup={schedule.warmup} and schedule.decay={schedule.decay}: the decay would begin before "
            "the warm-up ends. Allowed: a sum of at most 1."
        )


def _training_problems(config: Config):
    training, masking = config.training, config.masking
    kept = training.steps // training.checkpoint_every
    if kept > MOST_CHECKPOINTS:
        yield (
            f"training.checkpoint_every={training.checkpoint_every}: {kept} checkpoints in training.steps="
            f"{training.steps}. Allowed: at least {-(-training.steps // MOST_CHECKPOINTS)}, "
            f"for at most {MOST_CHECKPOINTS} checkpoints."
        )
    tokens = training.steps * training.batch_size * training.sequence_length
    rates = {"rate": masking.rate, "prediction_rate": masking.prediction_rate}
    key = "rate" if masking.prediction_rate is None else "prediction_rate"
    if config.objective.mlm and rates[key] * tokens < 1:
        yield (
            f"masking.{key}={rates[key]}: of the {tokens} tokens of this training, none would be predicted. "
            f"Allowed: at least {1 / tokens:.2g}."
        )


def _evaluation_problems(config: Config):
    evaluation, length = config.evaluation, config.training.sequence_length
    tokens = evaluation.sequences * length
    grid = {f"rates[{index}]": rate for index, rate in enumerate(evaluation.rates)}
    for key, rate in {"rate": evaluation.rate, **grid}.items():
        if not 0 < rate < 1:
            yield f"evaluation.{key}={rate}: out of range. Allowed: above 0 and below 1."
        elif rate * tokens < 1:
            yield (
                f"evaluation.{key}={rate}: of the {tokens} tokens of evaluation.sequences={evaluation.sequences}, "
                f"none would be predicted. Allowed: at least {1 / tokens:.2g}."
            )
    for rate in sorted({rate for rate in evaluation.rates if evaluation.rates.count(rate) > 1}):
        times = evaluation.rates.count(rate)
        yield f"evaluation.rates: {rate} stands in it {times} times. Allowed: each rate once."


def _objective_problems(objective, model, length):
    paired = [task for task in ("nsp", "sop") if getattr(objective, task)]
    if not (objective.mlm or objective.tasks):
        yield "objective.mlm=false: nothing is left to learn. Give a task a weight: objective.replaced_token=1."
    if len(paired) == 2:
        yield (
            f"objective.nsp={objective.nsp} and objective.sop={objective.sop}: a row has one second segment, "
            "which is either replaced or swapped. Allowed: one of the two."
        )
    for task in paired:
        if model.segments < 2:
            yield (
                f"objective.{task}={getattr(objective, task)}: the network has to tell the two segments of a row "
                f"apart, and model.segments is {model.segments}. Allowed: model.segments=2."
            )
        if length < 5:
            yield (
                f"objective.{task}={getattr(objective, task)}: training.sequence_length={length} has no room for "
                "two segments. Allowed: at least 5, for [CLS] a [SEP] b [SEP]."
            )
    if objective.token_order and objective.moved * (length - 2) < 2:
        needed = math.ceil(2 / objective.moved) + 2
        yield (
            f"objective.token_order={objective.token_order}: of a sequence of training.sequence_length={length}, "
            f"a share objective.moved={objective.moved} is fewer than the two tokens that can change places. "
            f"Allowed: training.sequence_length of at least {needed}, or more moved."
        )
    if objective.token_order and model.position.name == "none":
        yield (
            f"objective.token_order={objective.token_order}: a network with position=none does not know where a "
            "token stands, so it cannot tell that it was moved. Allowed: any other position."
        )
    if objective.token_order and objective.replaced_token and objective.moved + objective.replaced >= 1:
        yield (
            f"objective.moved={objective.moved} and objective.replaced={objective.replaced}: "
            "together all tokens or more. Allowed: a sum below 1."
        )

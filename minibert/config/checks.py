"""Values against what their fields allow, and against each other."""

from dataclasses import fields, is_dataclass

from minibert.config.model import ModelConfig
from minibert.config.run import Config
from minibert.errors import MinibertError, nearest


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
        choices = item.metadata.get("choices")
        if choices and value not in choices:
            yield f"{key}={value}: not allowed{nearest(value, choices)}. Allowed: {', '.join(choices)}."
        limits = [name for name in comparisons if name in item.metadata]
        # A comparison with NaN is false, so NaN is refused wherever there is a bound.
        if not all(comparisons[name][0](value, item.metadata[name]) for name in limits):
            allowed = " and ".join(f"{comparisons[name][1]} {item.metadata[name]}" for name in limits)
            yield f"{key}={value}: out of range. Allowed: {allowed}."


def _combination_problems(config):
    model = config if isinstance(config, ModelConfig) else getattr(config, "model", None)
    if model is not None and model.hidden_size % model.heads:
        divisors = [n for n in range(1, model.hidden_size + 1) if model.hidden_size % n == 0]
        closest = min(divisors, key=lambda n: abs(n - model.heads))
        yield (
            f"model.heads={model.heads}: does not divide model.hidden_size={model.hidden_size}. "
            f"Allowed: {', '.join(map(str, divisors))} (nearest: {closest})."
        )
    if not isinstance(config, Config):
        return
    if config.training.sequence_length > config.model.max_length:
        yield (
            f"training.sequence_length={config.training.sequence_length}: longer than the position table. "
            f"Allowed: at most model.max_length={config.model.max_length}."
        )
    if config.masking.mask + config.masking.random > 1 + 1e-9:
        yield (
            f"masking.mask={config.masking.mask} and masking.random={config.masking.random}: "
            "their sum is out of range. Allowed: at most 1."
        )
    for index, rate in enumerate(config.evaluation.rates):
        if not 0 < rate < 1:
            yield f"evaluation.rates[{index}]={rate}: out of range. Allowed: above 0 and below 1."
    if config.training.accumulation > config.training.batch_size:
        yield (
            f"training.accumulation={config.training.accumulation}: more parts than sequences. "
            f"Allowed: at most training.batch_size={config.training.batch_size}."
        )
    if config.data.source == "text" and not config.data.path:
        yield "data.path=null: nothing to read. Give a file, a folder or a glob: data.path='books/*.txt'."

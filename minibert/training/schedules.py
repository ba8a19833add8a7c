"""Learning-rate schedules: the factor on the learning rate at a step.

A step's number t is 1 for the first and S for the last. All schedules but the range test warm up linearly, from
1/W at the first step to 1 at step W, and then follow their name. Adam and similar optimizers need the warm-up:
their first estimates of second moments are means over few gradients.

After the warm-up, step t has the factor that the schedules of ``transformers`` give to its index, t - 1: the step
after the warm-up has the factor 1, and ``final`` would be reached at step S + 1. So the last step still changes
the parameters.
"""

import math
from collections.abc import Callable

from minibert.config import ScheduleConfig, require_option
from minibert.config.training import RangeTestConfig
from minibert.errors import unknown_name


def constant(step: int, warmup: int, steps: int, config: ScheduleConfig) -> float:
    """1. The loss keeps the noise of the full rate to the end. For comparisons at a fixed rate."""
    return 1.0


def linear(step: int, warmup: int, steps: int, config: ScheduleConfig) -> float:
    """1 - (1 - final) p, with p the share of the steps after the warm-up that lie behind step t"""
    return 1 - (1 - config.final) * _share(step, warmup, steps)


def cosine(step: int, warmup: int, steps: int, config: ScheduleConfig) -> float:
    """final + (1 - final) (1 + cos πp) / 2.  Loshchilov and Hutter, "SGDR", ICLR 2017."""
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * _share(step, warmup, steps))) / 2


def warmup_stable_decay(step: int, warmup: int, steps: int, config: ScheduleConfig) -> float:
    """1, then linearly down to final over the last ``decay`` share of all steps.

    What a run has reached on the plateau can be continued without knowing how long it will go on.
    Hu et al., "MiniCPM", 2024.
    """
    start = 1 - config.decay / (1 - config.warmup) if config.warmup < 1 else 1
    share = _share(step, warmup, steps)
    if share <= start:
        return 1.0
    return 1 - (1 - config.final) * (share - start) / (1 - start)


def inverse_square_root(step: int, warmup: int, steps: int, config: ScheduleConfig) -> float:
    """√(W / t) behind the W steps of warm-up, but at least final; without warm-up, 1/√t.

    It does not depend on the number of steps, and ends with a rate that is still high: a third after 9 W.
    Vaswani et al., "Attention Is All You Need", NeurIPS 2017.
    """
    return max(math.sqrt(max(warmup, 1) / step), config.final)


def range_test(step: int, warmup: int, steps: int, config: RangeTestConfig) -> float:
    """start^(1 - p) with p = (t - 1) / (S - 1): from start at the first step to 1 at the last, one ratio a step.

    This is a measurement, not a schedule for training: :mod:`minibert.diagnostics.range_test.measures` reads from
    the losses which rates the network learns with. Smith, "Cyclical Learning Rates for Training Neural Networks",
    WACV 2017, section 3.3, raises the rate linearly. A geometric rise gives small and large rates as many steps.
    """
    return config.start ** (1 - (step - 1) / max(steps - 1, 1))


SCHEDULES = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "warmup_stable_decay": warmup_stable_decay,
    "inverse_square_root": inverse_square_root,
    "range_test": range_test,
}


def build_schedule(config: ScheduleConfig, steps: int) -> Callable[[int], float]:
    """step -> factor on the learning rate.

    With W = warmup · steps, rounded: factor = step / W up to step W, then the named shape.

    >>> factor = build_schedule(ScheduleConfig("linear", warmup=0.25), steps=8)
    >>> [round(factor(step), 2) for step in (1, 2, 3, 8)]
    [0.5, 1.0, 1.0, 0.17]
    """
    require_option(config, ScheduleConfig, "schedule.")
    if config.name not in SCHEDULES:
        raise unknown_name("schedule.name", config.name, SCHEDULES)
    shape = SCHEDULES[config.name]
    warmup = round(config.warmup * steps)

    def factor(step: int) -> float:
        return step / warmup if step <= warmup else shape(step, warmup, steps, config)

    return factor


def _share(step: int, warmup: int, steps: int) -> float:
    """p = (t - 1 - W) / (S - W): from 0 at the first step after the warm-up to 1 - 1 / (S - W) at the last"""
    return (step - 1 - warmup) / (steps - warmup)

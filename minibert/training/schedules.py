"""Learning-rate schedules: the factor on the learning rate at a step.

A step's number is 1 for the first and ``steps`` for the last. All schedules warm up linearly and then follow
their name from 1 down to ``final``.
"""

import math
from collections.abc import Callable

from minibert.config import ScheduleConfig
from minibert.errors import unknown_name


def linear(progress: float, config: ScheduleConfig) -> float:
    """1 - (1 - final) p, with p the share done of the steps after warm-up"""
    return 1 - (1 - config.final) * progress


def cosine(progress: float, config: ScheduleConfig) -> float:
    """final + (1 - final) (1 + cos πp) / 2.  Loshchilov and Hutter, "SGDR", ICLR 2017."""
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * progress)) / 2


def warmup_stable_decay(progress: float, config: ScheduleConfig) -> float:
    """1, then linearly down to final over the last ``decay`` share of all steps.  Hu et al., "MiniCPM", 2024."""
    start = 1 - config.decay / (1 - config.warmup) if config.warmup < 1 else 1
    if progress <= start:
        return 1.0
    return 1 - (1 - config.final) * (progress - start) / (1 - start)


SCHEDULES = {"linear": linear, "cosine": cosine, "warmup_stable_decay": warmup_stable_decay}


def build_schedule(config: ScheduleConfig, steps: int) -> Callable[[int], float]:
    """step -> factor on the learning rate.

    With W = warmup · steps: factor = step / W up to step W, then the named shape of p = (step - W) / (steps - W).
    """
    if config.name not in SCHEDULES:
        raise unknown_name("schedule.name", config.name, SCHEDULES)
    shape = SCHEDULES[config.name]
    warmup = round(config.warmup * steps)

    def factor(step: int) -> float:
        if step <= warmup:
            return step / warmup
        return shape((step - warmup) / max(steps - warmup, 1), config)

    return factor

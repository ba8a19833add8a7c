"""Masking rates that change during training: by a schedule, or with the accuracy.

Both take a masking with a fixed rate, and return that masking with the rate of the step.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from minibert.config import require_config
from minibert.config.data import AdaptiveMaskingConfig, ScheduledMaskingConfig


class ScheduledMasking:
    """The rate goes from ``rate`` to ``end`` over the first ``share`` of all steps, and stays there.

    r(s) = rate + (end − rate) · f(min(s / (share · steps), 1)) at step s, counted from 0, with f(x) = x (linear)
    or f(x) = (1 − cos πx) / 2 (cosine). From 30 to 15 %: Yang et al., "Learning Better Masking for Better Language
    Model Pre-training", ACL 2023.

    >>> masking = ScheduledMasking(None, ScheduledMaskingConfig(rate=0.3, end=0.15), steps=10)
    >>> [round(masking.rate(step), 3) for step in (0, 5, 10)]
    [0.3, 0.225, 0.15]
    """

    def __init__(self, masking: Any, config: ScheduledMaskingConfig, steps: int):
        self.masking = masking
        self.config = config
        self.duration = config.share * steps

    def rate(self, step: int) -> float:
        done = min(step / self.duration, 1.0)
        if self.config.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.config.rate + (self.config.end - self.config.rate) * done

    def at(self, step: int):
        """The masking of a step, counted from 0."""
        rate = self.rate(step)
        return replace(self.masking, corruption_rate=rate, prediction_rate=rate)

    def settings(self, step: int) -> dict[str, float]:
        return {"masking/rate": self.rate(step)}


class AdaptiveMasking:
    """The rate follows the accuracy: it rises while the accuracy is above the target, and falls while it is below.

    After every step with accuracy a, the running accuracy ā ← m ā + (1 − m) a, which starts at the target, and the
    rate r ← r + gain · (ā − target), kept between ``lowest`` and ``highest``: integral control, so that the
    accuracy settles at its target wherever a rate within the bounds can bring it there. With
    ``training.softmax_words`` it is the accuracy among the words of the step's sample.

    The batches then depend on more than the step, so checkpoints save ``state``.
    """

    name = "masking"
    wants_accuracy = True

    def __init__(self, masking: Any, config: AdaptiveMaskingConfig):
        self.masking = masking
        self.config = config
        self.state = {"rate": np.array([config.rate]), "accuracy": np.array([config.target])}
        """Plain arrays, changed in place"""

    @property
    def rate(self) -> float:
        return float(self.state["rate"][0])

    def at(self, step: int):
        """The masking of the next step, whatever its number."""
        return replace(self.masking, corruption_rate=self.rate, prediction_rate=self.rate)

    def settings(self, step: int) -> dict[str, float]:
        return {"masking/rate": self.rate}

    def observe(self, step: int, measured, score) -> None:
        """Use the measurements of a step: ``measured["mlm"]`` is (loss, correct predictions, predictions)."""
        if "mlm" not in measured:  # nothing was predicted
            return
        _, hits, predictions = measured["mlm"]
        config, accuracy = self.config, self.state["accuracy"]
        accuracy *= config.memory
        accuracy += (1 - config.memory) * hits / predictions
        rate = self.state["rate"]
        rate += config.gain * (accuracy - config.target)
        np.clip(rate, config.lowest, config.highest, out=rate)

    def restored(self) -> None:
        """``state`` has been filled from a checkpoint. Nothing else depends on it."""


def implement_adaptive_masking(config: AdaptiveMaskingConfig, masking: Any) -> AdaptiveMasking:
    """Let the rate of ``masking``, which has a fixed rate, follow the running masked accuracy.

    Give the result to the batches, which take their masks from it, and to the trainer, which reports the accuracy
    of every step to it and saves its state in checkpoints.

    Raises :class:`MinibertError` for another configuration, and for values out of range.
    """
    require_config(config, AdaptiveMaskingConfig, "masking.")
    return AdaptiveMasking(masking, config)

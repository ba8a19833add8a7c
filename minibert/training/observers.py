"""Observers of a training run: its log and its checkpoints."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from minibert.training.checkpoints import checkpoint_name, log_spaced_steps, save_checkpoint


class Ended(Exception):
    """Training ended early on request. Everything it did is in the saved state."""


class TrainingLog:
    """Observer: every ``training.log_every`` steps, the mean loss since the last time, the rate, norms and speed.

    If tasks are measured apart, also ``train/<task>_loss`` and ``train/<task>_accuracy`` of each. If masking or
    curriculum change during training, their present settings. If gradients are clipped, ``train/clipped_share``.
    At the end, ``memory/<part>_megabytes``.
    """

    def __init__(self, log):
        self.log = log

    def __call__(self, trainer, step) -> None:
        progress = trainer.progress
        if step is None or not step.gradient_norms:
            return
        metrics = {
            "train/loss": trainer.meters.take_mean_loss(),
            "train/learning_rate": step.learning_rate,
            "gradient_norm/global": step.gradient_norm,
            "train/tokens_per_second": progress.tokens_seen / progress.seconds,
            "tokens_seen": progress.tokens_seen,
            "tokens_predicted": progress.tokens_predicted,
            "flops": progress.flops,
            "seconds": progress.seconds,
        }
        metrics |= {
            f"train/{name}": value for name, value in trainer.meters.take_measured().items()
        } | step.settings
        metrics |= {f"train/{name}": value for name, value in trainer.meters.take_clipped_share().items()}
        norms = {
            f"gradient_norm/{group.replace('layers.', 'layer_')}": n for group, n in step.gradient_norms.items()
        }
        memory = {f"memory/{name}_megabytes": size for name, size in trainer.memory_report().items()}
        self.log(metrics | norms | (memory if trainer.finished else {}), progress.step)


class Milestones:
    """Observer: tells when the batches change for good, such as from short rows to whole ones."""

    def __init__(self, tell: Callable[[str], object]):
        """``tell`` gets a sentence."""
        self.tell = tell

    def __call__(self, trainer, _step) -> None:
        step = trainer.progress.step
        if step in (milestones := trainer.batches.milestones) and not trainer.finished:
            self.tell(f"step {step:,}: {milestones[step]}")


def keep_parameters(keep, model, step: int, tokenizer: str | None = None) -> None:
    """Keep the parameters of a step as ``step_<step>.safetensors`` (``keep``, ``tokenizer``: see
    :class:`Checkpoints`)."""
    about = {"step": step, "model": asdict(model.config), "tokenizer": tokenizer}
    keep(checkpoint_name(step), lambda path: save_checkpoint(path, dict(model.params.items()), about))


class Checkpoints:
    """Observer: keeps log-spaced checkpoints, and a recent one to resume from.

    ``keep`` is called as ``keep(name, write)``: it chooses where a kept checkpoint of that name belongs and calls
    ``write(path)``. ``secure(ask_store)`` is called before the state to resume from is written, and brings
    all points that this supersedes to safety: a resumed run does not log them again. ``share(step, ask_store)`` is
    called after it was written, and lets other machines have it. ``wish_to_end`` is asked
    after every step: when it gives a reason, the state is saved and :class:`Ended` raised. The store is not asked
    then, because the process may be ended by force a moment later. ``tokenizer``: SHA-256 of the tokenizer.json of
    the run, which each kept checkpoint names.
    """

    def __init__(
        self,
        config,
        resume_path: Path,
        keep,
        secure: Callable[[bool], None],
        wish_to_end: Callable[[], str | None],
        share: Callable[[int, bool], None] = lambda step, ask_store: None,
        tokenizer: str | None = None,
    ):
        self.steps = frozenset(
            log_spaced_steps(config.steps, config.checkpoint_every, config.checkpoints_per_doubling)
        )
        self.seconds = config.checkpoint_seconds
        self.resume_path = resume_path
        self.keep = keep
        self.secure = secure
        self.wish_to_end = wish_to_end
        self.share = share
        self.tokenizer = tokenizer
        self._last = time.monotonic()

    def __call__(self, trainer, _step) -> None:
        step = trainer.progress.step
        if step in self.steps or trainer.finished:
            keep_parameters(self.keep, trainer.model, step, self.tokenizer)
        reason = self.wish_to_end()
        if reason or trainer.finished or time.monotonic() - self._last >= self.seconds:
            self.secure(not reason)
            trainer.save(self.resume_path)
            self.share(step, not reason)
            self._last = time.monotonic()
        if reason and not trainer.finished:
            raise Ended(reason)

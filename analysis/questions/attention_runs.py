"""What the runs of a study recorded of their attention, as arrays."""

import math
from dataclasses import dataclass

import numpy as np

from minibert.diagnostics.plotting.series import head_name, layer_name, locate, metric_name, part_of
from minibert.tracking import Store
from minibert.tracking.records import Record

from ..findings import Group
from ..tracked_runs import Curve, TrackedRun, open_record

LOSS = "eval/loss"
PATTERNS = {
    "to_self": "on itself", "to_previous": "on the token before", "to_next": "on the token behind",
    "to_cls": "on [CLS]", "to_sep": "on [SEP]",
}  # fmt: skip
ENTROPY_SHARE = "attention_entropy_share"


@dataclass(frozen=True)
class AttentionRun:
    """The attention of one run at n measured steps, in L layers of H heads. NaN: not recorded."""

    run: TrackedRun
    record: Record
    steps: np.ndarray
    """(n,)"""
    entropy_share: np.ndarray
    """(L, H, n), 1 for a head that attends to all tokens equally"""
    shares: dict[str, np.ndarray]
    """Pattern -> (L, H, n)"""
    uniform: dict[str, np.ndarray]
    """Pattern -> (L, n): the share of uniform attention"""
    distances: np.ndarray
    """(L, n): mean Jensen-Shannon divergence between the heads of a layer, in nats"""
    clusters: np.ndarray
    """(n,): groups of heads"""

    @property
    def seed(self) -> int | None:
        return self.run.seed

    @property
    def layers(self) -> int:
        return len(self.entropy_share)

    @property
    def heads(self) -> int:
        """Of all layers together"""
        return self.entropy_share.shape[0] * self.entropy_share.shape[1]

    @property
    def loss(self) -> Curve:
        return self.run.curves[LOSS]

    @property
    def unigram_entropy(self) -> float:
        return self.run.final("baseline/unigram_entropy")

    @property
    def neighbours(self) -> np.ndarray:
        """(L, n): the share of attention on the token before and the token after, mean over heads"""
        return (self.shares["to_previous"] + self.shares["to_next"]).mean(axis=1)

    @property
    def ranks(self) -> np.ndarray:
        """(L, H): the heads of each layer by their last entropy share, the sharpest first"""
        return np.argsort(self.entropy_share[:, :, -1], axis=1, kind="stable")

    @property
    def ranked_entropy(self) -> np.ndarray:
        """(L, H, n): the entropy shares in the order of :attr:`ranks`"""
        return np.take_along_axis(self.entropy_share, self.ranks[:, :, None], axis=1)

    def most(self, pattern: str) -> np.ndarray:
        """(L, n): in each layer, the shares of the head whose last share of a pattern is the largest"""
        shares = self.shares[pattern]
        chosen = np.nan_to_num(shares[:, :, -1], nan=-1).argmax(axis=1)
        return np.take_along_axis(shares, chosen[:, None, None], axis=1)[:, 0]

    def most_on_a_neighbour(self) -> tuple[float, int | None]:
        """The largest last share of attention on the token before or after, and the layer of that head"""
        last = np.stack([self.most("to_previous")[:, -1], self.most("to_next")[:, -1]]).max(axis=0)
        if not np.isfinite(last).all():
            return math.nan, None
        return float(last.max()), int(last.argmax())

    def most_changed(self) -> tuple[int, int]:
        """Layer and head with the widest range of entropy shares"""
        ranges = np.nanmax(self.entropy_share, axis=2) - np.nanmin(self.entropy_share, axis=2)
        layer, head = np.unravel_index(ranges.argmax(), ranges.shape)
        return int(layer), int(head)

    def maps(self) -> dict[int, np.ndarray]:
        """Step -> (L, H, T, T): attention on a held-out sequence"""
        return {step: arrays["weights"] for step, arrays in self.record.arrays("attention_maps").items()}


def read_group(store: Store, group: Group) -> list[AttentionRun]:
    """The runs of a group that recorded attention and losses, by seed."""
    found = [_read(store, run) for run in sorted(group.runs, key=lambda run: (run.seed is None, run.seed or 0))]
    return [run for run in found if run is not None]


def _read(store: Store, run: TrackedRun) -> AttentionRun | None:
    parts = [part for metric in run.metrics if (part := part_of(metric, ENTROPY_SHARE))]
    places = [(found.layer, found.head) for found in map(locate, parts)]
    measured = [(layer, head) for layer, head in places if layer is not None and head is not None]
    if not measured or LOSS not in run.curves:
        return None
    layers, heads = (max(numbers) + 1 for numbers in zip(*measured, strict=True))
    record = open_record(store, run)
    first_head = metric_name(ENTROPY_SHARE, layer_name(0), head_name(0))
    steps = np.array(sorted(set(record.history(first_head)[0])), int)

    def history(metric: str) -> np.ndarray:
        if metric not in run.metrics:
            return np.full(len(steps), np.nan)
        by_step = dict(zip(*record.history(metric), strict=True))
        return np.array([by_step.get(int(step), np.nan) for step in steps])

    def by_head(quantity: str) -> np.ndarray:
        return np.array(
            [
                [
                    history(metric_name(f"attention_{quantity}", layer_name(layer), head_name(head)))
                    for head in range(heads)
                ]
                for layer in range(layers)
            ]
        )

    def by_layer(quantity: str) -> np.ndarray:
        return np.array([history(metric_name(quantity, layer_name(layer))) for layer in range(layers)])

    return AttentionRun(
        run=run,
        record=record,
        steps=steps,
        entropy_share=by_head("entropy_share"),
        shares={pattern: by_head(pattern) for pattern in PATTERNS},
        uniform={pattern: by_layer(f"attention_uniform/{pattern}") for pattern in PATTERNS},
        distances=by_layer("head_distance"),
        clusters=history("head_distance/clusters"),
    )

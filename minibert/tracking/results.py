"""The result of a run: its loss, the losses of the baselines on the same text, and where its figures are."""

from collections.abc import Mapping
from dataclasses import dataclass

from minibert.tracking.artifacts import Artifacts
from minibert.tracking.lookup import short_id
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors

LOSS, UNIGRAM, BIGRAM = "eval/loss", "baseline/unigram_entropy", "baseline/bigram_cross_entropy"
FIGURES = "figures/index.html"


@dataclass(frozen=True)
class Result:
    """The end of one run. Losses are in nats per predicted token, on held-out text; None where there is none."""

    run_id: str
    name: str
    status: Status
    loss: float | None
    unigram: float | None
    bigram: float | None
    figures: str | None = None
    """The page with its figures: a local file, or the artifact of the run"""
    rooms: frozenset[str] = frozenset()
    """What the names of its metrics begin with, up to the first ``/``"""

    @property
    def stays_above_bigram(self) -> bool:
        """Whether it finished and predicts no better than a model that knows the word before, and nothing else."""
        if self.loss is None or self.bigram is None:
            return False
        return self.status == Status.FINISHED and not self.loss < self.bigram

    def line(self) -> str:
        """``run 0123abcd finished: held-out loss 6.030 (unigram 6.052, bigram 5.011), figures in ...``"""
        line = f"run {short_id(self.run_id)} {self.status.lower()}"
        if self.loss is not None:
            line += f": held-out loss {self.loss:.3f}{beside(self.unigram, self.bigram)}"
        return line + (f", figures in {self.figures}" if self.figures else "")


def beside(unigram: float | None, bigram: float | None) -> str:
    """The baselines, in parentheses, to be put after a loss."""
    baselines = {"unigram": unigram, "bigram": bigram}
    known = [f"{name} {value:.3f}" for name, value in baselines.items() if value is not None]
    return f" ({', '.join(known)})" if known else ""


def losses(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Loss and baselines out of the last values of a run's metrics."""
    return {"loss": metrics.get(LOSS), "unigram": metrics.get(UNIGRAM), "bigram": metrics.get(BIGRAM)}


def read_result(store: Store, run_id: str) -> Result:
    """The result of a run, from the store. Raises :class:`MinibertError` when it cannot be read."""
    with store_errors(store.uri, f"read run {run_id}"):
        run = store.client.get_run(run_id)
    info = run.info
    return make_result(store, run_id, info.run_name, Status(info.status), run.data.metrics, info.artifact_uri)


def make_result(
    store: Store, run_id: str, name: str, status: Status, metrics: Mapping[str, float], address: str
) -> Result:
    """The result of a run from what is recorded of it; ``address`` is that of its artifacts."""
    artifacts, figures = Artifacts(store, run_id, address), None
    if FIGURES in artifacts.list("figures"):
        figures = str(artifacts.folder / FIGURES) if artifacts.folder else f"its artifact {FIGURES}"
    return Result(run_id, name, status, figures=figures, rooms=rooms_of(metrics), **losses(metrics))


def rooms_of(metrics: Mapping[str, float]) -> frozenset[str]:
    """What the names of metrics begin with, up to the first ``/``."""
    return frozenset(name.partition("/")[0] for name in metrics)

"""A range test in training: where it ends, what is left to resume from, and what is recorded of it."""

import math

import pytest
from support.batches import OneBatch
from support.records import MemoryRecord
from support.trainers import small_config, small_model, small_trainer

from minibert.config import AdamWConfig
from minibert.config.training import RangeTestConfig, ScheduleConfig
from minibert.diagnostics.range_test.figures import plot_range_test
from minibert.diagnostics.range_test.recorded import conclude_range_test
from minibert.errors import MinibertError
from minibert.training.observers import TrainingLog
from minibert.training.progress import EXPLODED
from minibert.training.trainer import Trainer

MODEL = small_model(layers=1)
STEPS = 80
RANGE = RangeTestConfig(start=1e-7)


class Record(MemoryRecord):
    """A record whose points may be sent to the store or not."""

    def __init__(self, sent: bool = True):
        super().__init__()
        self.sent = sent

    def flush(self):
        return self.sent


def trainer(top: float, schedule=RANGE):
    config = small_config(MODEL, STEPS, optimizer=AdamWConfig(learning_rate=top), schedule=schedule)
    config.training.log_every = 1
    return small_trainer(config, OneBatch())


def train(top: float, record: Record, schedule=RANGE) -> Trainer:
    with trainer(top, schedule) as trained:
        trained.train([TrainingLog(record.log)])
    return trained


@pytest.fixture(scope="module")
def exploded():
    record = Record()
    return train(1e3, record), record


def test_a_range_test_ends_where_the_loss_explodes_and_makes_no_update_there(exploded):
    trained, record = exploded
    (steps, losses), (_, rates) = record.history("train/loss"), record.history("train/learning_rate")
    assert trained.finished and trained.range_test.diverged
    assert steps == list(range(1, trained.progress.step + 1)) and steps[-1] < STEPS
    assert max(losses[:-1]) < EXPLODED * losses[0] <= losses[-1]
    assert rates == pytest.approx([1e3 * 1e-7 ** (1 - (step - 1) / (STEPS - 1)) for step in steps])
    with trainer(1e3) as other:
        for _ in steps[:-1]:
            other.step()
        assert other.params.vector.tobytes() == trained.params.vector.tobytes()


def test_its_metrics_and_its_figure_say_where_the_loss_was_lowest_and_where_it_exploded(exploded):
    trained, record = exploded
    conclude_range_test(record, trained.config)
    results = {name: record.history(f"lr_range/{name}") for name in ("suggested_rate", "divergence_rate")}
    assert all(steps == [trained.progress.step] for steps, _ in results.values())
    assert 1e-4 < results["suggested_rate"][1][0] < results["divergence_rate"][1][0]
    assert record.history("lr_range/smoothed_loss")[0] == list(range(1, trained.progress.step))
    assert plot_range_test(record).keys() == {"lr_range"}


def test_a_range_test_that_does_not_explode_goes_to_its_last_step():
    record = Record()
    trained = train(1e-3, record)
    assert (trained.progress.step, trained.range_test.diverged) == (STEPS, False)
    conclude_range_test(record, trained.config)
    assert "lr_range/divergence_rate" not in record.metrics
    assert record.history("lr_range/lowest_loss_rate") == ([STEPS], [pytest.approx(1e-3)])


@pytest.mark.parametrize("step", [20, -1])
def test_a_resumed_range_test_ends_at_the_same_step_with_the_same_losses(exploded, tmp_path, step):
    """Resumed in the middle, and after its end, when nothing is left to do."""
    trained, record = exploded
    again, step = Record(), step % (trained.progress.step + 1)
    with trainer(1e3) as first:
        log = TrainingLog(Record().log)
        for _ in range(step):
            log(first, first.step())
        first.save(tmp_path / "resume.safetensors")
    with trainer(1e3) as second:
        second.resume(tmp_path / "resume.safetensors")
        second.train([TrainingLog(again.log)])
    losses = record.metrics["train/loss"]
    assert again.metrics.get("train/loss", {}) == {at: losses[at] for at in losses if at > step}
    assert second.params.vector.tobytes() == trained.params.vector.tobytes()


@pytest.mark.filterwarnings("ignore:.* encountered in matmul")
def test_every_other_schedule_fails_at_a_loss_that_is_not_finite():
    with pytest.raises(MinibertError, match="not finite"):
        train(1e30, Record(), ScheduleConfig(name="constant", warmup=0.0))


def test_only_a_range_test_whose_losses_are_all_stored_is_concluded(exploded):
    trained, record = exploded
    other = trainer(1e-3, ScheduleConfig()).config
    for config, stored in ((other, True), (trained.config, False)):
        copied = Record(stored)
        copied.metrics = {name: dict(record.metrics[name]) for name in ("train/loss", "train/learning_rate")}
        conclude_range_test(copied, config)
        assert copied.metric_names("lr_range/") == []
        assert plot_range_test(copied) == {}


def test_a_test_that_begins_too_high_says_so():
    record = Record()
    record.metrics = {"train/learning_rate": {1: 1.0, 2: 2.0}, "train/loss": {1: 6.0, 2: math.inf}}
    with pytest.raises(MinibertError, match=r"losses: 1 .* schedule\.start"):
        conclude_range_test(record, trainer(1e3).config)

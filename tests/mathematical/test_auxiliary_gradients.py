"""Auxiliary heads: alone, and in a network whose heads read different positions of the same rows."""

import numpy as np
import pytest
from test_model_gradients import SAME

from minibert.mistakes import networks
from minibert.mistakes.gradient_check import assert_right
from minibert.mistakes.networks import AUXILIARY, HIDDEN, build, examples, tasks
from minibert.model.auxiliary_heads import AuxiliaryTask, Measured, auxiliary_head
from minibert.model.ops import prediction_losses


def test_auxiliary_head():
    assert_right(networks.auxiliary_head())


def test_there_is_a_head_for_each_name_and_none_without():
    def heads(model):
        return [group for group in model.params.groups if group.endswith("_head")]

    assert heads(build()) == ["mlm_head"]
    assert heads(build(auxiliary_heads=AUXILIARY)) == ["mlm_head", *(f"{name}_head" for name in AUXILIARY)]


@pytest.mark.parametrize("dropout", [0.0, 0.25], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("recompute", [False, True], ids=["caches kept", "computed again"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_loss_and_gradients_with_auxiliary_tasks(norm, recompute, dropout):
    assert_right(networks.loss_with_tasks(norm, recompute, dropout))


@pytest.mark.parametrize("name", AUXILIARY)
def test_a_task_alone_without_masked_words(name):
    assert_right(networks.loss_of_task(name))


def test_the_loss_is_the_weighted_sum_of_what_the_heads_say_of_all_positions():
    model, batch, asked = build(auxiliary_heads=AUXILIARY), examples(), tasks()
    loss, _ = model.loss_and_gradients(**batch, auxiliary=asked)
    labels = batch.pop("labels")
    logits, cache = model.forward(**batch)
    states = cache.hidden_states[-1].reshape(-1, HIDDEN)
    predicted = labels.reshape(-1) >= 0
    expected = prediction_losses(logits.reshape(len(predicted), -1)[predicted], labels[labels >= 0]).mean()
    for name, task in asked.items():
        answered = task.labels.reshape(-1) >= 0
        answers, _ = auxiliary_head(states[answered], f"{name}_head", model.params)
        expected += task.weight * prediction_losses(answers, task.labels[task.labels >= 0]).mean()
    assert loss == pytest.approx(expected, rel=1e-12)


def test_what_is_measured_is_each_tasks_own_loss_and_right_answers():
    model, batch = build(auxiliary_heads=AUXILIARY), examples()
    measured = Measured()
    loss, _ = model.loss_and_gradients(**batch, auxiliary=tasks(), measured=measured)
    assert loss == pytest.approx(measured["mlm"][0] + 0.7 * measured["sop"][0] + 2.5 * measured["token_order"][0])
    assert {name: values[2] for name, values in measured.items()} == {"mlm": 4, "sop": 3, "token_order": 6}
    logits, labels = model.score(**batch)
    assert measured["mlm"][1] == (logits.argmax(axis=1) == labels).sum()


def test_measuring_changes_nothing():
    model = build()
    (loss, grads), (again, measured_grads) = (
        model.loss_and_gradients(**examples(), measured=measured) for measured in (None, Measured())
    )
    assert loss == again
    assert grads.vector.tobytes() == measured_grads.vector.tobytes()


def test_parts_of_a_batch_sum_to_the_whole():
    model, batch, asked = build(auxiliary_heads=AUXILIARY), examples(), tasks()
    whole_measured, measured = Measured(), Measured()
    whole, grads = model.loss_and_gradients(**batch, auxiliary=asked, measured=whole_measured)
    total, parts = 0.0, None
    for part in (slice(0, 1), slice(1, 3)):
        share = {name: AuxiliaryTask(task.labels[part], task.weight, task.count) for name, task in asked.items()}
        loss, parts = model.loss_and_gradients(
            **{name: array[part] for name, array in batch.items()},
            auxiliary=share,
            grads=parts,
            count=4,
            measured=measured,
        )
        total += loss
    assert total == pytest.approx(whole, rel=1e-12)
    np.testing.assert_allclose(parts.vector, grads.vector, **SAME)
    for name, values in measured.items():
        assert values == pytest.approx(whole_measured[name], rel=1e-12)


def test_losses_of_predictions_do_not_overflow():
    logits = np.array([[1000.0, 0.0], [-1000.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(prediction_losses(logits, np.array([1, 0, 1])), [1000, 1000, np.log(2)])

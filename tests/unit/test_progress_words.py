"""The words of progress: a student knows which step is meant, and how many there are."""

import io
from types import SimpleNamespace

from rich.console import Console

from minibert.running.estimate import Estimate
from minibert.running.progress import Display
from minibert.tracking.status import Status


def child(name, step, **parameters):
    return SimpleNamespace(
        name=name, step=step, status=Status.RUNNING, parameters=parameters, metrics={"train/loss": 5.25}
    )


def test_a_line_of_a_sweep_names_the_step_of_each_training_and_how_many_it_has():
    runs = [child("seed 0", 20, **{"training.steps": "500"}), child("seed 1", 10, **{"training.steps": "400"})]
    _, *told = Estimate(4, 0.0).summary(runs).split("; ")
    assert told == [
        "seed 0: training step 20 of 500, training loss 5.250",
        "seed 1: training step 10 of 400, training loss 5.250",
    ]


def test_a_run_whose_settings_are_not_recorded_yet_has_an_unknown_number_of_steps():
    assert Estimate(1, 0.0).summary([child("seed 0", 3)]).endswith("training step 3 of ?, training loss 5.250")


def test_the_table_of_a_sweep_heads_its_column_so():
    text = io.StringIO()
    Console(file=text, width=100).print(Estimate(1, 0.0).table([child("seed 0", 20, **{"training.steps": "500"})]))
    assert "training step" in text.getvalue() and "20/500" in text.getvalue()


def test_what_is_gone_through_is_told_by_its_name_and_its_number(capsys):
    assert list(Display().track([0, 8], "checkpoint of training step")) == [0, 8]
    assert capsys.readouterr().out.splitlines() == [
        "checkpoint of training step 0 (1 of 2)",
        "checkpoint of training step 8 (2 of 2)",
    ]

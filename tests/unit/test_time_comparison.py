"""How soon one training is where another ends: seed by seed, and by the best rate of each."""

from tests.benchmarks.trainings import Trained
from tests.benchmarks.trainings.comparison import Curve, alone, best_rates, first_below, own, summary


def curve(name, losses, seed=0, rate=0.0, pace=1.0):
    steps = list(range(10, 10 * len(losses) + 1, 10))
    return Curve(name, 1.0, rate, seed, pace, Trained([], steps, losses, 0.25, {}))


CURVES = [
    curve("minibert", [5.0, 4.0, 3.0]),
    curve("minibert", [5.0, 4.5, 3.9], seed=1),
    curve("BERT", [6.0, 5.0], rate=0.1, pace=10.0),
    curve("BERT", [6.0, 4.0], rate=0.2, pace=10.0),
    curve("BERT", [6.0, 4.2], seed=1, rate=0.1, pace=10.0),
    curve("BERT", [6.0, 2.0], seed=2, rate=0.1, pace=10.0),
]


def test_each_seed_of_another_is_beside_the_same_seed_of_minibert():
    rows = {row["trained"]: row for row in summary(CURVES)}
    assert rows["BERT, rate 0.2, seed 0"]["minibert there after"] == "20 s"
    assert rows["BERT, rate 0.2, seed 0"]["ratio"] == "10.0"
    assert rows["BERT, rate 0.1, seed 1"]["ratio"] == "6.7"
    assert rows["BERT, rate 0.1, seed 2"]["ratio"] == ""
    assert rows["minibert, seed 1"]["bits a byte"] == "0.975"


def test_the_best_rate_of_each_seed_is_compared():
    assert [(each.seed, each.rate) for each in best_rates(CURVES)] == [(0, 0.2), (1, 0.1), (2, 0.1)]


def test_a_loss_is_reached_when_any_curve_is_at_it():
    assert first_below(own(CURVES, 0), 4.0) == 20
    assert first_below(own(CURVES, 1), 3.0) is None
    assert first_below([], 3.0) is None


def test_minibert_by_itself_has_no_ratios():
    only = own(CURVES, 0) + own(CURVES, 1)
    assert alone(only) and not alone(CURVES)
    assert all("ratio" not in row for row in summary(only))

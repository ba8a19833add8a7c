"""The frozen evaluation: every rate has a metric of its own, and predicts something."""

from types import SimpleNamespace

import numpy as np
import pytest

from minibert.config import EvaluationConfig
from minibert.data.baselines import bigram_cross_entropy
from minibert.data.packing import Sequences, documents_part
from minibert.errors import MinibertError
from minibert.evaluation.intrinsic.held_out import IntrinsicEvaluation, rate_metric

SEQUENCES = Sequences(np.tile(np.r_[2, 5:19, 3].astype(np.int32), (4, 1)), np.full(4, 16, np.int32), np.arange(4))
DATA = SimpleNamespace(
    evaluation=SEQUENCES, statistics={"unigram_entropy": 3.0, "evaluation_tokens": 56, "evaluation_bytes": 224}
)


def test_the_metric_of_a_rate_tells_it_from_every_other():
    rates = [0.15, 0.4, 0.151, 0.152, 0.1, 0.001, 0.0015]
    names = [rate_metric(rate).removeprefix("eval/loss_at_rate/") for rate in rates]
    assert names == ["0.15", "0.40", "0.151", "0.152", "0.10", "0.001", "0.0015"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rates": [0.4, 1e-9]}, r"evaluation\.rates\[1\]=1e-09: predicts none of the 64 held-out tokens"),
        ({"rate": 1e-9}, r"evaluation\.rate=1e-09: predicts none"),
        ({"rates": [0.001], "sequences": 1}, r"evaluation\.rates\[0\]=0\.001: predicts none of the 16"),
    ],
)
def test_a_rate_that_predicts_nothing_is_refused_before_training(settings, message):
    with pytest.raises(MinibertError, match=message):
        IntrinsicEvaluation(EvaluationConfig(**settings), DATA, 20, None)


def test_the_baselines_of_one_half_are_of_its_own_text():
    """Every second document has words of two kinds only: their entropy is log 2, not the one stated for all."""
    ids = SEQUENCES.input_ids.copy()
    ids[1::2, 1:-1] = np.tile([5, 6], 7)
    evaluation = Sequences(ids, SEQUENCES.lengths, SEQUENCES.documents)
    statistics = DATA.statistics | {"unigram_cross_entropy": 3.0, "bigram_cross_entropy": 2.0}
    counts = np.r_[np.zeros(5, int), np.ones(15, int)]
    data = SimpleNamespace(evaluation=evaluation, train=SEQUENCES, unigram_counts=counts, statistics=statistics)
    whole = IntrinsicEvaluation(EvaluationConfig(rates=[]), data, 20, None).baselines
    half = IntrinsicEvaluation(EvaluationConfig(rates=[], documents="test"), data, 20, None).baselines
    assert whole == {name: statistics[name] for name in whole}
    assert half["unigram_entropy"] == pytest.approx(np.log(2))
    assert half["unigram_cross_entropy"] == pytest.approx(np.log(15))
    assert half["bigram_cross_entropy"] == bigram_cross_entropy(SEQUENCES, documents_part(evaluation, "test"), 20)

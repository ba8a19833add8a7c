"""Activations: their sizes, what feed-forward units do, and the formulas worked through."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from minibert import MiniBERT, MinibertError, ModelConfig, create_model
from minibert.config import AdamWConfig, Config, PositionConfig
from minibert.data.batches import Batch
from minibert.diagnostics import (
    MathematicalAnalyzer,
    collect_activations,
    compute_activation_statistics,
    compute_unit_activity,
)
from minibert.diagnostics.activations.figures import plot_activation_sizes, plot_unit_activity, plot_units
from minibert.diagnostics.activations.measures import find_top_tokens, real_positions
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.training.trainer import Trainer

MODEL = ModelConfig(
    vocab_size=40, hidden_size=16, layers=2, heads=2, feed_forward_size=24, max_length=12,
    dropout=0.1, attention_dropout=0.1, position=PositionConfig(),
)  # fmt: skip
GATED = ModelConfig(
    vocab_size=40, hidden_size=16, layers=2, heads=2, feed_forward_size=24, max_length=12,
    attention="gated", activation="swiglu",
)  # fmt: skip


def test_statistics_of_four_numbers():
    found = compute_activation_statistics(np.array([[1, 2], [3, 4]], "float32"))
    assert (found.shape, found.mean, found.minimum, found.maximum) == ((2, 2), 2.5, 1, 4)
    assert found.deviation == pytest.approx(math.sqrt(1.25))
    assert found.variance == pytest.approx(1.25)
    assert str(found) == "2 x 2: mean 2.5, deviation 1.118, from 1 to 4"


def test_a_small_deviation_about_a_large_mean_is_not_lost():
    numbers = np.full((3, 90_000), 10_000, "float32")
    numbers[:, ::2] += 1
    for array in (numbers, numbers.T, numbers[:, ::-1], [numbers[:1], numbers[1:]]):
        found = compute_activation_statistics(array)
        assert found.mean == pytest.approx(10_000.5, abs=1e-6)
        assert found.deviation == pytest.approx(0.5, rel=1e-5)


def test_parts_count_as_one_array():
    whole = np.random.default_rng(0).normal(3, 2, (50, 7))
    apart, together = compute_activation_statistics([whole[:11], whole[11:]]), compute_activation_statistics(whole)
    assert apart.shape == together.shape == (50, 7)
    assert apart.mean == pytest.approx(whole.mean())
    assert apart.deviation == pytest.approx(whole.std())
    assert (apart.minimum, apart.maximum) == (whole.min(), whole.max())


def test_statistics_of_nothing_are_refused():
    with pytest.raises(MinibertError, match="empty"):
        compute_activation_statistics(np.zeros((0, 4)))


def test_a_token_is_real_where_any_may_look_at_it():
    mask = np.array([[True, True, False], [True, True, True]])
    pieces = mask[:, None, :] & np.eye(3, dtype=bool)
    assert (real_positions(mask) == mask).all()
    assert (real_positions(pieces) == mask).all()
    assert real_positions(None) is real_positions(np.ones((2, 3), bool)) is None


def test_activations_of_a_full_pass_are_the_cache():
    model = MiniBERT(GATED, seed=0)
    _, cache = model.forward(np.arange(24).reshape(2, 12))
    found = collect_activations(cache)
    inner = [f"feed_forward/{name}" for name in ("input", "active", "gate", "value")]
    names = ("input", "query", "key", "value", "weights", "context", "gate", "gated_context")
    of_layer = [f"attention/{name}" for name in names] + inner
    layers = ["layer_0", "layer_1"]
    assert set(found) == {
        "embeddings",
        "head/transformed",
        *layers,
        *(f"{a}/{b}" for a in layers for b in of_layer),
    }
    assert found["layer_1/attention/weights"] is cache.layers[1].attention.weights
    assert found["layer_1"] is cache.hidden_states[2]
    plain = collect_activations(MiniBERT(MODEL, seed=0).forward(np.arange(24).reshape(2, 12))[1])
    assert not any(place.endswith(("gate", "gated_context", "feed_forward/value")) for place in plain)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_rows_that_only_fill_up_and_padding_are_left_out(checkpointed):
    model = MiniBERT(MODEL, seed=0)
    random = np.random.default_rng(1)
    input_ids = random.integers(5, 40, (3, 12))
    real = np.arange(12) < np.array([[12], [9], [10]])
    predicted = np.zeros((3, 12), bool)
    predicted[0, [1, 4, 7]] = predicted[1, 2] = predicted[2, [0, 9]] = True
    _, full = model.forward(input_ids, real)
    _, part = model.forward(input_ids, real, predicted=predicted, checkpoint_activations=checkpointed)
    found, expected = collect_activations(part, real), collect_activations(full)
    for place in ("embeddings", "layer_0"):
        np.testing.assert_allclose(found[place], expected[place][real], atol=1e-6)
    np.testing.assert_allclose(found["layer_1"], expected["layer_1"][predicted], atol=1e-5)
    weights = expected["layer_1/attention/weights"].transpose(0, 2, 1, 3)[predicted]
    np.testing.assert_allclose(found["layer_1/attention/weights"], weights, atol=1e-6)
    active = expected["layer_1/feed_forward/active"].reshape(3, 12, 24)[predicted]
    np.testing.assert_allclose(found["layer_1/feed_forward/active"], active, atol=1e-6)
    assert found["layer_1/attention/key"].shape == (real.sum(), 2, 8)


RESPONSES = np.array([[1, 2, -1, 1], [1, 0, -2, 3], [1, -1, 0, -5], [1, 0, -3, 0]], "float32")


def test_activity_of_four_units():
    found = compute_unit_activity(RESPONSES)
    np.testing.assert_allclose(found.share, [1, 0.25, 0, 0.5])
    # The last: (1 - 4² / (4 · 10)) / (1 - 1/4)
    np.testing.assert_allclose(found.selectivity, [0, 1, np.nan, 0.8], rtol=1e-6)
    assert found.positions == 4
    assert found.active_share == pytest.approx(7 / 16)
    assert found.dead_units.tolist() == [2]
    assert found.mean_selectivity == pytest.approx(0.6)


def test_activity_does_not_depend_on_parts():
    responses = np.random.default_rng(0).normal(size=(700, 300)).astype("float32")
    apart, together = compute_unit_activity([responses[:100], responses[100:]]), compute_unit_activity(responses)
    np.testing.assert_array_equal(apart.share, together.share)
    np.testing.assert_allclose(apart.selectivity, together.selectivity, rtol=1e-5)
    assert together.mean_selectivity == pytest.approx(1 - 1 / np.pi, abs=0.005)  # a ReLU of normal numbers


@pytest.mark.parametrize("responses", [np.zeros((0, 3)), np.zeros(3), []])
def test_activity_without_responses_is_refused(responses):
    with pytest.raises(MinibertError, match="responses"):
        compute_unit_activity(responses)


def test_top_tokens_come_once_each_with_their_largest_response():
    found = find_top_tokens(RESPONSES, np.array([[9, 8], [9, 7]]), top=2)
    assert found.tokens.tolist() == [[7, 8], [9, 7], [9, 8], [8, 9]]  # of equal ones, the lower id
    assert found.responses.tolist() == [[1, 1], [2, 0], [0, -2], [3, 1]]
    assert find_top_tokens(RESPONSES, [9, 8, 9, 7], top=50).tokens.shape == (4, 3)
    with pytest.raises(MinibertError, match="token_ids"):
        find_top_tokens(RESPONSES, [1, 2, 3])


def test_attention_without_preference_takes_the_mean():
    values = np.random.default_rng(0).normal(size=(5, 8))
    found = MathematicalAnalyzer().analyze_attention_computation(np.zeros((3, 8)), values, values)
    np.testing.assert_allclose(found.entropy.array, np.full(3, math.log(5)))
    np.testing.assert_allclose(found.context.array, np.tile(values.mean(axis=0), (3, 1)))
    assert found.scores.statistics.shape == (3, 5)


def test_attention_step_by_step():
    found = MathematicalAnalyzer().analyze_attention_computation(
        [[2, 0]], [[math.sqrt(2), 5], [0, 7]], [[1, 0], [0, 1]]
    )
    np.testing.assert_allclose(found.scores.array, [[2 * math.sqrt(2), 0]])
    np.testing.assert_allclose(found.scaled_scores.array, [[2, 0]])
    share = 1 / (1 + math.exp(-2))
    np.testing.assert_allclose(found.weights.array, [[share, 1 - share]])
    np.testing.assert_allclose(found.context.array, [[share, 1 - share]])
    assert "softmax" in str(found)
    assert list(found.intermediates)[3:6] == ["scores", "scaled_scores", "weights"]


def test_attention_of_a_cache_is_that_of_the_network():
    model = create_model("debug", seed=3)
    real = np.arange(16) < np.array([[16], [11]])
    _, cache = model.forward(np.arange(32).reshape(2, 16), real)
    seen = cache.layers[1].attention
    found = MathematicalAnalyzer(model).analyze_attention_computation(seen.query, seen.key, seen.value, real)
    np.testing.assert_allclose(found.weights.array, seen.weights, atol=1e-6)
    np.testing.assert_allclose(found.context.array.transpose(0, 2, 1, 3).reshape(32, -1), seen.context, atol=1e-6)
    assert np.isfinite(found.entropy.statistics.maximum)


def test_layer_norm_step_by_step():
    found = MathematicalAnalyzer().analyze_layer_norm_statistics([[[1, 3]], [[10, 30]]], [2, 2], [5, 6])
    np.testing.assert_allclose(found.row_mean.array, [[2], [20]])
    np.testing.assert_allclose(found.row_variance.array, [[1], [100]])
    np.testing.assert_allclose(found.normalized.array, [[[-1, 1]], [[-1, 1]]])
    np.testing.assert_allclose(found.after.array, [[[3, 8]], [[3, 8]]])
    assert found.before.statistics.maximum == 30


def test_feed_forward_patterns_are_the_same_from_tokens_and_from_rows():
    model = create_model("debug", seed=3)
    model.params["layers.1.feed_forward.in.bias"][[4, 9]] = -100
    ids = np.arange(5, 37).reshape(2, 16)
    _, cache = model.forward(ids)
    analyzer = MathematicalAnalyzer(model, SimpleNamespace(id_to_token=lambda token: f"word{token}"))
    by_tokens = analyzer.analyze_ffn_activation_patterns(ids, 1)
    by_rows = analyzer.analyze_ffn_activation_patterns(cache.layers[1].feed_forward.input, 1)
    np.testing.assert_allclose(by_tokens.responses.array, by_rows.responses.array, atol=1e-6)
    assert by_tokens.activity.dead_units.tolist() == by_rows.activity.dead_units.tolist() == [4, 9]
    assert by_rows.top_tokens is None
    response = by_tokens.responses.array[:, 0]
    assert by_tokens.top_tokens.tokens[0, 0] == ids.reshape(-1)[response.argmax()]
    assert by_tokens.words[0][0] == f"word{by_tokens.top_tokens.tokens[0, 0]}"
    assert "dead: 2 of 64" in str(by_tokens)
    assert "word" in str(by_tokens)


def test_a_gated_unit_is_active_where_its_gate_is_positive():
    model = MiniBERT(GATED, seed=0)
    model.params["layers.0.feed_forward.gate.bias"][3] = -100
    real = np.arange(12) < np.array([[12], [7]])
    found = MathematicalAnalyzer(model).analyze_ffn_activation_patterns(
        np.arange(24).reshape(2, 12), 0, attention_mask=real
    )
    assert found.activity.dead_units.tolist() == [3]
    assert found.activity.positions == 19


ANALYZER = MathematicalAnalyzer(MiniBERT(MODEL, seed=0))
ROWS = np.zeros((2, 4))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: ANALYZER.analyze_attention_computation(ROWS, np.zeros((2, 5)), ROWS), "Q, K, V"),
        (lambda: ANALYZER.analyze_attention_computation(ROWS, ROWS, ROWS, np.ones((1, 2))), "attention_mask"),
        (lambda: ANALYZER.analyze_layer_norm_statistics(ROWS, np.ones(3), np.ones(4)), "gamma"),
        (lambda: ANALYZER.analyze_ffn_activation_patterns(ROWS, 0), "x: shape"),
        (lambda: ANALYZER.analyze_ffn_activation_patterns(np.zeros((2, 16)), 2), "Allowed: 0 to 1"),
        (lambda: ANALYZER.analyze_ffn_activation_patterns(np.zeros((2, 16)), 1, [1, 2, 3]), "token_ids"),
        (lambda: MathematicalAnalyzer().analyze_ffn_activation_patterns(ROWS, 0), "has no model"),
    ],
)
def test_what_does_not_go_together_is_refused(ask, message):
    with pytest.raises(MinibertError, match=message):
        ask()


class Record:
    """What a run records, in memory."""

    def __init__(self):
        self.metrics, self.stored, self.dicts, self.tags = {}, {}, {}, {}

    def log(self, metrics, step):
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append((step, value))

    def log_arrays(self, name, step, arrays):
        self.stored.setdefault(name, {})[step] = arrays

    def log_dict(self, content, path):
        self.dicts[path] = content

    def set_tags(self, tags):
        self.tags |= tags

    def history(self, metric):
        return [step for step, _ in self.metrics[metric]], [value for _, value in self.metrics[metric]]

    def metric_names(self, prefix=""):
        return sorted(name for name in self.metrics if name.startswith(prefix))

    def arrays(self, name):
        return self.stored.get(name, {})


class PaddedBatches:
    """Six rows; of the last three, one is padded to four tokens and one to five."""

    mask = np.arange(12) < np.array([[12], [12], [12], [4], [12], [5]])

    def at(self, step):
        random = np.random.default_rng(step)
        input_ids = random.integers(5, 40, (6, 12)).astype("int32")
        labels = np.where((random.random(input_ids.shape) < 0.3) & self.mask, input_ids, -100)
        return Batch(input_ids, labels, self.mask, int(self.mask.sum()), int((labels != -100).sum()))


ALL = ["activation_statistics", "feed_forward_units", "feed_forward_top_tokens"]


def train(names, model=MODEL, prepare=None, **training):
    config = Config(model=model, optimizer=AdamWConfig())
    config.seeds.dropout, config.training.steps = 5, 2
    for name, value in training.items():
        setattr(config.training, name, value)
    record = Record()
    network = MiniBERT(model, seed=1)
    if prepare:
        prepare(network.params)
    diagnostics = Diagnostics(choose(names), [0, 1, 2], 2, record) if names else None
    data = SimpleNamespace(tokenizer=SimpleNamespace(id_to_token=str))
    with Trainer(network, PaddedBatches(), config, (), diagnostics, data, PaddedBatches().at(99)) as trainer:
        trainer.train()
    return record, network.params.vector


@pytest.fixture(scope="module")
def recorded():
    return train(ALL)


def test_a_run_records_sizes_and_units(recorded):
    record, _ = recorded
    assert not record.tags
    assert {name.split("/")[0] for name in record.metric_names()} == {
        room for each in choose(ALL) for room in each.metrics
    }
    for place in (
        "embeddings",
        "layer_0",
        "layer_1/attention/query",
        "layer_0/feed_forward/active",
        "head/transformed",
    ):
        found = {
            name: record.history(f"activation_{name}/{place}")
            for name in ("mean", "deviation", "minimum", "maximum")
        }
        assert all(steps == [0, 1, 2] for steps, _ in found.values())
        smallest, mean, largest = (found[name][1][0] for name in ("minimum", "mean", "maximum"))
        assert smallest < mean < largest
    for layer in ("layer_0", "layer_1"):
        assert 0 < record.history(f"active_share/{layer}")[1][0] < 1
        assert 0 <= record.history(f"dead_units/{layer}")[1][0] <= 1
        assert 0 < record.history(f"unit_selectivity/{layer}")[1][0] < 1
        assert record.arrays("feed_forward_units")[1][f"{layer}/share"].shape == (24,)
    units = record.dicts["feed_forward_top_tokens.json"]["layer_1"]
    assert len(units) == 24
    assert len(units[0]["tokens"]) == len(units[0]["responses"]) == 5
    assert units[0]["responses"] == sorted(units[0]["responses"], reverse=True)


def test_looking_changes_no_bit(recorded):
    _, looked = recorded
    assert train([])[1].tobytes() == looked.tobytes()


def test_a_dead_unit_is_counted_in_its_layer_only():
    def kill(params):
        params["layers.0.feed_forward.in.bias"][:6] = -100

    record, _ = train(["feed_forward_units"], prepare=kill)
    assert record.history("dead_units/layer_0")[1] == [0.25] * 3
    assert record.history("dead_units/layer_1")[1] == [0] * 3


@pytest.mark.parametrize("training", [{"lanes": 2}, {"lanes": 2, "accumulation": 2}, {"lanes": 1}])
def test_padding_is_left_out_whatever_the_lanes(training, monkeypatch):
    from minibert.diagnostics.activations import recorded as activations

    rows = []

    def count(parts):
        rows.append(sum(map(len, parts)))
        return compute_unit_activity(parts)

    monkeypatch.setattr(activations, "compute_unit_activity", count)
    train(["feed_forward_units"], **training)
    # With accumulation the caches are those of the last three rows.
    assert rows[0] == PaddedBatches.mask[-3:].sum() if "accumulation" in training else PaddedBatches.mask.sum()


def test_figures_are_drawn_of_what_is_recorded(recorded):
    record, _ = recorded
    drawings = (plot_activation_sizes, plot_units, plot_unit_activity)
    assert all(draw(Record()) == {} for draw in drawings)
    drawn = {name: drawing for draw in drawings for name, drawing in draw(record).items()}
    assert set(drawn) == {"deviation", "range", "units", "unit_activity"}
    assert "with dropout if the run has it" in drawn["deviation"].caption
    assert [panel.get_title() for panel in drawn["deviation"].figure.axes][8] == "hidden state after the layer"

"""Gradients, updates, their noise and what they do to the loss, against cases worked out by hand."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from support.batches import RandomBatches
from support.records import MemoryRecord
from support.trainers import small_config, small_model, small_trainer

from minibert.config import Config
from minibert.config.optimizers import (
    AdamWConfig,
    AdaptiveClippingConfig,
    ClippingConfig,
    GlobalNormClippingConfig,
    PercentileClippingConfig,
)
from minibert.diagnostics import (
    LossComponents,
    analyze_gradient_magnitudes_by_layer,
    analyze_parameter_updates,
    analyze_weight_evolution,
    compute_gradient_cosines,
    compute_gradient_noise,
    compute_gradient_rms,
    compute_loss_components,
    compute_noise_scale,
    compute_update_ratios,
    measure_displacements,
    plot_gradient_flow,
    plot_loss_components,
    track_weight_changes,
)
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.gradients.figures import draw_gradients
from minibert.diagnostics.gradients.loss_component_figures import draw_loss_components
from minibert.diagnostics.gradients.measures import inner_product
from minibert.diagnostics.gradients.weight_figures import draw_weights
from minibert.diagnostics.plotting.depths import in_depth_order, weights_by_kind
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.parameters import Block, Layout, Parameters
from minibert.training.checkpoints import save_checkpoint
from minibert.training.observers import TrainingLog
from minibert.training.optimizers import Optimizer
from minibert.training.trainer import Trainer
from minibert.training.transforms.clipping import build_clipping, clipped_share


def arrays(**values) -> dict[str, np.ndarray]:
    """Named float32 arrays; ``__`` in a name stands for a dot."""
    return {name.replace("__", "."): np.array(value, np.float32) for name, value in values.items()}


GRADIENTS = arrays(
    embeddings__token__weight=[[1, -1], [1, 1]], layers__0__norm__gain=[3], layers__0__norm__bias=[0, 4],
    layers__10__norm__bias=[-2], mlm_head__bias=[0, 0],
)  # fmt: skip


class TestMagnitudes:
    def test_of_groups_are_those_of_all_their_elements(self):
        found = analyze_gradient_magnitudes_by_layer(GRADIENTS)
        assert list(found) == ["embeddings", "layer_0", "layer_10", "mlm_head"]
        assert found["embeddings"] == (2, 1, 1)
        assert found["layer_0"] == pytest.approx((5, (25 / 3) ** 0.5, 4))
        assert found["layer_10"] == (2, 2, 2)
        assert found["mlm_head"] == (0, 0, 0)

    def test_root_mean_squares_are_given_for_parameters_groups_and_all(self):
        found = compute_gradient_rms(GRADIENTS)
        assert found["layers.0.norm.bias"] == pytest.approx(8**0.5)
        assert found["layer_0"] == pytest.approx((25 / 3) ** 0.5)
        assert found["global"] == pytest.approx((33 / 10) ** 0.5)
        assert found.keys() == GRADIENTS.keys() | {"embeddings", "layer_0", "layer_10", "mlm_head", "global"}

    def test_sums_of_many_small_numbers_lose_nothing(self):
        """In float32, 2²⁴ + 1 is 2²⁴."""
        many = np.concatenate([[4096], np.ones(200_000)]).astype(np.float32)
        assert inner_product(many, many) == 2**24 + 200_000
        assert inner_product(many, np.ones_like(many)) == 4096 + 200_000

    def test_without_gradients_there_is_an_error(self):
        with pytest.raises(MinibertError, match="no parameter was given"):
            analyze_gradient_magnitudes_by_layer({})


class TestUpdates:
    BEFORE = arrays(layers__0__out__weight=[[3, 4]], layers__0__out__bias=[0], mlm_head__bias=[12])
    AFTER = arrays(layers__0__out__weight=[[3, 4.5]], layers__0__out__bias=[1], mlm_head__bias=[12])

    def test_are_measured_against_what_was_there_before(self):
        found = analyze_parameter_updates(self.BEFORE, self.AFTER)
        assert found["layers.0.out.weight"] == pytest.approx((0.5, 5, 0.1))
        assert found["layers.0.out.bias"] == pytest.approx((1, 0, np.nan), nan_ok=True)
        assert found["mlm_head.bias"] == (0, 12, 0)
        assert found["layer_0"] == pytest.approx((1.25**0.5, 5, 1.25**0.5 / 5))
        assert found["global"] == pytest.approx((1.25**0.5, 13, 1.25**0.5 / 13))

    def test_ratios_of_an_update_are_those_of_before_and_after(self):
        update = {name: self.AFTER[name] - self.BEFORE[name] for name in self.BEFORE}
        ratios = compute_update_ratios(self.BEFORE, update)
        assert ratios["layers.0.out.weight"] == pytest.approx(0.1)

    @pytest.mark.parametrize("other", [arrays(mlm_head__bias=[1]), BEFORE | arrays(mlm_head__bias=[1, 2])])
    def test_of_other_parameters_are_refused(self, other):
        with pytest.raises(MinibertError, match=r"updates: (layers\.0|mlm_head).* differ"):
            analyze_parameter_updates(self.BEFORE, other)


def test_cosines_are_of_groups_and_of_all():
    first = arrays(layers__0__a__gain=[1, 0], layers__0__b__gain=[2], mlm_head__bias=[3], embeddings__a__gain=[0])
    second = arrays(
        layers__0__a__gain=[0, 1], layers__0__b__gain=[2], mlm_head__bias=[-1], embeddings__a__gain=[1]
    )
    found = compute_gradient_cosines(first, second)
    assert found == pytest.approx(
        {"layer_0": 4 / 5, "mlm_head": -1, "embeddings": np.nan, "global": (4 - 3) / (14 * 7) ** 0.5}, nan_ok=True
    )


class TestNoise:
    def test_two_orthogonal_halves_are_all_noise(self):
        """Means of halves (2, 0) and (0, 2), of all (1, 1): tr Σ = 2·2 + 2·2, |G|² = 2 - 8/4."""
        noise = compute_gradient_noise([np.array([1.0, 0.0]), np.array([0.0, 1.0])], [2, 2])
        assert noise == pytest.approx((0, 8, np.nan), nan_ok=True)

    def test_of_equal_halves_there_is_none(self):
        noise = compute_gradient_noise([np.array([1.0, 2.0])] * 2, [4, 4])
        assert noise == pytest.approx((20, 0, 0), abs=1e-12)

    def test_unequal_parts_by_hand(self):
        """One sequence of gradient 4, and three of mean 0; the mean of all is 1.

        tr Σ = 1·(4 - 1)² + 3·(0 - 1)² = 12 and |G|² = 1 - 12/4 = -2: below zero, so there is no scale.
        """
        noise = compute_gradient_noise([np.array([1.0]), np.array([0.0])], [1, 3])
        assert noise == pytest.approx((-2, 12, np.nan), nan_ok=True)

    def test_equals_the_estimates_of_mccandlish_from_two_batch_sizes(self):
        shares = np.random.default_rng(0).normal(size=(4, 30)) + 1
        small, big = 5, 20
        of_small, of_big = np.mean([((4 * share) ** 2).sum() for share in shares]), (shares.sum(0) ** 2).sum()
        squared_norm = (big * of_big - small * of_small) / (big - small)
        trace = (of_small - of_big) / (1 / small - 1 / big)
        noise = compute_gradient_noise(list(shares), [small] * 4)
        assert noise == pytest.approx((squared_norm, trace, trace / squared_norm))

    def test_is_without_bias_where_the_covariance_is_known(self):
        """Sequences of mean gradient (1, -2, 0.5) and covariance M Mᵀ, in lanes of 2, 3 and 7 of them.

        |G|² = 1 + 4 + 0.25; tr M Mᵀ = 4 + (1 + 9) + (1 + 0.25 + 1).
        """
        random = np.random.default_rng(1)
        mean, mix = np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0, 0], [1, 3, 0], [-1, 0.5, 1]])
        estimates = []
        for _ in range(4000):
            sequences = mean + random.normal(size=(12, 3)) @ mix.T
            shares = [part.sum(axis=0) / 12 for part in np.split(sequences, [2, 5])]
            estimates.append(compute_gradient_noise(shares, [2, 3, 7]))
        squared_norms, traces, _ = np.array(estimates).T
        for values, expected in ((squared_norms, 5.25), (traces, 16.25)):
            error = values.std() / len(values) ** 0.5
            assert abs(values.mean() - expected) < 3 * error < 0.05 * expected
        assert compute_noise_scale(squared_norms, traces) == pytest.approx(16.25 / 5.25, rel=0.05)

    def test_long_float32_gradients_are_summed_in_pieces(self):
        shares = np.random.default_rng(2).normal(size=(2, 150_000)).astype(np.float32)
        means = 2 * shares.astype(float)
        trace = 8 * sum(((each - means.mean(0)) ** 2).sum() for each in means)
        assert compute_gradient_noise(list(shares), [8, 8]).trace == pytest.approx(trace, rel=1e-12)

    def test_an_empty_part_is_left_out(self):
        shares = [np.array([1.0, 0.0]), np.zeros(2), np.array([0.0, 1.0])]
        assert compute_gradient_noise(shares, [2, 0, 2]).trace == pytest.approx(8)

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [([1], r"2 shares and 1 sizes"), ([3, 0], r"1 parts .* training\.lanes=2")],
    )
    def test_what_cannot_be_compared_is_refused(self, sizes, message):
        with pytest.raises(MinibertError, match=message):
            compute_gradient_noise([np.ones(2), np.ones(2)], sizes)


class TestDisplacements:
    def test_by_hand(self):
        start = arrays(a__weight=[3, 4], b__weight=[1, 0], c__weight=[2, 0], d__bias=[0], e__weight=[1])
        there = arrays(a__weight=[6, 8], b__weight=[0, 1], c__weight=[-1, 0], d__bias=[2], e__weight=[0])
        found = measure_displacements(there, start)
        assert found["a.weight"] == pytest.approx((5, 1, 0))  # only longer
        assert found["b.weight"] == pytest.approx((2**0.5, 2**0.5, np.pi / 2))
        assert found["c.weight"] == pytest.approx((3, 1.5, np.pi))
        assert found["d.bias"] == pytest.approx((2, np.nan, np.nan), nan_ok=True)
        assert found["e.weight"] == pytest.approx((1, 1, np.nan), nan_ok=True)
        cosine = (18 + 32 - 2) / (31 * 106) ** 0.5
        assert found["global"] == pytest.approx((41**0.5, (41 / 31) ** 0.5, np.arccos(cosine)))

    @pytest.mark.parametrize("angle", [1e-7, 1e-3, 1.0, 3.0])
    def test_small_and_large_angles_are_precise(self, angle):
        start = {"a.weight": np.array([0.6, 0.8])}
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        there = {"a.weight": 1.7 * turn @ start["a.weight"]}
        assert measure_displacements(there, start)["a.weight"].angle == pytest.approx(angle, rel=1e-6, abs=1e-8)
        there = {"a.weight": turn @ start["a.weight"]}
        assert measure_displacements(there, start)["a.weight"].angle == pytest.approx(angle, rel=1e-8)


def turned(angle) -> dict[str, np.ndarray]:
    return {"layers.0.a.weight": np.array([np.cos(angle), np.sin(angle)]), "mlm_head.bias": np.array([angle])}


class TestEvolution:
    def check(self, evolution, steps):
        assert evolution.steps == steps
        assert evolution.angle["layers.0.a.weight"] == pytest.approx([0, 0.5, 2])
        assert evolution.angle_between["layers.0.a.weight"] == pytest.approx([0, 0.5, 1.5])
        chord = 2 * np.sin(np.array([0, 0.25, 1]))
        assert evolution.distance["layers.0.a.weight"] == pytest.approx(chord)
        assert evolution.relative_distance["layers.0.a.weight"] == pytest.approx(chord)
        assert evolution.distance["mlm_head.bias"] == pytest.approx([0, 0.5, 2])
        assert np.isnan(evolution.relative_distance["mlm_head.bias"]).all()
        assert evolution.distance.keys() == {"layers.0.a.weight", "mlm_head.bias", "global"}

    def test_of_parameters_that_turn(self):
        self.check(analyze_weight_evolution([turned(0), turned(0.5), turned(2)], [0, 4, 8]), (0, 4, 8))

    def test_of_checkpoint_files_kept_and_to_resume_from(self, tmp_path):
        paths = [tmp_path / f"{step}.safetensors" for step in (0, 4, 8)]
        for path, angle, about in zip(
            paths, (0, 0.5, 2), ({"step": 0}, {"step": 4}, {"progress": {"step": 8}}), strict=True
        ):
            more = {"optimizer.second_moment": np.ones(3), "optimizer.clipped/layers.0.a.weight": np.ones(1)}
            save_checkpoint(path, turned(angle) | (more if angle == 2 else {}), about)
        self.check(track_weight_changes(paths), (0, 4, 8))
        self.check(track_weight_changes(map(str, paths)), (0, 4, 8))

    def test_of_models_with_and_without_a_step(self):
        models = [SimpleNamespace(params=turned(angle)) for angle in (0, 0.5, 2)]
        self.check(track_weight_changes(models), (0, 1, 2))
        runs = [SimpleNamespace(model=model, step=3 * number) for number, model in enumerate(models)]
        self.check(track_weight_changes(runs), (0, 3, 6))

    def test_of_a_network(self):
        models = [MiniBERT(MODEL, seed=seed) for seed in (0, 1)]
        evolution = track_weight_changes(models)
        assert evolution.distance.keys() == {*models[0].params, "global"}
        # Independent matrices are nearly orthogonal.
        assert evolution.angle["layers.0.feed_forward.in.weight"][1] == pytest.approx(np.pi / 2, abs=0.1)

    @pytest.mark.parametrize(
        ("history", "steps", "message"),
        [
            ([turned(0)], [0, 1], "1 sets of parameters and 2 steps"),
            ([], [], "at least one"),
            ([turned(0), turned(1)], [4, 2], "step 2 was given after step 4"),
            ([turned(0), arrays(mlm_head__bias=[1])], [0, 1], r"layers\.0\.a\.weight differ"),
            ([GRADIENTS, GRADIENTS], [0, 1], "the very same arrays.*copies"),
        ],
    )
    def test_what_makes_no_history_is_refused(self, history, steps, message):
        with pytest.raises(MinibertError, match=message):
            analyze_weight_evolution(history, steps)

    def test_what_is_no_checkpoint_is_refused(self, tmp_path):
        with pytest.raises(MinibertError, match="int was given"):
            track_weight_changes([3])
        with pytest.raises(MinibertError, match="no checkpoint at"):
            track_weight_changes([tmp_path / "missing.safetensors"])
        with pytest.raises(MinibertError, match="no checkpoint was given"):
            track_weight_changes([])


class TestLossComponents:
    def test_by_hand(self):
        """L = ½ x² + 3 y from (2, 1) to (1, 0.5): 2·(-1) and 3·(-0.5), of which ½ (1 - 2)·(-1) is taken back."""
        before, after, update = (
            arrays(layers__0__x__gain=[x], mlm_head__bias=[y]) for x, y in ((2, 3), (1, 3), (-1, -0.5))
        )
        parts = compute_loss_components(before, after, update, loss=2 + 3, loss_after=0.5 + 1.5)
        assert parts.first_order == pytest.approx({"layer_0": -2, "mlm_head": -1.5})
        assert parts.curvature == pytest.approx({"layer_0": 0.5, "mlm_head": 0})
        assert parts.measured == pytest.approx(-3)
        assert parts.remainder == pytest.approx(0, abs=1e-12)

    def test_nothing_remains_of_a_quadratic(self):
        random = np.random.default_rng(0)
        matrix = random.normal(size=(6, 6))
        matrix += matrix.T
        start, update = random.normal(size=(2, 6))

        def named(vector):
            return {"embeddings.a.weight": vector[:2], "layers.0.b.weight": vector[2:].reshape(2, 2)}

        def loss(point):
            return point @ matrix @ point / 2

        end = start + update
        parts = compute_loss_components(
            named(matrix @ start), named(matrix @ end), named(update), loss(start), loss(end)
        )
        assert abs(parts.measured) > 1
        assert parts.remainder == pytest.approx(0, abs=1e-12)

    def test_half_the_step_leaves_an_eighth(self):
        model = MiniBERT(small_model(dropout=0.0, attention_dropout=0.0, dtype="float64"), seed=1)
        batch = RandomBatches().at(0)
        start = model.params.vector.copy()
        loss, grads = model.loss_and_gradients(batch.input_ids, batch.labels)
        remainders = []
        for rate in (0.002, 0.001, 0.0005):
            update = {name: -rate * array for name, array in grads.items()}
            model.params.vector[...] = start - rate * grads.vector
            after, grads_after = model.loss_and_gradients(batch.input_ids, batch.labels)
            parts = compute_loss_components(grads, grads_after, update, loss, after)
            remainders.append(parts.remainder)
            assert sum(parts.first_order.values()) == pytest.approx(-rate * (grads.vector @ grads.vector))
        assert [large / small for large, small in pairwise(remainders)] == pytest.approx([8, 8], rel=0.2)
        assert 1e-9 < abs(remainders[-1]) < 0.01 * abs(parts.measured)

    def test_of_other_parameters_are_refused(self):
        one, other = arrays(mlm_head__bias=[1]), arrays(mlm_head__bias=[1, 2])
        with pytest.raises(MinibertError, match="loss components"):
            compute_loss_components(one, other, one, 1.0, 1.0)


MODEL = small_model(dropout=0.1, attention_dropout=0.1)
STEPS = 20


ALL = (
    "gradient_magnitudes", "parameter_updates", "gradient_noise", "gradient_cosine", "weight_evolution",
    "loss_components",
)  # fmt: skip


def run(names=ALL, lanes=2, clipping=None, steps=STEPS, accumulation=1, model=MODEL):
    """Trainer and record of a run that has ended."""
    config = small_config(model, steps, optimizer=AdamWConfig(), clipping=clipping or GlobalNormClippingConfig())
    config.training.lanes, config.training.accumulation = lanes, accumulation
    record = MemoryRecord()
    diagnostics = Diagnostics(choose(names), [0, 1, 2, 10, steps], steps, record)
    with small_trainer(config, RandomBatches(), diagnostics) as trainer:
        trainer.train([TrainingLog(record.log)])
    return trainer, record


@pytest.fixture(scope="module")
def ended():
    return run()


class TestTraining:
    def test_metrics_have_their_names(self, ended):
        trainer, record = ended
        names, groups = set(trainer.params), {"embeddings", "layer_0", "layer_1", "final_norm", "mlm_head"}
        assert not record.tags
        for quantity, parts in {
            "gradient_rms": names | groups | {"global"},
            "update_ratio": names | groups | {"global"},
            "gradient_noise": {"squared_norm", "trace", "batch_size"},
            "gradient_cosine": groups | {"successive"},
            "distance_from_initialisation": names | {"global"},
            "loss_change": groups | {"curvature", "measured", "remainder"},
        }.items():
            found = {name.split("/")[1] for name in record.metric_names(f"{quantity}/")}
            assert found - {"scale"} == parts, quantity
        rooms = {name.split("/")[0] for name in record.metric_names()}
        assert rooms >= {room for each in choose(ALL) for room in each.metrics}
        from_zero = {name for name in names if name.endswith("bias")}
        for quantity in ("relative_distance", "angle"):
            found = {name.split("/")[1] for name in record.metric_names(f"{quantity}_from_initialisation/")}
            assert found == names - from_zero | {"global"}

    def test_looks_are_at_their_steps(self, ended):
        _, record = ended
        assert record.history("gradient_rms/global")[0] == [0, 1, 2, 10, 20]
        assert record.history("update_ratio/global")[0] == [0, 1, 2, 10]  # at the end nothing is updated
        assert record.history("gradient_noise/trace")[0] == [0, 10, 20]
        assert record.history("gradient_cosine/successive")[0] == [10, 20]  # nothing comes before the first step

    def test_the_parts_of_a_loss_change_sum_to_the_measured_one(self, ended):
        _, record = ended
        parts = [name for name in record.metric_names("loss_change/") if not name.endswith("measured")]
        total = sum(np.array(record.history(name)[1]) for name in parts)
        _, measured = record.history("loss_change/measured")
        assert total == pytest.approx(measured, abs=1e-12)
        _, remainder = record.history("loss_change/remainder")
        assert np.abs(remainder).max() < 0.02 * np.abs(measured).max()
        arrays = record.arrays("loss_components")[10]
        assert arrays["groups"].tolist() == ["embeddings", "layer_0", "layer_1", "final_norm", "mlm_head"]
        assert arrays["curvature"].sum() == pytest.approx(record.metrics["loss_change/curvature"][10])

    def test_weights_start_where_they_start(self, ended):
        trainer, record = ended
        distances = record.metrics["distance_from_initialisation/global"]
        angles = record.metrics["angle_from_initialisation/global"]
        assert distances[0] == angles[0] == 0
        assert 0 < distances[1] < distances[2] < distances[20]
        initial = MiniBERT(MODEL, seed=1).params.vector.astype(float)
        assert distances[20] == pytest.approx(np.linalg.norm(trainer.params.vector - initial))

    def test_the_noise_is_that_of_the_lanes_own_gradients(self, ended):
        """Without dropout, two halves of three sequences, each with its own passes."""
        model = small_model(dropout=0.0, attention_dropout=0.0)
        _, record = run(["gradient_noise"], model=model, steps=1)
        network, batch = MiniBERT(model, seed=1), RandomBatches().at(0)
        halves = [
            network.loss_and_gradients(batch.input_ids[rows], batch.labels[rows])[1].vector.copy().astype(float)
            for rows in (slice(3), slice(3, 6))
        ]
        counts = np.array([(batch.labels[rows] >= 0).sum() for rows in (slice(3), slice(3, 6))])
        sizes = 6 * counts / counts.sum()
        mean = sizes @ halves / 6
        trace = sum(size * ((half - mean) ** 2).sum() for size, half in zip(sizes, halves, strict=True))
        assert record.metrics["gradient_noise/trace"][0] == pytest.approx(trace, rel=1e-4)
        squared_norm = (mean**2).sum() - trace / 6
        assert record.metrics["gradient_noise/squared_norm"][0] == pytest.approx(squared_norm, rel=1e-3)

    def test_one_lane_has_no_noise_scale_and_all_else(self):
        _, record = run(lanes=1, steps=2)
        assert not record.metric_names("gradient_noise/")
        assert record.metric_names("loss_change/")
        assert not record.tags

    def test_nothing_in_training_changes(self, ended):
        trainer, _ = ended
        alone, _ = run([])
        assert trainer.params.vector.tobytes() == alone.params.vector.tobytes()


class TestClippedShare:
    def trainer(self, clipping) -> Trainer:
        config = Config(model=MODEL, optimizer=AdamWConfig(), clipping=clipping)
        config.seeds.dropout = 5
        return small_trainer(config, RandomBatches())

    def test_counts_the_steps_that_were_shrunk(self):
        _, record = run([], clipping=GlobalNormClippingConfig(norm=1e-3))
        assert record.history("train/clipped_share") == ([10, 20], [1, 1])
        _, record = run([], clipping=GlobalNormClippingConfig(norm=1e3))
        assert record.history("train/clipped_share") == ([10, 20], [0, 0])

    def test_is_the_share_since_the_last_point(self):
        with self.trainer(GlobalNormClippingConfig(norm=2.1)) as trainer:
            for steps in (4, 8):
                norms = np.array([trainer.step().gradient_norm for _ in range(steps)])
                assert 0 < (norms > 2.1).mean() < 1
                assert trainer.meters.take_clipped_share() == {"clipped_share": (norms > 2.1).mean()}
            assert trainer.meters.take_clipped_share() == {}

    def test_of_percentiles_goes_by_the_norms_before(self):
        with self.trainer(PercentileClippingConfig(percentile=50, window=3)) as trainer:
            norms = [trainer.step().gradient_norm for _ in range(8)]
        clipped = [norm > np.median(norms[max(place - 2, 0) : place + 1]) for place, norm in enumerate(norms)]
        assert trainer.meters.take_clipped_share() == {"clipped_share": np.mean(clipped)}
        assert 0 < np.mean(clipped) < 1

    def test_of_adaptive_clipping_is_of_units(self):
        """Columns of a weight, and biases as a whole: 3 + 1 of them here, of which those with a 9 are clipped."""
        params = Parameters(Layout([Block("a.weight", (2, 3)), Block("a.bias", (4,))]), "float64")
        params.vector[...] = 1.0
        config = AdaptiveClippingConfig(ratio=1.0)
        optimizer = Optimizer(build_clipping(config), params)
        for gradient, share in (([0, 9, 0, 0, 0, 1, 9, 0, 0, 0], 0.5), ([0, 0, 1, 0, 0, 9, 0, 0, 1, 1], 0.25)):
            optimizer.apply(params.vector, np.array(gradient, float), 1, 1.0, 3.0)
            assert clipped_share(config, 3.0, optimizer.state) == share

    def test_without_clipping_there_is_none(self):
        _, record = run([], clipping=ClippingConfig(name="none"))
        assert not record.metric_names("train/clipped_share")

    @pytest.mark.parametrize("clipping", [GlobalNormClippingConfig(norm=2.1), AdaptiveClippingConfig()])
    def test_is_resumed_in_the_middle(self, clipping, tmp_path):
        with self.trainer(clipping) as whole:
            for _ in range(6):
                whole.step()
        with self.trainer(clipping) as first:
            for _ in range(3):
                first.step()
            first.save(tmp_path / "resume.safetensors")
        with self.trainer(clipping) as second:
            second.resume(tmp_path / "resume.safetensors")
            for _ in range(3):
                second.step()
        assert second.meters.take_clipped_share() == whole.meters.take_clipped_share() != {}


class TestFigures:
    def test_all_are_drawn_of_a_run(self, ended):
        _, record = ended
        drawn = draw_gradients(record) | draw_weights(record) | draw_loss_components(record)
        assert drawn.keys() == {
            "gradient_flow", "clipped_share", "gradient_noise", "gradient_cosine", "update_ratios",
            "distance_from_initialisation", "angle_from_initialisation", "loss_components",
        }  # fmt: skip
        assert all(each.figure.axes and each.caption.endswith(".") for each in drawn.values())

    def test_of_nothing_none_is_drawn(self):
        record = MemoryRecord()
        assert draw_gradients(record) == draw_weights(record) == draw_loss_components(record) == {}

    def test_the_flow_has_a_place_for_every_part(self):
        figure = plot_gradient_flow(MiniBERT(MODEL, seed=0).params, step=1000)
        (panel,) = figure.axes
        labels = [label.get_text() for label in panel.get_xticklabels()]
        assert labels == ["embeddings", "layer 0", "layer 1", "final norm", "mlm head"]
        assert "1,000" in panel.get_title()

    def test_bars_stack_to_the_measured_change(self):
        parts = LossComponents({"layer_0": -2.0, "mlm_head": -1.5}, {"layer_0": 0.5, "mlm_head": 0.0}, -2.9)
        figure = plot_loss_components([parts, parts], [0, 8])
        top = figure.axes[0]
        heights = [bar.get_height() for bar in top.patches if bar.get_x() < 0.5]
        assert sum(heights) == pytest.approx(-2.9)
        assert min(bar.get_y() + bar.get_height() for bar in top.patches) == pytest.approx(-3.5)

    def test_bars_without_their_steps_are_refused(self):
        with pytest.raises(MinibertError, match="0 components and 1 steps"):
            plot_loss_components([], [1])

    def test_parts_are_in_the_order_of_depth(self):
        groups = ["sop_head", "layer_10", "mlm_head", "final_norm", "layer_2", "embeddings"]
        ordered = ["embeddings", "layer_2", "layer_10", "final_norm", "mlm_head", "sop_head"]
        assert in_depth_order(groups) == ordered
        names = ["layers.10.a.weight", "mlm_head.a.weight", "layers.2.a.weight", "layers.2.b.c.weight"]
        assert weights_by_kind(names) == {
            "a": ["layers.2.a.weight", "layers.10.a.weight"], "b.c": ["layers.2.b.c.weight"],
            "outside the layers": ["mlm_head.a.weight"],
        }  # fmt: skip

"""Directions, curvature and the loss around a network, against cases worked out by hand."""

import numpy as np
import pytest
from support.records import MemoryRecord

from minibert.config import Config, ModelConfig, PositionConfig
from minibert.data.batches import Batch, Questions
from minibert.diagnostics import (
    LinearPath,
    analyze_linear_path,
    analyze_loss_landscape,
    analyze_sharpness,
    compute_hessian_products,
    compute_top_eigenvalues,
    estimate_traces,
    plot_linear_path,
    plot_loss_slices,
    plot_loss_surface,
    plot_sharpness,
)
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.landscape.directions import (
    choose_parameters,
    draw_direction,
    indices_of,
    normalise_by_filter,
)
from minibert.diagnostics.landscape.figures import (
    draw_path,
    draw_sharpness,
    draw_slices,
    draw_surface,
    draw_updates,
)
from minibert.diagnostics.landscape.frozen_loss import FrozenLoss, freeze
from minibert.diagnostics.landscape.measures import BY_FILTER, Direction, Slice
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.parameters import Parameters
from minibert.training.trainer import Trainer

SMALL = {
    "vocab_size": 32, "hidden_size": 8, "layers": 2, "heads": 2, "feed_forward_size": 12, "max_length": 8,
    "dropout": 0.2, "position": PositionConfig(),
}  # fmt: skip


def network(seed=0, **settings) -> MiniBERT:
    """In float64, away from its initial values, gains and biases included."""
    model = MiniBERT(ModelConfig(**(SMALL | {"dtype": "float64"} | settings)), seed)
    model.params.vector += 0.2 * np.random.default_rng(seed).standard_normal(len(model.params.vector))
    return model


def sentences(count=10, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Input ids and labels: more sequences than are computed at once."""
    draws = np.random.default_rng(seed)
    ids = draws.integers(0, 32, (count, 8))
    return ids, np.where(draws.random(ids.shape) < 0.3, ids, -100)


MODEL, PAIR = network(), sentences()


class TestDirections:
    def test_columns_of_weights_are_as_long_as_those_of_the_network(self):
        direction = Parameters(MODEL.params.layout, vector=draw_direction(MODEL.params, tuple(MODEL.params), 0, 0))
        for name in ("layers.0.attention.key.weight", "layers.1.feed_forward.in.weight"):
            expected = [np.linalg.norm(column) for column in MODEL.params[name].T]
            assert [np.linalg.norm(column) for column in direction[name].T] == pytest.approx(expected)

    def test_rows_of_tables_are_as_long_as_those_of_the_network(self):
        direction = Parameters(MODEL.params.layout, vector=draw_direction(MODEL.params, tuple(MODEL.params), 0, 0))
        for name in ("embeddings.token.weight", "embeddings.position.weight"):
            expected = [np.linalg.norm(row) for row in MODEL.params[name]]
            assert [np.linalg.norm(row) for row in direction[name]] == pytest.approx(expected)

    def test_gains_and_biases_are_left_alone(self):
        vector = draw_direction(MODEL.params, tuple(MODEL.params), 0, 0)
        decayed = MODEL.params.layout.decayed
        assert vector[decayed].all() and not vector[decayed.stop :].any()

    def test_normalising_by_hand(self):
        """Columns (3, 4) and (0, 0) of a direction, on columns of length 10 and √2 of the weight."""
        params = MODEL.params.layout
        weights, drawn = Parameters(params, "float64"), Parameters(params, "float64")
        name = "layers.0.attention.output.weight"
        weights[name][:2, :2] = [[6, 1], [8, 1]]
        drawn[name][:2, 0] = [3, 4]
        found = Parameters(params, vector=normalise_by_filter({name: drawn[name]}, weights))
        assert found[name][:2, :2] == pytest.approx(np.array([[6, 0], [8, 0]]))
        assert np.count_nonzero(found.vector) == 2

    def test_in_a_group_it_is_the_part_of_the_whole_that_lies_there(self):
        whole = draw_direction(MODEL.params, tuple(MODEL.params), 3, 1)
        names = choose_parameters(MODEL.params, "layer_1")
        part, there = draw_direction(MODEL.params, names, 3, 1), indices_of(MODEL.params, names)
        assert (part[there] == whole[there]).all()
        assert not np.delete(part, there).any()

    def test_names_stand_for_parameters_groups_and_joint_blocks(self):
        params = MODEL.params
        assert choose_parameters(params) == tuple(params)
        assert choose_parameters(params, "mlm_head.bias") == ("mlm_head.bias",)
        layer = {name for name in params if name.startswith("layers.1.")}
        assert set(choose_parameters(params, "layer_1")) == set(choose_parameters(params, "layers.1")) == layer
        joint = choose_parameters(params, "layers.0.attention.query_key_value.weight")
        assert joint == tuple(f"layers.0.attention.{part}.weight" for part in ("query", "key", "value"))
        assert len(indices_of(params, joint)) == 3 * 64

    @pytest.mark.parametrize("name", ["layer_7", "mlm_head.bia", "layers.0.attention.query.weigh"])
    def test_what_is_no_name_is_refused_with_the_nearest(self, name):
        with pytest.raises(MinibertError, match=r"no parameter is called .*did you mean.*embeddings, layers\.0"):
            choose_parameters(MODEL.params, name)

    def test_gains_and_biases_alone_have_no_random_direction(self):
        with pytest.raises(MinibertError, match=r"mlm_head\.bias has no weight.*gradient, update and eigenvector"):
            analyze_loss_landscape(MODEL, PAIR, "mlm_head.bias")


class Quadratic:
    """L = θᵀ H θ / 2 with eigenvalues 9, 4, 1, 0.5 and -3 (26 times) along random axes."""

    values = np.array([9.0, 4.0, 1.0, 0.5] + 26 * [-3.0])
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((30, 30)))[0]
    hessian = (axes * values) @ axes.T
    theta = np.random.default_rng(2).standard_normal(30)

    @classmethod
    def gradients_at(cls, points):
        return [cls.hessian @ point for point in points]


class TestCurvatureOfAQuadratic:
    def test_products_are_exact(self):
        vectors = [np.arange(30.0), np.ones(30), np.zeros(30)]
        found = compute_hessian_products(Quadratic.gradients_at, Quadratic.theta, vectors)
        for product, vector in zip(found, vectors, strict=True):
            assert product == pytest.approx(Quadratic.hessian @ vector, abs=1e-7)

    def test_the_largest_eigenvalues_are_found_and_not_those_of_largest_size(self):
        found = compute_top_eigenvalues(Quadratic.gradients_at, Quadratic.theta, 3, tolerance=1e-4)
        assert found.values == pytest.approx([9, 4, 1], abs=1e-6)
        assert np.abs(found.vectors.T @ Quadratic.axes[:, :3]) == pytest.approx(np.eye(3), abs=1e-3)
        assert (found.residuals < 1e-3).all()
        assert found.difference_error < 1e-9
        assert 3 < found.products < 60

    def test_a_block_has_eigenvalues_of_its_own(self):
        block = np.array([3, 4, 20])
        found = compute_top_eigenvalues(Quadratic.gradients_at, Quadratic.theta, 2, indices=block)
        expected = np.linalg.eigvalsh(Quadratic.hessian[np.ix_(block, block)])[::-1]
        assert found.values == pytest.approx(expected[:2], abs=1e-7)

    def test_the_trace_lies_within_its_error(self):
        """tr H = 14.5 - 78 = -63.5."""
        found = estimate_traces(Quadratic.gradients_at, Quadratic.theta, {"": np.arange(30)}, probes=200)[""]
        assert found.standard_error == pytest.approx(np.std(found.samples, ddof=1) / 200**0.5)
        assert 0 < found.standard_error < 1.5
        assert abs(found.value + 63.5) < 3 * found.standard_error

    def test_the_trace_of_a_diagonal_matrix_is_exact_and_so_are_those_of_blocks(self):
        diagonal = np.arange(1.0, 31.0)
        blocks = {"low": np.arange(10), "high": np.arange(20, 30)}
        found = estimate_traces(lambda points: [diagonal * each for each in points], np.ones(30), blocks, probes=2)
        assert found["low"].value == pytest.approx(55)
        assert found["high"].value == pytest.approx(255)
        assert found["high"].standard_error == pytest.approx(0, abs=1e-6)

    def test_halving_the_step_shows_the_error_of_a_loss_that_is_not_quadratic(self):
        """L = Σ θ⁵/5 has gradient θ⁴; at θ = 1, g(1 + s) - g(1 - s) = 8s + 8s³: H = 4, and 4 s² too much.

        Along one axis s = ε: of 4 (1 + ε²) and 4 (1 + ε²/4), the difference is 3 ε²/4 of the whole.
        """
        (product,) = compute_hessian_products(
            lambda points: [each**4 for each in points], np.ones(3), [np.eye(3)[1]], difference=0.1
        )
        assert product == pytest.approx([0, 4 * 1.01, 0])
        found = compute_top_eigenvalues(lambda points: [each**4 for each in points], np.array([1.0, 0.1]))
        assert found.values == pytest.approx([4])
        assert found.difference_error == pytest.approx(0.75e-10, rel=0.5)

    def test_what_the_loss_does_not_depend_on_is_flat(self):
        found = compute_top_eigenvalues(lambda points: [0 * each for each in points], np.ones(40), 2)
        assert found.values.tolist() == [0, 0]
        assert found.vectors.T @ found.vectors == pytest.approx(np.eye(2))

    def test_bad_requests_are_refused(self):
        with pytest.raises(MinibertError, match=r"eigenvalues: 31 was given. Allowed: 1 to 30"):
            compute_top_eigenvalues(Quadratic.gradients_at, Quadratic.theta, 31)
        with pytest.raises(MinibertError, match=r"probes: 1 was given. Allowed: at least 2"):
            estimate_traces(Quadratic.gradients_at, Quadratic.theta, {"": np.arange(30)}, probes=1)
        with pytest.raises(MinibertError, match=r"0 of 1 were found.*tolerance=1e-15.*most_products"):
            values = np.linspace(0.999, 1, 200)
            compute_top_eigenvalues(
                lambda points: [values * each for each in points], np.ones(200), tolerance=1e-15, most_products=8
            )


class TestCurvatureOfANetwork:
    def test_of_the_output_bias_is_known(self):
        """Cross-entropy of softmax(z + c) has the Hessian mean(diag(p) - p pᵀ) with respect to c."""
        logits, _ = MODEL.score(*PAIR)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        hessian = np.diag(p.mean(axis=0)) - p.T @ p / len(p)
        found = analyze_sharpness(MODEL, PAIR, "mlm_head.bias", eigenvalues=2, probes=60, tolerance=1e-6)
        assert found.eigenpairs.values == pytest.approx(np.linalg.eigvalsh(hessian)[::-1][:2], rel=1e-6)
        trace = found.whole.trace
        assert abs(trace.value - np.trace(hessian)) < 3 * trace.standard_error < 0.1 * trace.value
        assert found.whole.size == 32
        assert not found.groups
        assert found.predictions == len(logits)

    def test_products_are_symmetric_and_agree_with_differences_of_the_loss(self):
        draws = np.random.default_rng(3)
        with FrozenLoss(MODEL, PAIR) as loss:
            u, v = (each / np.linalg.norm(each) for each in draws.standard_normal((2, len(loss.parameters))))
            hu, hv = compute_hessian_products(loss.gradients, loss.parameters, [u, v])
            step = 1e-3

            def place(index, vector):
                vector[...] = loss.parameters + step * (index - 1) * v

            behind, here, ahead = loss.losses(3, place)
        assert u @ hv == pytest.approx(v @ hu, rel=1e-6)
        assert v @ hv == pytest.approx((ahead - 2 * here + behind) / step**2, rel=1e-4)

    def test_groups_are_blocks_of_the_whole(self):
        found = analyze_sharpness(MODEL, PAIR, probes=3)
        assert list(found.groups) == ["embeddings", "layer_0", "layer_1", "final_norm", "mlm_head"]
        samples = sum(block.trace.samples for block in found.groups.values())
        assert samples == pytest.approx(found.whole.trace.samples)
        assert sum(block.size for block in found.groups.values()) == found.whole.size == len(MODEL.params.vector)
        # A block cannot bend more than the whole does.
        tops = [block.top_eigenvalue - block.residual for block in found.groups.values()]
        assert max(tops) <= found.whole.top_eigenvalue + found.whole.residual
        assert found.eigenpairs.difference_error < 1e-5

    def test_a_head_that_the_loss_does_not_reach_is_flat(self):
        found = analyze_sharpness(network(auxiliary_heads=["nsp"]), sentences(2), "nsp_head", probes=2)
        assert found.whole.top_eigenvalue == found.whole.residual == found.whole.trace.value == 0


@pytest.fixture(scope="module")
def around():
    return analyze_loss_landscape(
        MODEL,
        PAIR,
        directions=("random_0", "gradient", "eigenvector"),
        surface=("random_0", "random_1"),
        points=11,
        surface_points=5,
    )


class TestLandscape:
    def test_is_the_training_loss_without_dropout(self, around):
        loss, gradients = MODEL.loss_and_gradients(*PAIR)
        assert around.loss == pytest.approx(loss, rel=1e-12)
        assert around.gradient_norm == pytest.approx(gradients.norm(), rel=1e-12)

    def test_at_zero_every_slice_and_the_surface_have_the_networks_loss(self, around):
        for each in around.slices.values():
            assert each.distances[5] == 0
            assert each.losses[5] == around.loss
        assert around.surface.losses[2, 2] == around.loss

    def test_the_slope_down_the_gradient_is_minus_its_norm(self, around):
        direction = around.slices["gradient"].direction
        assert np.linalg.norm(direction.vector) == pytest.approx(1)
        assert direction.slope == pytest.approx(-around.gradient_norm)

    def test_slopes_and_curvatures_are_those_of_the_slices(self):
        found = analyze_loss_landscape(
            MODEL, PAIR, directions=("random_0", "gradient", "eigenvector"), points=3, radius=1e-3
        )
        for each in found.slices.values():
            behind, here, ahead = each.losses
            assert each.direction.slope == pytest.approx((ahead - behind) / 2e-3, rel=1e-3)
            assert each.direction.curvature == pytest.approx((ahead - 2 * here + behind) / 1e-6, rel=1e-3)
            assert each.quadratic == pytest.approx(each.losses, abs=1e-7)

    def test_along_the_top_eigenvector_it_bends_most_and_falls_ahead(self, around):
        curvatures = {name: each.direction.curvature for name, each in around.slices.items()}
        direction = around.slices["eigenvector"].direction
        assert curvatures["eigenvector"] > curvatures["gradient"]
        assert direction.slope < 0
        assert np.linalg.norm(direction.vector) == pytest.approx(1)

    def test_the_surface_holds_the_slices(self, around):
        across, _ = around.surface.distances
        assert across.tolist() == [-1, -0.5, 0, 0.5, 1]
        ends = around.slices["random_0"].losses[[0, -1]]
        assert around.surface.losses[2, [0, -1]] == pytest.approx(ends, rel=1e-12)
        assert around.surface.losses.shape == (5, 5)

    def test_the_update_given_is_walked_in_updates(self):
        update = Parameters(MODEL.params.layout, vector=np.full(len(MODEL.params.vector), 1e-3))
        found = analyze_loss_landscape(MODEL, PAIR, directions=("update",), points=3, update=update, radius=1)
        there = network()
        there.params.vector += update.vector
        assert found.slices["update"].losses[-1] == pytest.approx(there.loss_and_gradients(*PAIR)[0])

    def test_a_parameter_alone_is_moved_alone(self):
        found = analyze_loss_landscape(MODEL, PAIR, "layers.0.attention.query.weight", points=3)
        assert found.parameters == ("layers.0.attention.query.weight",)
        for each in found.slices.values():
            assert np.count_nonzero(each.direction.vector) == 64

    def test_radii_are_one_for_all_or_by_name(self):
        found = analyze_loss_landscape(
            MODEL, PAIR, directions=("random_0", "random_1"), points=3, radius={"random_1": 0.25}
        )
        assert [each.distances[-1] for each in found.slices.values()] == [1, 0.25]

    def test_batches_of_every_kind_give_their_masked_token_loss(self):
        ids, labels = PAIR
        mask, positions = np.ones(ids.shape, bool), np.tile(np.arange(8)[::-1], (10, 1))
        mask[0, 5:] = False
        labels = np.where(mask, labels, -100)
        batch = Batch(
            ids,
            labels,
            mask,
            int(mask.sum()),
            int((labels >= 0).sum()),
            positions,
            auxiliary={"nsp": Questions(np.zeros(ids.shape, np.int32), 1.0)},
        )
        found = analyze_loss_landscape(MODEL, batch, directions=("random_0",), points=3)
        expected, _ = MODEL.loss_and_gradients(ids, labels, mask, position_ids=positions)
        assert found.loss == pytest.approx(expected, rel=1e-12)

    def test_float32_networks_are_walked_in_float32(self):
        model = network(dtype="float32")
        found = analyze_loss_landscape(model, PAIR, directions=("gradient",), points=3)
        assert found.slices["gradient"].direction.vector.dtype == np.float32
        assert found.loss == pytest.approx(model.loss_and_gradients(*PAIR)[0], rel=1e-5)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"directions": ("gradent",)}, "unknown name 'gradent' .did you mean 'gradient'"),
            ({"directions": ("update",)}, "update needs update=..."),
            ({"directions": ("update",), "update": np.ones(3)}, r"update: shape \(3,\) was given"),
            ({"points": 2}, "points: 2 was given. Allowed: at least 3"),
            ({"surface_points": 1}, "surface_points: 1 was given"),
            ({"radius": 0}, "radius: 0 was given. Allowed: above 0"),
            ({"threads": 0}, "threads: 0 was given"),
            ({"param_name": "encoder"}, "no parameter is called 'encoder'"),
            ({"param_name": ["encoder"]}, r"param_name: list \['encoder'\] was given"),
            ({"directions": "gradent"}, "unknown name 'gradent' .did you mean 'gradient'"),
            ({"directions": ("gradient", 3)}, "unknown name '3'"),
        ],
    )
    def test_bad_requests_are_refused(self, settings, message):
        with pytest.raises(MinibertError, match=message):
            analyze_loss_landscape(MODEL, PAIR, **settings)

    @pytest.mark.parametrize(
        ("batch", "message"),
        [
            ((PAIR[0], np.full_like(PAIR[0], -100)), "no token is predicted"),
            ((PAIR[0], PAIR[1][:3]), r"shape \(10, 8\) and labels of shape \(3, 8\)"),
            (PAIR[0], "ndarray was given. Allowed: a batch"),
        ],
    )
    def test_batches_without_a_loss_are_refused(self, batch, message):
        with pytest.raises(MinibertError, match=message):
            freeze(batch)


class TestNothingIsChanged:
    def test_parameters_are_the_same_to_the_bit(self):
        model = network(dtype="float32")
        before, vector = model.params.vector.tobytes(), model.params.vector
        analyze_loss_landscape(model, PAIR, directions=("random_0", "eigenvector"), points=3)
        analyze_sharpness(model, PAIR, probes=2, by_group=False)
        analyze_linear_path(model, model, np.zeros_like(vector), PAIR, points=3)
        assert model.params.vector is vector
        assert vector.tobytes() == before
        assert model.config.dtype == "float32"

    def test_even_when_it_ends_in_an_error(self):
        model = network()
        before = model.params.vector.tobytes()
        with FrozenLoss(model, PAIR) as loss:

            def fail(index, vector):
                vector[...] = 7
                if index:
                    raise RuntimeError("in the middle")

            with pytest.raises(RuntimeError, match="in the middle"):
                loss.losses(9, fail)
            assert loss.at_parameters() == pytest.approx(model.loss_and_gradients(*PAIR)[0], rel=1e-12)
        assert model.params.vector.tobytes() == before

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_the_number_of_threads_changes_no_bit(self, dtype):
        model, found = network(dtype=dtype), set()
        for threads in (1, 2, 3):
            landscape = analyze_loss_landscape(
                model, PAIR, directions=("random_0", "gradient", "eigenvector"), points=7, threads=threads
            )
            slices = landscape.slices.values()
            arrays = [each for one in slices for each in (one.losses, one.quadratic, one.direction.vector)]
            sharpness = analyze_sharpness(model, PAIR, probes=2, by_group=False, threads=threads)
            arrays += [sharpness.eigenpairs.vectors, sharpness.whole.trace.samples]
            found.add(b"".join(each.tobytes() for each in arrays))
        assert len(found) == 1


def test_width_by_hand():
    """Behind it has risen by 0.1 half-way to 1, ahead by 0.05 at 1 and a quarter further: (0.5 + 1.25) / 2."""
    direction = Direction("random_0", np.zeros(1), BY_FILTER, 0.0, 0.0)
    distances = np.array([-2.0, -1, 0, 1, 2])
    assert Slice(direction, distances, np.array([1.4, 1.2, 1, 1.05, 1.25]), 1.0).width == pytest.approx(0.875)
    assert Slice(direction, distances, np.array([1.0, 0.9, 1, 1.05, 1.25]), 1.0).width == pytest.approx(1.25)
    assert Slice(direction, distances, np.ones(5), 1.0).width is None


class TestLinearPath:
    def test_ends_have_the_losses_of_the_two_networks(self):
        first, second = network(0), network(1)
        path = analyze_linear_path(MODEL, first, second.params, PAIR, points=5)
        ends = [each.loss_and_gradients(*PAIR)[0] for each in (first, second)]
        assert path.losses[[0, -1]] == pytest.approx(ends, rel=1e-12)
        middle = network()
        middle.params.vector[...] = (first.params.vector + second.params.vector) / 2
        assert path.losses[2] == pytest.approx(middle.loss_and_gradients(*PAIR)[0], rel=1e-12)

    def test_barrier_and_rise_by_hand(self):
        """The line between 4 and 2 is 4, 3.5, 3, 2.5, 2: 1.5 above it at 3/4, after a climb from 2.5 to 4."""
        path = LinearPath(np.linspace(0, 1, 5), np.array([4.0, 2.5, 3.5, 4.0, 2.0]))
        assert path.straight_line.tolist() == [4, 3.5, 3, 2.5, 2]
        assert path.barrier == 1.5
        assert path.rise == 1.5
        below = LinearPath(np.linspace(0, 1, 3), np.array([4.0, 2.5, 2.0]))
        assert (below.barrier, below.rise) == (0, 0)

    def test_parameters_of_another_network_are_refused(self):
        with pytest.raises(MinibertError, match=r"params_b: these are not parameters of the network given"):
            analyze_linear_path(MODEL, MODEL, network(layers=1), PAIR)
        with pytest.raises(MinibertError, match="params_a"):
            analyze_linear_path(MODEL, np.ones(3), MODEL, PAIR)


class RandomBatches:
    """A batch for every step, as :class:`minibert.data.batches.Batches` gives."""

    def at(self, step: int) -> Batch:
        ids, labels = sentences(4, 100 + step)
        return Batch(ids, labels, None, ids.size, int((labels >= 0).sum()))


NAMES = (
    "loss_landscape", "loss_surface", "sharpness", "sharpness_by_group", "initial_to_final_path",
    "loss_along_update",
)  # fmt: skip


def run(names):
    model = ModelConfig(**SMALL)
    config = Config(model=model)
    config.seeds.dropout, config.training.steps = 5, 3
    record = MemoryRecord()
    probe = RandomBatches().at(1000)
    diagnostics = Diagnostics(choose(names), [0, 1, 3], 3, record)
    with Trainer(MiniBERT(model, seed=1), RandomBatches(), config, (), diagnostics, None, probe) as trainer:
        trainer.train()
    return trainer, record


@pytest.fixture(scope="module")
def ended():
    return run(NAMES)


class TestTraining:
    def test_metrics_have_their_names(self, ended):
        _, record = ended
        assert not record.tags
        assert {name.split("/")[0] for name in record.metric_names()} == {
            room for each in choose(NAMES) for room in each.metrics
        }
        groups = ("embeddings", "layer_0", "layer_1", "final_norm", "mlm_head")
        parts = ("top_eigenvalue", "residual", "trace", "trace_standard_error")
        expected = {f"sharpness/{group}/{part}" for group in groups for part in parts}
        expected |= {f"sharpness/{part}" for part in (*parts, "difference_error")}
        assert set(record.metric_names("sharpness/")) == expected
        found = {name for name in record.metric_names("landscape/") if not name.endswith("/width")}
        directions = ("random_0", "random_1", "gradient", "eigenvector")
        expected = {f"landscape/{name}/{part}" for name in directions for part in ("slope", "curvature")}
        expected |= {"landscape/loss", "landscape/gradient_norm", "landscape/path/barrier", "landscape/path/rise"}
        assert found == expected | {"landscape/update/change", "landscape/update/best_multiple"}

    def test_directions_are_kept_beside_their_slices(self, ended):
        trainer, record = ended
        arrays = record.arrays("loss_landscape")[3]
        assert arrays["random_0/losses"].shape == arrays["random_0/distances"].shape == (41,)
        drawn = draw_direction(trainer.params, tuple(trainer.params), 0, 0).astype(np.float32)
        assert (arrays["random_0/direction"] == drawn).all()
        assert record.arrays("loss_surface")[3]["losses"].shape == (25, 25)

    def test_the_path_ends_at_the_networks_loss_on_the_probe(self, ended):
        trainer, record = ended
        losses = record.arrays("initial_to_final_path")[3]["losses"]
        assert losses[-1] == pytest.approx(record.metrics["landscape/loss"][3], rel=1e-6)
        batch = RandomBatches().at(1000)
        initial, _ = MiniBERT(trainer.model.config, seed=1).loss_and_gradients(batch.input_ids, batch.labels)
        assert losses[0] == pytest.approx(initial, rel=1e-5)

    def test_the_update_is_looked_at_where_there_is_one(self, ended):
        _, record = ended
        looks = record.arrays("loss_along_update")
        assert list(looks) == [0, 1]
        change = looks[1]["losses"][2] - looks[1]["losses"][0]
        assert record.metrics["landscape/update/change"][1] == change

    def test_nothing_in_training_changes(self, ended):
        alone, _ = run(())
        assert ended[0].params.vector.tobytes() == alone.params.vector.tobytes()


def drawn_of(record):
    drawings = (draw_slices, draw_surface, draw_path, draw_sharpness, draw_updates)
    return {name: drawn for draw in drawings for name, drawn in draw(record).items()}


class TestFigures:
    def test_of_a_run_are_drawn_from_its_record(self, ended):
        _, record = ended
        drawn = drawn_of(record)
        assert set(drawn) == {"slices", "surface", "path", "sharpness", "sharpness_by_group", "updates"}
        assert all(each.caption.endswith(".") for each in drawn.values())

    def test_without_numbers_there_are_none(self):
        assert drawn_of(MemoryRecord()) == {}

    def test_of_results_are_drawn_directly(self, around):
        slices = plot_loss_slices(around)
        assert [panel.get_title() for panel in slices.axes] == [
            "random directions", "down the gradient", "along the top eigenvector",
        ]  # fmt: skip
        assert "nats" in slices.axes[0].get_ylabel()
        assert plot_loss_surface(around.surface).axes[0].get_xlabel() == "random 0 (size of the weights)"
        path = plot_linear_path(LinearPath(np.linspace(0, 1, 3), np.array([1.0, 3.0, 2.0])))
        assert "barrier 1.5 nats" in [text.get_text() for text in path.axes[0].get_legend().get_texts()]
        bars = plot_sharpness(analyze_sharpness(MODEL, sentences(2), probes=2))
        assert [text.get_text() for text in bars.axes[0].get_yticklabels()][1:3] == ["layer 0", "layer 1"]

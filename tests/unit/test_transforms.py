"""How chains of transforms run over the parameters."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minibert.config import AdamWConfig, Config
from minibert.config.averaging import AVERAGINGS, EMAConfig
from minibert.config.optimizers import (
    CLIPPINGS,
    OPTIMIZERS,
    AdaptiveClippingConfig,
    ClippingConfig,
    DepthRatesConfig,
    LookaheadConfig,
    MuonConfig,
    PercentileClippingConfig,
)
from minibert.errors import MinibertError
from minibert.model.parameters import Block, Layout, Parameters
from minibert.training import pieces
from minibert.training.optimizers import Optimizer, build_chain
from minibert.training.transforms import Choice, Transform, chain, orthogonalise, scale_by_adam, scale_by_muon

BLOCKS = [
    Block("embeddings.token.weight", (9, 4)),
    Block("layers.0.attention.query_key_value.weight", (4, 12), tuple(f"layers.0.{n}.weight" for n in "qkv")),
    Block("layers.0.attention.query_key_value.bias", (12,), tuple(f"layers.0.{n}.bias" for n in "qkv")),
    Block("layers.0.in.weight", (4, 7)),
    Block("layers.0.norm.gain", (4,)),
]


def parameters(dtype="float32"):
    params = Parameters(Layout(BLOCKS), dtype)
    params.vector[...] = np.random.default_rng(0).normal(size=params.vector.size)
    return params


def build(params, lanes=1, fused=True, **groups):
    return Optimizer(build_chain(Config(**groups), tuple(params)), params, lanes, fused)


def take_steps(optimizer, params, first, last, run=map):
    for step in range(first, last + 1):
        gradient = np.random.default_rng(step).normal(size=params.vector.size).astype(params.vector.dtype)
        optimizer.apply(params.vector, gradient, step, 0.01, float(np.linalg.norm(gradient)), run)


def every_variant():
    settings = {name: {"optimizer": schema()} for name, schema in OPTIMIZERS.items()}
    settings |= {f"lookahead({n})": {"optimizer": LookaheadConfig(inner=s())} for n, s in OPTIMIZERS.items()}
    settings |= {f"clipping {name}": {"clipping": schema()} for name, schema in CLIPPINGS.items()}
    settings |= {f"averaging {name}": {"averaging": schema()} for name, schema in AVERAGINGS.items()}
    del settings["lookahead(lookahead)"]
    return pytest.mark.parametrize("settings", settings.values(), ids=settings)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_units_cover_every_element_once(name, monkeypatch):
    monkeypatch.setattr(pieces, "SHORT_PIECE", 10)
    params = parameters()
    counted = np.zeros(params.vector.size)
    for unit in build(params, optimizer=OPTIMIZERS[name]()).units:
        views = params.layout.views(counted)
        part = counted[unit.place] if isinstance(unit.place, slice) else views[unit.place]
        part += 1
    assert (counted == 1).all()


def test_element_wise_chains_run_in_pieces_none_of_which_mixes_decayed_and_not(monkeypatch):
    monkeypatch.setattr(pieces, "SHORT_PIECE", 50)
    params = parameters()
    units = build(params, fused=False, optimizer=AdamWConfig()).units
    # 36 + 48 + 28 weights, then 12 + 4 others.
    assert [(unit.place.start, unit.place.stop) for unit in units] == [(0, 50), (50, 100), (100, 112), (112, 128)]
    assert [len(unit.transforms) for unit in units] == [5, 5, 5, 4]


def test_joint_matrices_are_orthogonalised_one_by_one():
    params = parameters()
    whole = {
        unit.place for unit in build(params, optimizer=OPTIMIZERS["muon"]()).units if isinstance(unit.place, str)
    }
    assert whole == {"layers.0.q.weight", "layers.0.k.weight", "layers.0.v.weight", "layers.0.in.weight"}


def test_heads_apart_divides_what_makes_and_what_reads_the_heads():
    """With two heads: the columns of query, key and value, the rows of the output, nothing else."""
    names = ["query", "key", "value", "output"]
    blocks = [Block(f"layers.0.attention.{name}.weight", (4, 4)) for name in names]
    blocks.append(Block("layers.0.feed_forward.in.weight", (4, 4)))
    gradient = np.random.default_rng(0).normal(size=(4, 4))
    muon = MuonConfig(momentum=0.0, weight_decay=0.0, polynomials="jordan", iterations=5, heads_apart=True)
    config = Config(optimizer=muon, clipping=ClippingConfig())
    config.model.heads = 2
    params = Parameters(Layout(blocks), "float64")
    Optimizer(build_chain(config, tuple(params)), params).apply(
        params.vector, np.tile(gradient.ravel(), 5), 1, 1.0, 1
    )
    columns = np.hstack([orthogonalise(part) for part in np.hsplit(gradient, 2)])
    rows = np.vstack([orthogonalise(part) for part in np.vsplit(gradient, 2)])
    expected = [columns, columns, columns, rows, orthogonalise(gradient)]
    for block, one in zip(blocks, expected, strict=True):
        assert params[block.name] == pytest.approx(-0.2 * 2 * one, abs=1e-12), block.name


def test_names_of_a_joint_block_may_differ():
    """Only the query's part is scaled, by ten, in a block of three."""

    def update(update, params, state, moment):
        params += 10

    params = Parameters(Layout(BLOCKS))
    scaled = Choice(lambda name, _: Transform(update) if name == "layers.0.q.weight" else None)
    Optimizer(chain(scaled), params).apply(params.vector, np.zeros_like(params.vector), 1, 0.1, 1.0)
    assert (params["layers.0.q.weight"] == 10).all()
    assert params.vector.sum() == 10 * 16


@every_variant()
def test_threads_change_no_bit(settings, monkeypatch):
    monkeypatch.setattr(pieces, "SHORT_PIECE", 7)
    params, others = parameters(), parameters()
    take_steps(build(params, **settings), params, 1, 6)
    with ThreadPoolExecutor(3) as threads:
        take_steps(build(others, 3, **settings), others, 1, 6, threads.map)
    assert params.vector.tobytes() == others.vector.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings",
    [
        {}, {"clipping": ClippingConfig()}, {"optimizer": AdamWConfig(weight_decay=0.0)},
        {"clipping": PercentileClippingConfig(percentile=40, window=3), "averaging": EMAConfig()},
        {"layer_rates": DepthRatesConfig(), "optimizer": AdamWConfig(weight_decay=0.5)},
        {"optimizer": MuonConfig(adamw_learning_rate=0.2)}, {"optimizer": LookaheadConfig(period=2)},
        {"optimizer": AdamWConfig(epsilon=0.1, beta1=0.0, beta2=0.5), "clipping": AdaptiveClippingConfig()},
    ],
)  # fmt: skip
def test_adamw_in_one_is_equal_to_its_transforms_one_by_one(settings, dtype):
    params, others = parameters(dtype), parameters(dtype)
    one, apart = build(params, **settings), build(others, fused=False, **settings)
    take_steps(one, params, 1, 6), take_steps(apart, others, 1, 6)
    tolerance = {"float32": 1e-6, "float64": 1e-14}[dtype]
    assert np.abs(params.vector - parameters(dtype).vector).max() > 0.005
    assert params.vector == pytest.approx(others.vector, rel=tolerance, abs=tolerance)
    for name, array in one.state.items():
        assert array == pytest.approx(apart.state[name], rel=tolerance, abs=tolerance), name


def test_only_a_run_that_is_adamw_to_the_addition_runs_as_one():
    lengths = {}
    for name, schema in OPTIMIZERS.items():
        together, apart = (build(parameters(), fused=fused, optimizer=schema()).units for fused in (True, False))
        lengths[name] = {
            (len(one.transforms), len(other.transforms)) for one, other in zip(together, apart, strict=True)
        }
    assert lengths["adamw"] == {(1, 5), (1, 4)}
    assert lengths["lion"] == {(5, 5), (4, 4)}
    assert lengths["muon"] == {(5, 5), (1, 5), (1, 4)}
    assert lengths["lamb"] == {(6, 6), (1, 4)}


@every_variant()
def test_an_optimizer_with_restored_state_continues_to_the_bit(settings):
    params = parameters()
    optimizer = build(params, **settings)
    take_steps(optimizer, params, 1, 7)
    saved = {name: array.copy() for name, array in optimizer.state.items()}
    others = Parameters(params.layout, vector=params.vector.copy())
    restored = build(others, **settings)
    assert {n: a.shape for n, a in saved.items()} == {n: a.shape for n, a in restored.state.items()}
    for name, array in saved.items():
        restored.state[name][...] = array
    take_steps(optimizer, params, 8, 13)
    take_steps(restored, others, 8, 13)
    assert params.vector.tobytes() == others.vector.tobytes()
    assert all(array.tobytes() == restored.state[name].tobytes() for name, array in optimizer.state.items())


@every_variant()
def test_parameters_keep_their_type(settings):
    for dtype in ("float32", "float64"):
        params = parameters(dtype)
        optimizer = build(params, **settings)
        take_steps(optimizer, params, 1, 2)
        assert np.isfinite(params.vector).all()
        small = {"recent_norms", "largest_norm", "averaged_steps"}
        assert {array.dtype.name for name, array in optimizer.state.items() if name not in small} <= {dtype}


def test_adafactor_keeps_hardly_any_state_and_muon_no_more_than_adamw():
    params = parameters()
    sizes = {
        name: sum(array.size for array in build(params, optimizer=OPTIMIZERS[name]()).state.values())
        for name in ("adamw", "lion", "adafactor", "muon")
    }
    elements = params.vector.size
    # Rows and columns of (9, 4), three (4, 4) and (4, 7), and 16 gains and biases.
    assert sizes == {
        "adamw": 2 * elements,
        "lion": elements,
        "adafactor": 13 + 3 * 8 + 11 + 16,
        "muon": 2 * elements,
    }


def test_a_chain_refuses_two_transforms_with_the_same_state():
    with pytest.raises(ValueError, match="first_moment"):
        Optimizer(chain(scale_by_adam(0.9, 0.98, 1e-8), scale_by_muon(0.9, True, 5)), parameters())


def test_an_unknown_name_is_refused_with_the_nearest():
    config = Config(optimizer=AdamWConfig(name="adamv"))
    with pytest.raises(MinibertError, match=r"optimizer\.name.*'adamw'.*lookahead"):
        build_chain(config, ())


def test_lookahead_within_lookahead_is_refused():
    config = Config(optimizer=LookaheadConfig(inner=LookaheadConfig()))
    with pytest.raises(MinibertError, match="wraps itself"):
        build_chain(config, ())

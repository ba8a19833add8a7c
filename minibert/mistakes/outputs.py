"""What the code computes, for mistakes in a forward pass, in sums and in optimizers.

Many a wrong forward pass agrees with its gradient, and the gradient check is green. Tests compare what is computed
with textbook formulas, with another way to the same numbers, or with a trajectory worked out by hand.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from minibert.config import Config, ModelConfig, PositionConfig, TrainingConfig
from minibert.config.averaging import AveragingConfig
from minibert.config.optimizers import ClippingConfig, LookaheadConfig, MuonConfig, SGDConfig
from minibert.mistakes.gradient_check import scatter
from minibert.mistakes.mistake import Outputs
from minibert.mistakes.networks import (
    BATCH,
    build,
    classifier,
    examples,
    masks,
    sampled,
    sentences,
)
from minibert.model.bert import MiniBERT
from minibert.model.parameters import Block, Gradients, Layout, Parameters
from minibert.training.optimizers import Optimizer, build_chain
from minibert.training.transforms import orthogonalise

INPUT_IDS = np.array([[7, 2, 2, 5], [1, 0, 7, 8]])
SEGMENT_IDS = np.array([[0, 0, 1, 1], [0, 1, 1, 1]])
PADDING = np.array([[True, True, True, False], [True, True, True, True]])
PAIRS = np.array(
    [
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]],
        [[0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0], [1, 0, 1, 1]],
    ],
    bool,
)
"""A set of its own for each position, that it may look at"""
PREDICTED = np.array([[False, False, True, True], [True, False, True, False]])
SCORED = np.array([[-100, -100, 0, -100], [5, -100, -100, 11]])
"""Labels: sequence 0 predicts position 2, sequence 1 positions 0 and 3"""
SENTENCE = "the people [MASK] the union of states"
WORDS = "the people keep the union of states and every nation works in peace "
BLOCKS = [
    Block("embeddings.token.weight", (9, 4)),
    Block("layers.0.attention.query_key_value.weight", (4, 12), tuple(f"layers.0.{n}.weight" for n in "qkv")),
    Block("layers.0.attention.query_key_value.bias", (12,), tuple(f"layers.0.{n}.bias" for n in "qkv")),
    Block("layers.0.in.weight", (4, 7)),
    Block("layers.0.norm.gain", (4,)),
]
"""Parameters for optimizers: a joint block, weights that decay, and others"""


def textbook_network(norm: str = "pre", activation_name: str = "gelu", **fields: Any) -> MiniBERT:
    """Epsilon is large enough to show whether it stands inside the root."""
    settings: dict[str, Any] = {
        "vocab_size": 16, "hidden_size": 6, "layers": 2, "heads": 2, "feed_forward_size": 5, "max_length": 6,
        "segments": 2, "norm": norm, "norm_epsilon": 0.05, "activation": activation_name, "dtype": "float64",
        "position": PositionConfig(),
    }  # fmt: skip
    model = MiniBERT(ModelConfig(**settings | fields))
    scatter(model.params)
    return model


def logits(norm: str = "pre", activation_name: str = "gelu") -> Outputs:
    return {"logits": textbook_network(norm, activation_name).forward(INPUT_IDS, segment_ids=SEGMENT_IDS)[0]}


def logits_of_parts(fields: Mapping[str, Any]) -> Outputs:
    return {"logits": textbook_network(**fields).forward(INPUT_IDS, PAIRS, SEGMENT_IDS)[0]}


def logits_of_position(position: PositionConfig) -> Outputs:
    """Of all positions, and where the last layer computes only some."""
    model = textbook_network(position=position, hidden_size=8)
    found, _ = model.forward(INPUT_IDS, PAIRS, SEGMENT_IDS)
    trimmed, _ = model.forward(INPUT_IDS, PAIRS, SEGMENT_IDS, predicted=PREDICTED)
    return {"logits": found, "logits of some positions": trimmed}


def masked_logits(mask: np.ndarray) -> Outputs:
    return {"logits": textbook_network().forward(INPUT_IDS, mask, SEGMENT_IDS)[0]}


def scored_logits() -> Outputs:
    return {"logits": textbook_network().score(INPUT_IDS, SCORED, PAIRS, SEGMENT_IDS)[0]}


def trimmed(norm: str = "pre", dropout: float = 0.25) -> Outputs:
    """The loss and its gradients where the last layer computes only the positions that are predicted."""
    return _with_gradients(build(norm=norm, dropout=dropout, attention_dropout=dropout))


def trimmed_with_position(position: PositionConfig) -> Outputs:
    return _with_gradients(build(position=position, hidden_size=8, attention_dropout=0.25))


def _with_gradients(model: MiniBERT) -> Outputs:
    loss, grads = model.loss_and_gradients(**examples(), masks=masks())
    return {"loss": np.array([loss]), **grads}


def sampled_loss(fields: Mapping[str, Any]) -> Outputs:
    """The loss over a sample of words, and its gradients."""
    loss, grads = sampled(build(**fields))[1]()
    return {"loss": np.array([loss]), **grads}


def pieces(position: PositionConfig) -> Outputs:
    """Two pieces of three tokens in one row, each with positions of its own, and no mask between them."""
    model = build(position=position, hidden_size=8, segments=0)
    found, _ = model.forward(np.array([[3, 5, 7, 9, 11, 13]]), position_ids=np.array([[0, 1, 2, 0, 1, 2]]))
    return {"logits": found}


def parts_of_a_batch(dropout: float = 0.0) -> Outputs:
    """Three sequences one after the other, each divided by the four predictions of all."""
    model, batch = build(dropout=dropout, attention_dropout=dropout), examples()
    grads, loss = Gradients(model.params.layout, "float64"), 0.0
    for first in range(BATCH):
        part = {name: array[first : first + 1] for name, array in batch.items()}
        loss += model.loss_and_gradients(**part, grads=grads, count=4, masks=masks(first_sequence=first))[0]
    return {"loss": np.array([loss]), **grads}


def accumulated(way: str) -> Outputs:
    """Gradients after two passes into one set, and after a third once it was cleared."""
    model, batch = build(), examples()
    grads = Gradients(model.params.layout, "float64")

    def accumulate():
        if way == "loss_and_gradients":
            model.loss_and_gradients(**batch, grads=grads)
        else:
            found, cache = model.forward(batch["input_ids"], batch["attention_mask"])
            model.backward(np.cos(found), cache, grads)
        return grads.vector.copy()

    accumulate()
    twice = accumulate()
    grads.clear()
    return {"after two passes": twice, "after clearing and one more": accumulate()}


def products() -> Outputs:
    """A gradient to which a matrix product of 6 is added, once and twice."""
    grads = Gradients(Layout([Block("a.weight", (1, 1))]), "float64")
    found = []
    for _ in range(2):
        grads.add_product("a.weight", np.array([[2.0]]), np.array([[3.0]]))
        found.append(grads["a.weight"].item())
    return {"a.weight": np.array(found)}


def scores_with_padding() -> Outputs:
    """Scores of three sentences, one of them padded."""
    return {"scores": classifier().score(**sentences())[0]}


def trajectories(averaging: AveragingConfig, steps: int, start: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """The trained weights after each of the steps along random gradients, and what is evaluated there, (S, 2)."""
    params = Parameters(Layout([Block("a.weight", (2,))]), "float64")
    params.vector[...] = start
    config = Config(
        optimizer=SGDConfig(weight_decay=0.0),
        clipping=ClippingConfig(),
        averaging=averaging,
        training=TrainingConfig(steps=steps),
    )
    optimizer, random = Optimizer(build_chain(config, tuple(params)), params), np.random.default_rng(0)
    trained, evaluated = [], []
    for step in range(1, steps + 1):
        optimizer.apply(params.vector, random.normal(size=2), step, 0.1, 1.0)
        trained.append(params.vector.copy())
        evaluated.append(optimizer.evaluated(params).vector.copy())
    return np.array(trained), np.array(evaluated)


def averaged(averaging: AveragingConfig, steps: int) -> Outputs:
    trained, evaluated = trajectories(averaging, steps)
    return {"trained weights": trained, "averaged weights": evaluated}


def lookahead() -> Outputs:
    """Fast and slow weights over five steps of slope 1, with a move every three."""
    inner = SGDConfig(momentum=0.0, weight_decay=0.0)
    settings = Config(
        optimizer=LookaheadConfig(learning_rate=1.0, period=3, slow_rate=0.5, inner=inner),
        clipping=ClippingConfig(),
        training=TrainingConfig(steps=5),
    )
    params = Parameters(Layout([Block("a.weight", (1,))]), "float64")
    params.vector[...] = 3.0
    optimizer = Optimizer(build_chain(settings, tuple(params)), params)
    fast, slow = [], []
    for step in range(1, 6):
        optimizer.apply(params.vector, np.ones(1), step, 1.0, 1.0)
        fast.append(params.vector.copy())
        slow.append(optimizer.evaluated(params).vector.copy())
    return {"fast weights": np.concatenate(fast), "slow weights": np.concatenate(slow)}


def optimizer_parameters(dtype: str = "float32") -> Parameters:
    params = Parameters(Layout(BLOCKS), dtype)
    params.vector[...] = np.random.default_rng(0).normal(size=params.vector.size)
    return params


def adamw(settings: Mapping[str, Any], dtype: str) -> Outputs:
    """Parameters after six steps along random gradients."""
    params = optimizer_parameters(dtype)
    optimizer = Optimizer(build_chain(Config(**settings), tuple(params)), params)
    for step in range(1, 7):
        gradient = np.random.default_rng(step).normal(size=params.vector.size).astype(params.vector.dtype)
        optimizer.apply(params.vector, gradient, step, 0.01, float(np.linalg.norm(gradient)))
    return dict(params)


def muon_of_heads() -> Outputs:
    """The matrices of attention with two heads, after a step of Muon along one gradient."""
    names = [f"layers.0.attention.{name}.weight" for name in ("query", "key", "value", "output")]
    config = Config(optimizer=MuonConfig(heads_apart=True), clipping=ClippingConfig())
    config.model.heads = 2
    params = Parameters(Layout([Block(name, (4, 4)) for name in names]), "float64")
    gradient = np.tile(np.random.default_rng(0).normal(size=16), len(names))
    Optimizer(build_chain(config, tuple(params)), params).apply(params.vector, gradient, 1, 1.0, 1.0)
    return dict(params)


def orthogonal(rows: int, columns: int, iterations: int, polynomials: Any) -> Outputs:
    matrix = np.random.default_rng(0).normal(size=(rows, columns))
    return {"matrix": orthogonalise(matrix, iterations, polynomials)}


@cache
def explorer() -> Any:
    """One sentence's explorer, on a network in float64 away from its initial values."""
    from minibert.data.tokenizer import train_tokenizer  # here, since only these need a tokenizer
    from minibert.exploration import MathematicalExplorer

    sizes: dict[str, Any] = {"hidden_size": 16, "layers": 3, "heads": 2, "feed_forward_size": 24, "max_length": 16}
    model = MiniBERT(ModelConfig(vocab_size=140, dtype="float64", **sizes))
    scatter(model.params)
    return MathematicalExplorer(model, train_tokenizer([WORDS] * 20, 128, lowercase=True))


def guessed() -> Outputs:
    return {"entropies": explorer().guess_by_layer(SENTENCE).entropies}


def ablated() -> Outputs:
    return {"divergences": explorer().ablate_heads(SENTENCE, [(2, 0)]).divergences}


def flow() -> Outputs:
    found = explorer().analyze_gradient_flow(SENTENCE, target="keep")
    places = dict(zip(found.places, found.gradients, strict=True))
    return {**places, "attributions": found.attributions}


def steps() -> Outputs:
    found = explorer().step_through_forward_pass(SENTENCE)
    return {f"{step.place} {step.name}": step.array for step in found.steps if step.name in ("scores", "residual")}

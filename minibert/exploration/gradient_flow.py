"""How the gradient of one prediction flows back through the network, block by block."""

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from minibert.exploration.guesses import log_softmax, name_of
from minibert.exploration.sentence import Sentence
from minibert.model.attention import attention_backward
from minibert.model.bert import MiniBERT
from minibert.model.embeddings import embeddings_backward
from minibert.model.encoder import LayerCache, final_norm_backward
from minibert.model.feed_forward import feed_forward_backward
from minibert.model.heads import mlm_head_backward
from minibert.model.norms import norm_backward
from minibert.model.parameters import Gradients


@dataclass(frozen=True)
class Block:
    """One residual block: what of the gradient goes past its branch, and what through it. Euclidean norms."""

    name: str
    """Such as ``layer_0 attention``"""
    arriving: float
    """‖dy‖, of the gradient with respect to the sum of both ways, over all tokens"""
    branch: float
    """‖d‖ of the part that passed the branch; the part that passed by is dy itself"""


@dataclass(frozen=True)
class GradientFlow:
    """The gradient of loss = -log p(target at the position) at every place of the network."""

    sentence: Sentence
    position: int
    target: str
    loss: float
    """nats"""
    places: list[str]
    """2L + 1 names: embeddings, then after each residual block"""
    gradients: np.ndarray
    """(2L + 1, T, D): with respect to the hidden states there, before any final norm"""
    blocks: list[Block]
    """2L, from the input to the output"""
    attributions: np.ndarray
    """(T,) nats: -Σ_d x_td ∂loss/∂x_td, x the embeddings' output: the slope of log p(target) as the token's
    vector is made longer, s x at s = 1"""
    parameters: Gradients
    """``parameters["layers.0.attention.query.weight"]``: the gradient of every parameter"""

    @property
    def norms(self) -> np.ndarray:
        """(2L + 1, T): ‖∂loss/∂h‖ of every token at every place"""
        return np.linalg.norm(self.gradients, axis=2)

    @property
    def parameter_norms(self) -> dict[str, float]:
        """Name of a parameter -> Euclidean norm of its gradient"""
        return {name: float(np.linalg.norm(array)) for name, array in self.parameters.items()}

    def __str__(self) -> str:
        lines = [f"loss = -log p({self.target}) = {self.loss:.4f} nats at position {self.position}", ""]
        width = max(map(len, self.places))
        lines.append(f"{'':{width}}  " + " ".join(f"{token[:9]:>9}" for token in self.sentence.tokens))
        for place, row in zip(self.places[::-1], self.norms[::-1], strict=True):
            lines.append(f"{place:<{width}}  " + " ".join(f"{norm:9.2e}" for norm in row))
        return "\n".join(lines)


def flow(model: MiniBERT, tokenizer: Tokenizer, sentence: Sentence, position: int, target: int) -> GradientFlow:
    """Backward through head, final norm, every block and the embeddings, with all gradients on the way.

    A residual block is y = x + f(x): its gradient is dx = dy + (∂f/∂x)ᵀ dy, a part that passes by unchanged and
    one that passed the branch. A post-norm block is norm(x + f(x)), and dy is taken behind the norm. Gradient
    times input: Shrikumar et al., "Not Just a Black Box", 2016; He et al., "Identity Mappings in Deep Residual
    Networks", ECCV 2016, on the way past the branches.
    """
    predicted = np.zeros((1, len(sentence.ids)), bool)
    predicted[0, position] = True
    scores, cache = model.forward(sentence.ids[None], predicted=predicted, everywhere=True)
    logs = log_softmax(scores)
    dscores = np.exp(logs)
    dscores[0, target] -= 1

    config, params = model.config, model.params
    parameters = Gradients(params.layout, config.dtype)
    dhead = mlm_head_backward(dscores.astype(config.dtype), cache.head, params, parameters)
    dx = np.zeros((len(sentence.ids), config.hidden_size), config.dtype)
    dx[position] = dhead[0]
    dx = final_norm_backward(dx, cache.final_norm, params, parameters)
    gradients, places, blocks = [dx.copy()], [], []
    for index in reversed(range(config.layers)):
        for name, before, block in _back_through(model, dx, cache.layer(index), index, parameters):
            dx = before
            gradients.append(dx.copy())
            places.append(name)
            blocks.append(block)
    attributions = -np.einsum("td,td->t", cache.hidden_states[0][0].astype(np.float64), gradients[-1])
    embeddings_backward(dx, cache.embeddings, params, parameters, model.position)
    parameters.fill_untouched()
    return GradientFlow(
        sentence,
        position,
        name_of(tokenizer, target),
        -float(logs[0, target]),
        ["embeddings", *places[::-1]],
        np.array(gradients[::-1]),
        blocks[::-1],
        attributions,
        parameters,
    )


def _back_through(model: MiniBERT, dx: np.ndarray, cache: LayerCache, index: int, parameters: Gradients):
    """Both blocks of a layer, the last first: (name of the place behind it, gradient before it, the block)."""
    params, config = model.params, model.config
    for part, norm_cache in (("feed_forward", cache.feed_forward_norm), ("attention", cache.attention_norm)):
        name = f"layers.{index}.{part}"
        dy = dx
        if config.norm == "post":
            dy = norm_backward(dx.copy(), norm_cache, f"{name}.norm", params, parameters)
        if part == "attention":
            dbranch = attention_backward(dy, cache.attention, 1, name, params, parameters)
        else:
            dbranch = feed_forward_backward(dy, cache.feed_forward, name, params, parameters)
        if config.norm == "pre" and norm_cache is not None:
            dbranch = norm_backward(dbranch, norm_cache, f"{name}.norm", params, parameters)
        dx = dbranch + dy
        shown = f"layer_{index} {part.replace('_', '-')}"
        yield shown, dx, Block(shown, float(np.linalg.norm(dy)), float(np.linalg.norm(dbranch)))

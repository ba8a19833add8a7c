"""How much arithmetic a step needs."""

from minibert.config import ModelConfig
from minibert.model.feed_forward import GATED, inner_size


def count_flops(
    config: ModelConfig,
    batch: int,
    tokens: int,
    predictions: int,
    asked: int = 0,
    answers: int = 0,
    words: int | None = None,
) -> float:
    """Floating-point operations of one training step's matrix products: those that reach the loss.

    Two for every weight and row in the forward pass, twice that in the backward pass. The last layer's
    queries, output projection and feed-forward network, and the head, count at predicted positions only; with
    auxiliary heads, the layer counts at all ``asked`` positions, and their heads at each of their ``answers``.
    The head scores ``words`` of the vocabulary, or all. What gates and tables of distances add, a few percent at
    most, is left out.
    """
    scored = config.vocab_size if words is None else words
    rows, hidden = batch * tokens, config.hidden_size
    inner = inner_size(config) * (1.5 if config.activation in GATED else 1)  # three matrices instead of two

    def layer(asking: int) -> float:
        projections = rows * 2 * hidden**2 + asking * 2 * hidden**2  # key and value; query and output
        attention = 2 * asking * tokens * hidden
        return projections + attention + asking * 2 * hidden * inner

    heads = predictions * (hidden**2 + hidden * scored) + answers * (hidden**2 + 2 * hidden)
    return 6.0 * ((config.layers - 1) * layer(rows) + layer(max(predictions, asked)) + heads)

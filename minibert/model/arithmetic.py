"""How much arithmetic a step needs."""

from minibert.config import ModelConfig


def count_flops(config: ModelConfig, batch: int, tokens: int, predictions: int) -> float:
    """Floating-point operations of one training step's matrix products: those that reach the loss.

    Two for every weight and row in the forward pass, twice that in the backward pass. The last layer's
    queries, output projection and feed-forward network, and the head, count at predicted positions only.
    """
    rows, hidden, inner = batch * tokens, config.hidden_size, config.feed_forward_size

    def layer(asking: int) -> float:
        projections = rows * 2 * hidden**2 + asking * 2 * hidden**2  # key and value; query and output
        attention = 2 * asking * tokens * hidden
        return projections + attention + asking * 2 * hidden * inner

    head = predictions * (hidden**2 + hidden * config.vocab_size)
    return 6.0 * ((config.layers - 1) * layer(rows) + layer(predictions) + head)

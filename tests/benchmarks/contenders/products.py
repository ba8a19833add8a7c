"""The sgemm ceiling: the matrix products of a step and nothing else.

Those that reach the loss, forward and backward, at their shapes: the last layer's query, output projection and
feed-forward network at predicted positions only. One lane a core, one BLAS thread a lane, every product
with operands and result of its own, in memory that is there beforehand.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from tests.benchmarks.contenders import Contender
from tests.benchmarks.workload import Shape, Workload


class Products(Contender):
    def __init__(self, workload: Workload):
        threadpool_limits(1, user_api="blas")
        self._threads = ThreadPoolExecutor(workload.lanes)
        shares = np.array_split(np.arange(workload.shape.sequences), workload.lanes)
        self.lanes = [lane_products(workload.shape, len(share)) for share in shares]
        products = [product for lane in self.lanes for product in lane]
        self.about = {
            "numpy": np.__version__,
            "lanes": workload.lanes,
            "blas": threadpool_info(),
            "flops": sum(2.0 * left.shape[-1] * result.size for left, _, result in products),
        }

    def step(self) -> float:
        list(self._threads.map(multiply, self.lanes))
        return float("nan")


def multiply(products) -> None:
    for left, right, result in products:
        np.matmul(left, right, out=result)


def lane_products(shape: Shape, sequences: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(left, right, result) of every product of a lane that computes so many sequences."""
    random = np.random.default_rng(0)
    hidden, inner = shape.hidden_size, shape.feed_forward_size
    rows, predicted = sequences * shape.tokens, sequences * shape.predictions
    products = []

    def array(*size):
        return random.standard_normal(size, np.float32)

    def add(left, right):
        products.append((left, right, left @ right))

    def linear(count, width, outputs):
        """y = x W, dx = dy Wᵀ, dW = xᵀ dy"""
        x, weight, dy = array(count, width), array(width, outputs), array(count, outputs)
        add(x, weight)
        add(dy, weight.T)
        add(x.T, dy)

    def attention(asking):
        """S = Q Kᵀ, C = W V, dW = dC Vᵀ, dV = Wᵀ dC, dQ = dS K, dK = dSᵀ Q"""
        heads = (sequences, shape.heads)
        size = hidden // shape.heads
        query, dcontext = array(*heads, asking, size), array(*heads, asking, size)
        key, value = array(*heads, shape.tokens, size), array(*heads, shape.tokens, size)
        weights, dscores = array(*heads, asking, shape.tokens), array(*heads, asking, shape.tokens)
        add(query, key.swapaxes(2, 3))
        add(weights, value)
        add(dcontext, value.swapaxes(2, 3))
        add(weights.swapaxes(2, 3), dcontext)
        add(dscores, key)
        add(dscores.swapaxes(2, 3), query)

    def tied_head():
        """y = x Eᵀ, dx = dy E, dE = dyᵀ x, with E the token embeddings (V, D)"""
        x, dy = array(predicted, hidden), array(predicted, shape.vocab_size)
        table = array(shape.vocab_size, hidden)
        add(x, table.T)
        add(dy, table)
        add(dy.T, x)

    for layer in range(shape.layers):
        if layer < shape.layers - 1:
            asking, asking_rows = shape.tokens, rows
            linear(rows, hidden, 3 * hidden)
        else:
            asking, asking_rows = shape.predictions, predicted
            linear(rows, hidden, 2 * hidden)
            linear(predicted, hidden, hidden)
        attention(asking)
        linear(asking_rows, hidden, hidden)
        linear(asking_rows, hidden, inner)
        linear(asking_rows, inner, hidden)
    linear(predicted, hidden, hidden)
    tied_head()
    return products

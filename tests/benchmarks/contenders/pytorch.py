"""The same network in PyTorch, written by hand for speed: fused projections, scaled_dot_product_attention, the
head at predicted positions only, fused AdamW, all cores."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tests.benchmarks.contenders import Contender
from tests.benchmarks.workload import Workload

EPSILON = 1e-12


class Layer(nn.Module):
    """x + f(norm(x)), with f attention, then the feed-forward network."""

    def __init__(self, hidden: int, heads: int, inner: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm = nn.LayerNorm(hidden, EPSILON)
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, hidden)
        self.feed_forward_norm = nn.LayerNorm(hidden, EPSILON)
        self.inner = nn.Linear(hidden, inner)
        self.outer = nn.Linear(inner, hidden)

    def forward(self, x):
        batch, tokens, hidden = x.shape
        projected = self.query_key_value(self.attention_norm(x)).view(batch, tokens, 3, self.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        context = functional.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout)
        context = context.transpose(1, 2).reshape(batch, tokens, hidden)
        x = x + functional.dropout(self.output(context), self.dropout)
        fed = self.outer(functional.gelu(self.inner(self.feed_forward_norm(x))))
        return x + functional.dropout(fed, self.dropout)


class Network(nn.Module):
    """Token ids, places of the predictions (P,) in the flattened batch and their labels (P,) -> mean loss."""

    def __init__(self, shape, dropout: float, max_length: int):
        super().__init__()
        hidden, self.dropout = shape.hidden_size, dropout
        self.token = nn.Embedding(shape.vocab_size, hidden)
        self.position = nn.Embedding(max_length, hidden)
        self.layers = nn.ModuleList(
            Layer(hidden, shape.heads, shape.feed_forward_size, dropout) for _ in range(shape.layers)
        )
        self.final_norm = nn.LayerNorm(hidden, EPSILON)
        self.transform = nn.Linear(hidden, hidden)
        self.head_norm = nn.LayerNorm(hidden, EPSILON)
        self.head_bias = nn.Parameter(torch.zeros(shape.vocab_size))

    def forward(self, input_ids, places, labels):
        x = self.token(input_ids) + self.position.weight[: input_ids.shape[1]]
        x = functional.dropout(x, self.dropout)
        for layer in self.layers:
            x = layer(x)
        x = x.flatten(0, 1).index_select(0, places)
        x = self.head_norm(functional.gelu(self.transform(self.final_norm(x))))
        return functional.cross_entropy(functional.linear(x, self.token.weight, self.head_bias), labels)


class Eager(Contender):
    """PyTorch as it runs by default."""

    def __init__(self, workload: Workload):
        torch.set_num_threads(workload.lanes)
        torch.manual_seed(0)
        max_length = len(workload.parameters["embeddings.position.weight"])
        network = Network(workload.shape, workload.dropout, max_length)
        network.load_state_dict(translate(workload.parameters, workload.shape.layers))
        self.network = network
        self.compute_loss = network
        self.optimizer = fused_adamw(network)
        self.batches = [prepare(*batch) for batch in workload.batches]
        self.taken = 0
        self.about = {"torch": torch.__version__, "threads": torch.get_num_threads()}

    def step(self) -> float:
        batch = self.batches[self.taken % len(self.batches)]
        self.taken += 1
        loss = self.compute_loss(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


class Compiled(Eager):
    """The same under ``torch.compile``."""

    def __init__(self, workload: Workload):
        super().__init__(workload)
        self.compute_loss = torch.compile(self.network)


class CompiledBfloat16(Compiled):
    """The same under ``torch.compile`` and autocast: products of bfloat16 numbers, parameters in float32."""

    def __init__(self, workload: Workload):
        super().__init__(workload)
        compiled = self.compute_loss

        def compute_loss(*batch):
            with torch.autocast("cpu", torch.bfloat16):
                return compiled(*batch)

        self.compute_loss = compute_loss


def fused_adamw(network: nn.Module) -> torch.optim.Optimizer:
    """minibert's default optimizer: matrices decay, gains and biases do not."""
    parameters = list(network.parameters())
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), eps=1e-8, fused=True)


def prepare(input_ids: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A batch as the network takes it; off the clock."""
    places = np.flatnonzero(labels >= 0)
    arrays = (input_ids, places, labels.reshape(-1)[places])
    return tuple(torch.from_numpy(array.astype(np.int64)) for array in arrays)


def translate(parameters: dict[str, np.ndarray], layers: int) -> dict[str, torch.Tensor]:
    """minibert's parameters under this network's names; weights of ``nn.Linear`` are (out, in)."""
    names = {"final_norm": "final_norm", "mlm_head.transform": "transform", "mlm_head.norm": "head_norm"}
    state = {
        "token.weight": parameters["embeddings.token.weight"],
        "position.weight": parameters["embeddings.position.weight"],
        "head_bias": parameters["mlm_head.bias"],
    }
    for index in range(layers):
        attention, feed_forward = f"layers.{index}.attention", f"layers.{index}.feed_forward"
        joint = [
            (parameters[f"{attention}.{part}.weight"], parameters[f"{attention}.{part}.bias"])
            for part in ("query", "key", "value")
        ]
        weights, biases = zip(*joint, strict=True)
        state[f"layers.{index}.query_key_value.weight"] = np.concatenate(weights, axis=1).T
        state[f"layers.{index}.query_key_value.bias"] = np.concatenate(biases)
        names |= {
            f"{attention}.norm": f"layers.{index}.attention_norm",
            f"{attention}.output": f"layers.{index}.output",
            f"{feed_forward}.norm": f"layers.{index}.feed_forward_norm",
            f"{feed_forward}.in": f"layers.{index}.inner",
            f"{feed_forward}.out": f"layers.{index}.outer",
        }
    for ours, theirs in names.items():
        state[f"{theirs}.bias"] = parameters[f"{ours}.bias"]
        normal = f"{ours}.gain" in parameters
        state[f"{theirs}.weight"] = parameters[f"{ours}.gain"] if normal else parameters[f"{ours}.weight"].T
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items()}

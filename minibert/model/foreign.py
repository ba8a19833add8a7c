"""The same networks in another library's words: the tensors of Hugging Face's ``transformers``.

Which networks travel, and as what, says :mod:`minibert.model.foreign_settings`. Here are the names of three model
types, and how a tensor of theirs is made of minibert's: PyTorch's linear layers have weights (out, in);
``modernbert`` keeps queries, keys and values in one tensor, and the gate and the value of a gated unit in another.

Rotary positions turn pairs of a head's entries. Here a pair stands side by side, entries 2p and 2p + 1; there half
a head apart, entries p and p + K/2. A product q · k does not depend on the order of the entries: the columns of
the query's and the key's weights are put into the other order, and nothing else differs.

What ``esm`` does about padding is the same as here as long as padding stands at the end of a sequence and the
attention mask says so: it counts positions over the tokens that are not [PAD], from ``pad_token_id`` + 1 on (the
rows of the table before that are never read), and sets the embeddings of masked tokens to zero. Two things
differ: what is computed *at* padding, which nobody reads, and, in training, that it has no dropout on the
embeddings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from minibert.config import ModelConfig

POSITIONS = "embeddings.position.weight"
SEGMENTS = "embeddings.segment.weight"

PARTS = {
    "embeddings.token": "embeddings.word_embeddings",
    "embeddings.position": "embeddings.position_embeddings",
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "feed_forward.in": "intermediate.dense",
    "feed_forward.out": "output.dense",
}
"""Parts of the encoders of ``bert`` and ``esm``: minibert's name -> the name after the prefix"""


@dataclass(frozen=True)
class Family:
    """One model type of ``transformers``: how it names what it shares with minibert."""

    model_type: str
    architecture: str
    prefix: str
    """What the names of the encoder's tensors begin with"""
    layers: str
    """What the names of a layer's tensors begin with, behind the prefix and before the layer's number"""
    parts: Mapping[str, str]
    head: Mapping[str, str]
    decoder: str
    """The output weights, which repeat the token embeddings where they are tied"""
    unused: tuple[str, ...]
    """How tensors of the encoder begin that take no part in masked language modelling"""

    def name(self, name: str) -> str:
        """``layers.0.attention.query.weight`` -> ``bert.encoder.layer.0.attention.self.query.weight``"""
        if name == "mlm_head.weight":
            return f"{self.decoder}.weight"
        part, _, kind = name.rpartition(".")
        kind = "bias" if kind == "bias" else "weight"
        if part in self.head:
            return f"{self.head[part]}.{kind}"
        if part.startswith("layers."):
            _, index, part = part.split(".", 2)
            return f"{self.prefix}{self.layers}{index}.{self.parts[part]}.{kind}"
        return f"{self.prefix}{self.parts[part]}.{kind}"

    def joined(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Their name of a tensor -> those of the parameters whose rows stand in it below each other, in order."""
        joined: dict[str, list[str]] = {}
        for name in names:
            joined.setdefault(self.name(name), []).append(name)
        return joined


BERT = Family(
    "bert",
    "BertForMaskedLM",
    "bert.",
    "encoder.layer.",
    PARTS
    | {
        "embeddings.segment": "embeddings.token_type_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "attention.norm": "attention.output.LayerNorm",
        "feed_forward.norm": "output.LayerNorm",
    },
    {
        "mlm_head.transform": "cls.predictions.transform.dense",
        "mlm_head.norm": "cls.predictions.transform.LayerNorm",
        "mlm_head": "cls.predictions",
    },
    "cls.predictions.decoder",
    ("pooler.", "embeddings.position_ids", "embeddings.token_type_ids"),
)
ESM = Family(
    "esm",
    "EsmForMaskedLM",
    "esm.",
    "encoder.layer.",
    PARTS
    | {
        "embeddings.norm": "embeddings.layer_norm",
        "attention.norm": "attention.LayerNorm",
        "feed_forward.norm": "LayerNorm",
        "final_norm": "encoder.emb_layer_norm_after",
    },
    {"mlm_head.transform": "lm_head.dense", "mlm_head.norm": "lm_head.layer_norm", "mlm_head": "lm_head"},
    "lm_head.decoder",
    ("pooler.", "embeddings.position_ids", "contact_head."),
)
MODERNBERT = Family(
    "modernbert",
    "ModernBertForMaskedLM",
    "model.",
    "layers.",
    {
        "embeddings.token": "embeddings.tok_embeddings",
        "embeddings.norm": "embeddings.norm",
        "attention.norm": "attn_norm",
        **dict.fromkeys(("attention.query", "attention.key", "attention.value"), "attn.Wqkv"),
        "attention.output": "attn.Wo",
        "feed_forward.norm": "mlp_norm",
        **dict.fromkeys(("feed_forward.gate", "feed_forward.in"), "mlp.Wi"),
        "feed_forward.out": "mlp.Wo",
        "final_norm": "final_norm",
    },
    {"mlm_head.transform": "head.dense", "mlm_head.norm": "head.norm", "mlm_head": "decoder"},
    "decoder",
    (),
)
FAMILIES = {family.model_type: family for family in (BERT, ESM, MODERNBERT)}
"""By the ``model_type`` of config.json"""


def unread_positions(family: Family, padding: int) -> int:
    """Rows at the start of the position table that stand for no position."""
    return padding + 1 if family is ESM else 0


def view_of(name: str, array: np.ndarray) -> np.ndarray:
    """A parameter, or its gradient, with the axes that ``transformers`` has: all but tables are transposed."""
    return array.T if name.endswith(".weight") and not name.startswith("embeddings.") else array


def order_of(name: str, config: ModelConfig) -> np.ndarray | slice:
    """Which rows of :func:`view_of` the tensor has in turn: where heads turn, the even ones, then the odd ones."""
    turned = config.position.name == "rope" and name.split(".")[-2] in ("query", "key")
    if not turned:
        return slice(None)
    size = config.hidden_size // config.heads
    within = np.concatenate([np.arange(0, size, 2), np.arange(1, size, 2)])
    return (np.arange(config.heads)[:, None] * size + within).reshape(-1)


def turn_rates(config: ModelConfig) -> np.ndarray:
    """What ``esm`` keeps of its rotary positions: the angle that each pair turns by a position."""
    pairs = config.hidden_size // config.heads // 2
    return (config.position.base ** (-np.arange(pairs) / pairs)).astype(config.dtype)  # pyright: ignore[reportAttributeAccessIssue]


def to_tensors(
    params: Mapping[str, np.ndarray], config: ModelConfig, family: Family, padding: int
) -> dict[str, np.ndarray]:
    """Parameters, or their gradients, as the tensors of a family."""
    tensors = {}
    for theirs, names in family.joined(params).items():
        rows = [view_of(name, params[name])[order_of(name, config)] for name in names]
        if names == [POSITIONS] and unread_positions(family, padding):
            rows.insert(0, np.zeros((unread_positions(family, padding), config.hidden_size), config.dtype))
        tensors[theirs] = np.ascontiguousarray(rows[0] if len(rows) == 1 else np.concatenate(rows))
    return tensors


def fill(
    params: Mapping[str, np.ndarray],
    tensors: dict[str, np.ndarray],
    config: ModelConfig,
    family: Family,
    padding: int,
) -> tuple[list[str], list[str]]:
    """Copy every parameter from its tensor, taken out of ``tensors``. Returns what is missing or misshapen."""
    missing, misshapen = [], []
    for theirs, names in family.joined(params).items():
        views = [view_of(name, params[name]) for name in names]
        skipped = unread_positions(family, padding) if names == [POSITIONS] else 0
        shape = (skipped + sum(map(len, views)), *views[0].shape[1:])
        tensor = tensors.pop(theirs, None)
        if tensor is None:
            missing.append(f"{theirs} is missing")
        elif tensor.shape != shape:
            misshapen.append(f"{theirs} has shape {tensor.shape}, not {shape}")
        else:
            start = skipped
            for name, view in zip(names, views, strict=True):
                view[order_of(name, config)] = tensor[start : start + len(view)]
                start += len(view)
    return missing, misshapen

"""The names of metrics: written here, and taken apart here.

A name is ``<quantity>/<part>``. The quantity may have parts of its own (``mode_collapse/spread``). The part says
where in the network the value was measured:

=====================================  ===================  =====  ====
part                                   kind                 layer  head
=====================================  ===================  =====  ====
``layers.2.attention.query.weight``    ``attention query``  2
``layer_2/attention/query``            ``attention query``  2
``layer_2``                            (empty)              2
``layer_2/head_1``                     (empty)              2      1
``embeddings.token.weight``, ``head``  :data:`OUTSIDE`
=====================================  ===================  =====  ====
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

OUTSIDE = "outside the layers"
"""The kind of a part that belongs to no layer."""

History = tuple[list[int], list[float]]
"""Steps and values"""
Histories = dict[int | str, History]
"""Layer, or the label of a part outside the layers -> history"""

_PART = re.compile(r"layers?[._](?P<layer>\d+)(?:[./](?P<rest>.+))?")
_HEAD = re.compile(r"head_(\d+)")


class MetricRecord(Protocol):
    """Anything that gives the metrics of a run."""

    def metric_names(self, prefix: str = "") -> list[str]:
        """The names of all metrics that begin with ``prefix``."""
        ...

    def history(self, metric: str) -> History:
        """Steps and values of a metric; two empty lists if it is not recorded."""
        ...


class Location(NamedTuple):
    """Where in the network a value was measured."""

    kind: str
    """``"attention query"``; empty for a layer or a head as a whole; :data:`OUTSIDE` for a part of no layer"""
    layer: int | None
    head: int | None
    label: str
    """The part in words: ``"embeddings token"`` for ``embeddings.token.weight``"""

    @property
    def depth(self) -> tuple:
        """A key to sort by: parts of no layer first, by name, then layer by layer."""
        outside = self.layer is None
        return (-1 if outside else self.layer, _natural(self.label) if outside else [], self.head or 0)

    @property
    def key(self) -> int | str:
        """The layer, or the label of a part outside the layers."""
        return self.label if self.layer is None else self.layer


class Series(NamedTuple):
    """The values of one metric over the steps, and where they were measured."""

    part: str
    """What follows the quantity in the name"""
    location: Location
    steps: list[int]
    values: list[float]

    @property
    def kind(self) -> str:
        return self.location.kind

    @property
    def layer(self) -> int | None:
        return self.location.layer

    @property
    def head(self) -> int | None:
        return self.location.head

    @property
    def history(self) -> History:
        return self.steps, self.values


def metric_name(quantity: str, *parts: str) -> str:
    """``attention_entropy/layer_0/head_1`` of a quantity and the parts of its place.

    >>> metric_name("attention_entropy", layer_name(0), head_name(1))
    'attention_entropy/layer_0/head_1'
    """
    return "/".join((quantity, *parts))


def layer_name(layer: int) -> str:
    """``layer_2``: a layer as a whole."""
    return f"layer_{layer}"


def head_name(head: int) -> str:
    """``head_1``: a head within its layer."""
    return f"head_{head}"


def place_names(count: int) -> list[str]:
    """The names of a network's L + 1 hidden states: embeddings, layer_0, ..., layer_{L-1}."""
    return ["embeddings", *(layer_name(layer) for layer in range(count - 1))]


def pair_name(one: str, other: str) -> str:
    """``embeddings_layer_0``: two neighbouring places of :func:`place_names`."""
    return f"{one}_{other}"


def split_pair(pair: str) -> tuple[str, str]:
    """The two places of :func:`pair_name`."""
    one, _, layer = pair.rpartition("_layer_")
    return one, layer_name(int(layer))


def locate(part: str) -> Location:
    """Take apart what follows the quantity in the name of a metric."""
    bare = part.removesuffix(".weight")
    label = _words(bare)
    match = _PART.fullmatch(bare)
    if match is None:
        return Location(OUTSIDE, None, None, label)
    layer, rest = int(match["layer"]), match["rest"] or ""
    if head := _HEAD.fullmatch(rest):
        return Location("", layer, int(head[1]), label)
    return Location(_words(rest), layer, None, label)


def part_of(metric: str, quantity: str) -> str | None:
    """What follows the quantity in the name of a metric; None if the metric is of another quantity."""
    return metric.removeprefix(f"{quantity}/") if metric.startswith(f"{quantity}/") else None


def read(record: MetricRecord, quantity: str, chosen: Callable[[str], bool] = lambda part: True) -> list[Series]:
    """The metrics of a quantity, in the order of the network's depth; only the parts that are ``chosen``."""
    prefix = f"{quantity}/"
    parts = [name.removeprefix(prefix) for name in record.metric_names(prefix)]
    places = sorted(((locate(part), part) for part in parts if chosen(part)), key=lambda place: place[0].depth)
    return [Series(part, location, *record.history(prefix + part)) for location, part in places]


def quantities_within(record: MetricRecord, quantity: str) -> list[str]:
    """The next part of the names of a quantity whose metrics have several: sorted, each once."""
    prefix = f"{quantity}/"
    parts = (name.removeprefix(prefix).partition("/") for name in record.metric_names(prefix))
    return sorted({first for first, slash, _ in parts if slash})


def last_value(record: MetricRecord, metric: str) -> float:
    """The last value of a metric; NaN if it is not recorded."""
    values = record.history(metric)[1]
    return values[-1] if values else math.nan


def by_kind(series: Iterable[Series]) -> dict[str, Histories]:
    """Kind -> layer, or label of a part outside the layers -> history."""
    found: dict[str, Histories] = {}
    for each in series:
        found.setdefault(each.kind, {})[each.location.key] = each.history
    return found


def by_layer(series: Iterable[Series]) -> dict[int, History]:
    """Layer -> history, of series that are of a layer as a whole."""
    return {
        each.layer: each.history
        for each in series
        if each.layer is not None and each.head is None and not each.kind
    }


def by_head(series: Iterable[Series]) -> dict[tuple[int, int], History]:
    """(layer, head) -> history, of series that are of a head."""
    return {
        (each.layer, each.head): each.history
        for each in series
        if each.layer is not None and each.head is not None
    }


def _words(part: str) -> str:
    return re.sub("[._/]", " ", part)


def _natural(text: str) -> list[tuple[int, str]]:
    """A key by which ``layer 2`` comes before ``layer 10``."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", text) if piece]

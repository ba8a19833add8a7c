"""Parameters in the order and in the colours of the network's depth."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

from minibert.diagnostics.plotting.series import OUTSIDE
from minibert.diagnostics.plotting.style import COLOURS, SEQUENTIAL

KINDS = ("attention.query", "attention.key", "attention.value", "attention.output", "feed_forward.in")
"""What kinds come in this order, before all others."""


def in_depth_order(groups: Iterable[str]) -> list[str]:
    """Groups of parameters from the embeddings to the heads."""

    def place(group: str) -> tuple[int, int, str]:
        if group.startswith("layer_"):
            return 1, int(group.removeprefix("layer_")), group
        return {"embeddings": 0, "final_norm": 2}.get(group, 3), 0, group

    return sorted(groups, key=place)


def weights_by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    """Kind of weight -> names by depth: ``"attention.query"`` has all layers' of it, :data:`OUTSIDE` the rest."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        layered = name.startswith("layers.")
        kinds.setdefault(name.split(".", 2)[2].removesuffix(".weight") if layered else OUTSIDE, []).append(name)
    for kind, found in kinds.items():
        if kind != OUTSIDE:
            found.sort(key=lambda name: int(name.split(".")[1]))
    places = {kind: place for place, kind in enumerate(KINDS)} | {OUTSIDE: len(KINDS) + 1}
    return {kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: (places.get(kind, len(KINDS)), kind))}


def layer_colour(layer: int, layers: int):
    """The colour of a layer: from dark for the first to bright for the last."""
    from matplotlib import colormaps

    return colormaps[SEQUENTIAL](0.93 * layer / max(layers - 1, 1))


def group_colours(groups: Sequence[str]) -> dict:
    """A colour for each group: layers by depth, what is outside of them in colours that these have not."""
    others = cycle((COLOURS[1], COLOURS[4], COLOURS[3], "#7F4F24", "#A0A0A0"))
    depths = {group: int(group.removeprefix("layer_")) for group in groups if group.startswith("layer_")}
    return {
        group: layer_colour(depths[group], len(depths)) if group in depths else next(others) for group in groups
    }


def depth_axis(panel, groups: Sequence[str]) -> None:
    """Ticks for the groups, named."""
    panel.set_xticks(range(len(groups)), [group.replace("_", " ") for group in groups], rotation=45, ha="right")


def colour_bar(figure, panels, norm, label: str, ticks: Mapping[int, str] | Mapping[float, str]) -> None:
    """A bar that explains :data:`SEQUENTIAL` colours beside the panels."""
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(norm, SEQUENTIAL), ax=panels, label=label, aspect=40, pad=0.01)
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.minorticks_off()

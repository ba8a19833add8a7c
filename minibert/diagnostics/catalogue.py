"""The diagnostics that a run can take and the figures that it can draw, in the order in which a run takes them."""

from collections.abc import Callable, Iterable

from hydra.core.config_store import ConfigStore

from minibert.diagnostics.activations import figures as activations_figures
from minibert.diagnostics.activations import recorded as activations
from minibert.diagnostics.attention import figures as attention_figures
from minibert.diagnostics.attention import maps as attention_maps
from minibert.diagnostics.attention import recorded as attention
from minibert.diagnostics.engine.modules import import_module
from minibert.diagnostics.engine.registry import (
    LEVELS,
    Diagnostic,
    is_of,
    registered_diagnostics,
    registered_drawings,
)
from minibert.diagnostics.geometry import figures as geometry_figures
from minibert.diagnostics.geometry import recorded as geometry
from minibert.diagnostics.gradients import figures as gradients_figures
from minibert.diagnostics.gradients import loss_component_figures, weight_figures
from minibert.diagnostics.gradients import recorded as gradients
from minibert.diagnostics.health import curves
from minibert.diagnostics.health import figures as health_figures
from minibert.diagnostics.health import recorded as health
from minibert.diagnostics.landscape import figures as landscape_figures
from minibert.diagnostics.landscape import recorded as landscape
from minibert.diagnostics.range_test import figures as range_test_figures
from minibert.diagnostics.spectra import figures as spectra_figures
from minibert.diagnostics.spectra import recorded as spectra
from minibert.errors import MinibertError, unknown_name

RECORDED = (
    spectra.weight_spectra,
    activations.activation_statistics,
    activations.feed_forward_units,
    spectra.hidden_spectra,
    activations.feed_forward_top_tokens,
    attention.attention_patterns,
    attention.head_distances,
    attention.attention_maps,
    geometry.representation_geometry,
    geometry.layer_similarity,
    geometry.mode_collapse,
    geometry.representation_stability,
    gradients.gradient_magnitudes,
    gradients.parameter_updates,
    gradients.weight_evolution,
    gradients.gradient_noise,
    gradients.gradient_cosine,
    gradients.loss_components,
    health.duplicate_data,
    landscape.random_slice,
    landscape.update_slice,
    health.health,
    landscape.loss_along_update,
    landscape.sharpness,
    landscape.sharpness_by_group,
    landscape.loss_landscape,
    landscape.loss_surface,
    landscape.initial_to_final_path,
)
"""Functions under ``@diagnostic``. Their order is part of a configuration, and so of its hash."""
DRAWN = (
    activations_figures.plot_activation_sizes,
    activations_figures.plot_units,
    activations_figures.plot_unit_activity,
    attention_figures.plot_attention_quantities,
    attention_maps.plot_recorded_maps,
    geometry_figures.plot_representation_geometry,
    geometry_figures.plot_similarity,
    geometry_figures.plot_collapse,
    geometry_figures.plot_stability,
    gradients_figures.draw_gradients,
    weight_figures.draw_weights,
    loss_component_figures.draw_loss_components,
    health_figures.draw_health,
    landscape_figures.draw_coarse_slices,
    landscape_figures.draw_slices,
    landscape_figures.draw_surface,
    landscape_figures.draw_path,
    landscape_figures.draw_sharpness,
    landscape_figures.draw_updates,
    spectra_figures.plot_weight_spectra,
    spectra_figures.plot_singular_values,
    spectra_figures.plot_hidden_quantities,
    spectra_figures.plot_hidden_spectra,
    curves.plot_training_curves,
    range_test_figures.plot_range_test,
)
"""Functions under ``@drawing``"""


def built_in() -> list[Diagnostic]:
    """The diagnostics of :data:`RECORDED`."""
    by_function = {each.function: each for each in registered_diagnostics().values()}
    return [by_function[function] for function in RECORDED]


def names_of_level(level: str) -> list[str]:
    """The names of the diagnostics of a level and of those below it; none for ``"off"``.

    Raises :class:`MinibertError` for a level that does not exist.
    """
    if level == "off":
        return []
    if level not in LEVELS:
        raise unknown_name("diagnostics", level, ("off", *LEVELS))
    below = LEVELS[: LEVELS.index(level) + 1]
    return [each.name for each in built_in() if each.level in below]


def metric_rooms() -> list[str]:
    """What the names of the metrics of all built-in diagnostics begin with, up to the first ``/``."""
    return list(dict.fromkeys(room for each in built_in() for room in each.metrics))


def register_levels() -> None:
    """Give conf/diagnostics the lists of its levels: LEVEL.yaml takes ``quantities`` from ``LEVEL_quantities``."""
    for level in LEVELS:
        store = {"quantities": names_of_level(level)}
        ConfigStore.instance().store(group="diagnostics", name=f"{level}_quantities", node=store)


def choose(names: Iterable[str], modules: Iterable[str] = ()) -> list[Diagnostic]:
    """The diagnostics of these names, in order, and all that the modules, or modules within them, register.

    Raises :class:`MinibertError` for an unknown name, and for a module that cannot be imported or registers
    nothing.
    """
    chosen: dict[str, Diagnostic] = {}
    for module in modules:
        import_module(module)
        own = {name: each for name, each in registered_diagnostics().items() if is_of(each.function, module)}
        if not own and not any(is_of(function, module) for _, function in registered_drawings()):
            raise MinibertError(
                f"diagnostics.modules={module}: it registers nothing. Allowed: a module with functions under "
                "@diagnostic(name) or @drawing(room)."
            )
        chosen |= own
    known = registered_diagnostics()
    for name in names:
        if name not in known:
            raise unknown_name("diagnostics.quantities", name, known)
        chosen[name] = known[name]
    return list(chosen.values())


def drawings(rooms: Iterable[str] = ("all",)) -> list[tuple[str, Callable]]:
    """(room, function) of the drawings of these rooms: those of :data:`DRAWN`, then those of the user's modules.

    Raises :class:`MinibertError` for a room that does not exist.
    """
    registered = registered_drawings()
    room_of = {function: room for room, function in registered}
    found = [(room_of[function], function) for function in DRAWN]
    found += [(room, function) for room, function in registered if function not in DRAWN]
    known = {"all", *(room for room, _ in found)}
    for room in rooms:
        if room not in known:
            raise unknown_name("diagnostics.figures", room, sorted(known))
    return [(room, function) for room, function in found if "all" in rooms or room in rooms]


def check_names(settings) -> None:
    """Refuse names in the group ``diagnostics`` of a configuration that do not exist, before anything runs.

    Raises :class:`MinibertError` as :func:`choose` and :func:`drawings` do.
    """
    choose(settings.quantities, settings.modules)
    drawings(settings.figures)

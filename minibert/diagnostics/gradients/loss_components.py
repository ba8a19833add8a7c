"""Which parts of a network bring the loss of a step down."""

from collections.abc import Mapping
from dataclasses import dataclass

from minibert.diagnostics.gradients.measures import Arrays, check_same_parameters, group_of, inner_product


@dataclass(frozen=True)
class LossComponents:
    """What a step did to the loss on its own batch, in nats, shared out over groups of parameters.

    ``measured`` = Σ ``first_order`` + Σ ``curvature`` + ``remainder``.
    """

    first_order: Mapping[str, float]
    """g · Δθ of each group: the change of first order"""
    curvature: Mapping[str, float]
    """½ (g' - g) · Δθ of each group: the change of second order, from the change of the gradient over the step"""
    measured: float
    """L(θ + Δθ) - L(θ)"""

    @property
    def remainder(self) -> float:
        """What the parts leave out: third order in Δθ, and the rounding of the two losses."""
        return self.measured - sum(self.first_order.values()) - sum(self.curvature.values())


def compute_loss_components(
    gradients: Arrays, gradients_after: Arrays, update: Arrays, loss: float, loss_after: float
) -> LossComponents:
    """How much of the loss change of a step every group of parameters accounts for.

    Along the straight way from θ to θ + Δθ the loss changes by ∫₀¹ g(θ + t Δθ) · Δθ dt, a sum over parameters.
    By the trapezoid rule, each group's part of it is

        ½ (g + g') · Δθ = g · Δθ + ½ (g' - g) · Δθ,

    with g and g' the gradients at θ and θ + Δθ: exact for a loss that is quadratic along the way, and else off
    by φ'''(t) / 12 for some t, φ(t) = L(θ + t Δθ), in all: half the step, an eighth of the error. Clipping,
    momentum and weight decay are all in Δθ; g and g' are those of the loss itself. Loss and gradients must be of
    the same batch with the same dropout, and in training include auxiliary tasks with their weights. In float32,
    whose losses are rounded to about 1e-6 nats, no remainder below that means anything.

    Lan, Liu, Zhou and Yosinski, "LCA: Loss Change Allocation for Neural Network Training", NeurIPS 2019, who
    integrate over the loss of all training data, in steps of Runge and Kutta's rule.

    Raises :class:`MinibertError` when gradients and update are not of the same parameters.
    """
    check_same_parameters(gradients, update, "loss components")
    check_same_parameters(gradients_after, update, "loss components")
    first_order: dict[str, float] = {}
    curvature: dict[str, float] = {}
    for name, change in update.items():
        group, before = group_of(name), inner_product(gradients[name], change)
        after = inner_product(gradients_after[name], change)
        first_order[group] = first_order.get(group, 0.0) + before
        curvature[group] = curvature.get(group, 0.0) + 0.5 * (after - before)
    return LossComponents(first_order, curvature, loss_after - loss)

"""Formats of numbers in the tables and sentences of a report."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .quantities import Quantity, quantity
from .statistics import Difference, Estimate, small_margin, too_small


def with_interval(estimate: Estimate, metric: str) -> str:
    """``5.610 ± 0.030``; ``2.2e-3 [1.9e-3, 2.5e-3]`` on a log scale, and if ± would include impossible values.

    The mean alone if there is no interval.
    """
    return show_estimate(estimate, quantity(metric))


def show_estimate(estimate: Estimate, described: Quantity) -> str:
    """See :func:`with_interval`. A count is rounded to what its interval tells: ``1,390 ± 430``."""
    if estimate.n < 2:
        return described.show(estimate.mean)
    if described.decimals == 0:
        described = fewest([estimate], described)
    low, high = described.ends(estimate.low, estimate.high)
    if described.logarithmic or (low, high) != (estimate.low, estimate.high):
        return f"{described.show(estimate.mean)} [{described.show(low)}, {described.show(high)}]"
    return f"{described.show(estimate.mean)} ± {described.show(estimate.half_width)}"


def with_difference(difference: Estimate, metric: str) -> str:
    """``−0.300 [−0.325, −0.275]``; ``×0.20 [×0.18, ×0.22]`` on a log scale. The mean alone below two pairs."""
    return show_difference(difference, quantity(metric))


def show_difference(difference: Estimate, described: Quantity) -> str:
    """See :func:`with_difference`."""
    text = described.show(difference.mean, sign=True)
    if difference.n < 2:
        return text
    return f"{text} [{described.show(difference.low, sign=True)}, {described.show(difference.high, sign=True)}]"


def fewest(estimates: Iterable[Estimate], described: Quantity) -> Quantity:
    """The quantity with no more decimals than two significant digits of the narrowest of the intervals need.

    Decimals below 0 round to tens, hundreds and so on.

    >>> fewest([Estimate(3, 6.1, 0.248), Estimate(3, 5.8, 0.71)], Quantity("loss", decimals=3)).decimals
    2
    """
    widths = [width for each in estimates if math.isfinite(width := each.half_width) and width > 0]
    if not widths or described.scientific or described.logarithmic:
        return described
    needed = 1 - math.floor(math.log10(min(widths)))
    least = -math.inf if described.decimals == 0 else 0
    return replace(described, decimals=int(min(described.decimals, max(needed, least))))


def apart(difference: Estimate, described: Quantity) -> str:
    """``0.30 [0.28, 0.33] lower``: a difference that is not 0. On a log scale ``×0.20 [×0.18, ×0.22]``."""
    if described.logarithmic:
        return show_difference(difference, described)
    low, high = sorted((abs(difference.low), abs(difference.high)))
    size = f"{described.show(abs(difference.mean))} [{described.show(low)}, {described.show(high)}]"
    return f"{size} {'lower' if difference.mean < 0 else 'higher'}"


def judged(difference: Difference, described: Quantity) -> str:
    """What to say behind a difference that is separated: ``(better)``, ``(worse)``, or that it is too small."""
    if too_small(difference):
        return ", too small to matter"
    if described.higher_is_better is None:
        return ""
    return " (better)" if (difference.mean > 0) == described.higher_is_better else " (worse)"


def half_of_seeds(found: Sequence[Difference], described: Quantity) -> str:
    """``less than 0.011, half the standard deviation between seeds``: why differences are too small to matter.

    Without the number if there are several, each with its own.
    """
    margins = [described.show(small_margin(each), sign=described.logarithmic) for each in found]
    least = f"{margins[0]}, " if len(margins) == 1 else ""
    return f"less than {least}half the standard deviation between seeds"


def with_unit(value: float, described: Quantity) -> str:
    """``5.610 nats``"""
    return f"{described.show(value)}{unit(described)}"


def unit(described: Quantity) -> str:
    """The unit with a space before it, to follow a number; empty if there is none."""
    return f" {described.unit}" if described.unit else ""


def p_value(p: float) -> str:
    """``0.041``, or ``< 0.001``; ``–`` where there is none."""
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def with_p(p: float) -> str:
    """``p = 0.041``, or ``p < 0.001``"""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def signed(value: float) -> str:
    """``+0.25`` or ``−0.60``"""
    return f"{value:+.2f}".replace("-", "−")


def count(number: int) -> str:
    """``3``, or ``none``"""
    return str(number) if number else "none"


def at_the_end(steps: int | None) -> str:
    """``after 1,000 steps``, where all runs ended at that step."""
    return f"after {steps:,} steps" if steps else "at the end of training"


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]

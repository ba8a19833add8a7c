"""The values of a setting, in the order and the form that every table, sentence and figure gives them."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal

MOST_DECIMALS, LARGEST = 4, 1e4
"""Decimals up to which numbers are written out, and size below which; the names of runs have the same limit"""


def is_number(text: str) -> bool:
    """Whether a text is that of a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def same_value(first: str, second: str) -> bool:
    """Whether two texts mean the same value: 0.4 and 0.40 do."""
    if is_number(first) and is_number(second):
        return float(first) == float(second)
    return first == second


def in_order(values: Iterable[str]) -> tuple[str, ...]:
    """Each value once: numbers by their size, then names as they come.

    >>> in_order(["0.6", "lion", "0.15", "adamw", "lion"])
    ('0.15', '0.6', 'lion', 'adamw')
    """
    found = list(dict.fromkeys(values))
    names = [value for value in found if not is_number(value)]
    return (*sorted(filter(is_number, found), key=float), *names)


def shown(values: Iterable[str]) -> dict[str, str]:
    """Recorded value -> as it is printed, in the order of :func:`in_order`.

    Numbers have the decimals of the longest. Small ones, and large ones that may have decimals, are as short as a
    command can give them.

    >>> shown(["0.4", "0.15"])
    {'0.15': '0.15', '0.4': '0.40'}
    >>> shown(["1000000.0", "10000.0", "null"])
    {'10000.0': '1e4', '1000000.0': '1e6', 'null': 'null'}
    """
    found = in_order(values)
    numbers = [value for value in found if is_number(value)]
    decimals = max((_decimals(value) for value in numbers), default=0)
    if any("e" in value.lower() for value in numbers) or decimals > MOST_DECIMALS:
        return {value: _shortest(value) if value in numbers else value for value in found}

    def written_out(number: str) -> str:
        if "." in number and abs(float(number)) >= LARGEST:
            return _shortest(number)
        return f"{Decimal(number):.{decimals}f}"

    return {value: written_out(value) if value in numbers else value for value in found}


def joined(names: Sequence[str], last: str = " and ") -> str:
    """
    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    return last.join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _decimals(number: str) -> int:
    """Of ``10.0``, which is how a whole number of a setting with decimals is recorded, none."""
    return 0 if float(number).is_integer() else len(number.partition(".")[2])


def _shortest(number: str) -> str:
    """``0.1``, ``1e-5``, ``2.5e6``: written out, or with an exponent if that is shorter or was recorded so."""
    sign, digits, exponent = Decimal(number).normalize().as_tuple()
    first, *rest = map(str, digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    scientific = f"{'-' * sign}{mantissa}e{int(exponent) + len(rest)}"
    plain = f"{Decimal(number).normalize():f}"
    return scientific if "e" in number.lower() or len(scientific) < len(plain) else plain

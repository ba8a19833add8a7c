"""Which TeX a formula may hold: what the converter to MathML would drop, or show as it is typed, is an error."""

import re
from collections.abc import Sequence

from latex2mathml.commands import CONVERSION_MAP, FUNCTIONS, LIMIT
from latex2mathml.symbols_parser import convert_symbol

TOKEN = re.compile(
    r"\\(?:text|operatorname)\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+|\\.|\S", re.DOTALL
)
ARGUMENTS = {
    r"\frac": 2, r"\dfrac": 2, r"\tfrac": 2, r"\binom": 2, r"\overset": 2, r"\underset": 2,
    r"\sqrt": 1, r"\hat": 1, r"\widehat": 1, r"\bar": 1, r"\overline": 1, r"\underline": 1, r"\tilde": 1,
    r"\widetilde": 1, r"\vec": 1, r"\dot": 1, r"\ddot": 1, r"\overbrace": 1, r"\underbrace": 1,
    r"\mathbb": 1, r"\mathbf": 1, r"\mathcal": 1, r"\mathfrak": 1, r"\mathit": 1, r"\mathrm": 1, r"\mathsf": 1,
    r"\mathtt": 1, r"\boldsymbol": 1, r"\mathbin": 1, r"\mathrel": 1, r"\mathop": 1, "^": 1, "_": 1,
}  # fmt: skip
"""Command -> its arguments"""
SPACES = {r"\,", r"\:", r"\;", r"\!", r"\ ", r"\quad", r"\qquad", r"\\"}
SIZED = {rf"\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "m", "r")}
OTHERS = {r"\left", r"\right", r"\limits", r"\displaystyle", r"\textstyle", *SPACES, *SIZED, *FUNCTIONS, *LIMIT}
WHOLE = re.compile(r"\\(text|operatorname)\s*\{")
ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{(.*)\}", re.DOTALL)
ENVIRONMENTS = {
    "matrix",
    "pmatrix",
    "bmatrix",
    "Bmatrix",
    "vmatrix",
    "Vmatrix",
    "cases",
    "array",
    "align",
    "split",
}
CLOSES = {"}": "{", r"\right": r"\left"}


class BadTex(Exception):
    """TeX that is wrong, or that the site does not know."""


def check(tex: str) -> None:
    """Raises :class:`BadTex` for an unknown command or environment, a pair without its end, a missing argument."""
    tokens = TOKEN.findall(tex)
    ends = _pairs(tokens)
    for place, token in enumerate(tokens):
        if token.startswith("\\") and not _known(token):
            raise BadTex(f"{token} is not known")
        if token in "%$#~" or "$" in token.replace(r"\$", ""):
            raise BadTex(f"{token} is no sign of a formula; the sign itself is written with a backslash")
        _after(tokens, place, ends)


def _known(token: str) -> bool:
    if found := ENVIRONMENT.fullmatch(token):
        return found[2] in ENVIRONMENTS
    if WHOLE.match(token) or token in ARGUMENTS or token in OTHERS:
        return True
    return convert_symbol(token) is not None and token not in CONVERSION_MAP


def _pairs(tokens: Sequence[str]) -> dict[int, int]:
    """Place of what begins a group -> place of its end."""
    begun: list[tuple[str, int]] = []
    ends = {}
    for place, token in enumerate(tokens):
        found = ENVIRONMENT.fullmatch(token)
        if token in CLOSES.values() or (found and found[1] == "begin"):
            begun.append((f"begin {found[2]}" if found else token, place))
        elif token in CLOSES or found:
            wanted = f"begin {found[2]}" if found else CLOSES[token]
            if not begun or begun[-1][0] != wanted:
                raise BadTex(f"{token} ends what has not begun")
            ends[begun.pop()[1]] = place
        elif token == "&" and not (begun and begun[-1][0].startswith("begin ")):
            raise BadTex("& stands outside of a matrix")
    if begun:
        raise BadTex(f"{tokens[begun[-1][1]]} has no end")
    return ends


def _after(tokens: Sequence[str], place: int, ends: dict[int, int]) -> int:
    """The place behind a token with its arguments."""
    token, place = tokens[place], ends.get(place, place) + 1
    if token == r"\sqrt" and tokens[place : place + 1] == ["["]:
        if "]" not in tokens[place:]:
            raise BadTex("[ has no end")
        place = tokens.index("]", place) + 1
    for _ in range(ARGUMENTS.get(token, 0)):
        if place >= len(tokens) or tokens[place] in ("}", "&", r"\\", r"\right", "^", "_") or _ends(tokens[place]):
            raise BadTex(f"{token} lacks an argument")
        place = _after(tokens, place, ends)
    return place


def _ends(token: str) -> bool:
    found = ENVIRONMENT.fullmatch(token)
    return found is not None and found[1] == "end"

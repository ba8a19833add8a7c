"""Formulas: the TeX of the pages becomes MathML when the site is built. A browser shows it without a script."""

import html
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from tex import BadTex, check

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
"""How the extension Arithmatex marks inline formulas and those of their own line"""
MATHML = "http://www.w3.org/1998/Math/MathML"
LIMITS = {"msub": "munder", "msubsup": "munderover"}
"""Where the bounds of a sum belong: the converter puts them beside it within brackets"""
CHILDREN = {
    "mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3
}  # fmt: skip
"""Elements of MathML that need exactly so many children"""
THIN = "0.17em"
"""The space around the name of a function"""
ElementTree.register_namespace("", MATHML)


class BadFormula(Exception):
    """TeX that cannot be shown."""


def with_formulas(content: str) -> str:
    """The HTML of a page with MathML for all its formulas.

    Raises :class:`BadFormula` for a formula that cannot be shown as it is meant.
    """
    return FORMULA.sub(lambda found: _shown(html.unescape(found[2]).strip(), found[1] == "div"), content)


def _shown(tex: str, of_its_own_line: bool) -> str:
    try:
        check(tex)
        root = ElementTree.fromstring(convert(tex, display="block" if of_its_own_line else "inline"))
    except BadTex as error:
        raise BadFormula(f"{tex}: {error}.") from error
    except Exception as error:  # the converter raises many kinds
        raise BadFormula(f"{tex}: {type(error).__name__} {error}") from error
    for element in list(root.iter()):
        kind = _kind(element)
        if "\\" in (element.text or ""):
            raise BadFormula(f"{tex}: {element.text} is not known.")
        if len(element) != CHILDREN.get(kind, len(element)):
            raise BadFormula(f"{tex}: {kind} needs {CHILDREN[kind]} parts, and has {len(element)}.")
        _set(element)
    mathml = ElementTree.tostring(root, encoding="unicode")
    return f'<div class="formula">{mathml}</div>' if of_its_own_line else f'<span class="formula">{mathml}</span>'


def _set(element: Element) -> None:
    """Set one element, with its children, as TeX does where the converter does not."""
    kind = _kind(element)
    if kind in LIMITS and element[0].text in ("∑", "∏"):
        element.tag = _tag(LIMITS[kind])
    elif kind in ("msup", "msubsup") and element[-1].text == "′":
        _set_prime(element)
    elif kind == "mo" and element.text in ("|", "‖") and "fence" not in element.attrib:
        element.attrib |= {"stretchy": "false", "lspace": "0", "rspace": "0"}
    for place, child in enumerate(element):
        name = child[0] if len(child) and _kind(child) in ("msub", "msup", "msubsup", "munder") else child
        if _kind(name) in ("mi", "mo") and _is_function(name):
            name.tag = _tag("mo")
            argument = "".join(element[place + 1].itertext()) if place + 1 < len(element) else "("
            after_factor = place and _kind(element[place - 1]) != "mo"
            name.attrib |= {
                "lspace": THIN if after_factor else "0",
                "rspace": "0" if argument.startswith(("(", "[")) else THIN,
            }


def _set_prime(element: Element) -> None:
    """A prime is raised already, and too small as an exponent."""
    base, *below, prime = element
    prime.tag = _tag("mo")
    prime.attrib |= {"lspace": "0", "rspace": "0"}
    row = element if not below else Element(_tag("mrow"))
    row[:] = [base, prime]
    if below:
        element.tag = _tag("msub")
        element[:] = [row, *below]
    else:
        element.tag = _tag("mrow")


def _is_function(element: Element) -> bool:
    text = element.text or ""
    return len(text) > 1 and text.isascii() and text.isalpha() and "mathvariant" not in element.attrib


def _kind(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _tag(kind: str) -> str:
    return f"{{{MATHML}}}{kind}"

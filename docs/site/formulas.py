"""Formulas: the TeX of the pages becomes MathML when the site is built. A browser shows it without a script."""

import html
import re
from xml.etree import ElementTree

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
"""How the extension Arithmatex marks inline formulas and those of their own line"""
MATHML = "http://www.w3.org/1998/Math/MathML"
LIMITS = {f"{{{MATHML}}}msub": f"{{{MATHML}}}munder", f"{{{MATHML}}}msubsup": f"{{{MATHML}}}munderover"}
"""Where the bounds of a sum belong: the converter puts them beside it within brackets"""
ElementTree.register_namespace("", MATHML)


class BadFormula(Exception):
    """TeX that cannot be shown."""


def with_formulas(content: str) -> str:
    """The HTML of a page with MathML for all its formulas.

    Raises :class:`BadFormula` for a formula that the converter does not know.
    """
    return FORMULA.sub(lambda found: _shown(html.unescape(found[2]).strip(), found[1] == "div"), content)


def _shown(tex: str, of_its_own_line: bool) -> str:
    try:
        root = ElementTree.fromstring(convert(tex, display="block" if of_its_own_line else "inline"))
    except Exception as error:  # the converter raises many kinds
        raise BadFormula(f"{tex}: {type(error).__name__} {error}") from error
    for element in root.iter():
        if (element.text or "").startswith("\\"):
            raise BadFormula(f"{tex}: {element.text} is not known.")
        if element.tag in LIMITS and element[0].text in ("∑", "∏"):
            element.tag = LIMITS[element.tag]
    mathml = ElementTree.tostring(root, encoding="unicode")
    return f'<div class="formula">{mathml}</div>' if of_its_own_line else f'<span class="formula">{mathml}</span>'

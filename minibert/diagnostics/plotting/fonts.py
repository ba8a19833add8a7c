"""Fonts for the scripts that matplotlib's own font lacks: those of this machine that have the characters."""

import logging
from collections.abc import Iterable, Iterator
from functools import cache

from matplotlib.font_manager import FontEntry, findfont, findSystemFonts, fontManager, get_font
from matplotlib.text import Text

REGULAR = 400
"""Weight of a font that is neither light nor bold"""
BOXES = "Last Resort"
"""How fonts are called that have a box for every character"""
_logger = logging.getLogger(__name__)


def give_fonts(texts: Iterable[Text]) -> None:
    """Give each text further families, from which matplotlib takes the characters that the first one lacks.

    Characters that no installed font has are drawn as boxes; that is logged once in a process.
    """
    for text in texts:
        lacking = _characters(text.get_text()) - _covered(findfont(text.get_fontproperties()))
        if lacking:
            families, boxes = families_with(frozenset(lacking))
            text.set_fontfamily(list(dict.fromkeys([*text.get_fontfamily(), *families])))
            if boxes:
                _tell_of_boxes()


@cache
def families_with(characters: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Families of installed fonts that together have the characters, and the characters that none has."""
    found, lacking = [], characters
    for entry in _installed():
        had = lacking & _covered(entry.fname)
        if had:
            found.append(entry.name)
            lacking -= had
        if not lacking:
            break
    return found, lacking


def _installed() -> Iterator[FontEntry]:
    """All fonts, upright and regular ones first, in an order that does not depend on the disk."""
    known = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:  # installed after matplotlib made its list
            try:
                fontManager.addfont(path)
            except Exception:  # the library raises what it likes for a file that is no font it can draw
                _logger.debug("%s: cannot be read as a font", path)
    entries = [entry for entry in fontManager.ttflist if not entry.name.startswith(BOXES)]
    yield from sorted(
        entries, key=lambda each: (each.style != "normal", abs(int(each.weight) - REGULAR), each.name, each.fname)
    )


@cache
def _covered(path: str) -> frozenset[str]:
    """The characters that a font has; none, if it cannot be drawn at any size."""
    try:
        font = get_font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()


def _characters(text: str) -> frozenset[str]:
    return frozenset(character for character in text if character.isprintable() and not character.isspace())


@cache
def _tell_of_boxes() -> None:
    _logger.warning(
        "Figures show boxes for characters that no font on this machine has. Install a font of their script, such "
        "as one of Noto, and draw them again."
    )

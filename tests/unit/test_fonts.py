"""Characters that matplotlib's font lacks: drawn from another font, or told of once."""

import logging
import warnings
from io import BytesIO
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import FontManager
from matplotlib.text import Text

from minibert.diagnostics.plotting import fonts
from minibert.diagnostics.plotting.style import new_figure


def font_with(characters: str, family: str, folder: Path) -> str:
    """A font in which each of the characters is a filled square."""
    names = {ord(character): f"glyph{number}" for number, character in enumerate(characters)}
    pen = TTGlyphPen(None)
    for step, corner in enumerate([(0, 0), (0, 900), (900, 900), (900, 0)]):
        (pen.lineTo if step else pen.moveTo)(corner)
    pen.closePath()
    square = pen.glyph()
    built = FontBuilder(1000, isTTF=True)
    built.setupGlyphOrder([".notdef", *names.values()])
    built.setupCharacterMap(names)
    built.setupGlyf(dict.fromkeys([".notdef", *names.values()], square))
    built.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (1000, 0)))
    built.setupHorizontalHeader(ascent=900, descent=-100)
    built.setupNameTable({"familyName": family, "styleName": "Regular"})
    built.setupOS2(sTypoAscender=900, usWeightClass=400)
    built.setupPost()
    built.save(folder / f"{family}.ttf")
    return str(folder / f"{family}.ttf")


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Two fonts beside those of matplotlib: one has 中 and 国, the other 국."""
    manager = fonts.fontManager
    monkeypatch.setattr(manager, "ttflist", [each for each in manager.ttflist if "mpl-data" in each.fname])
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: [])
    for family, characters in {"Toy Han": "中国", "Toy Hangul": "국"}.items():
        manager.addfont(font_with(characters, family, tmp_path))
    caches = fonts.families_with, fonts._tell_of_boxes
    for each in caches:
        each.cache_clear()
    yield manager
    for each in caches:
        each.cache_clear()


def drawn(text: str) -> tuple[bytes, list[str]]:
    """A figure with a text, and the families that it is drawn with. Warnings are errors."""
    figure = new_figure(3, 1)
    label = figure.text(0.1, 0.5, text)
    png = BytesIO()
    with warnings.catch_warnings(action="error"):
        figure.savefig(png, format="png", dpi=50)
    return png.getvalue(), label.get_fontfamily()


def test_missing_characters_come_from_the_fonts_that_have_them(installed, caplog):
    assert isinstance(installed, FontManager)
    _, families = drawn("of 中国 and 국")
    assert families[-2:] == ["Toy Han", "Toy Hangul"]
    assert drawn("of 中")[0] == drawn("of 国")[0]  # both are squares: the glyphs of the font are drawn
    assert drawn("of 中")[0] != drawn("of あ")[0]
    assert not [each for each in caplog.records if "中" in each.message]


def test_what_matplotlib_can_draw_keeps_its_font(installed):
    before = Text(text="x").get_fontfamily()
    for text in ("plain", "ρ = −0.2 ✓", "$\\frac", "a\tb\nc"):
        assert drawn(text)[1] == before


def test_characters_of_no_font_are_told_of_once(installed, caplog):
    with caplog.at_level(logging.WARNING):
        for text in ("ねこ", "中 いぬ", "\U000f0000 ねこ"):
            drawn(text)
    (told,) = caplog.records
    assert "no font on this machine has" in told.message


def test_a_font_that_cannot_be_read_is_passed_over(installed, tmp_path, monkeypatch):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: [str(broken)])
    assert drawn("中")[1][-1] == "Toy Han"

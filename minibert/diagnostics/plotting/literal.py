"""Figures whose texts are shown as they stand: names of data, words and tags are no formulas."""

import warnings
from contextlib import suppress

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from minibert.diagnostics.plotting.fonts import give_fonts

GIVEN = (FixedFormatter, FuncFormatter)
"""What writes the ticks whose labels were given"""


class LiteralFigure(Figure):
    """A figure in which ``$`` and ``\\`` are ordinary characters.

    Elsewhere in matplotlib, what stands between two dollar signs is a formula, and one that cannot be read ends
    the drawing of the whole figure. Only the numbers that matplotlib itself writes on an axis, such as 10², are
    still formulas. Characters that matplotlib's font lacks are taken from the fonts of this machine.
    """

    def draw(self, renderer) -> None:  # of every way to show or save a figure
        found = self.findobj(Text)  # it makes the ticks, too
        numbers = self._numbers()
        texts = [text for text in found if text not in numbers]
        for text in texts:
            text.set_parse_math(False)
        give_fonts(texts)
        with warnings.catch_warnings():
            # One for each character; give_fonts has told of all.
            warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
            if self._is_arranged():
                return
            super().draw(renderer)

    def _is_arranged(self) -> bool:
        """Whether this drawing is the one for the layout alone, which is then made.

        To save a figure, matplotlib draws it twice, and shows nothing of the first: that arranges the panels. The
        second has no layout to make.
        """
        engine = self.get_layout_engine()
        if not (isinstance(engine, ConstrainedLayoutEngine) and self.canvas.is_saving() and self.axes):
            return False
        with suppress(ValueError):  # as Figure.draw does
            engine.execute(self)
        return True

    def _numbers(self) -> set[Text]:
        """The labels that matplotlib makes for ticks, and the factor that it may write at the end of an axis."""
        found = set()
        for axis in (axis for panel in self.axes for axis in panel._axis_map.values()):
            found.add(axis.get_offset_text())
            for minor, formatter in ((False, axis.get_major_formatter()), (True, axis.get_minor_formatter())):
                if not isinstance(formatter, GIVEN):
                    ticks = axis.minorTicks if minor else axis.majorTicks
                    found.update(label for tick in ticks for label in (tick.label1, tick.label2))
        return found

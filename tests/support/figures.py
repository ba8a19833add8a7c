"""Figures for tests that ask only whether they are there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure


@contextmanager
def written_roughly() -> Iterator[None]:
    """Within this context, figures are drawn once, without a layout, and what is written is an empty picture.

    An SVG is the same drawing once more, so it is not drawn.
    """
    write = Figure.savefig

    def savefig(figure: Figure, target, **options) -> None:
        figure.set_layout_engine(None)  # with "none", it would be drawn twice all the same
        if str(target).endswith(".svg"):
            Path(target).write_text("<svg/>")
        else:
            figure.draw_without_rendering()  # all but the pixels
            write(Figure(figsize=(1, 1)), target, **options | {"dpi": 20})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield

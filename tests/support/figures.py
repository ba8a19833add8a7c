"""Figures for tests that ask only whether they are there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure


@contextmanager
def written_roughly() -> Iterator[None]:
    """Within this context, figures are drawn once, small and without a layout.

    An SVG is the same drawing once more, so it is left empty.
    """
    write = Figure.savefig

    def savefig(figure: Figure, target, **options) -> None:
        figure.set_layout_engine(None)  # with "none", it would be drawn twice all the same
        if str(target).endswith(".svg"):
            Path(target).write_text("<svg/>")
        else:
            write(figure, target, **options | {"dpi": 20})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield

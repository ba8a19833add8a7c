"""One sentence followed through a network, and the page on which that is done by hand."""

from minibert.exploration.explorer import MathematicalExplorer

__all__ = ["MathematicalExplorer"]

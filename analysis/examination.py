"""The results of a study with a question of its own."""

from dataclasses import dataclass

from minibert.diagnostics.plotting.style import Drawing

from .tables import Table


@dataclass(frozen=True)
class Section:
    """A part of the results under its own heading: what was found, then the figures and tables behind it."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    """Sentences that stand below each other as a list"""
    notes: tuple[str, ...] = ()
    """How to read the points"""
    figures: tuple[str, ...] = ()
    """Their file names among the figures of the examination"""
    tables: tuple[Table, ...] = ()
    folded: bool = False
    """Whether only its heading is shown until a reader opens it; a terminal does not show it"""


@dataclass(frozen=True)
class Examination:
    """Beside the comparison of final values, which every study has."""

    title: str
    """Of its section in the report"""
    answer: str
    """The paragraph that answers the study's question"""
    sentences: tuple[str, ...]
    """Further results. They and the answer are stated only if there is more than one seed"""
    tables: tuple[Table, ...]
    figures: dict[str, Drawing]
    """File name -> figure and caption"""
    limits: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    """If the results have several parts: these, in place of ``sentences`` and ``tables``"""

"""The results of a study with a question of its own."""

from dataclasses import dataclass

from minibert.diagnostics.plotting.style import Drawing

from .tables import Table


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

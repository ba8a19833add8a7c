"""A sweep over several settings at once: the best combination, what each setting does, whether their effects
depend on each other, and what is not known."""

from dataclasses import replace

from . import grid_answer, grid_tables, grid_words, interaction_figures
from .examination import Examination, Section
from .findings import Findings
from .grid import lay_out

FIGURE = "interactions.png"


def examine(findings: Findings) -> Examination:
    """Main effects, interactions and open questions, each under its heading; then each setting by itself."""
    grid = lay_out(findings.study)
    depends = "one depends on the other" if len(grid.factors) == 2 else "they depend on each other"
    pairs = [pair for pair in grid.pairs if grid.of_pair(pair)]
    fixed = tuple(grid_tables.held_fixed(grid, factor) for factor in grid.factors if grid.main_of(factor))
    open_ = grid_words.what_is_open(findings, grid)
    small = any(each.small for each in (*grid.main, *grid.interactions))
    sections = [
        Section(
            "What each setting does",
            (grid_words.compared_with(grid),),
            tuple(grid_words.what_each_does(grid)),
            notes=(grid_words.TOO_SMALL,) if small else (),
            tables=(grid_tables.changes(grid),),
        ),
        Section(
            f"Whether {depends}",
            tuple(grid_words.whether_they_depend(grid)),
            figures=(FIGURE,) if grid.interactions else (),
            tables=tuple(grid_tables.dependence(grid, pair) for pair in pairs),
        ),
        Section(
            "What is not known",
            points=tuple(open_),
            notes=(grid_words.MARGINS,) if any("no more than" in each for each in open_) else (),
        ),
        Section("Each setting with the others held fixed", tables=fixed, folded=True),
    ]
    if findings.most_seeds < 2:  # which claim nothing
        sections = [replace(each, sentences=(), points=(), notes=()) for each in sections]
    return Examination(
        title="Effects of the settings",
        answer=grid_answer.answer(findings, grid),
        sentences=(),
        tables=(),
        figures={FIGURE: interaction_figures.draw(grid)} if grid.interactions else {},
        sections=tuple(each for each in sections if each.sentences or each.points or each.tables),
    )

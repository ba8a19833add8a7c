"""A sweep over several settings at once: their effects, whether these depend on each other, and each setting with
the others held fixed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from . import interaction_figures, interactions
from .answers import best_group, compared_with_baseline
from .examination import Examination
from .findings import Findings, find
from .formatting import at_the_end, capital, p_value, unit, with_difference, with_interval
from .grid import lay_out
from .quantities import quantity
from .statistics import holm
from .study import Study
from .tables import Table, pairing
from .tracked_runs import SEPARATOR, TrackedRun, same_value

LIMIT = (
    "An effect averaged over other settings is one over the values that were tried, each counting the same; other "
    "values would give another average."
)
THREE = "Whether an interaction of two settings depends on a third one is not tested."


def examine(findings: Findings) -> Examination:
    """Main effects and interactions; then each factor at each combination of the others."""
    study, grid = findings.study, lay_out(findings.study)
    tables, sentences = interactions.tables(grid), interactions.details_in_words(grid)
    for place, factor in enumerate(study.factors):
        found = _adjusted([find(part) for part in at_fixed_others(study, place)])
        found = [each for each in found if len(each.groups) > 1]
        if found:
            tables.append(_table(study, place, found))
            sentences += [sentence for each in found if (sentence := _sentence(factor, each))]
    drawn = {"interactions.png": interaction_figures.draw(grid)} if grid.interactions else {}
    return Examination(
        title="Effects of the settings, and whether they depend on each other",
        answer=" ".join([_best(findings), *interactions.effects_in_words(grid)]),
        sentences=tuple(sentences),
        tables=tuple(tables),
        figures=drawn,
        limits=(LIMIT, THREE) if len(study.factors) > 2 else (LIMIT,),
    )


def at_fixed_others(study: Study, place: int) -> Iterator[Study]:
    """For each combination of the other factors, the study of the factor at ``place`` among the runs there.

    Its name says what is held fixed: ``optimizer adamw``.
    """
    factor = study.factors[place]
    runs: dict[tuple[str, ...], list[TrackedRun]] = {}
    for run in study.runs:
        others = run.parts[:place] + run.parts[place + 1 :]
        runs.setdefault(others, []).append(replace(run, value=run.parts[place], parts=(run.parts[place],)))
    names = [each for each in study.factors if each != factor]
    for others, those in sorted(runs.items()):
        values = list(dict.fromkeys(run.value for run in those))
        first = study.first.get(factor, values[0])
        yield replace(
            study,
            name=SEPARATOR.join(f"{name} {value}" for name, value in zip(names, others, strict=True)),
            factor=factor,
            label=factor,
            factors=(),
            baseline=next((value for value in values if same_value(value, first)), values[0]),
            runs=tuple(those),
            planned={},
        )


def _adjusted(found: Sequence[Findings]) -> list[Findings]:
    """The findings with p values that are adjusted for the comparisons of all of them."""
    compared = [group for each in found for group in each.groups if group.difference is not None]
    p_values = holm([group.difference.p_value for group in compared if group.difference is not None])
    adjusted = {id(group): p for group, p in zip(compared, p_values, strict=True)}
    return [
        replace(
            each,
            groups=tuple(
                replace(group, adjusted_p=adjusted.get(id(group), group.adjusted_p)) for group in each.groups
            ),
        )
        for each in found
    ]


def _table(study: Study, place: int, found: Sequence[Findings]) -> Table:
    factor, described = study.factors[place], quantity(study.metric)
    others = SEPARATOR.join(name for name in study.factors if name != factor)
    rows = []
    for each in found:
        for group in each.groups:
            compared = "baseline" if group is each.baseline else "–"
            if group.difference is not None:
                compared = with_difference(group.difference, study.metric)
            final = with_interval(group.final, study.metric)
            row = (each.study.name, group.shown, str(group.final.n), final, compared, p_value(group.adjusted_p))
            rows.append(row)
    columns = (others, factor, "seeds", described.axis_label, "difference to the baseline", "p (Holm)")
    tests = sorted({pairing(each) for each in found})
    note = f"p (Holm): {'; '.join(tests)}, adjusted for this table."
    return Table(f"{factor}, with all else held fixed", columns, tuple(rows), note)


def _best(findings: Findings) -> str:
    """The best combination, as a description: it was chosen among many after the fact."""
    study, described = findings.study, quantity(findings.study.metric)
    known = [group for group in findings.groups if group.final.n >= 2]
    if not known or described.higher_is_better is None:
        return f"{len(findings.groups)} combinations of {study.label} were trained."
    best = best_group(findings)
    extreme = "highest" if described.higher_is_better else "lowest"
    return (
        f"{capital(at_the_end(findings.steps))}, of {len(findings.groups)} combinations of {study.label}, "
        f"{best.shown} has the {extreme} mean {described.title}, {with_interval(best.final, study.metric)}"
        f"{unit(described)} (95 % interval, {best.final.n} seeds); it was chosen after the fact."
    )


def _sentence(factor: str, findings: Findings) -> str:
    """The comparisons with the baseline at one combination of the others; empty if there are none."""
    compared = " ".join(sentence for sentence in compared_with_baseline(findings) if sentence)
    return f"{factor} at {findings.study.name}: {compared}" if compared else ""

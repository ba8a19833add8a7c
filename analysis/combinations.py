"""A sweep over several settings at once: each of them compared with the others held fixed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .answers import best_group, compared_with_baseline
from .examination import Examination
from .findings import Findings, find
from .formatting import p_value, unit, with_difference, with_interval
from .quantities import quantity
from .statistics import holm
from .study import Study
from .tables import Table, pairing
from .tracked_runs import SEPARATOR, TrackedRun, same_value

LIMIT = (
    "Several settings vary. Each is compared with the others held fixed; whether its effect is another at other "
    "values of these is not tested."
)


def examine(findings: Findings) -> Examination:
    """For each factor, and at each combination of the others: its values beside each other."""
    study = findings.study
    tables, sentences = [], []
    for place, factor in enumerate(study.factors):
        found = _adjusted([find(part) for part in at_fixed_others(study, place)])
        found = [each for each in found if len(each.groups) > 1]
        if found:
            tables.append(_table(study, place, found))
            sentences += [sentence for each in found if (sentence := _sentence(factor, each))]
    return Examination(
        title="Each setting with the others held fixed",
        answer=_answer(findings),
        sentences=tuple(sentences),
        tables=tuple(tables),
        figures={},
        limits=(LIMIT,),
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


def _answer(findings: Findings) -> str:
    """The best combination, as a description: it was chosen among many after the fact."""
    study, described = findings.study, quantity(findings.study.metric)
    known = [group for group in findings.groups if group.final.n >= 2]
    if not known or described.higher_is_better is None:
        return f"{len(findings.groups)} combinations of {study.label} were trained."
    best = best_group(findings)
    extreme = "highest" if described.higher_is_better else "lowest"
    return (
        f"Of {len(findings.groups)} combinations of {study.label}, {best.shown} has the {extreme} mean "
        f"{described.title}, {with_interval(best.final, study.metric)}{unit(described)} (95 % interval, "
        f"{best.final.n} seeds). It was chosen after the fact; what is compared is below."
    )


def _sentence(factor: str, findings: Findings) -> str:
    """The comparisons with the baseline at one combination of the others; empty if there are none."""
    compared = " ".join(sentence for sentence in compared_with_baseline(findings) if sentence)
    return f"{factor} at {findings.study.name}: {compared}" if compared else ""

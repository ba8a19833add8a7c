"""How to read a report, for those who see one for the first time."""

from ..findings import Findings
from ..formatting import capital
from ..quantities import quantity


def reading(findings: Findings) -> str:
    """What is measured, what was run how often, and what the numbers around a mean are."""
    study, described = findings.study, quantity(findings.study.metric)
    if not findings.groups:
        return ""
    better = {True: "Higher is better.", False: "Lower is better.", None: ""}[described.higher_is_better]
    about = f"{capital(described.title)}: {described.meaning}." if described.meaning else ""
    measured = f"{about} {better}" if about else f"{capital(described.title)}: {better.lower()}" if better else ""
    parts = [measured, _runs(findings)]
    if findings.most_seeds > 1:
        parts.append("± and [low, high] are 95 % intervals over seeds.")
        if any(group.difference for group in findings.groups) or len(study.factors) > 1:
            parts.append(
                "A change counts as shown, and two settings as separated, if the p value, adjusted for the number "
                "of comparisons (Holm), is below 0.05. What is not separated need not be equal."
            )
    return " ".join(filter(None, parts))


def _runs(findings: Findings) -> str:
    """``18 runs: 6 combinations with 3 seeds.``"""
    kind, counts = findings.study.kind, sorted({len(group.runs) for group in findings.groups})
    runs = sum(len(group.runs) for group in findings.groups)
    if findings.study.tuned is not None or len(findings.groups) == 1 or counts[-1] == 1:
        return ""
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    what = f"{len(findings.groups)} combinations" if kind == "combination" else f"{len(findings.groups)} settings"
    return (
        f"{runs} runs: {what}, each with {seeds} seeds. A seed sets the initial weights, the order of the text "
        "and the masks."
    )

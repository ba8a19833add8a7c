"""How far each step moves the parts of a network: the ratios of update and weight that a run recorded."""

from typing import TYPE_CHECKING

from minibert.diagnostics.plotting.depths import in_depth_order
from minibert.diagnostics.plotting.series import History, MetricRecord, read

if TYPE_CHECKING:
    from pandas import DataFrame

QUANTITY = "update_ratio"
WHOLE = "global"


def update_ratios(record: MetricRecord, parameters: bool = False) -> dict[str, History]:
    """Part of the network -> steps and ‖Δθ‖ / ‖θ‖, by depth, the whole network under ``global`` first.

    With ``parameters``, single parameters in place of the parts (``layers.0.attention.query.weight``).
    """
    if parameters:
        return {each.part: each.history for each in read(record, QUANTITY, lambda part: "." in part)}
    found = {each.part: each.history for each in read(record, QUANTITY, lambda part: "." not in part)}
    whole = {WHOLE: found.pop(WHOLE)} if WHOLE in found else {}
    return whole | {part: found[part] for part in in_depth_order(found)}


def update_table(record: MetricRecord, parameters: bool = False) -> "DataFrame":
    """The table of :meth:`minibert.watching.analyzer.TrainingAnalyzer.analyze_parameter_updates`."""
    import pandas

    ratios = update_ratios(record, parameters)
    columns = {part: pandas.Series(values, steps, dtype=float) for part, (steps, values) in ratios.items()}
    table = pandas.DataFrame(columns, dtype=float).sort_index().T
    table.index.name, table.columns.name = "parameter" if parameters else "part", "step"
    if table.shape[1]:
        last = table.ffill(axis=1).iloc[:, -1]
        table = table.loc[last.sort_values(ascending=False, kind="stable").index]
    return table

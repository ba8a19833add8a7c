"""The door ``minibert run``, or ``python -m minibert.run``: trains one run, or a sweep of runs."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.run")

import sys

from minibert import interruption
from minibert.command_line.arguments import require_text
from minibert.diagnostics.catalogue import check_names
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.report import load_analysis
from minibert.running.life import run_single
from minibert.running.plan import plan
from minibert.running.progress import Display
from minibert.running.questions import DRY_RUN, answer
from minibert.tracking import Store


@interruption.watching()
def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for. Returns the exit code: 0 when everything asked for is finished."""
    arguments = sys.argv[1:] if arguments is None else arguments
    flags = [word for word in arguments if word.startswith("-")]
    overrides = [word for word in arguments if not word.startswith("-")]
    display = Display()
    try:
        require_text(arguments)
        if (answered := answer(arguments)) is not None:
            return answered
        sweeping = bool({*flags} - {DRY_RUN})
        planned = plan(overrides, multirun=sweeping)
        for each in planned.jobs:
            check_names(each.config.diagnostics)
        if DRY_RUN in flags:
            from minibert.running.forecast import foresee  # here, as below: a single run does without it

            return foresee(planned, display)
        if planned.sweep or sweeping:
            from minibert.running.sweep import run_sweep

            return run_sweep(planned, display, _report)
        return run_single(planned.jobs[0], display)
    except MinibertError as error:
        display.error(str(error))
        return 2
    except Interrupted as error:
        display.error(f"ended by {error}")
        return interruption.exit_code()


def _report(store: Store, study: str, sweep_id: str) -> None:
    """Write and print the report that a sweep ends with."""
    report = load_analysis("report")
    report.print_result(report.write_report(store, study, sweep_id=sweep_id, again=False), reasons=False)

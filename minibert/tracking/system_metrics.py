"""The use of the machine while a run trains, measured by MLflow: metrics ``system/...``."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from minibert.tracking.records import Record

_logger = logging.getLogger(__name__)


@contextmanager
def system_metrics(run: Record) -> Iterator[None]:
    """Record the use of processor, memory, disk and network of this machine every ten seconds within this context.

    The x-axis of these metrics counts samples. MLflow's thread ends where the store does not answer, and says so:
    the run goes on without them, and no journal keeps them. Values are those of the whole machine, not of the
    run alone.
    """
    if run.store.is_away:
        _logger.warning("run %s goes on without system metrics: the server does not answer", run.id)
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics.system_metrics_monitor").setLevel(logging.WARNING)
    run_id = run.store.directly(run.id)[1]
    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=run.store.uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()

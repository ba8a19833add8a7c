"""Records that need no store."""


class MemoryRecord:
    """What a run records, in memory, and read back as from the record of a tracked run.

    ``metrics``: metric -> {step: value}. ``stored``: name of the arrays -> {step: arrays}.
    """

    def __init__(self):
        self.metrics, self.stored, self.tags = {}, {}, {}

    def log(self, metrics, step):
        for name, value in metrics.items():
            self.metrics.setdefault(name, {})[step] = value

    def log_arrays(self, name, step, arrays):
        self.stored.setdefault(name, {})[step] = dict(arrays)

    def set_tags(self, tags):
        self.tags |= tags

    def history(self, metric):
        points = self.metrics.get(metric, {})
        return list(points), list(points.values())

    def metric_names(self, prefix=""):
        return sorted(name for name in self.metrics if name.startswith(prefix))

    def arrays(self, name):
        return self.stored.get(name, {})

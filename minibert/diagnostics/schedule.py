"""When diagnostics are taken, and under which names they are logged."""

from minibert.diagnostics.spectra import compute_effective_rank


class WeightSpectra:
    """Observer: ``effective_rank/<parameter>`` of the embeddings and every weight matrix, at the given steps."""

    def __init__(self, steps, log):
        self.steps = frozenset(steps)
        self.log = log

    def __call__(self, trainer, _step) -> None:
        step = trainer.progress.step
        if step not in self.steps:
            return
        params = trainer.model.params
        matrices = {name: array for name, array in params.items() if name.endswith(".weight")}
        self.log({f"effective_rank/{name}": compute_effective_rank(array) for name, array in matrices.items()}, step)

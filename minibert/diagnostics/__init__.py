"""What happens inside a network, as numbers."""

from minibert.diagnostics.spectra import compute_effective_rank

__all__ = ["compute_effective_rank"]

"""The group ``diagnostics``: what is measured inside a network while it trains, and when."""

from dataclasses import dataclass, field

from minibert.config.fields import choice, number


@dataclass
class DiagnosticsConfig:
    name: str = choice("off", "off", "light", "standard", "full")
    quantities: list[str] = field(default_factory=list)
    """Names of diagnostics, those of ``modules`` included."""
    modules: list[str] = field(default_factory=list)
    """Importable modules with diagnostics of one's own; all that they register are taken."""
    figures: list[str] = field(default_factory=list)
    """Rooms whose figures are drawn at the end of a run: ``training``, ``spectra``, ...; ``all`` is every room."""
    per_doubling: int = number(1, at_least=1, at_most=512)
    """Steps at which diagnostics run, between one power of two and the next, up to step 512."""
    every: int = number(500, at_least=1)
    """Steps between two runs of the diagnostics after step 512."""
    probe_sequences: int = number(16, at_least=1, at_most=1_048_576)
    """Held-out sequences, the same in every run, for the diagnostics that need a pass without dropout."""

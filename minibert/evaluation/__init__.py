"""What a trained model knows.

The functions of the instruments can be called with any model; each is imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minibert.evaluation.composition import measure_compositional_understanding
    from minibert.evaluation.downstream import finetune, finetune_sst2, measure_catastrophic_forgetting
    from minibert.evaluation.facts import probe_factual_knowledge
    from minibert.evaluation.intrinsic.held_out import compute_gradient_norm, compute_perplexity, masked_accuracy
    from minibert.evaluation.minimal_pairs import probe_syntactic_knowledge
    from minibert.evaluation.probing import ProbeTask, analyze_linguistic_probes, probe_part_of_speech
    from minibert.evaluation.pseudo_likelihood import pseudo_log_likelihoods
    from minibert.evaluation.semantics import probe_semantic_knowledge

__all__ = [
    "ProbeTask", "analyze_linguistic_probes", "compute_gradient_norm", "compute_perplexity", "finetune",
    "finetune_sst2", "masked_accuracy", "measure_catastrophic_forgetting", "measure_compositional_understanding",
    "probe_factual_knowledge", "probe_part_of_speech", "probe_semantic_knowledge", "probe_syntactic_knowledge",
    "pseudo_log_likelihoods",
]  # fmt: skip

_HOMES = {
    "ProbeTask": "probing", "analyze_linguistic_probes": "probing", "compute_gradient_norm": "intrinsic.held_out",
    "compute_perplexity": "intrinsic.held_out", "finetune": "downstream", "finetune_sst2": "downstream",
    "masked_accuracy": "intrinsic.held_out", "measure_catastrophic_forgetting": "downstream",
    "measure_compositional_understanding": "composition", "probe_factual_knowledge": "facts",
    "probe_part_of_speech": "probing", "probe_semantic_knowledge": "semantics",
    "probe_syntactic_knowledge": "minimal_pairs", "pseudo_log_likelihoods": "pseudo_likelihood",
}  # fmt: skip


def __getattr__(name: str):
    # Imported when asked for: a run that only trains needs none of them.
    if name not in _HOMES:
        raise AttributeError(f"module 'minibert.evaluation' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

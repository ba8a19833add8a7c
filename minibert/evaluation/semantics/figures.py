"""Similarity and analogies as figures."""

from collections.abc import Mapping

from minibert.diagnostics.plotting.style import Drawing
from minibert.evaluation.control_figures import Kind, as_triple, plain, plot_kinds, plot_places, plot_steps
from minibert.evaluation.instruments import Conclusion, Findings
from minibert.evaluation.semantics.analogies import EVERY_SECTION
from minibert.evaluation.semantics.measures import STATIC, STATIC_FOUND, SemanticKnowledge
from minibert.evaluation.semantics.tables import CONTROLS, vectors_name


def values_of(found: SemanticKnowledge, control: SemanticKnowledge) -> dict:
    """What :func:`conclude` reads, as JSON has it."""
    similar: dict[str, dict] = {}
    for each, other in zip(found.similarities, control.similarities, strict=True):
        both = {"model": as_triple(each.correlation), "untrained": as_triple(other.correlation)}
        similar.setdefault(each.data, {})[each.vectors] = both
    solved: dict[str, dict] = {}
    for each, other in zip(found.analogies, control.analogies, strict=True):
        solved.setdefault(each.vectors, {})[each.section] = {
            "model": as_triple(each.accuracy),
            "untrained": as_triple(other.accuracy),
            "nearest to c": plain(each.nearest),
            "most frequent answer": plain(each.most_frequent),
            "questions": each.questions,
        }
    return {"similarity": similar, "analogies": solved}


def conclude(by_step: Mapping[int, Findings]) -> Conclusion:
    """``similarity`` and ``analogies`` at the last step; with several steps, both over them."""
    values = {step: findings.values for step, findings in by_step.items()}
    last = values[max(values)]
    figures = {}
    similar = {
        data: {who: {vectors: both[who] for vectors, both in by_vectors.items()} for who in ("model", "untrained")}
        for data, by_vectors in last["similarity"].items()
    }
    if similar:
        figures["word_similarity"] = Drawing(
            plot_places(similar, "Spearman's ρ", (STATIC, STATIC_FOUND)),
            "Rank correlation of cosines with people's scores, and its 95 % interval: from token embeddings "
            "(static), from these over the pairs that occur in the held-out text (static found), and over these "
            "pairs from hidden states, at every place. Untrained: the same network before its first step.",
        )
    sections = last["analogies"].get(STATIC, {})
    kinds = [
        Kind(
            f"{section} ({each['questions']:,})",
            each["model"],
            {name: each[name][0] if name == "untrained" else each[name] for name in CONTROLS},
        )
        for section, each in sections.items()
        if each["questions"]
    ]
    if kinds:
        figures["analogies"] = Drawing(
            plot_kinds(kinds, "accuracy"),
            "Analogies completed rightly by token embeddings, by section (number of questions), with 95 % "
            "intervals. Nearest to c: the nearest word to c, without a and b. Most frequent answer: the word "
            "that is right most often in the section.",
        )
    return Conclusion(figures | (_over_steps(values) if len(values) > 1 else {}))


def _over_steps(values: Mapping[int, dict]) -> dict[str, Drawing]:
    last = values[max(values)]
    panels = {}
    for data, by_vectors in last["similarity"].items():
        shown = list(dict.fromkeys([STATIC, list(by_vectors)[-1]]))
        panels[data] = {
            vectors_name(vectors): {
                step: each["similarity"][data][vectors]["model"]
                for step, each in values.items()
                if vectors in each["similarity"].get(data, {})
            }
            for vectors in shown
        }
    if EVERY_SECTION in last["analogies"].get(STATIC, {}):
        panels["analogies (accuracy)"] = {
            vectors_name(vectors): {
                step: each["analogies"][vectors][EVERY_SECTION]["model"]
                for step, each in values.items()
                if vectors in each["analogies"]
            }
            for vectors in dict.fromkeys([STATIC, list(last["analogies"])[-1]])
        }
    caption = "Over the kept checkpoints, with 95 % intervals over pairs and questions, not over seeds."
    return {"semantics_over_steps": Drawing(plot_steps(panels, "ρ, or accuracy"), caption)} if panels else {}

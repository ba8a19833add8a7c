"""All mistakes by name, and the parts of the code that they are made in."""

from collections.abc import Iterable

from minibert.errors import MinibertError, nearest
from minibert.mistakes.entries import (
    attention,
    data,
    explorer,
    losses,
    norms,
    optimizers,
    paths,
    positions,
    products,
)
from minibert.mistakes.mistake import Mistake, Part

PARTS = {
    "masking": Part("Masking", "masking"),
    "short_rows": Part("Short rows first", "short_rows"),
    "layer_norm": Part("Layer norm", "layer_norm"),
    "rms_norm": Part("Root mean square norm", "rms_norm"),
    "final_norm": Part("Final norm", "layer_norm"),
    "linear": Part("Linear layer", "linear"),
    "activation": Part("Activations", "activations"),
    "feed_forward": Part("Feed-forward network", "feed_forward"),
    "mlm_head": Part("Masked-language-model head", "activations"),
    "softmax": Part("Softmax", "softmax_and_cross_entropy"),
    "attention": Part("Attention", "attention"),
    "gate": Part("Gated attention", "gated_attention"),
    "qk_norm": Part("Normalised queries and keys", "rms_norm"),
    "window": Part("Attention within a window", "attention"),
    "dropout": Part("Dropout", "dropout"),
    "residual": Part("Residual stream", "residual_stream"),
    "embedding": Part("Embeddings", "embedding"),
    "tied_head": Part("Tied head", "tied_head"),
    "untied_head": Part("Output weights of their own", "tied_head"),
    "rope": Part("Rotary positions", "rotary_positions"),
    "relative": Part("Relative positions", "relative_positions"),
    "relative_bias": Part("Relative position biases", "position_biases"),
    "alibi": Part("ALiBi", "position_biases"),
    "sinusoidal": Part("Sinusoidal positions", "added_positions"),
    "cross_entropy": Part("Cross-entropy", "softmax_and_cross_entropy"),
    "gradients": Part("Sums of gradients", "tied_head"),
    "sampled_words": Part("A sample of the vocabulary", "sampled_softmax"),
    "auxiliary": Part("Auxiliary tasks", None),
    "classifier": Part("Classification head", None),
    "adamw": Part("AdamW", "adam"),
    "lookahead": Part("Lookahead", "lookahead"),
    "average": Part("Averages of the weights", "weight_averages"),
    "muon": Part("Muon", "muon"),
    "explorer": Part("Explorer", None),
}
"""In the order of the data, the network, and then of what trains and reads it"""

ROOMS = (data, norms, products, attention, paths, positions, losses, optimizers, explorer)
MISTAKES = {
    mistake.name: mistake for part in PARTS for room in ROOMS for mistake in room.MISTAKES if mistake.part == part
}
"""Name -> mistake"""


def choose(names: Iterable[str]) -> list[Mistake]:
    """The mistakes of these names, each once; the name of a part stands for all of the part.

    Raises :class:`MinibertError` for a name that is neither, with the nearest that is one.
    """
    found: dict[str, Mistake] = {}
    for name in names:
        if name in MISTAKES:
            found[name] = MISTAKES[name]
        elif name in PARTS:
            found |= {each.name: each for each in MISTAKES.values() if each.part == name}
        else:
            meant = nearest(name.lower(), [*MISTAKES, *PARTS])
            raise MinibertError(
                f"{name}: unknown mistake{meant}. Allowed: a name of the list that "
                f"the gallery prints when none is given, or one of its parts: {', '.join(PARTS)}."
            )
    return list(found.values())


def derivation(mistake: Mistake) -> str | None:
    """The page that derives the right gradient, from the top of the repository; None where there is none."""
    page = PARTS[mistake.part].derivation
    return page and f"docs/mathematics/{page}.md"

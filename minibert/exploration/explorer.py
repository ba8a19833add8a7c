"""One network and one sentence at a time: what it attends to, computes, learns from and knows at each layer."""

from collections.abc import Iterable, Sequence
from typing import Any

from minibert.errors import MinibertError
from minibert.evaluation.inputs import asked_network
from minibert.exploration import ablation, attention_heads, forward_pass, gradient_flow, guesses, layers
from minibert.exploration.sentence import Sentence, read_sentence, token_id

GUESSES = 5
"""Likeliest tokens that are told"""


class MathematicalExplorer:
    """Follows a sentence through a network. Every number is that of the network's own forward or backward pass.

    ``text`` is a sentence; [MASK] in it is a mask. ``masked`` are positions to be masked besides, counted from 0,
    which is [CLS]. What the methods return can be printed, and has arrays, shapes and formulas as fields;
    :mod:`minibert.exploration.figures` draws it.

    >>> run = load_run("last")  # doctest: +SKIP
    >>> explorer = MathematicalExplorer(run)  # doctest: +SKIP
    >>> print(explorer.guess_by_layer("the [MASK] of the union"))  # doctest: +SKIP
    >>> print(explorer.step_through_forward_pass("the [MASK] of the union"))  # doctest: +SKIP
    """

    def __init__(self, model: Any, tokenizer: Any = None):
        """``model`` is a run of :func:`minibert.load_run`, or a MiniBERT with its ``tokenizer`` beside it.

        Raises :class:`MinibertError` for anything else, and for a tokenizer that does not fit or has no [MASK].
        """
        self.model, self.tokenizer = asked_network(model, tokenizer)
        if self.tokenizer.token_to_id("[MASK]") is None:
            raise MinibertError("tokenizer: has no token [MASK]. Allowed: tokenizers of BERT.")

    def read(self, text: str, masked: Sequence[int] = ()) -> Sentence:
        """The sentence as the network reads it (:func:`minibert.exploration.sentence.read_sentence`)."""
        return read_sentence(self.model, self.tokenizer, text, masked)

    def explore_attention_heads(self, text: str, masked: Sequence[int] = ()) -> attention_heads.AttentionHeads:
        """Weights (L, H, T, T) of every head, with its entropy, distance and shares on certain tokens."""
        return attention_heads.explore_heads(self.model, self.read(text, masked))

    def step_through_forward_pass(self, text: str, masked: Sequence[int] = ()) -> forward_pass.ForwardPass:
        """Every formula of the pass, with its array, from the token ids to the probabilities."""
        return forward_pass.walk(self.model, self.read(text, masked))

    def guess_by_layer(self, text: str, masked: Sequence[int] = (), top_k: int = GUESSES) -> guesses.LayerGuesses:
        """The likeliest tokens if the network stopped after a layer (:func:`guesses.early_exits`)."""
        return guesses.guess(self.model, self.tokenizer, self.read(text, masked), top_k)

    def analyze_gradient_flow(
        self,
        text: str,
        position: int | None = None,
        target: str | int | None = None,
        masked: Sequence[int] = (),
    ) -> gradient_flow.GradientFlow:
        """The gradient of -log p(target at the position) at every place of the network, and of every parameter.

        ``position``: by default the first [MASK]. ``target``: a token or its id; by default the token that was
        masked by ``masked``, or the likeliest one where the text itself has [MASK].
        """
        sentence = self.read(text, masked)
        position = sentence.position(position)
        return gradient_flow.flow(
            self.model, self.tokenizer, sentence, position, self._target(sentence, position, target)
        )

    def compare_layer_representations(
        self, text: str | Sequence[str], other: "MathematicalExplorer | None" = None, masked: Sequence[int] = ()
    ) -> layers.LayerComparison:
        """Similarity of all places of the network with each other, or with those of ``other``.

        ``text``: a sentence, or several, whose tokens are taken together; ``masked`` is for one.
        """
        texts = [text] if isinstance(text, str) else list(text)
        if not texts or (len(texts) > 1 and len(masked)):
            raise MinibertError(
                f"text: {len(texts)} sentences were given{' with masked' if len(masked) else ''}. "
                "Allowed: one or more; with masked, one."
            )
        sentences = [self.read(each, masked) for each in texts]
        others = sentences if other is None else [other.read(each, masked) for each in texts]
        return layers.compare(self.model, sentences, other and other.model, others)

    def ablate_heads(
        self, text: str, heads: Iterable[ablation.Head], masked: Sequence[int] = (), top_k: int = GUESSES
    ) -> ablation.HeadAblation:
        """Predictions with and without some heads, given as (layer, head)."""
        return ablation.ablate(self.model, self.tokenizer, self.read(text, masked), heads, top_k)

    def measure_head_effects(
        self,
        text: str,
        position: int | None = None,
        target: str | int | None = None,
        masked: Sequence[int] = (),
    ) -> ablation.HeadEffects:
        """What each head alone does for log p(target at the position); defaults as in the gradient flow."""
        sentence = self.read(text, masked)
        position = sentence.position(position)
        return ablation.effects_of_heads(
            self.model, self.tokenizer, sentence, position, self._target(sentence, position, target)
        )

    def _target(self, sentence: Sentence, position: int, target: str | int | None) -> int:
        if target is not None:
            return token_id(self.tokenizer, target)
        original = int(sentence.originals[position])
        if original != sentence.mask_id:
            return original
        return int(guesses.guess(self.model, self.tokenizer, sentence, 1).ids[-1, position, 0])

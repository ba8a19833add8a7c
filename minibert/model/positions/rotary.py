"""Queries and keys turned by their positions."""

import numpy as np

from minibert.model.positions.scheme import Places, PositionScheme, take_queries


class RotaryPositions(PositionScheme):
    """q_m -> q_m e^{imω}, k_n -> k_n e^{inω}: entries 2p and 2p + 1 of a head, read as one complex number, turn by
    ω_p = base^(-2p / R) a position.

    What attention sees is the real product

        Re[ (q e^{imω}) (k e^{inω})* ]  =  Re[ q k* e^{i(m - n)ω} ],

    which holds the distance m - n and neither m nor n. Turning keeps the norms. Since the turns are unitary, the
    backward pass turns the gradients back: dq = dq' e^{-imω}.

    Only the first ``fraction`` of a head's entries turn, R of K rounded down to pairs (GPT-J and GPT-NeoX turn a
    quarter); the rest meets without regard to order. Any length has its turns. Layers that see only a window
    (``model.attention_window``) may turn by a base of their own: ModernBERT keeps 10,000 there and takes 160,000
    elsewhere.

    Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021.
    """

    name = "rope"

    def places(self, position_ids, batch, tokens, bias, params):
        return self._turning(self.settings.base, position_ids, tokens)

    def local_places(self, everywhere, position_ids, tokens):
        base = self.settings.local_base
        return everywhere if base is None else self._turning(base, position_ids, tokens)

    def _turning(self, base: float, position_ids, tokens: int) -> "RotaryPlaces":
        config = self.config
        pairs = int(self.settings.fraction * (config.hidden_size // config.heads) / 2)
        positions = np.arange(tokens)[None] if position_ids is None else position_ids
        angles = positions[..., None] * base ** (-np.arange(pairs) / pairs)
        turns = np.exp(1j * angles).astype(np.result_type(config.dtype, np.complex64))
        return RotaryPlaces(turns, turns)


class RotaryPlaces(Places):
    """turns (1 or B, R or T, pairs) of queries and of keys: e^{itω}"""

    def __init__(self, query_turns: np.ndarray, key_turns: np.ndarray):
        self.query_turns, self.key_turns = query_turns, key_turns

    def at(self, rows):
        return RotaryPlaces(take_queries(self.query_turns, rows), self.key_turns)

    def rotate(self, query, key):
        _turn(query, self.query_turns)
        _turn(key, self.key_turns)

    def rotate_backward(self, dquery, dkey):
        _turn(dquery, self.query_turns.conj())
        _turn(dkey, self.key_turns.conj())


def _turn(vectors: np.ndarray, turns: np.ndarray) -> None:
    """vectors (B, H, T, K), turns (1 or B, T, pairs): one product of complex numbers, in place"""
    pairs = vectors[..., : 2 * turns.shape[-1]].view(turns.dtype)
    pairs *= turns[:, None]

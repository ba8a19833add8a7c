"""Position schemes: how the network knows the order of tokens.

A scheme may *embed* (add a vector to the token embeddings), *rotate* queries and keys, *bias* the attention
scores, or add to what is attended to. Each is an object that does nothing for what it leaves out.
"""

from minibert.config import ModelConfig
from minibert.model.positions.absolute import AbsolutePositions, SinusoidalPositions
from minibert.model.positions.biases import AlibiPositions, RelativeBiasPositions
from minibert.model.positions.relative import RelativePositions
from minibert.model.positions.rotary import RotaryPositions
from minibert.model.positions.scheme import NOWHERE, NoPositions, Places, PositionScheme

__all__ = ["NOWHERE", "POSITIONS", "NoPositions", "Places", "PositionScheme", "build_positions"]

POSITIONS = {
    "none": NoPositions,
    "absolute": AbsolutePositions,
    "sinusoidal": SinusoidalPositions,
    "relative": RelativePositions,
    "relative_bias": RelativeBiasPositions,
    "rope": RotaryPositions,
    "alibi": AlibiPositions,
}


def build_positions(config: ModelConfig) -> PositionScheme:
    """The scheme that ``config.position`` names."""
    return POSITIONS[config.position.name](config)

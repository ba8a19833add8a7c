"""Files with a mistake in them, as a broken disk leaves them."""

from collections.abc import Iterator
from pathlib import Path


def with_one_flipped_bit(path: Path) -> Iterator[None]:
    """Writes the file again once a byte, each time with one bit of that byte flipped."""
    whole = bytearray(path.read_bytes())
    for place in range(len(whole)):
        bit = 1 << place * 5 % 8
        whole[place] ^= bit
        path.write_bytes(whole)
        whole[place] ^= bit
        yield

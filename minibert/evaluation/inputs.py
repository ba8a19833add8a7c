"""What the functions of the instruments are given from Python: paths, tuples and dictionaries are read.

Everything else is refused with what would be right, before anything is computed.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tokenizers import Tokenizer

from minibert.data.annotated.lines import is_text
from minibert.data.tokenizer import load_tokenizer
from minibert.diagnostics.attention.measures import network_and_tokenizer
from minibert.errors import MinibertError, shown
from minibert.model.bert import MiniBERT

Row = TypeVar("Row")


def asked_network(model: Any, tokenizer: Any = None) -> tuple[MiniBERT, Tokenizer]:
    """The network and its tokenizer: of a run of ``load_run``, or a MiniBERT and a tokenizer or the path of one.

    Raises :class:`MinibertError` for anything else, and for a tokenizer with ids that the network has no
    embeddings for.
    """
    network, tokenizer = network_and_tokenizer(model, tokenizer)
    if not isinstance(network, MiniBERT):
        raise MinibertError(
            f"model: {shown(model)} was given. Allowed: a MiniBERT, such as MiniBERT.from_pretrained(folder), or "
            "a run of load_run."
        )
    if isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(tokenizer)
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)  # of a fast tokenizer of transformers
    if not isinstance(tokenizer, Tokenizer):
        raise MinibertError(
            f"tokenizer: {shown(tokenizer)} was given. Allowed: a tokenizers.Tokenizer, or a path."
        )
    if beyond := without_embedding(tokenizer, network.config.vocab_size):
        raise MinibertError(f"tokenizer: {beyond}")
    return network, tokenizer


def without_embedding(tokenizer: Tokenizer, embeddings: int) -> str:
    """What is wrong with a tokenizer that has ids beyond the ``embeddings`` of a model; empty if nothing is."""
    ids = tokenizer.get_vocab()
    beyond = sorted((index, token) for token, index in ids.items() if index >= embeddings)
    if not beyond:
        return ""
    index, token = beyond[-1]
    return (
        f"{len(beyond):,} of its {len(ids):,} tokens have no embedding, up to {token!a} with the id {index}: the "
        f"model has {embeddings:,}. Allowed: the tokenizer that the model was trained with."
    )


def texts(given: Any, name: str) -> list[str]:
    """Sentences: several, or one. Raises :class:`MinibertError` for what is no text."""
    if isinstance(given, str):
        given = [given]
    found = _listed(given, name, "a sentence, or a list of sentences")
    for place, each in enumerate(found):
        if not is_text(each) or not each.strip():
            raise MinibertError(f"{name}[{place}]: {shown(each)} was given. Allowed: text with words in it.")
    return found


def rows(
    given: Any,
    kind: Callable[..., Row],
    name: str,
    read: Callable[[Any], Iterable[Row]] | None = None,
    numbers: Sequence[str] = (),
) -> list[Row]:
    """Rows of annotated data: as they are, made of tuples or dictionaries of their fields, or read from a path.

    ``kind``: a :class:`typing.NamedTuple`; ``numbers``: texts that may be numbers too. ``read`` reads
    a path. Raises :class:`MinibertError` for anything else.
    """
    if read is not None and isinstance(given, str | Path):
        return list(read(given))
    types: dict[str, type] = dict(kind.__annotations__)
    whole = "a path, or a list" if read is not None else "a list"
    allowed = f"{whole} of {kind.__name__}({', '.join(types)}), as such or as tuples or dictionaries"
    found = []
    for place, each in enumerate(_listed(given, name, allowed)):
        row: Any = _row(each, kind, f"{name}[{place}]", allowed)
        for (field, of), value in zip(types.items(), row, strict=True):
            if not _fits(value, of, field in numbers):
                raise MinibertError(f"{name}[{place}].{field}: {shown(value)} was given. Allowed: {allowed}.")
        found.append(row)
    return found


def _row(given: Any, kind: Callable[..., Row], name: str, allowed: str) -> Row:
    try:
        if isinstance(given, Mapping):
            return kind(**given)
        if isinstance(given, tuple | list):
            return kind(*given)
    except TypeError as error:  # too many fields, too few, or others
        raise MinibertError(f"{name}: {shown(given)} was given. Allowed: {allowed}.") from error
    raise MinibertError(f"{name}: {shown(given)} was given. Allowed: {allowed}.")


def _fits(value: Any, kind: type, number: bool) -> bool:
    """Whether a value is what a field of this type holds: text, which a ``number`` may stand for, or a number."""
    is_number = isinstance(value, int | float | np.number) and math.isfinite(value)
    if kind is str:
        return is_text(value) or (number and is_number)
    return is_number if kind is float else True


def named(given: Any, name: str, is_one: Callable[[Any], bool]) -> dict[str, Any]:
    """Name -> what it stands for. One thing without a name is called ``name``, and a path by its file."""
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    if isinstance(given, str | Path):
        return {Path(given).stem: given}
    if is_one(given):
        return {name: given}
    raise MinibertError(f"{name}: {shown(given)} was given. Allowed: a dictionary with a name for each.")


def is_list(given: Any) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)


def _listed(given: Any, name: str, allowed: str) -> list:
    if not is_list(given):
        raise MinibertError(f"{name}: {shown(given)} was given. Allowed: {allowed}.")
    return list(given)

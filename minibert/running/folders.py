"""Models of others, in folders that transformers reads: they have no record, so their results go to a folder."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from minibert.data.numbering import own_numbering
from minibert.data.tokenizer import encode_texts, load_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation.inputs import without_embedding
from minibert.files import UNFINISHED, may_write, replacing
from minibert.model.bert import MiniBERT


def load_folder(folder: Path, note: Callable[[str], None]) -> tuple[MiniBERT, Tokenizer]:
    """The model and the tokenizer of a folder, which have to fit together, with the special tokens at 0 to 4.

    Where the folder has them at other ids, both are numbered anew (:func:`own_numbering`). ``note`` takes remarks:
    on a language-model head that is missing, and on embeddings without a token.

    Raises :class:`MinibertError` for a folder that holds no such model, for a tokenizer with ids that the
    model has no embeddings for, for one that does not put [CLS] and [SEP] around a text, and for one whose ids
    cannot be changed.
    """
    if not folder.is_dir():
        there = "is no folder" if folder.exists() else "is not there"
        raise MinibertError(f"checkpoint={folder}: {there}. Allowed: a folder of transformers' save_pretrained.")
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        model = MiniBERT.from_pretrained(folder)
    for remark in remarks:
        note(str(remark.message))
    tokenizer = load_tokenizer(folder)
    _check_together(folder, model.config.vocab_size, tokenizer, note)
    numbered, former = own_numbering(tokenizer, model.config.vocab_size)
    if numbered is not tokenizer:
        _follow(model, former)
    return model, numbered


def _follow(model: MiniBERT, former: np.ndarray) -> None:
    """Put every parameter of a token where its new id is. ``former`` (V,): the id that each had"""
    for name in {"embeddings.token.weight", "mlm_head.bias"} & set(model.params):
        model.params[name][...] = model.params[name][former]
    if "mlm_head.weight" in model.params:  # (D, V): not tied to the embeddings
        model.params["mlm_head.weight"][...] = model.params["mlm_head.weight"][:, former]


def _check_together(folder: Path, embeddings: int, tokenizer: Tokenizer, note: Callable[[str], None]) -> None:
    if beyond := without_embedding(tokenizer, embeddings):
        raise MinibertError(f"checkpoint={folder}: the tokenizer does not fit. {beyond[:1].upper()}{beyond[1:]}")
    ids = tokenizer.get_vocab()
    around = encode_texts(tokenizer, ["a"])[0].ids
    if len(around) < 2 or (around[0], around[-1]) != (ids["[CLS]"], ids["[SEP]"]):
        raise MinibertError(
            f"checkpoint={folder}: its tokenizer does not put [CLS] and [SEP] around a text. Allowed: tokenizers "
            "of BERT; in tokenizer.json, their post_processor is a TemplateProcessing with [CLS] $A [SEP]."
        )
    if len(ids) < embeddings:
        note(
            f"{folder}: the model has {embeddings:,} embeddings, and its tokenizer {len(ids):,} tokens. The "
            "others never occur in a text. If they are many, it may be the tokenizer of another model."
        )


class FolderPlace:
    """Results of a model that no store has, as files in a folder."""

    def __init__(self, folder: Path):
        """Raises :class:`MinibertError` for a folder that cannot be written to, before anything is computed."""
        self.folder = folder
        self.id = folder.name
        if not may_write(folder):
            raise MinibertError(
                f"{folder}: cannot be written to. Make it writable, or give another place: tracking.folder=FOLDER."
            )

    def artifacts(self, folder: str) -> list[str]:
        place = self.folder / folder
        found = place.iterdir() if place.is_dir() else ()
        return sorted(path.relative_to(self.folder).as_posix() for path in found if path.suffix != UNFINISHED)

    def read(self, path: str) -> bytes:
        try:
            return (self.folder / path).read_bytes()
        except OSError as error:
            raise MinibertError(
                f"{self.folder / path}: cannot be read ({error.strerror}). Move it away, or make it readable."
            ) from error

    def log_bytes(self, content: bytes, path: str) -> None:
        try:
            with replacing(self.folder / path, durable=False) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            raise MinibertError(
                f"{self.folder / path}: cannot be written ({error}). Give another place: tracking.folder=FOLDER."
            ) from error

    def remove_artifacts(self, path: str) -> None:
        (self.folder / path).unlink(missing_ok=True)

    def log_results(self, metrics: Mapping[str, float], step: int) -> None:
        """The metrics stand in the file of the findings already."""

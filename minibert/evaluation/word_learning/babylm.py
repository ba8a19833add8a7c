"""Surprisals of words for the task "age of acquisition" (AoA) of the BabyLM evaluation pipeline.

The task asks every checkpoint for the surprisal of a word at the end of each of its contexts, and correlates the
ages that it fits with those of children. Its words and contexts are the file ``cdi_childes.json`` of
https://osf.io/ryjfm/. Its own scores come from ``transformers``; these functions give the same numbers from the
network here, and write them where and as the pipeline looks for them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from minibert.data.tokenizer import encode_texts
from minibert.errors import MinibertError
from minibert.evaluation.whole_words import masked_losses, padded
from minibert.files import given_path, read_json, replacing
from minibert.model.bert import MiniBERT

CHECKPOINT = re.compile(r"chck_(\d+)M")
MILLION = 1_000_000


@dataclass(frozen=True)
class ContextSurprisal:
    """A word after one of its contexts. The names are those of the pipeline's file."""

    target_word: str
    context_id: int
    context: str
    surprisal: float
    """Nats, the sum over its pieces; NaN where the text is longer than the model's positions"""


def read_word_contexts(path: str | Path) -> dict[str, list[str]]:
    """Word -> the texts before it, from a file like ``cdi_childes.json``: ``{word: [{"context": text}, …]}``.

    Words of one letter are left out, as by the pipeline. Raises :class:`MinibertError` for another file.
    """
    path = given_path(path, "path", "the path of a file")
    try:
        entries = read_json(path.read_text(encoding="utf-8-sig"))
        found = {word: [str(entry["context"]) for entry in entries[word]] for word in entries if len(word) > 1}
    except OSError as error:
        raise MinibertError(
            f"{path}: cannot be read ({error.strerror}). The file of the task is at https://osf.io/ryjfm/."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise MinibertError(
            f"{path}: is no file of words and contexts ({error}). "
            'Allowed: {"word": [{"context": "text before it"}]}.'
        ) from error
    return found


def context_surprisals(
    model: MiniBERT, tokenizer: Tokenizer, contexts: Mapping[str, Sequence[str]], lanes: int = 2
) -> list[ContextSurprisal]:
    """The surprisal of each word after each of its contexts, in the order given.

    As the pipeline has it for masked language models: the text ends with the word, and each piece of the word is
    masked alone, so that the others give it away (Salazar et al., "Masked Language Model Scoring", ACL 2020).
    """
    asked = [(word, number, text) for word, texts in contexts.items() for number, text in enumerate(texts)]
    texts = [f"{text.strip()} {word.strip()}" for word, _, text in asked]
    encoded = encode_texts(tokenizer, texts)
    longest = model.config.max_length if model.config.position.has_table else None
    fits = np.array([longest is None or len(encoding.ids) <= longest for encoding in encoded], bool)
    totals = np.where(fits, 0.0, np.nan)
    rows = np.flatnonzero(fits)
    if len(rows):
        sequences = padded([np.array(encoded[row].ids, np.int32) for row in rows])
        pieces = [_pieces(encoded[row], len(texts[row]) - len(asked[row][0].strip())) for row in rows]
        owners = np.repeat(np.arange(len(rows)), [len(each) for each in pieces])
        masked = np.zeros((len(owners), sequences.input_ids.shape[1]), bool)
        masked[np.arange(len(owners)), np.concatenate(pieces)] = True
        losses, order = masked_losses(model, sequences, owners, masked, masked, lanes)
        np.add.at(totals, rows[owners[order]], losses)
    return [ContextSurprisal(*each, float(total)) for each, total in zip(asked, totals, strict=True)]


def _pieces(encoding: Encoding, start: int) -> list[int]:
    """Where the tokens stand that reach beyond a character of the text."""
    special = encoding.special_tokens_mask
    return [place for place, (_, end) in enumerate(encoding.offsets) if end > start and not special[place]]


def write_babylm_surprisals(
    path: str | Path, model_name: str, by_checkpoint: Mapping[str, Sequence[ContextSurprisal]]
) -> None:
    """Write what the pipeline reads: ``results/MODEL/main/zero_shot/mlm/AoA_word/surprisal.json``.

    ``by_checkpoint`` goes from the names of the checkpoints, ``chck_1M`` after a million words of training text,
    to what :func:`context_surprisals` gives there. Raises :class:`MinibertError` for other names: the pipeline
    reads the number of words from them.
    """
    results = []
    for name, surprisals in by_checkpoint.items():
        match = CHECKPOINT.fullmatch(name)
        if match is None:
            raise MinibertError(
                f"checkpoint {name}: the BabyLM pipeline has no such name. Allowed: chck_<n>M, with n the million "
                "words of training text that the model has seen."
            )
        step = {"step": name, "word_count": int(match[1]) * MILLION}
        results += [step | asdict(surprisal) for surprisal in surprisals]
    metadata = {
        "model_name": model_name,
        "use_bos_only": False,
        "total_steps": len(by_checkpoint),
        "completed_steps": len(by_checkpoint),
    }
    with replacing(given_path(path, "path", "the path of a file")) as temporary:
        temporary.write_text(json.dumps({"metadata": metadata, "results": results}, indent=2), encoding="utf-8")

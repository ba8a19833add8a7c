"""A corpus prepared for training: tokenizer, packed sequences and baselines, computed once and then cached.

Every file of the cache has a hash that is verified when the file is read. The manifest holds the baselines.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import tokenizers
from safetensors import SafetensorError
from tokenizers import Tokenizer

from minibert.config import DataConfig
from minibert.data import baselines
from minibert.data.corpora import Corpus, load_corpus, split_documents
from minibert.data.duplicates import compute_duplicate_shares
from minibert.data.overlap import RUN, separate
from minibert.data.packing import Sequences, cut_documents, pack_documents
from minibert.data.tokenizer import PAD, UNK, Lost, encode_documents, train_tokenizer
from minibert.errors import MinibertError
from minibert.files import expanded, in_row_order
from minibert.locks import file_lock, wait_for

FORMAT = 6
"""Part of the cache key. Raise it whenever the files, or the computation of their contents, change."""

MUCH = 0.01
"""A warning is given if a larger share of the text than this is lost, or overlaps with training"""
TOKENIZER, ARRAYS, MANIFEST = "tokenizer.json", "sequences.safetensors", "manifest.json"


@dataclass(frozen=True)
class PreparedData:
    """All data of a corpus that training and evaluation need."""

    tokenizer: Tokenizer
    train: Sequences
    evaluation: Sequences
    unigram_counts: np.ndarray
    """(V,) int64, of the training split"""
    corpus_name: str
    corpus_source: str
    corpus_hash: str
    tokenizer_hash: str
    statistics: dict[str, float | int]
    """Counts of documents, sequences and tokens, shares of repeated text, and the baselines of the held-out text
    in nats per token."""
    folder: Path
    """The cache folder, which holds tokenizer.json."""


def prepare_data(
    config: DataConfig,
    vocab_size: int,
    sequence_length: int,
    report: Callable[[str], None] | None = None,
    corpus: Corpus | None = None,
) -> PreparedData:
    """Read the corpus, and read its prepared data from the cache, or compute and store them.

    Several processes may call this at the same time: one computes, the others wait for it. A damaged cache is
    computed again. ``report`` receives a short message before each long computation. ``corpus`` is what
    :func:`load_corpus` gives for ``config``, if it was read already. Raises
    :class:`MinibertError` for unusable input.
    """
    report = report or (lambda message: None)
    corpus = corpus or load_corpus(config)
    folder = expanded(config.cache, "data.cache") / cache_key(config, corpus, vocab_size, sequence_length)
    if corpus.passed_over:
        report(
            f"data.path={config.path}: {len(corpus.passed_over)} files there are hidden or of another ending, and "
            f"were passed over: {_listed(corpus.passed_over)}"
        )
    prepared = _read(folder, corpus)
    if prepared is not None:
        _warn(prepared.statistics, config, report)
        return prepared
    try:
        with wait_for(file_lock(folder.with_suffix(".lock"))):
            prepared = _read(folder, corpus)
            if prepared is None:
                if folder.exists() or folder.is_symlink():
                    report(f"the cache in {folder} is damaged and is made anew")
                _build(folder, config, corpus, vocab_size, sequence_length, report)
                prepared = _read(folder, corpus)
    except OSError as error:
        raise MinibertError(
            f"data.cache={config.cache}: cannot be written ({error}). Give a folder with room: data.cache=FOLDER."
        ) from error
    if prepared is None:
        raise MinibertError(f"data.cache={config.cache}: what was just written there cannot be read back.")
    _warn(prepared.statistics, config, report)
    return prepared


def _warn(statistics: dict, config: DataConfig, report: Callable[[str], None]) -> None:
    """Report if much of the text is lost, or if much of the held-out text also occurs in training."""
    long, unknown = statistics["characters_lost_in_long_words"], statistics["characters_lost_as_unknown"]
    if long + unknown > MUCH * statistics["characters"]:
        report(_lost_text(long, unknown, statistics["characters"], config))
    if statistics["evaluation_overlap"] > MUCH:
        report(
            f"{statistics['evaluation_overlap']:.1%} of the held-out words stand, in runs of {RUN} words, in "
            "training documents too, so the held-out loss is too low. A lower data.largest_overlap moves such "
            "documents to training."
        )


def _lost_text(long: int, unknown: int, characters: int, config: DataConfig) -> str:
    return (
        f"{(long + unknown) / characters:.1%} of the {characters:,} characters become [UNK] and are lost: "
        f"{long / characters:.1%} in words of more than data.longest_word={config.longest_word} characters, "
        f"{unknown / characters:.1%} in words with a character outside of the vocabulary. Raise data.longest_word "
        "or model.vocab_size, or put white space between words."
    )


def _too_little_text(
    corpus: str, split: str, tokens: int, sequence_length: int, config: DataConfig, lost: Lost
) -> MinibertError:
    reason = f"{_lost_text(lost.in_long_words, lost.unknown, lost.characters, config)} " if lost.share else ""
    return MinibertError(
        f"{reason}{corpus}: too little text, the {split} split has {tokens} tokens and one sequence takes "
        f"{sequence_length - 2}. Give more text, a smaller training.sequence_length than {sequence_length}, or "
        f"another data.evaluation_fraction than {config.evaluation_fraction}."
    )


def _repeating(count: int) -> str:
    return "1 held-out document repeats" if count == 1 else f"{count} held-out documents repeat"


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def cache_key(config: DataConfig, corpus: Corpus, vocab_size: int, sequence_length: int) -> str:
    """Hash of the documents and of every setting that the tokenizer and the sequences depend on."""
    settings = {
        "format": FORMAT,
        "content": corpus.content_hash,
        "vocab_size": vocab_size,
        "sequence_length": sequence_length,
        "lowercase": config.lowercase,
        "strip_accents": config.strip_accents,
        "longest_word": config.longest_word,
        "largest_overlap": config.largest_overlap,
        "packed": config.packed,
        "evaluation_fraction": config.evaluation_fraction,
        "tokenizers": tokenizers.__version__,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


def _build(
    folder: Path,
    config: DataConfig,
    corpus: Corpus,
    vocab_size: int,
    sequence_length: int,
    report: Callable[[str], None],
) -> None:
    """Compute and write everything beside ``folder``, then rename it, so that ``folder`` is complete or absent."""
    *splits, overlap, moved = separate(
        *split_documents(corpus, config.evaluation_fraction), config.largest_overlap
    )
    texts = [[document.text for document in split] for split in splits]
    report(f"training a vocabulary of {vocab_size:,} on {len(texts[0]):,} documents")
    tokenizer = train_tokenizer(texts[0], vocab_size, config.lowercase, config.strip_accents, config.longest_word)
    report(f"encoding {len(corpus.documents):,} documents")
    arrange = pack_documents if config.packed else cut_documents
    lost = Lost()
    train, evaluation = (arrange(encode_documents(tokenizer, split, lost), sequence_length) for split in texts)
    for name, sequences in (("training", train), ("evaluation", evaluation)):
        tokens = int(sequences.ordinary.sum())
        if tokens < sequence_length - 2:
            raise _too_little_text(f"data.name={corpus.name}", name, tokens, sequence_length, config, lost)
    if moved:
        report(
            f"{_repeating(len(moved))} training documents by more than data.largest_overlap="
            f"{config.largest_overlap}, and {'was' if len(moved) == 1 else 'were'} moved to the training text: "
            f"{_listed(moved)}"
        )
    report("measuring the baselines")
    train_counts = baselines.unigram_counts(train, vocab_size)
    repeated = compute_duplicate_shares(train.input_ids, train.ordinary)
    statistics = {
        "train_documents": len(texts[0]),
        "evaluation_documents": len(texts[1]),
        "train_sequences": len(train),
        "evaluation_sequences": len(evaluation),
        "padding_share": float((train.input_ids == PAD).mean()),
        "train_tokens": train.text_tokens,
        "evaluation_tokens": evaluation.text_tokens,
        "evaluation_bytes": sum(len(text.encode()) for text in texts[1]),
        "vocabulary": tokenizer.get_vocab_size(),
        "unknown_share": float((evaluation.input_ids == UNK).sum() / evaluation.text_tokens),
        "characters": lost.characters,
        "characters_lost_in_long_words": lost.in_long_words,
        "characters_lost_as_unknown": lost.unknown,
        "evaluation_overlap": overlap,
        "documents_moved_to_training": len(moved),
        "duplicate_share": repeated.sequences,
        "repeated_text_share": repeated.text,
        **baselines.text_baselines(train, train_counts, evaluation),
    }
    arrays = {"unigram_counts": train_counts, **_arrays("train", train), **_arrays("evaluation", evaluation)}
    content = safetensors.numpy.save(in_row_order(arrays))
    files = {TOKENIZER: tokenizer.to_str(pretty=True).encode(), ARRAYS: content}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = {"hashes": hashes, "statistics": statistics}
    files[MANIFEST] = json.dumps({"sha256": _digest(manifest), **manifest}, indent=2).encode()

    partial = folder.with_suffix(".partial")
    for leftover in (partial, folder):
        _remove(leftover)
    try:
        partial.mkdir()
        for name, content in files.items():
            (partial / name).write_bytes(content)
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)  # the disk may be full: leave no partial files
        raise


def _remove(path: Path) -> None:
    """Remove a folder of the cache, or what else lies in its place. Raises :class:`OSError`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _read(folder: Path, corpus: Corpus) -> PreparedData | None:
    """The data stored in ``folder``; None if they are missing, incomplete or altered."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest.pop("sha256") != _digest(manifest):
            return None
        hashes, statistics = manifest["hashes"], manifest["statistics"]
        content = {name: (folder / name).read_bytes() for name in (TOKENIZER, ARRAYS)}
        if any(hashlib.sha256(content[name]).hexdigest() != hashes[name] for name in content):
            return None
        arrays = safetensors.numpy.load(content[ARRAYS])
        tokenizer = Tokenizer.from_str(content[TOKENIZER].decode())
        train, evaluation = _sequences("train", arrays), _sequences("evaluation", arrays)
        unigram_counts = arrays["unigram_counts"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError):
        return None
    dropped = {
        "documents": len(corpus.documents),
        "duplicates_dropped": corpus.duplicates_dropped,
        "empty_dropped": corpus.empty_dropped,
        "files_passed_over": len(corpus.passed_over),
    }
    return PreparedData(
        tokenizer,
        train,
        evaluation,
        unigram_counts,
        corpus.name,
        corpus.source,
        corpus.content_hash,
        hashes[TOKENIZER],
        {**dropped, **statistics},
        folder,
    )


def _digest(manifest: dict) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _arrays(split: str, sequences: Sequences) -> dict[str, np.ndarray]:
    return {f"{split}.{name}": array for name, array in vars(sequences).items()}


def _sequences(split: str, arrays: dict[str, np.ndarray]) -> Sequences:
    return Sequences(*(arrays[f"{split}.{name}"] for name in ("input_ids", "lengths", "documents")))

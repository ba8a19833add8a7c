"""A tiny network, its tokenizer and a text, as instruments are asked about them."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from minibert.config import ModelConfig
from minibert.data.baselines import unigram_counts
from minibert.data.packing import cut_documents
from minibert.data.tokenizer import encode_documents
from minibert.evaluation.instruments import Subject
from minibert.model.bert import MiniBERT


def tiny_network(vocab_size: int, seed: int = 3, **settings) -> MiniBERT:
    sizes = {"vocab_size": vocab_size, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24}
    return MiniBERT(ModelConfig(**sizes | {"max_length": 32, "init_gain": 10.0} | settings), seed)


def tiny_subject(tokenizer: Tokenizer, texts: Sequence[str], cache: Path, **settings) -> Subject:
    """``settings`` are further fields of the subject. Without texts, it has no held-out text."""
    size = tokenizer.get_vocab_size()
    held_out = cut_documents(encode_documents(tokenizer, texts), 32) if texts else None
    counts = None if held_out is None else unigram_counts(held_out, size)
    known = {"model": tiny_network(size), "held_out": held_out, "unigram_counts": counts}
    return Subject(
        tokenizer=tokenizer, untrained=lambda: tiny_network(size, 4), key="0" * 64, cache=cache, **known | settings
    )

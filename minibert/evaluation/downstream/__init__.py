"""Fine-tuning: how well a network learns to classify sentences, and what it forgets on the way."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer

from minibert.config import ROOT, validate
from minibert.config.evaluation import DownstreamConfig
from minibert.data.annotated.classified import read_labelled_parts
from minibert.data.annotated.downloads import dataset
from minibert.errors import unknown_name
from minibert.evaluation.downstream.comparison import Comparison, FineTuned, finetune
from minibert.evaluation.downstream.finetuning import Recipe, classify
from minibert.evaluation.downstream.forgetting import (
    Forgetting,
    OldTask,
    agreement,
    held_out_loss,
    measure_catastrophic_forgetting,
)
from minibert.evaluation.downstream.sentences import Splits
from minibert.evaluation.inputs import asked_network
from minibert.files import given_path
from minibert.model.bert import MiniBERT

__all__ = [
    "Comparison", "FineTuned", "Forgetting", "OldTask", "Recipe", "Splits", "agreement", "classify", "finetune",
    "finetune_sst2", "held_out_loss", "measure_catastrophic_forgetting",
]  # fmt: skip


def finetune_sst2(
    model: MiniBERT,
    tokenizer: Tokenizer,
    epochs: int = 3,
    max_samples: int | None = None,
    data: str | Path = "sst2",
    cache: Path = ROOT / "mlruns" / "cache",
    untrained: MiniBERT | None = None,
    seed: int = 0,
    lanes: int = 2,
    note: Callable[[str], None] = print,
    **settings: Any,
) -> Comparison:
    """:func:`finetune` on the Stanford Sentiment Treebank: is a sentence of a film review positive (1) or not (0)?

    ``data``: the data set, which is downloaded to ``cache``, or a folder with train.tsv, dev.tsv and test.tsv
    (sentence, tab, label). ``max_samples``: of its 6,920 training sentences. ``settings``: further fields of
    :class:`minibert.config.evaluation.DownstreamConfig`, such as ``rates`` and ``encoders``.

    Raises :class:`MinibertError` for settings out of range, :class:`Unavailable` where the data cannot be had.

    Socher et al., "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank", EMNLP 2013.
    """
    known = [each.name for each in fields(DownstreamConfig)]
    if strange := [name for name in settings if name not in known]:
        raise unknown_name("finetune_sst2", strange[0], known)
    chosen = DownstreamConfig(data=str(data), epochs=epochs, max_samples=max_samples, **settings)
    validate(cast(Any, chosen), "evaluation.downstream.")
    model, tokenizer = asked_network(model, tokenizer)
    splits = Splits(**read_labelled_parts(dataset(data, given_path(cache, "cache", "the path of a folder"), note)))
    return finetune(model, tokenizer, splits, chosen, untrained, seed, lanes, note)

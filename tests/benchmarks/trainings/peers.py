"""``transformers``' masked language models under its ``Trainer``, at one of minibert's sizes, on minibert's text.

BERT is trained as its authors did: post-norm, learned positions, dropout 0.1, 15 %. ModernBERT as its authors did:
rotary positions, gated units, pre-norm, no biases, no dropout, 30 %; also with ``sparse_prediction``, which scores
the predicted tokens alone, as minibert does. All: AdamW (fused), a linear schedule with a tenth of warm-up, weight
decay 0.01, clipping to norm 1, 32 rows of 64 tokens, one piece of a document a row.
"""

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import (
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainingArguments,
)

from minibert.config import ModelConfig, register
from minibert.data.prepared import PreparedData, prepare_data
from minibert.evaluation.intrinsic.held_out import bits_of_a_nat
from minibert.running.plan import plan
from tests.benchmarks.trainings import Trained, Training, told
from tests.benchmarks.trainings.held_out import held_out_batches

RATES = {"bert": 0.15, "modernbert": 0.30, "modernbert sparse": 0.30}
ROWS = 32
"""In a batch"""


def build(kind: str, model: ModelConfig, vocab_size: int):
    sizes = {
        "vocab_size": vocab_size,
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "max_position_embeddings": model.max_length,
        "pad_token_id": 0,
    }
    if kind == "bert":
        return transformers.BertForMaskedLM(
            transformers.BertConfig(**sizes, intermediate_size=model.feed_forward_size)
        )
    # A gated unit has a third matrix: two thirds of the inner size give as many parameters.
    gated = {"intermediate_size": 2 * model.feed_forward_size // 3, "bos_token_id": 2, "cls_token_id": 2}
    ends = {"eos_token_id": 3, "sep_token_id": 3}
    sparse = kind == "modernbert sparse"
    config = transformers.ModernBertConfig(**sizes, **gated, **ends, sparse_prediction=sparse)
    return transformers.ModernBertForMaskedLM(config)


class Rows(torch.utils.data.Dataset):
    """The training text, a list of ids and their mask for each row."""

    def __init__(self, data: PreparedData):
        self.ids, self.lengths = data.train.input_ids, data.train.lengths

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        real = np.arange(self.ids.shape[1]) < self.lengths[index]
        return {"input_ids": self.ids[index].tolist(), "attention_mask": real.astype(int).tolist()}


class Clock(TrainerCallback):
    """Times every step, and evaluates off the clock."""

    def __init__(self, every: int, last: int, evaluate):
        self.every, self.last, self.evaluate = every, last, evaluate
        self.seconds, self.steps, self.losses = [], [], []

    def on_step_begin(self, args, state, control, **_):
        if not self.seconds:
            self.started = time.perf_counter()  # from then on, collating the next batch is part of a step

    def on_step_end(self, args, state, control, model=None, **_):
        self.seconds.append(time.perf_counter() - self.started)
        if self.every and (state.global_step % self.every == 0 or state.global_step == self.last):
            self.steps.append(state.global_step)
            self.losses.append(self.evaluate(model))
        self.started = time.perf_counter()


def evaluator(batches):
    def evaluate(model) -> float:
        model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for batch in batches:
                mask = np.ones_like(batch.input_ids) if batch.attention_mask is None else batch.attention_mask
                logits = model(
                    input_ids=torch.from_numpy(batch.input_ids).long(),
                    attention_mask=torch.from_numpy(np.asarray(mask)).long(),
                ).logits
                labels = torch.from_numpy(batch.labels).long()
                losses = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum"
                )
                total, count = total + losses.item(), count + batch.predictions
        model.train()
        return total / count

    return evaluate


def train(training: Training) -> Trained:
    register()
    torch.set_num_threads(training.lanes)
    words = [f"data.cache={training.cache}", *([f"model={training.model}"] if training.model else [])]
    config = plan(words, multirun=False).jobs[0].config
    tokens = config.training.sequence_length
    held_out = held_out_batches(config, prepare_data(config.data, config.model.vocab_size, tokens))
    data = prepare_data(replace(config.data, packed=False), config.model.vocab_size, tokens)
    transformers.set_seed(training.seed)
    model = build(training.kind, config.model, data.tokenizer.get_vocab_size())
    names = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=data.tokenizer, **names)
    clock = Clock(training.every, training.steps, evaluator(held_out))
    with tempfile.TemporaryDirectory() as folder:
        trainer = transformers.Trainer(
            model,
            TrainingArguments(
                folder,
                max_steps=training.steps,
                per_device_train_batch_size=ROWS,
                learning_rate=training.learning_rate,
                lr_scheduler_type="linear",
                warmup_steps=training.steps // 10,
                weight_decay=0.01,
                optim="adamw_torch_fused",
                max_grad_norm=1.0,
                use_cpu=True,
                dataloader_drop_last=True,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                seed=training.seed,
            ),
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=RATES[training.kind]),
            train_dataset=Rows(data),
            callbacks=[clock],
        )
        trainer.train()
        assert not any(Path(folder).iterdir())
    about = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
        "attention": model.config._attn_implementation,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "batch": ROWS,
        "tokens": tokens,
    }
    return Trained(clock.seconds, clock.steps, clock.losses, bits_of_a_nat(data), about)


if __name__ == "__main__":
    print(json.dumps(vars(train(told(sys.stdin.read())))))

"""``transformers``' BertForMaskedLM as it is: post-norm, two token types, logits of every position."""

import torch
import transformers

from tests.benchmarks.contenders import Contender
from tests.benchmarks.contenders.pytorch import fused_adamw
from tests.benchmarks.workload import Workload


class Transformers(Contender):
    def __init__(self, workload: Workload):
        torch.set_num_threads(workload.lanes)
        torch.manual_seed(0)
        shape = workload.shape
        config = transformers.BertConfig(
            vocab_size=shape.vocab_size,
            hidden_size=shape.hidden_size,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.feed_forward_size,
            max_position_embeddings=max(shape.tokens, 128),
            hidden_dropout_prob=workload.dropout,
            attention_probs_dropout_prob=workload.dropout,
        )
        self.model = transformers.BertForMaskedLM(config).train()
        self.optimizer = fused_adamw(self.model)
        self.batches = [[torch.from_numpy(array).long() for array in batch] for batch in workload.batches]
        self.taken = 0
        self.about = {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "attention": config._attn_implementation,
            "threads": torch.get_num_threads(),
        }

    def step(self) -> float:
        input_ids, labels = self.batches[self.taken % len(self.batches)]
        self.taken += 1
        loss = self.model(input_ids=input_ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

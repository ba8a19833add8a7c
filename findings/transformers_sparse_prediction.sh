#!/usr/bin/env bash
# transformers 5.24.0, accelerate 1.15.0: with sparse_prediction=True, ModernBertForMaskedLM scores the predicted tokens alone. With a
# small network on a processor this halves a training step or better, and the loss is the same. In an evaluation, though,
# Trainer hands other things to compute_metrics. Predictions are one row for each predicted token, and labels whole sequences, so
# that the usual accuracy of masked tokens raises an IndexError. And where the last batch is not full, all of its predictions are
# lost but as many as it has sequences: it is cut to the sequences that are left, as if each had one row. So even labels[labels !=
# -100] does not fit. A batch size that divides the number of sequences, or a loop of one's own, avoids it. The reported
# loss is right in all cases.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 accelerate==1.15.0
cat > "$folder/look.py" <<'PY'
import tempfile

import torch
import transformers

transformers.logging.set_verbosity_error()
sizes = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
torch.manual_seed(0)
ids = torch.randint(5, 100, (24, 16))
labels = torch.full_like(ids, -100)
labels[:, 3:8] = ids[:, 3:8]
rows = [{"input_ids": row, "labels": label} for row, label in zip(ids, labels, strict=True)]
print(f"transformers {transformers.__version__}: 24 sequences, 5 predicted tokens in each, 120 in all")


def evaluated(sparse, batch):
    seen = []
    torch.manual_seed(0)
    config = transformers.ModernBertConfig(**sizes, **special, sparse_prediction=sparse)
    model = transformers.ModernBertForMaskedLM(config)
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            folder, per_device_eval_batch_size=batch, use_cpu=True, report_to="none", disable_tqdm=True
        )
        keep = lambda both: seen.append((both.predictions.shape, both.label_ids.shape)) or {}
        loss = transformers.Trainer(model, settings, eval_dataset=rows, compute_metrics=keep).evaluate()["eval_loss"]
    (found,) = seen
    print(f"sparse_prediction={sparse}, batches of {batch}: predictions {found[0]}, labels {found[1]}, loss {loss:.4f}")
    return found[0], loss


dense, full, cut = evaluated(False, 7), evaluated(True, 8), evaluated(True, 7)
assert dense[0] == (24, 16, 100) and full[0] == (120, 100)
assert cut[0] == (21 * 5 + 3, 100), "of the last batch, 3 sequences with 15 predicted tokens, 3 predictions are left"
assert max(abs(dense[1] - full[1]), abs(dense[1] - cut[1])) < 1e-4
PY
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" "$folder/look.py" | grep -v "^{"

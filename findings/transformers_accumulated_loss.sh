#!/usr/bin/env bash
# transformers 5.24.0: with gradient_accumulation_steps=4, the Trainer reports four times the loss and four times the
# gradient norm for BertForMaskedLM and RobertaForMaskedLM: of the same rows, from the same start, beside one batch of the
# same size. It takes a forward that has **kwargs for one that divides by the predictions of all batches, and leaves its own
# division out; these two take the mean over their own batch. So max_grad_norm cuts at a quarter of what it says, an
# optimizer whose step grows with the gradient takes four times the step, and losses of runs with other accumulation cannot
# be compared. EsmForMaskedLM says that it does not divide, and ModernBertForMaskedLM divides: both are right.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 accelerate==1.15.0
cat > "$folder/look.py" <<'PY'
import sys
import tempfile

import torch
import transformers

transformers.logging.set_verbosity_error()
sizes = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
networks = {
    "Bert": no_dropout,
    "Roberta": no_dropout,
    "Esm": {**no_dropout, "pad_token_id": 0, "mask_token_id": 4, "token_dropout": False},
    "ModernBert": special,
}
torch.manual_seed(0)
ids = torch.randint(5, 100, (64, 16))
predicted = torch.arange(16) < 4  # as many in every row, so that the mean of the means is the mean
rows = [{"input_ids": row, "labels": torch.where(predicted, row, -100)} for row in ids]


def first_step(name, batch, accumulation):
    """Loss and gradient norm that the Trainer reports for the first 8 rows."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**sizes, **networks[name])
    model = getattr(transformers, f"{name}ForMaskedLM")(config)
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, max_steps=1,
            logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
        )
        collator = transformers.default_data_collator
        trainer = transformers.Trainer(model, arguments, train_dataset=rows, data_collator=collator)
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        first = trainer.state.log_history[0]
    return float(first["loss"]), float(first["grad_norm"])


times = {}
for name in networks:
    whole, parts = first_step(name, 8, 1), first_step(name, 2, 4)
    times[name] = [after / before for before, after in zip(whole, parts)]
    print(f"{name}ForMaskedLM: one batch of 8: loss {whole[0]:.3f}, norm {whole[1]:.3f}; "
          f"four of 2: loss {parts[0]:.3f}, norm {parts[1]:.3f}; {times[name][0]:.2f} and {times[name][1]:.2f} times")
expected = {"Bert": 4, "Roberta": 4, "Esm": 1, "ModernBert": 1}
sys.exit(0 if all(abs(time - expected[name]) < 0.01 for name in times for time in times[name]) else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

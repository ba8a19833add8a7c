#!/usr/bin/env bash
# transformers 5.24.0: with tie_word_embeddings=False, a BertForMaskedLM has two biases over the vocabulary, and only
# cls.predictions.decoder.bias acts. cls.predictions.bias, which is the same tensor in a tied model, is counted, saved and
# loaded, gets no gradient and changes no logit: who sets it, as for a tied model, loses the bias without a word.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 numpy==2.3.5
cat > "$folder/look.py" <<'PY'
import sys

import torch
import transformers

NAMES = ("cls.predictions.bias", "cls.predictions.decoder.bias")
found = {}
for tied in (True, False):
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**sizes, intermediate_size=64, tie_word_embeddings=tied)
    model = transformers.BertForMaskedLM(config).eval()
    ids = torch.arange(5, 15)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    state, moved = model.state_dict(), {}
    for name in NAMES:
        with torch.no_grad():
            before = model(input_ids=ids).logits
            state[name] += 1
            moved[name] = round((model(input_ids=ids).logits - before).abs().max().item(), 3)
    unused = [name for name, parameter in model.named_parameters() if name in NAMES and parameter.grad is None]
    found[tied] = moved, unused
    print(f"transformers {transformers.__version__}, tied {tied}: raised by 1, the logits move by {moved}; no gradient: {unused}")
both = dict.fromkeys(NAMES, 1.0)
sys.exit(0 if found == {True: (both, []), False: ({NAMES[0]: 0.0, NAMES[1]: 1.0}, [NAMES[0]])} else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

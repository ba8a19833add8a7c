#!/usr/bin/env bash
# transformers 4.57.6: EsmForMaskedLM keeps a rope_theta that config.json states, and turns by 10,000 nevertheless. What it does
# read are the buffers rotary_embeddings.inv_freq, one a layer, where the file of weights has them. transformers 5.24.0 turns by
# rope_theta and needs no buffer. So a folder that 5 writes with another base gives other logits under 4, without a word.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/look.py" <<'PY'
import sys

import torch
import transformers

torch.manual_seed(0)
sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
config = {**sizes, "position_embedding_type": "rotary", "token_dropout": False, "pad_token_id": 0, "mask_token_id": 4}
ids = torch.arange(5, 25)[None]
rates = 30.0 ** -(torch.arange(0, 16, 2) / 16)
buffers = {f"esm.encoder.layer.{layer}.attention.self.rotary_embeddings.inv_freq": rates for layer in range(2)}
start = transformers.EsmForMaskedLM(transformers.EsmConfig(**config)).state_dict()
# Large weights: attention that is not even shows where it looks.
weights = {name: tensor + torch.randn_like(tensor) * 0.3 for name, tensor in start.items() if "inv_freq" not in name}


def logits(base, more):
    model = transformers.EsmForMaskedLM(transformers.EsmConfig(**config, rope_theta=base)).eval()
    unexpected = model.load_state_dict({**weights, **more}, strict=False).unexpected_keys
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, unexpected


usual, _ = logits(10_000.0, {})
by_setting = (usual - logits(30.0, {})[0]).abs().max().item()
with_buffers, unexpected = logits(30.0, buffers)
by_buffer = (usual - with_buffers).abs().max().item()
print(f"transformers {transformers.__version__}: rope_theta moves the logits by {by_setting:.3f}, "
      f"rope_theta and the layers' buffers by {by_buffer:.3f}; unexpected buffers: {len(unexpected)}")
major = int(transformers.__version__.split(".")[0])
expected = by_setting == 0 if major == 4 else by_setting > 0.01
sys.exit(0 if expected and by_buffer > 0.01 and not unexpected else 1)
PY
for version in 4.57.6 5.24.0; do
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 "transformers==$version" numpy==2.3.5
    "$folder/venv/bin/python" "$folder/look.py"
done

#!/usr/bin/env bash
# tokenizers 0.23.3: limit_alphabet keeps the most frequent characters. Which ones it keeps of those that are equally
# frequent is drawn anew at every call: training again on the same text gives another vocabulary, and other characters
# become [UNK]. A few rare signs at the edge of a large alphabet suffice. With room for all of them the vocabulary is the
# same every time.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.23.3
cat > "$folder/look.py" <<'PY'
import sys

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

frequent = "the boat came to the harbour in winter and the sailor repaired it again " * 20
rare = " ".join("àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ")  # each once
alphabet = len(set(frequent + rare) - {" "})


def train(limit):
    """The vocabulary, and how many words of the text with the rare signs are unknown to it."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["[UNK]"], limit_alphabet=limit, min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator([frequent, rare], trainer)
    unknown = tuple(sign for sign in rare.split() if tokenizer.encode(sign).tokens == ["[UNK]"])
    return tuple(sorted(tokenizer.get_vocab())), unknown


found = {limit: {train(limit) for _ in range(20)} for limit in (alphabet, alphabet - 15)}
limited = found[alphabet - 15]
print(f"tokenizers {tokenizers.__version__}: 20 times trained on the same text with {alphabet} characters")
print(f"all kept: {len(found[alphabet])} vocabulary; 15 fewer kept: {len(limited)} vocabularies, "
      f"with {len(next(iter(limited))[1])} signs unknown, in one {''.join(next(iter(limited))[1])}")
sys.exit(0 if len(found[alphabet]) == 1 and len(limited) > 10 else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

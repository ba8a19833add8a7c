#!/usr/bin/env bash
# tokenizers 0.22.1, WordPiece: a word of more than 100 characters (max_input_chars_per_word) becomes a single [UNK], though every
# character of it is in the vocabulary. Thai puts no space between words, DNA none at all: such text vanishes without a warning.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.22.1
cat > "$folder/look.py" <<'PY'
import sys

import tokenizers
from tokenizers import BertWordPieceTokenizer

thai = "แมวนอนอยู่บนโต๊ะ" * 10
dna = "ACGTTGCA" * 25
tokenizer = BertWordPieceTokenizer(lowercase=False)
tokenizer.train_from_iterator([dna, thai, "A C G T", " ".join(thai)], vocab_size=500, min_frequency=1)
vocabulary = tokenizer.get_vocab()
known = all(character in vocabulary and f"##{character}" in vocabulary for character in "ACGT")
found = {name: tokenizer.encode(text, add_special_tokens=False).tokens for name, text in (("Thai", thai), ("DNA", dna))}
short = tokenizer.encode(dna[:100], add_special_tokens=False).tokens
print(
    f"tokenizers {tokenizers.__version__}: {len(thai)} characters of Thai -> {found['Thai']}, {len(dna)} of DNA -> {found['DNA']}; "
    f"its first 100 -> {len(short)} token(s), [UNK] among them: {'[UNK]' in short}"
)
sys.exit(0 if known and found["DNA"] == ["[UNK]"] and "[UNK]" in found["Thai"] and "[UNK]" not in short else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

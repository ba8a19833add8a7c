#!/usr/bin/env bash
# tokenizers 0.23.3: a token NAME that is added with normalized=True to a lower-casing tokenizer has two texts. `get_vocab` and
# `get_added_tokens_decoder` say NAME, `id_to_token` and `encode(...).tokens` say name. Who goes from id to text to id
# again with the vocabulary does not find it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.23.3
cat > "$folder/look.py" <<'PY'
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "word": 1}, unk_token="[UNK]"))
tokenizer.normalizer = normalizers.Lowercase()
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.add_tokens([AddedToken("NAME", normalized=True)])
listed = {id: token.content for id, token in tokenizer.get_added_tokens_decoder().items()}
print(f"tokenizers {tokenizers.__version__}: added {listed}, id_to_token(2) {tokenizer.id_to_token(2)!r}, "
      f"token_to_id('NAME') {tokenizer.token_to_id('NAME')}, vocabulary {sorted(tokenizer.get_vocab())}, "
      f"'word NAME' -> {tokenizer.encode('word NAME').tokens}")
vocabulary = tokenizer.get_vocab()
sys.exit(0 if listed == {2: "NAME"} and tokenizer.id_to_token(2) == "name" and vocabulary.get("NAME") == 2 else 1)
PY
"$folder/venv/bin/python" "$folder/look.py"

#!/usr/bin/env bash
# transformers 5.24.0: DataCollatorForLanguageModeling(whole_word_mask=True) takes two tokens for parts of one word where
# the second begins at the character at which the first ends. DeBERTa's tokenizer counts the space before a word as the
# word's, so that its texts have no gaps: the whole text is one word, and is masked as a whole or not at all. So is a
# Chinese text under BERT's tokenizer, which makes a word of each character. The share of masked tokens is the 15 % that was
# asked for, so no average shows it. With RoBERTa's tokenizer of the same vocabulary and merges, whose offsets leave the
# space out, words are words, though a full stop belongs to the word before it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 tokenizers==0.23.3 numpy==2.4.6
cat > "$folder/look.py" <<'PY'
import json
import sys
import warnings

import numpy as np
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

warnings.simplefilter("ignore")  # of the replacement by random tokens, which whole words do without
RATE = 0.15
words = "the old sailor repaired his small wooden boat before winter came to northern harbours again".split()
random = np.random.default_rng(0)
english = [" ".join(random.choice(words, 12)) for _ in range(1000)]
chinese = ["".join(random.permutation(list("我们昨天在公园里看见一只白色的小狗"))) for _ in range(1000)]


def byte_level():
    """A vocabulary and its merges, which RoBERTa and DeBERTa may share."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=letters, show_progress=False)
    tokenizer.train_from_iterator(english, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def look(name, tokenizer, texts):
    """The shares of tokens masked, of texts without a mask and of texts that are masked as a whole."""
    collator = transformers.DataCollatorForLanguageModeling(
        tokenizer, whole_word_mask=True, mlm_probability=RATE, return_tensors="np", seed=0
    )
    longest = max(len(tokenizer(text)["input_ids"]) for text in texts)
    more = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
    rows = [dict(tokenizer(text, padding="max_length", max_length=longest, **more)) for text in texts]
    tokens = np.array([longest - sum(row["special_tokens_mask"]) for row in rows])
    masked = np.concatenate([(collator([row])["labels"] != -100).sum(axis=1) for row in rows])
    found = masked.sum() / tokens.sum(), (masked == 0).mean(), (masked == tokens).mean()
    print(f"{name}: {found[0]:.1%} of tokens masked; of texts, {found[1]:.1%} without a mask, {found[2]:.1%} as a whole")
    return found


print(f"transformers {transformers.__version__}, whole words of 1,000 texts each, a rate of {RATE}")
shared = byte_level()
tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(chinese[0]))]
bert = {token: number for number, token in enumerate(tokens)}
roberta = look("RoBERTa, English", transformers.RobertaTokenizer(**shared), english)
deberta = look("DeBERTa, English", transformers.DebertaTokenizer(**shared), english)
chinese_bert = look("BERT, Chinese", transformers.BertTokenizer(vocab=bert), chinese)
as_asked = all(abs(share - RATE) < 0.04 for share, _, _ in (roberta, deberta, chinese_bert))
all_or_nothing = all(none + whole == 1 for _, none, whole in (deberta, chinese_bert))
sys.exit(0 if as_asked and all_or_nothing and roberta[2] == 0 else 1)
PY
TRANSFORMERS_VERBOSITY=error "$folder/venv/bin/python" "$folder/look.py"

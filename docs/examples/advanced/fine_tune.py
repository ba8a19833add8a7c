"""Fine-tune a network to classify sentences, beside the controls without which its accuracy says nothing."""

import sys
from pathlib import Path

import numpy as np

from minibert import load_run
from minibert.evaluation import finetune_sst2
from minibert.run import main

random, folder = np.random.default_rng(0), Path("mlruns/examples/reviews")
(folder / "text").mkdir(parents=True, exist_ok=True)
WORDS = {"1": ["good", "great", "fine", "lovely", "nice"], "0": ["bad", "poor", "dull", "awful", "weak"]}


def sentence(kind, count):  # words of one kind stand together; of each kind, the first `count` are used
    return "the film was {} and {} , a {} plot .".format(*random.choice(WORDS[kind][:count], 3))


for number in range(12):  # what it is pretrained on: all words, no labels
    text = " ".join(sentence(random.choice(["0", "1"]), 5) for _ in range(80))
    (folder / "text" / f"{number}.txt").write_text(text)
for part, size in {"train": 60, "dev": 40, "test": 100}.items():  # of each kind, two words are new in dev and test
    known = 3 if part == "train" else 5
    rows = [f"{sentence(kind, known)}\t{kind}\n" for kind in ("0", "1") for _ in range(size // 2)]
    (folder / f"{part}.tsv").write_text("".join(rows))
words = [
    "model=debug", "training=debugging", "training.steps=200", "training.lanes=1", "model.vocab_size=150",
    "training.softmax_words=null", "data=text", f"data.path={folder}/text/*.txt", "evaluation=off",
    "diagnostics=off", "diagnostics.figures=[]", f"tracking.folder={folder}",
]  # fmt: skip
if main([*words, *sys.argv[1:]]) != 0:
    raise SystemExit("the run failed: its message is above")
run = load_run("last", folder=folder)
found = finetune_sst2(run.model, run.tokenizer, epochs=3, data=folder, seeds=3, rates=[3e-3], frozen_rates=[3e-2])
for (network, encoder), result in found.fine_tuned.items():
    print(f"{network:10}{encoder:8}{result.accuracy}")
print("bag of words      ", found.controls["bag_of_words"].score.accuracy)

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


def sentence(kind, known):  # words of one kind stand together
    return "the film was {} and {} , a {} plot .".format(*random.choice(WORDS[kind][known], 3))


for number in range(12):  # what it is pretrained on: all words, no labels
    text = " ".join(sentence(random.choice(["0", "1"]), slice(None)) for _ in range(80))
    (folder / "text" / f"{number}.txt").write_text(text)
for part, size, known in (("train", 60, slice(3)), ("dev", 40, slice(3, 5)), ("test", 100, slice(3, 5))):
    rows = [f"{sentence(kind, known)}\t{kind}\n" for kind in WORDS for _ in range(size // 2)]  # not the same words
    (folder / f"{part}.tsv").write_text("".join(rows))
words = [
    "model=debug", "training=debugging", "training.steps=300", "training.batch_size=32", "model.vocab_size=150",
    "training.softmax_words=null", "data=text", f"data.path={folder}/text/*.txt", "evaluation=off",
    "training.lanes=1", "diagnostics=off", "diagnostics.figures=[]", f"tracking.folder={folder}",
]  # fmt: skip
if main([*words, *sys.argv[1:]]) != 0:
    raise SystemExit("the run failed: its message is above")
run = load_run("last", folder=folder)
found = finetune_sst2(run.model, run.tokenizer, epochs=3, data=folder, seeds=3, rates=[1e-2], frozen_rates=[3e-2])
for (network, encoder), result in found.fine_tuned.items():
    accuracy = result.accuracy
    print(f"{network:10}{encoder:8}{accuracy.value:.2f} [{accuracy.low:.2f}, {accuracy.high:.2f}]")
print("bag of words", found.controls["bag_of_words"].score.accuracy)

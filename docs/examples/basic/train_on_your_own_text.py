"""Train on your own text: write files, train by the same door as on the command line, ask the network."""

import sys
from pathlib import Path

import numpy as np

from minibert import MathematicalExplorer, load_run
from minibert.run import main

folder = Path("mlruns/examples")
(folder / "text").mkdir(parents=True, exist_ok=True)
likes = {"anna": "tea", "bert": "coffee", "carla": "milk", "david": "water"}
random = np.random.default_rng(0)
for number in range(20):  # one document a file
    people = random.choice(list(likes), 60)
    text = " ".join(f"{person} likes {likes[person]} ." for person in people)
    (folder / "text" / f"{number}.txt").write_text(text)

words = [
    "model=debug", "training=debugging", "training.steps=150", "training.lanes=1", "model.vocab_size=100",
    "training.softmax_words=null", "data=text", f"data.path={folder}/text/*.txt", "evaluation=off",
    "diagnostics=off", "diagnostics.figures=[]", f"tracking.folder={folder}",
]  # fmt: skip
if main([*words, *sys.argv[1:]]) != 0:
    raise SystemExit("the run failed: its message is above")

explorer = MathematicalExplorer(load_run("last", folder=folder))
for person, drink in likes.items():
    print(f"\n{person} likes [MASK] .    ({drink})")
    print(explorer.guess_by_layer(f"{person} likes [MASK] .", top_k=3))

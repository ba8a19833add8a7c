"""A diagnostic of your own: a function that a run calls as it trains, and what it has recorded as a data frame."""

import sys
from itertools import pairwise

import numpy as np

import analysis.runs
from minibert.diagnostics import diagnostic
from minibert.run import main


@diagnostic("written_share", every=20)  # steps; or "log" for 0, 1, 2, 4, 8 ..., or "end"
def written_share(probe):
    """‖x_{l+1} - x_l‖ / ‖x_{l+1}‖: how much of what leaves a layer was written by it, a mean over held-out tokens.

    The name of the argument says what is needed: `probe` is a pass over held-out text without dropout.
    """
    states = probe.cache.hidden_states  # L + 1 arrays (B, T, D)
    norm = np.linalg.norm
    return {
        f"written_share/layer_{layer}": (norm(after - before, axis=-1) / norm(after, axis=-1)).mean()
        for layer, (before, after) in enumerate(pairwise(states))
    }


words = [
    "-m", "seed=0,1", "study.name=written_share", "hydra/launcher=basic", "model=debug", "training=debugging",
    "training.steps=100", "training.batch_size=32", "model.vocab_size=256", "training.lanes=1", "data=text",
    "data.path=docs/*.md", "evaluation=off", "diagnostics=off", "diagnostics.quantities=[written_share]",
    "diagnostics.figures=[]", "tracking.folder=mlruns/examples",
]  # fmt: skip
if main([*words, *sys.argv[1:]]) != 0:
    raise SystemExit("a run failed: its message is above")

curves = analysis.runs.load_curves("written_share", "written_share/*", folder="mlruns/examples")
print(curves.pivot_table(index="step", columns="metric", values="value", aggfunc="mean").round(3))

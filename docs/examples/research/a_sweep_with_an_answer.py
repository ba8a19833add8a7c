"""A sweep with an answer: two masking rates over seeds, their paired difference, and what may be said of it."""

import sys

import analysis.runs
from analysis.statistics import paired_difference, seeds_to_settle
from minibert.run import main

words = [
    "-m", "masking.rate=0.15,0.4", "seed=range(4)", "study.name=two_rates", "hydra/launcher=basic",
    "model=debug", "model.vocab_size=256", "training=debugging", "training.steps=200", "training.batch_size=32",
    "training.lanes=1", "data=text", "data.path=docs/*.md", "evaluation=off", "diagnostics=off",
    "diagnostics.figures=[]", "tracking.folder=mlruns/examples",
]  # fmt: skip
if main([*words, *sys.argv[1:]]) != 0:  # the second time, it finds the runs and trains none of them
    raise SystemExit("a run failed: its message is above")

runs = analysis.runs.load("two_rates", folder="mlruns/examples")
print(runs.groupby("masking.rate")["eval/loss"].agg(["mean", "std", "count"]).round(4))

# Both runs of a seed begin with the same weights and read the same text, so they are compared seed by seed.
losses = {rate: part.set_index("seed")["eval/loss"].to_dict() for rate, part in runs.groupby("masking.rate")}
difference = paired_difference(losses[0.4], losses[0.15])
low, high = difference.low, difference.high
print(f"0.40 less 0.15: {difference.mean:+.4f} nats [{low:+.4f}, {high:+.4f}], over {difference.n} seeds")
if low > 0 or high < 0:
    print(f"The loss at 0.40 is {'higher' if low > 0 else 'lower'}: for this network, this text and so few steps.")
else:
    print(f"Nothing may be said: the interval has zero in it. {seeds_to_settle(difference)} seeds would tell.")

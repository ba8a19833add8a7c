"""A study of an idea, end to end: the question and what is expected, written first; seeds; the claim, or none."""

import sys

import analysis.runs
from analysis.statistics import minimum_detectable, paired_difference
from minibert.run import main

QUESTION = "Does every pair of a head's dimensions have to turn with the position?"
HYPOTHESIS = "No: turning half of them gives the same loss, and turning a single pair a higher one."
STORE, BASELINE, SEEDS = "mlruns/examples", 1.0, 3

words = [
    "-m", "position=rope", "model.position.fraction=1.0,0.5,0.125", f"seed=range({SEEDS})", "hydra/launcher=basic",
    "study.name=turning_pairs", f"study.question={QUESTION}", f"study.hypothesis={HYPOTHESIS}",
    "study.factor=model.position.fraction", f"study.baseline={BASELINE}", "model=debug", "training=debugging",
    "training.steps=200", "training.batch_size=32", "model.vocab_size=256", "training.lanes=1", "data=text",
    "data.path=docs/*.md", "evaluation=off", "diagnostics=off", "diagnostics.figures=[]",
    f"tracking.folder={STORE}",
]  # fmt: skip
if main([*words, *sys.argv[1:]]) != 0:  # it writes a report, mlruns/examples/reports/turning_pairs/index.html
    raise SystemExit("a run failed: its message is above")

runs = analysis.runs.load("turning_pairs", folder=STORE)
losses = {
    fraction: part.set_index("seed")["eval/loss"].to_dict()
    for fraction, part in runs.groupby("model.position.fraction")
}
print(f"\n{QUESTION}\nexpected: {HYPOTHESIS}")
for fraction in sorted(set(losses) - {BASELINE}):
    found = paired_difference(losses[fraction], losses[BASELINE])
    told = "no difference is shown" if found.low < 0 < found.high else "a difference"
    print(f"fraction {fraction:g} less all: {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}] nats: {told};")
    print(f"    {SEEDS} seeds find a difference of {minimum_detectable(found):.4f} four times in five")

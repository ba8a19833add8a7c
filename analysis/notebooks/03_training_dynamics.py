# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3 · Training dynamics
#
# **Question.** A network was trained. Has it learnt anything, would it learn the same again, and what set its
# pace?
#
# A loss of 5.0 means nothing alone, and a run is one draw from many. We train a few networks that differ in their
# seed and in the share of words that is hidden from them, put their curves beside simple baselines, and turn to
# the three things that set the pace: the size of a step, the learning rate, and the noise of the gradient.
#
# **Expectation.** The loss first falls to what word frequencies give, fast, and then slowly to what neighbours
# give. More hidden words give more to learn from in each step, up to the point where too little is left to guess
# from.

# %% tags=["parameters"]
STEPS = 200
SEEDS = 3
RANGE_STEPS = 160
NOISE_SEQUENCES = 256
MODEL = ["model=tiny", "model.hidden_size=64", "model.feed_forward_size=256", "model.vocab_size=2048"]
TRAINING = ["training.batch_size=32", "training.sequence_length=32", "training.lanes=1"]
DATA = ["data=sotu"]
LAUNCHER = ["hydra/launcher=cores"]
STORE = "../../mlruns/notebooks"

# %%
import subprocess
import sys
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

import analysis.runs
from analysis.statistics import first_crossing, mean_curve, mean_interval, minimum_detectable, paired_difference
from minibert import load_run
from minibert.diagnostics import analyze_learning_rate_sensitivity, compute_gradient_noise

plt.style.use("notebook.mplstyle")
warnings.filterwarnings("ignore", "IProgress not found")


def train(*words):
    """The command `python -m minibert.run`. What it prints is shown only if it fails."""
    words = (*words, f"tracking.folder={STORE}", "tracking.report=false")
    command = [sys.executable, "-m", "minibert.run", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


# %% [markdown]
# ## A curve between two baselines
#
# Two masking rates, some seeds each. Whatever a network is trained with, it is scored with the same 15 % of
# hidden words in held-out speeches. Two numbers come from the text alone:
#
# $$H_1 = -\frac{1}{n} \sum_i \ln p(w_i), \qquad H_2 = -\frac{1}{n} \sum_i \ln p(w_i \mid w_{i-1}).$$
#
# $H_1$, *unigram*, is the loss of someone who knows how frequent each word is, and does not read. $H_2$,
# *bigram*, is the loss of someone who has counted which word follows which.

# %%
train(
    "--multirun", "masking.rate=0.15,0.4", f"seed=range({SEEDS})", "study.name=notebook_dynamics",
    f"training.steps={STEPS}", *MODEL, *TRAINING, *DATA, *LAUNCHER, "evaluation=off",
    f"evaluation.every={max(STEPS // 15, 1)}", "evaluation.sequences=256", "diagnostics=off",
    "diagnostics.figures=[]", "diagnostics.quantities=[parameter_updates]", "diagnostics.per_doubling=4",
    "diagnostics.every=50",
)  # fmt: skip
runs = analysis.runs.load("notebook_dynamics", folder=STORE)
curves = analysis.runs.load_curves(
    "notebook_dynamics", ["eval/loss", "update_ratio/*", "train/learning_rate"], folder=STORE
)
curves = curves.merge(runs[["run_id", "masking.rate", "seed"]], on="run_id")
baselines = {name: float(runs[f"baseline/{name}"].iloc[0]) for name in ("unigram_entropy", "bigram_cross_entropy")}

figure, panel = plt.subplots(figsize=(7, 3.8))
for number, (rate, part) in enumerate(curves[curves.metric == "eval/loss"].groupby("masking.rate")):
    each = [run for _, run in part.groupby("run_id")]
    steps, estimates = mean_curve([run.step.to_numpy() for run in each], [run.value.to_numpy() for run in each])
    for run in each:
        panel.plot(run.step, run.value, color=f"C{number}", linewidth=0.6, alpha=0.6)
    panel.plot(
        steps, [estimate.mean for estimate in estimates], color=f"C{number}", label=f"masking rate {rate:.2f}"
    )
    low, high = zip(*[(estimate.low, estimate.high) for estimate in estimates], strict=True)
    panel.fill_between(steps, low, high, color=f"C{number}", alpha=0.15, linewidth=0)
for (name, value), style in zip(baselines.items(), (":", "--"), strict=True):
    panel.axhline(value, color="0.4", linestyle=style, linewidth=1)
    panel.text(0, value + 0.02, name.split("_")[0], color="0.4", fontsize=8)
panel.set(xlabel="optimizer step", ylabel="held-out loss (nats per masked token)")
panel.set_title(f"means over {SEEDS} seeds with their 95 % intervals; thin lines are runs")
panel.legend()
plt.show()

# %% [markdown]
# All runs begin at the unigram level: not by learning, but because the output bias starts at the word
# frequencies. What lies below that line has been learnt. The bigram level is far, and these short runs do not
# need to reach it: a bigram model has memorised a table of pairs, and the network has to find out first that
# neighbours matter.
#
# ## One number, with an interval
#
# The seeds differ in the initial weights, in the order of the text and in the hidden words. Student's interval
# for a mean of $n$ runs with standard deviation $s$ is
#
# $$\bar x \pm t_{n-1}\,\frac{s}{\sqrt{n}}, \qquad t_2 = 4.30.$$
#
# With three seeds the factor is large: three numbers tell little about their own spread. Runs of one seed share
# their start and their text, so the *difference* of two settings, seed by seed, is often known better than either
# mean.

# %%
final = {rate: part.set_index("seed")["eval/loss"].to_dict() for rate, part in runs.groupby("masking.rate")}
rates = sorted(final)
table = {rate: mean_interval(list(final[rate].values())) for rate in rates}
difference = paired_difference(final[rates[1]], final[rates[0]])
rows = {f"masking rate {rate:.2f}": (table[rate].mean, table[rate].low, table[rate].high) for rate in rates}
rows[f"difference {rates[1]:.2f} - {rates[0]:.2f}, by seed"] = (difference.mean, difference.low, difference.high)
display(pd.DataFrame(rows, index=["mean (nats)", "low", "high"]).T.round(3))


def verdict(difference, better, worse):
    """A sentence that says no more than the interval does."""
    interval = (
        f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] nats over {difference.n} seeds"
    )
    if not difference.n > 1:
        return "One seed: no interval, no claim."
    if difference.high < 0:
        return f"{better} is ahead of {worse}: {interval}."
    if difference.low > 0:
        return f"{worse} is ahead of {better}: the difference is {interval}."
    return f"Which of the two is ahead cannot be told: {interval}."


display(
    Markdown(
        f"After {STEPS} steps: **{verdict(difference, f'masking {rates[1]:.2f}', f'masking {rates[0]:.2f}')}**"
    )
)

# %% [markdown]
# ## The size of a step
#
# How far does one step move a group of parameters, relative to its size? The update ratio is
#
# $$r = \frac{\lVert \Delta\theta \rVert}{\lVert \theta \rVert}.$$
#
# A thousandth is an often quoted rule of thumb (Karpathy, 2015, for plain gradient descent). Here the learning
# rate rises during the first tenth of the steps and falls during the last half.

# %%
one = curves[curves.run_id == runs.run_id.iloc[0]]
figure, panels = plt.subplots(2, 1, sharex=True, figsize=(7, 4.4), height_ratios=(1, 2.4))
rate = one[one.metric == "train/learning_rate"]
panels[0].plot(rate.step, rate.value, color="black")
panels[0].set(ylabel="learning rate")
for group in ("embeddings", "layer_0", "layer_1", "mlm_head"):
    part = one[one.metric == f"update_ratio/{group}"]
    panels[1].plot(part.step, part.value, marker="o", markersize=2.5, label=group)
panels[1].axhline(1e-3, color="0.5", linestyle=":", label="rule of thumb")
panels[1].set(yscale="log", xlabel="optimizer step", ylabel="update ratio ‖Δθ‖ / ‖θ‖")
panels[1].legend(ncols=2)
plt.show()

# %% [markdown]
# The ratios follow the schedule. They are far above the rule of thumb, because weights start small (a standard
# deviation of 0.02) and Muon makes all directions of an update equally long: within some tens of steps, the
# weights are what the updates have made of them. The head is the exception: its bias starts at the log word
# frequencies, which are large numbers, and what moves little in relation to them may still move enough. A rule of
# thumb from one optimizer does not carry over to another.
#
# ## Which learning rate?
#
# Raise the rate a little at every step, from far too small to far too large, and look where the loss falls and
# where it breaks. This takes one short run (`schedule=range_test`; Smith 2017). A line fitted around each point
# takes out the noise of the batches.

# %%
train(
    "--multirun", "seed=0", "study.name=notebook_range", "schedule=range_test", "schedule.start=1e-3",
    "optimizer.rate_factor=30", "training.log_every=1", f"training.steps={RANGE_STEPS}", *MODEL, *TRAINING,
    "training.batch_size=64", *DATA, *LAUNCHER, "masking.rate=0.4", "evaluation=off",
    f"evaluation.every={RANGE_STEPS}", "evaluation.sequences=32", "evaluation.rates=[]", "diagnostics=off",
    "diagnostics.figures=[]",
)  # fmt: skip
tested = analysis.runs.load_curves("notebook_range", ["train/loss", "train/learning_rate"], folder=STORE)
tested = tested.pivot(index="step", columns="metric", values="value").dropna()
rates_tested, losses = tested["train/learning_rate"].to_numpy(), tested["train/loss"].to_numpy()
found = analyze_learning_rate_sensitivity(rates_tested, losses)

figure, panel = plt.subplots(figsize=(7, 3.4))
panel.semilogx(rates_tested, losses, color="0.75", linewidth=0.8, label="loss of a batch")
panel.semilogx(rates_tested, found.smoothed, color="black", label="smoothed")
for name, value, colour in (
    ("steepest", found.steepest_rate, "C2"),
    ("suggested: half of the lowest", found.suggested_rate, "C0"),
    ("half of the gain lost", found.divergence_rate, "C1"),
):
    if value is not None:
        panel.axvline(value, color=colour, linestyle="--", label=f"{name} ({value:.1e})")
panel.set(xlabel="learning rate of Muon", ylabel="training loss (nats)", ylim=(losses.min() - 0.4, None))
panel.legend(loc="lower left", fontsize=7)
plt.show()

# %% [markdown]
# Left of the valley the network learns, but slowly. On the right, one step undoes what others have done. The edge
# is where half of the gain is lost again. Half the rate of the lowest point is a good first guess for a short
# training. Only that: a rate that is fine for a moment, after a rise, may be too high for long.
#
# ## Signal and noise
#
# The gradient of a batch is a mean over its sequences: the true gradient $G$, and noise. With $\Sigma$ the
# covariance of the gradient of one sequence, a batch of $B$ has noise of squared length $\mathrm{tr}\,\Sigma /
# B$. Signal and noise are as large at
#
# $$B_\text{noise} = \frac{\mathrm{tr}\,\Sigma}{\lVert G \rVert^2},$$
#
# the *gradient noise scale* (McCandlish et al. 2018): well below it, twice the batch is almost worth twice the
# steps; well above it, it is wasted. Is this where the masking rate acts? Take one network in the midst of
# training, do not move it, and hide 5 % to 80 % of the words of the same text.

# %%
run_id = runs[runs["masking.rate"] == rates[-1]].run_id.iloc[0]
middle = 2 ** int(np.log2(STEPS / 3))


def noise_at(network, rate, parts=8):
    """The noise of the gradient of held-out text, from parts of one batch, and the predictions of a sequence."""
    batch = network.held_out(NOISE_SEQUENCES, rate)
    shares, sizes = [], []
    for rows in np.array_split(np.arange(len(batch.input_ids)), parts):
        mask, positions = (
            None if each is None else each[rows] for each in (batch.attention_mask, batch.position_ids)
        )
        _, gradients = network.model.loss_and_gradients(
            batch.input_ids[rows], batch.labels[rows], mask, position_ids=positions, count=batch.predictions
        )
        shares.append(gradients.vector)
        predictions = int((batch.labels[rows] >= 0).sum())
        sizes.append(len(batch.input_ids) * predictions / batch.predictions)
    return compute_gradient_noise(shares, sizes), batch.predictions / len(batch.input_ids)


network = load_run(run_id, step=middle, folder=STORE)
masked = np.array([0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 0.8])
noise, predictions = zip(*[noise_at(network, rate) for rate in masked], strict=True)
traces = np.array([each.trace for each in noise])

figure, panels = plt.subplots(1, 3, figsize=(10, 3.2))
panels[0].loglog(masked, traces, marker="o", markersize=4, label="measured")
panels[0].loglog(masked, traces[2] * masked[2] / masked, color="0.5", linestyle=":", label="as 1 / rate")
panels[0].set(ylabel="tr Σ (nats per unit)²", title="noise of a sequence")
panels[0].legend()
panels[1].semilogx(masked, traces * np.array(predictions), marker="o", markersize=4, color="C1")
panels[1].set(ylabel="tr Σ × predictions", title="noise of a prediction", ylim=(0, None))
panels[2].loglog(masked, [each.scale for each in noise], marker="o", markersize=4, color="C2")
panels[2].axhline(32, color="0.5", linestyle=":", label="batch of the runs above")
panels[2].set(ylabel="noise scale (sequences)", title="batch at which noise equals signal")
panels[2].legend()
for panel in panels:
    panel.set_xlabel("masking rate")
    panel.set_xticks(masked, [f"{rate:g}" for rate in masked], fontsize=7)
    panel.minorticks_off()
plt.show()

# %% [markdown]
# Up to about 60 %, the noise of a sequence falls as one over the rate, so that the noise of a *prediction* hardly
# changes: a second hidden word in a sequence is almost as good as one in another sequence. This is what a high
# rate buys: more predictions for the same computation. At 80 % a prediction is noisier, because little is left to
# guess from.
#
# The noise scale falls with the rate, so that a batch of a given size is worth more. It also falls because the
# signal grows: a network that has learnt to fill few gaps has something to learn, common to all text, about many
# gaps. So the masking rate changes two things at once, the noise and the task. The [masking
# sweep](../../experiments/masking_sweep/README.md) of the lab book has the balance of the two.

# %% [markdown]
# ## Exercises
#
# **1. Time to a level.** How many steps does each run take until its held-out loss is 0.3 nats below the unigram
# entropy? Give means with intervals for both rates. What do you do with a run that never gets there?

# %% jupyter={"source_hidden": true} tags=["solution"]
level = baselines["unigram_entropy"] - 0.3
times = {
    rate: [
        first_crossing(run.step.to_numpy(), run.value.to_numpy(), level)
        for _, run in part.sort_values("step").groupby("run_id")
    ]
    for rate, part in curves[curves.metric == "eval/loss"].groupby("masking.rate")
}
for rate, found_times in times.items():
    estimate = mean_interval(found_times)
    display(
        Markdown(
            f"masking {rate:.2f}: {estimate.mean:.0f} [{estimate.low:.0f}, {estimate.high:.0f}] steps; "
            f"{np.isnan(found_times).sum()} of {len(found_times)} runs did not get there."
        )
    )
display(
    Markdown(
        "Leaving out a run that never got there would call a slow setting fast. `restricted_mean` in "
        "`analysis.statistics` counts it with the steps that it has used up."
    )
)

# %% [markdown]
# **2. How many seeds?** Take the spread of the differences by seed as it was measured. Which difference can three
# seeds find, and which could 5, 10 or 20? See `minimum_detectable`.

# %% jupyter={"source_hidden": true} tags=["solution"]
spread = difference.standard_error * np.sqrt(difference.n)
for seeds in (3, 5, 10, 20):
    smallest = minimum_detectable(replace(difference, standard_error=spread / np.sqrt(seeds), degrees=seeds - 1))
    display(Markdown(f"{seeds} seeds: {smallest:.3f} nats, found in 80 % of such experiments."))

# %% [markdown]
# **3. Noise over training.** The noise scale is no constant of a network and a text. Compute it at a rate of 0.4
# for the kept checkpoints (`load_run(..., step=...)`; kept are 0, 1, 2, 4, 8 … and the last). When is a large
# batch worth most?

# %% jupyter={"source_hidden": true} tags=["solution"]
kept = [0, *[2**power for power in range(2, 20) if 2**power < STEPS], STEPS]
scales = [noise_at(load_run(run_id, step=step, folder=STORE), 0.4)[0].scale for step in kept]
figure, panel = plt.subplots(figsize=(6, 2.8))
panel.plot(np.arange(len(kept)), scales, marker="o", markersize=4)
panel.set_xticks(np.arange(len(kept)), kept)
panel.set(yscale="log", xlabel="optimizer step", ylabel="noise scale (sequences)")
plt.show()
display(
    Markdown(
        "It is low in the first steps and while the loss falls fast: there, all texts agree on what is to be "
        "learnt. When that is learnt, what is left differs from text to text, and larger batches pay. At step 0 "
        "it is high, because the output bias has already taken what all texts share. A point is missing where the "
        "noise leaves nothing of the signal, so that the estimate of ‖G‖² is below zero."
    )
)

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
# # 5 · Advanced techniques
#
# **Question.** Does Muon train better than AdamW, and what do the two networks that come out look like inside?
#
# Two optimizers, each with the same tuning, several seeds: a small experiment, from the plan to a sentence with
# an interval. Then we take the trained networks apart. What is different about Muon's updates? Which heads does
# the loss need? How does the loss lie around each network, and on the way from one to the other? And is a mean of
# weights better than the last ones?
#
# **Expectation.** AdamW lets a matrix move along the few directions in which gradients are large. Muon makes all
# directions of an update equally long, and should use more of each matrix. If that helps, it helps early.

# %% tags=["parameters"]
STEPS = 160
SEEDS = 3
FACTORS = (1, 4)
POINTS = 21
MODEL = ["model=tiny", "model.hidden_size=64", "model.feed_forward_size=256", "model.vocab_size=2048"]
TRAINING = ["training.batch_size=32", "training.sequence_length=32", "masking.rate=0.4", "training.lanes=1"]
DATA = ["data=sotu"]
LAUNCHER = ["hydra/launcher=cores"]
STORE = "../../mlruns/notebooks"

# %%
import subprocess
import sys
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

import analysis.runs
from analysis.statistics import mean_curve, paired_difference
from minibert import load_run
from minibert.diagnostics import analyze_linear_path, analyze_loss_landscape, compute_effective_rank

plt.style.use("notebook.mplstyle")
warnings.filterwarnings("ignore", "IProgress not found")


def train(*words):
    """The command `python -m minibert.run`. What it prints is shown only if it fails."""
    words = (*words, f"tracking.folder={STORE}", "tracking.report=false")
    command = [sys.executable, "-m", "minibert.run", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


# %% [markdown]
# ## A fair comparison
#
# An optimizer at a bad learning rate is not that optimizer. So both get the same tuning: their own default rate,
# and four times it (`optimizer.rate_factor`). What is compared is each at its better rate. The schedule is the
# default: a tenth of the steps to warm up, then level, then down to zero over the last half.

# %%
train(
    "--multirun", "optimizer=adamw,muon", f"optimizer.rate_factor={','.join(map(str, FACTORS))}",
    f"seed=range({SEEDS})", "study.name=notebook_optimizers", f"training.steps={STEPS}", *MODEL, *TRAINING, *DATA,
    *LAUNCHER, "evaluation=off", f"evaluation.every={max(STEPS // 10, 1)}", "evaluation.sequences=256",
    "diagnostics=off", "diagnostics.figures=[]", "training.checkpoints_per_doubling=4",
)  # fmt: skip
runs = analysis.runs.load("notebook_optimizers", folder=STORE)

runs["setting"] = runs.optimizer + " × " + runs["optimizer.rate_factor"].astype(float).map("{:g}".format)
curves = analysis.runs.load_curves("notebook_optimizers", ["eval/loss", "train/learning_rate"], folder=STORE)
curves = curves.merge(runs[["run_id", "optimizer", "setting", "seed"]], on="run_id")

figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.6), width_ratios=(2.2, 1))
for number, (setting, part) in enumerate(curves[curves.metric == "eval/loss"].groupby("setting")):
    each = [run for _, run in part.groupby("run_id")]
    steps, estimates = mean_curve([run.step.to_numpy() for run in each], [run.value.to_numpy() for run in each])
    panels[0].plot(steps, [estimate.mean for estimate in estimates], color=f"C{number}", label=setting)
    low, high = zip(*[(estimate.low, estimate.high) for estimate in estimates], strict=True)
    panels[0].fill_between(steps, low, high, color=f"C{number}", alpha=0.15, linewidth=0)
panels[0].axhline(float(runs["baseline/unigram_entropy"].iloc[0]), color="0.5", linestyle=":", label="unigram")
panels[0].set(xlabel="optimizer step", ylabel="held-out loss (nats per masked token)")
panels[0].set_title(f"means over {SEEDS} seeds with their 95 % intervals")
panels[0].legend()
for number, (setting, part) in enumerate(curves[curves.metric == "train/learning_rate"].groupby("setting")):
    one = part[part.run_id == part.run_id.iloc[0]]
    panels[1].plot(one.step, one.value, color=f"C{number}", label=setting)
panels[1].set(xlabel="optimizer step", ylabel="learning rate", title="schedule=warmup_stable_decay")
plt.show()

# %% [markdown]
# Now the sentence. For each seed, take the loss of Muon less that of AdamW. Both runs of a seed start from the
# same weights and see the same text, so the differences $d_s$ carry less noise than the losses:
#
# $$\bar d \pm t_{n-1} \frac{s_d}{\sqrt{n}}.$$

# %%
mean_loss = runs.groupby(["optimizer", "optimizer.rate_factor"])["eval/loss"].mean()
best = {name: mean_loss[name].idxmin() for name in ("adamw", "muon")}
tuned = {name: runs[(runs.optimizer == name) & (runs["optimizer.rate_factor"] == best[name])] for name in best}
losses = {name: part.set_index("seed")["eval/loss"].to_dict() for name, part in tuned.items()}
difference = paired_difference(losses["muon"], losses["adamw"])

interval = f"[{difference.low:+.2f}, {difference.high:+.2f}]"
if not difference.n > 1:
    claim = "with one seed, nothing can be said"
elif difference.high < 0:
    claim = "Muon is ahead"
elif difference.low > 0:
    claim = "AdamW is ahead"
else:
    claim = "it cannot be told which is ahead"
display(mean_loss.unstack().round(3).rename_axis(columns="times its default rate"))
display(
    Markdown(
        f"**After {STEPS} steps, {claim}: Muon less AdamW, each at the better of {len(FACTORS)} rates, is "
        f"{difference.mean:+.2f} {interval} nats (95 % interval over {difference.n} paired seeds).**"
    )
)

# %% [markdown]
# This is a claim about this network, this text and this many steps. The rate was chosen on the same seeds, which
# favours both a little. And per *minute* the answer can differ: Muon's step costs more. The [optimizer
# sweep](../../experiments/optimizer_sweep/README.md) of the lab book compares all optimizers with all of this in
# mind.
#
# ## What is different about Muon?
#
# Take what two checkpoints differ by, $\Delta W$, a sum of updates. Its singular values $\sigma_1 \geq \sigma_2
# \geq \dots$ say along how many directions the matrix has moved. Muon replaces the momentum $M = U S V^\top$ by
# $U V^\top$: all directions of one update are equally long. The effective rank $\exp(-\sum p_i \ln p_i)$ with
# $p_i = \sigma_i / \sum_j \sigma_j$ counts them.

# %%
networks = {name: part.sort_values("seed").run_id.iloc[0] for name, part in tuned.items()}
first, last = 0, 2 ** int(np.log2(STEPS))
matrices = (
    "attention.query.weight",
    "attention.output.weight",
    "feed_forward.in.weight",
    "feed_forward.out.weight",
)

figure, panels = plt.subplots(1, len(matrices), sharey=True, figsize=(10, 3))
ranks = {}
for number, (name, run_id) in enumerate(networks.items()):
    start, end = (load_run(run_id, step=step, folder=STORE).model.params for step in (first, last))
    for panel, matrix in zip(panels, matrices, strict=True):
        moved = end[f"layers.1.{matrix}"] - start[f"layers.1.{matrix}"]
        values = np.linalg.svd(moved, compute_uv=False)
        panel.semilogy(values / values[0], color=f"C{number}", label=name)
        panel.set(title=matrix.removesuffix(".weight"), xlabel="index of the singular value", ylim=(1e-3, 1.2))
        ranks[name, matrix.removesuffix(".weight")] = compute_effective_rank(moved)
panels[0].set_ylabel("σ / largest σ")
panels[0].legend()
plt.show()
pd.Series(ranks, name="effective rank of the change of layer 1").unstack().round(1)

# %% [markdown]
# From the same number of steps, AdamW has moved each matrix along fewer directions than Muon, and most of the way
# along the first few. Muon's spectrum stays flat for longer. What it gains is not a longer way but more use of
# the matrix.
#
# ## Which heads does the loss need?
#
# A head acts on the rest of the network through its own rows of the output projection. Setting them to zero
# removes the head, and nothing else. The rise of the held-out loss is what the head is worth, while all others
# stay.


# %%
def loss_without(run, *heads):
    """Held-out loss with the heads (layer, head) removed: the mean of log Σ exp(logits) - logit of the word."""
    model, text = run.model, held_out
    size = model.config.hidden_size // model.config.heads
    kept = model.params.vector.copy()
    for layer, head in heads:
        model.params[f"layers.{layer}.attention.output.weight"][head * size : (head + 1) * size] = 0
    logits, labels = model.score(text.input_ids, text.labels, text.attention_mask, position_ids=text.position_ids)
    model.params.vector[:] = kept
    logits = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]))


trained = {name: load_run(run_id, folder=STORE) for name, run_id in networks.items()}
held_out = trained["muon"].held_out(128)
L, H = trained["muon"].model.config.layers, trained["muon"].model.config.heads
every = [(layer, head) for layer in range(L) for head in range(H)]
figure, panels = plt.subplots(1, 2, figsize=(8, 2.6))
for panel, (name, run) in zip(panels, trained.items(), strict=True):
    whole = loss_without(run)
    worth = np.array([[loss_without(run, (layer, head)) - whole for head in range(H)] for layer in range(L)])
    limit = max(np.abs(worth).max(), 1e-3)
    image = panel.imshow(worth, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for (row, column), value in np.ndenumerate(worth):
        shade = "white" if abs(value) > 0.6 * limit else "black"
        panel.text(column, row, f"{value:+.3f}", ha="center", va="center", fontsize=8, color=shade)
    panel.set(title=f"{name}: rise of the loss without a head", xlabel="head", ylabel="layer")
    panel.set(xticks=range(H), yticks=range(L))
    together = loss_without(run, *every) - whole
    display(
        Markdown(
            f"{name}: one by one, the heads are worth {worth.sum():+.2f} nats in sum. Without all of them, "
            f"the loss rises by {together:+.2f}."
        )
    )
plt.show()

# %% [markdown]
# If the two numbers of a line agreed, each head would do its own work. Where all together are worth more than the
# sum, heads can stand in for each other: the loss of one is made up for by the rest. A small worth of a single
# head is therefore no proof that it does nothing.
#
# ## The lie of the land
#
# How does the loss rise around each network? Along a random direction, each column of a weight is scaled to the
# size of that column (Li et al. 2018), so that distance 1 is "as far as the weights are from zero" in both
# networks. And between the two: the straight line $(1 - \alpha)\,\theta_\text{AdamW} +
# \alpha\,\theta_\text{Muon}$.

# %%
batch = trained["muon"].held_out(16)
figure, panels = plt.subplots(1, 3, figsize=(10, 3.3))
for number, (name, run) in enumerate(trained.items()):
    found = analyze_loss_landscape(run.model, batch, directions=("random_0", "gradient"), points=POINTS)
    for panel, direction in zip(panels, found.slices, strict=False):
        line = found.slices[direction]
        panel.plot(line.distances, line.losses, color=f"C{number}", label=name)
panels[0].set(title="along a random direction", xlabel="distance (sizes of the weights)", ylabel="loss (nats)")
panels[1].set(title="down the gradient", xlabel="distance (parameter units)")
panels[0].legend()

fresh = load_run(networks["muon"], step=0, folder=STORE)
ways = {
    "from the start to Muon": (fresh, trained["muon"]),
    "from the start to AdamW": (fresh, trained["adamw"]),
    "from AdamW to Muon": (trained["adamw"], trained["muon"]),
}
barriers = {}
for (way, (one, other)), colour in zip(ways.items(), ("C1", "C0", "black"), strict=True):
    path = analyze_linear_path(other.model, one.model, other.model, batch, points=POINTS)
    panels[2].plot(path.fractions, path.losses, color=colour, label=way)
    barriers[way] = path.barrier
panels[2].set(title="straight lines between networks", xlabel="share of the way α")
panels[2].legend(fontsize=7)
plt.show()
pd.Series(barriers, name="barrier: most above the straight line (nats)").to_frame().round(2)

# %% [markdown]
# Along the random direction, the better network is not the flatter one. From the start, the way down to each
# network is smooth. Between the two networks there is a ridge, although both began with the same weights and read
# the same text: they have found different places. A mean of their weights would be worse than either. What a
# picture along one line in a hundred thousand dimensions cannot show is whether there is a way around the ridge.

# %% [markdown]
# ## Exercises
#
# **1. A mean of weights.** Along *one* run there is no ridge. Average the parameters of the last checkpoints of
# the Muon run (`load_run(..., step=...)`; kept are four a doubling, and the last), and score the mean. Is it
# better than the last? Think of the schedule.

# %% jupyter={"source_hidden": true} tags=["solution"]
kept = [step for step in sorted({round(2 ** (n / 4)) for n in range(40)} | {STEPS}) if step <= STEPS]
run = load_run(networks["muon"], folder=STORE)
for count in (1, 2, 3, 4):
    taken = [load_run(networks["muon"], step=step, folder=STORE).model.params.vector for step in kept[-count:]]
    run.model.params.vector[:] = np.mean(taken, axis=0)
    display(Markdown(f"Mean of the steps {', '.join(map(str, kept[-count:]))}: {loss_without(run):.3f} nats."))
display(
    Markdown(
        "The rate falls to zero over the last half, which is an average already: late updates are small. A mean "
        "of weights pays at a constant rate (`schedule=constant averaging=ema`), where the last weights carry all "
        "the noise."
    )
)

# %% [markdown]
# **2. Together or alone.** Which pair of heads of the Muon network is worth more together than the sum of both?
# Find the pair with the largest difference. Are the two alike in what they look at?

# %% jupyter={"source_hidden": true} tags=["solution"]
run = trained["muon"]
whole = loss_without(run)
alone = {head: loss_without(run, head) - whole for head in every}
pairs = {
    (one, other): loss_without(run, one, other) - whole - alone[one] - alone[other]
    for index, one in enumerate(every)
    for other in every[index + 1 :]
}
(one, other), most = max(pairs.items(), key=lambda pair: pair[1])
display(
    Markdown(
        f"Layer {one[0]}, head {one[1]} and layer {other[0]}, head {other[1]}: {most:+.3f} nats above the sum."
    )
)

# %% [markdown]
# **3. Reverse the question.** How many seeds would it take to be sure of a difference half as large as the one
# above, with the same spread? Use `analysis.statistics.seeds_to_settle`, and say what it assumes.

# %% jupyter={"source_hidden": true} tags=["solution"]
from analysis.statistics import seeds_to_settle

halved = paired_difference(
    {seed: value - difference.mean / 2 for seed, value in losses["muon"].items()}, losses["adamw"]
)
display(
    Markdown(
        f"Seeds for this difference: {seeds_to_settle(difference)}; for half of it: {seeds_to_settle(halved)}."
    )
)
display(
    Markdown("It assumes that the spread measured with so few seeds is the true one, which is itself uncertain.")
)

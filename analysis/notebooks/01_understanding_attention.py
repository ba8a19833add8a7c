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
# # 1 · Understanding attention
#
# **Question.** What does a head of a trained BERT look at, and how did it come to look there?
#
# Attention is the only place in the network where words meet. Everything else works on each position alone. So a
# network that fills gaps in a text must have learnt here where to look. We train two small networks that differ
# only in the way they are told the order of words, compute one head by hand, and then watch all heads while they
# learn.
#
# **Expectation.** At the start, every word looks at all words alike. What helps most to guess a hidden word is
# the word before it and the word after it, so that heads for these two should appear first.
#
# The cell below holds all sizes. With these, the whole notebook takes less than a minute on two cores the first
# time. The second time, the runs are found, because minibert does not train a finished run again.

# %% tags=["parameters"]
STEPS = 500
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
from minibert import load_run
from minibert.diagnostics import (
    compute_attention_entropy,
    compute_attention_shares,
    visualize_attention_patterns,
)

plt.style.use("notebook.mplstyle")
warnings.filterwarnings("ignore", "IProgress not found")


def train(*words):
    """The command `python -m minibert.run`. What it prints is shown only if it fails."""
    words = (*words, f"tracking.folder={STORE}", "tracking.report=false")
    command = [sys.executable, "-m", "minibert.run", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


# %% [markdown]
# ## Two networks
#
# Two layers of four heads, trained on the State of the Union addresses. With `position=absolute`, a learnt vector
# for each position is added to the word. With `position=rope`, queries and keys are turned by an angle that grows
# with the position. The diagnostic `attention_patterns` records how widely each head looks and where.

# %%
train(
    "--multirun", "position=rope,absolute", "study.name=notebook_attention", f"training.steps={STEPS}",
    *MODEL, *TRAINING, *DATA, *LAUNCHER, "training.last_layer_everywhere=true", "evaluation=off",
    "evaluation.every=50", "evaluation.sequences=128", "diagnostics=off", "diagnostics.figures=[]",
    "diagnostics.quantities=[attention_patterns]", "diagnostics.per_doubling=4", "diagnostics.every=50",
)  # fmt: skip
runs = analysis.runs.load("notebook_attention", folder=STORE).set_index("model.position.name")
runs[["eval/loss", "baseline/unigram_entropy", "baseline/bigram_cross_entropy"]].round(3)

# %% [markdown]
# ## One head by hand
#
# A head turns each word's vector $x_i$ into a query $q_i = x_i W_Q + b_Q$ and a key $k_i = x_i W_K + b_K$. The
# query of one word is compared with the keys of all words, and the softmax makes weights of the scores:
#
# $$s_{ij} = \frac{q_i \cdot k_j}{\sqrt{K}}, \qquad w_{ij} = \frac{e^{s_{ij}}}{\sum_{j'} e^{s_{ij'}}}.$$
#
# $K$ is the size of a head. Without $\sqrt{K}$, scores would grow with the size, and the softmax would see one
# word only. The forward pass keeps everything under its name: `cache.layers[1].attention` has the input, the
# queries, the keys and the weights. We take the input of the second layer alone, and compare.

# %%
text = "the state of the union is strong, and the people of the united states are at peace."
rotary = load_run(runs.loc["rope", "run_id"], folder=STORE)
absolute = load_run(runs.loc["absolute", "run_id"], folder=STORE)

encoding = rotary.tokenizer.encode(text)
tokens, T = encoding.tokens, len(encoding.ids)
_, cache = rotary.model.forward([encoding.ids])
attention = cache.layers[1].attention

params, H = rotary.model.params, rotary.model.config.heads
K = rotary.model.config.hidden_size // H
x = attention.input  # (T, D), after the layer norm


def project(name):
    """(T, D) -> (H, T, K): queries or keys, cut into heads."""
    flat = x @ params[f"layers.1.attention.{name}.weight"] + params[f"layers.1.attention.{name}.bias"]
    return flat.reshape(T, H, K).transpose(1, 0, 2)


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


query, key = project("query"), project("key")
unturned = query @ key.transpose(0, 2, 1) / np.sqrt(K)  # (H, T, T)
difference = np.abs(softmax(unturned) - attention.weights[0]).max()
display(Markdown(f"Largest difference to the weights of the network: **{difference:.2f}**."))

# %% [markdown]
# That is far off: the formula does not know where the words stand. This network has rotary positions. It reads
# two neighbouring entries of a query or key as one complex number, and turns pair $p$ at position $m$ by an angle
# $m\,\omega_p$:
#
# $$s_{mn}
# = \frac{1}{\sqrt{K}} \sum_p \mathrm{Re}\left[(q_{mp}\,e^{i m \omega_p})(k_{np}\,e^{i n \omega_p})^*\right]
# = \frac{1}{\sqrt{K}} \sum_p \mathrm{Re}\left[q_{mp} k_{np}^*\,e^{i(m-n)\omega_p}\right], \qquad
# \omega_p = b^{-2p/K}.$$
#
# What is left holds the distance $m - n$, and neither $m$ nor $n$.

# %%
base = rotary.model.config.position.base
angles = np.arange(T)[:, None] * base ** (-2 * np.arange(K // 2) / K)  # (T, K/2): m ω_p
turns = np.exp(1j * angles)


def turned(vectors):
    return (vectors[..., 0::2] + 1j * vectors[..., 1::2]) * turns


scores = (turned(query) @ turned(key).conj().transpose(0, 2, 1)).real / np.sqrt(K)
weights = softmax(scores)
difference = np.abs(weights - attention.weights[0]).max()
display(Markdown(f"Largest difference to the weights of the network: **{difference:.0e}**."))

# %% [markdown]
# This is the network's own attention, up to the rounding of float32. (Subtracting the largest score changes no
# weight, because it cancels in the fraction. It keeps the exponential from overflowing.)
#
# Here is the head that looks most narrowly: its scores, and what the softmax makes of them.

# %%
entropy = compute_attention_entropy(attention.weights)
head = int(entropy.argmin())

figure, panels = plt.subplots(1, 2, figsize=(9.5, 4.6))
limit = np.abs(scores[head]).max()
shown = [
    (scores[head], "RdBu_r", -limit, limit, "scores $s_{ij}$"),
    (weights[head], "viridis", 0, 1, "weights $w_{ij}$"),
]
for panel, (matrix, colours, low, high, title) in zip(panels, shown, strict=True):
    image = panel.imshow(matrix, cmap=colours, vmin=low, vmax=high)
    panel.set_xticks(range(T), tokens, rotation=90, fontsize=7)
    panel.set_yticks(range(T), tokens, fontsize=7)
    panel.set_title(f"layer 1, head {head}: {title}")
    panel.set(xlabel="token attended to (j)", ylabel="token that attends (i)")
    figure.colorbar(image, ax=panel, shrink=0.75)
plt.show()

# %% [markdown]
# The stripes in the left-hand map are the rotation itself: the score rises and falls with the distance, like a
# wave. The softmax keeps little more than the crest. Each row of weights sums to one. It is a soft choice: a
# score that leads by $\ln 2 = 0.69$ gets twice the weight. What counts are differences within a row, not the
# scores themselves.
#
# How narrow a choice is, the entropy $H_i = -\sum_j w_{ij} \ln w_{ij}$ tells: 0 for one word, $\ln T$ for all
# alike. $e^{H}$ reads as a number of words.

# %%
by_hand = -(weights * np.log(np.maximum(weights, 1e-30))).sum(axis=-1).mean(axis=-1)
table = pd.DataFrame({"by hand (nats)": by_hand, "compute_attention_entropy": entropy})
table["looks at … words"] = np.exp(entropy)
table.index.name = f"head of layer 1 (of {T} words)"
table.round(3)

# %% [markdown]
# ## What the heads look at
#
# Now both networks, all heads. A light field in row $i$ is a word that word $i$ looks at. A bright line just
# beside the diagonal is a head that looks at a neighbour.

# %%
figure, panels = plt.subplots(4, H, figsize=(8.5, 8.6), sharex=True, sharey=True)
for block, (name, run) in enumerate({"rotary": rotary, "absolute": absolute}.items()):
    _, seen = run.model.forward([encoding.ids])
    for layer in range(2):
        for number in range(H):
            panel = panels[2 * block + layer, number]
            panel.imshow(seen.layers[layer].attention.weights[0, number] ** 0.5, vmin=0, vmax=1)
            panel.set_title(f"{name}, layer {layer}, head {number}", fontsize=8)
            panel.set(xticks=[], yticks=[])
figure.suptitle("attention of every head on the sentence (square root of the weights)", fontsize=10)
plt.show()

# %% [markdown]
# The same in numbers: the share of the weight on the word itself, on the one before and on the one after, over
# held-out text. Uniform attention would give each place the same share.


# %%
def shares_of(run):
    batch = run.held_out(64)
    _, seen = run.model.forward(batch.input_ids, batch.attention_mask, position_ids=batch.position_ids)
    rows = []
    for layer, each in enumerate(seen.layers):
        shares = compute_attention_shares(each.attention.weights, batch.attention_mask)
        rows += [
            {"layer": layer, "head": number} | {name: values[number] for name, values in shares.items()}
            for number in range(H)
        ]
    return pd.DataFrame(rows)


shares = pd.concat({"rotary": shares_of(rotary), "absolute": shares_of(absolute)}, names=["positions", None])
uniform = 1 / (rotary.config.training.sequence_length)
display(Markdown(f"Uniform attention over a full row: {uniform:.2f} for each place."))
shares.droplevel(1).pivot_table(index=["positions", "layer"], columns="head", values=["previous", "self", "next"])[
    ["previous", "self", "next"]
].round(2)

# %%
top = shares.loc["rotary"].set_index(["layer", "head"])[["previous", "next"]].stack().idxmax()
_, seen = rotary.model.forward([encoding.ids])
display(
    Markdown(f"The head with the largest share on a neighbour: layer {top[0]}, head {top[1]}, the {top[2]} word.")
)
visualize_attention_patterns([each.attention.weights for each in seen.layers], tokens, top[0], top[1])

# %% [markdown]
# With rotary positions, heads of the second layer have become specialists: one for the word before, one for the
# word after, often one for the word itself. In the first layer they stay wide: there, attention is a mean over
# the sentence, which tells what the text is about. This is enough for a bag of words, and it is what learning
# begins with.
#
# The network with learnt positions is not there yet. It has to find out from scratch which of its position
# vectors are neighbours. With rotations, this is built in: a query and a key that are alike, but for one fixed
# turn, are a head for "the word before".

# %% [markdown]
# ## Distance alone
#
# To see position apart from words, average the weights over held-out text by the offset $j - i$.


# %%
def by_offset(run, layer, reach=8):
    """(H, 2·reach + 1): the mean weight on the word at each offset."""
    batch = run.held_out(64)
    _, seen = run.model.forward(batch.input_ids, batch.attention_mask, position_ids=batch.position_ids)
    found = seen.layers[layer].attention.weights
    return np.stack(
        [np.diagonal(found, offset, axis1=2, axis2=3).mean(axis=(0, 2)) for offset in range(-reach, reach + 1)],
        axis=1,
    )


figure, panels = plt.subplots(1, 2, sharey=True, figsize=(8.5, 3.2))
for panel, (name, run) in zip(panels, {"rotary": rotary, "absolute": absolute}.items(), strict=True):
    offsets = np.arange(-8, 9)
    for number, values in enumerate(by_offset(run, layer=1)):
        panel.plot(offsets, values, marker="o", markersize=3, label=f"head {number}")
    panel.axhline(uniform, color="0.5", linestyle=":", label="uniform")
    panel.grid()
    panel.set(title=f"{name} positions, layer 1", xlabel="offset j - i (tokens)", ylabel="mean attention weight")
panels[0].legend()
plt.show()

# %% [markdown]
# ## How they came to look there
#
# The entropy of each head, as a share of its maximum $\ln T$, over training. Above it, the held-out loss, between
# two baselines: a model that knows word frequencies only (unigram), and one that knows the preceding word
# (bigram).

# %%
curves = analysis.runs.load_curves("notebook_attention", ["eval/loss", "attention_entropy_share/*"], folder=STORE)
figure, panels = plt.subplots(2, 2, sharex=True, sharey="row", figsize=(8.5, 4.8), height_ratios=(2, 3))
for column, scheme in enumerate(("rope", "absolute")):
    mine = curves[curves.run_id == runs.loc[scheme, "run_id"]]
    loss = mine[mine.metric == "eval/loss"]
    panels[0, column].plot(loss.step, loss.value, color="black")
    for name, style in (("unigram_entropy", ":"), ("bigram_cross_entropy", "--")):
        panels[0, column].axhline(
            runs.loc[scheme, f"baseline/{name}"], color="0.5", linestyle=style, label=name.split("_")[0]
        )
    panels[0, column].set_title(f"position={scheme}")
    for metric, part in mine[mine.metric.str.startswith("attention_entropy_share")].groupby("metric"):
        layer = int(metric.split("/")[1][-1])
        panels[1, column].plot(part.step, part.value, color=f"C{layer}", linewidth=1.2)
    panels[1, column].set(xlabel="optimizer step", ylim=(0, 1.05))
panels[0, 0].set_ylabel("held-out loss\n(nats per masked token)")
panels[0, 0].legend()
panels[1, 0].set_ylabel("entropy / maximal entropy")
panels[1, 0].plot([], [], color="C0", label="heads of layer 0")
panels[1, 0].plot([], [], color="C1", label="heads of layer 1")
panels[1, 0].legend(loc="lower left")
plt.show()

# %% [markdown]
# The loss falls below the unigram level while attention is still almost uniform: the first thing that is learnt
# needs no order. Then the heads of one layer narrow, and the loss goes on falling with them. That the two happen
# together does not show which causes which. One run a scheme is an observation, not a result: the [lab
# book](../../experiments/attention_evolution/README.md) asks the same over seeds, with intervals.

# %% [markdown]
# ## Exercises
#
# Solutions are in the collapsed cells: click the three dots to open one.
#
# **1. Temperature.** Divide the scores of the head above by $\tau$ before the softmax. What happens to the
# entropy for $\tau \to 0$ and for $\tau \to \infty$? Draw it.

# %% jupyter={"source_hidden": true} tags=["solution"]
temperatures = np.geomspace(0.05, 20, 40)
found = []
for temperature in temperatures:
    softened = np.exp((scores[head] - scores[head].max(axis=-1, keepdims=True)) / temperature)
    softened /= softened.sum(axis=-1, keepdims=True)
    found.append(compute_attention_entropy(softened[None])[0])
figure, panel = plt.subplots(figsize=(5, 2.8))
panel.semilogx(temperatures, found)
panel.axhline(np.log(T), color="0.5", linestyle=":", label="ln T: all words alike")
panel.axvline(1, color="0.8", label="the network's own")
panel.set(xlabel="temperature τ", ylabel="mean entropy (nats)")
panel.legend()
plt.show()

# %% [markdown]
# **2. What a head hands on.** The weights average the values $v_j = x_j W_V + b_V$: the head's output is $c_i =
# \sum_j w_{ij} v_j$. Compute it for all heads, put the heads side by side, and compare with `attention.context`.
# For which words is the output of the head above almost the value of a single word?

# %% jupyter={"source_hidden": true} tags=["solution"]
value = project("value")
context = (weights @ value).transpose(1, 0, 2).reshape(T, H * K)
display(
    Markdown(f"Largest difference to `attention.context`: **{np.abs(context - attention.context).max():.0e}**.")
)
narrow = [f"{tokens[i]} ({tokens[weights[head, i].argmax()]})" for i in range(T) if weights[head, i].max() > 0.95]
display(Markdown(f"More than 95 % of the weight on one word, in brackets: {', '.join(narrow) or 'none'}."))

# %% [markdown]
# **3. Move a sentence.** Put five [CLS] in front of the sentence, so that each of its words stands five positions
# further. Do the weights between its words keep their proportions? In which of the two networks, and why? Compare
# the rows of layer 0 after dividing them by their sum over the words of the sentence.


# %% jupyter={"source_hidden": true} tags=["solution"]
def moved(run, places):
    """Weights of layer 0 among the words of the sentence, each row divided by its sum, when it is moved."""
    start = np.full(places, encoding.ids[0])
    _, seen = run.model.forward([np.concatenate([start, encoding.ids])])
    inside = seen.layers[0].attention.weights[0][:, places:, places:]
    return inside / inside.sum(axis=-1, keepdims=True)


for name, run in {"rotary": rotary, "absolute": absolute}.items():
    change = np.abs(moved(run, 5) - moved(run, 0)).sum(axis=-1).mean() / 2
    display(
        Markdown(f"Layer 0, {name}: {change:.2%} of the weight goes to other words when the sentence is moved.")
    )
display(
    Markdown(
        "In layer 0, rotary scores hold nothing but words and distances: moving changes nothing, up to rounding. "
        "In layer 1 both networks change, because in layer 0 the words have looked at the [CLS] in front."
    )
)

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
# # 4 · Representations
#
# **Question.** What is in the vector of a word, layer by layer, and how much of it did training put there?
#
# A trained network gives each word a vector at each layer. It is tempting to look at these vectors and to find
# meaning in them. But a network with random weights gives vectors, too, and much can be read from those. So
# everything here is measured twice: in a trained network, and in the same network before its first step.
#
# **Expectation.** At the input a vector is the word and nothing else. Going up, the neighbours are mixed in.
# Before training the mixture is the same everywhere; after training it is what helps to predict.

# %% tags=["parameters"]
STEPS = 500
SEEDS = 2
SEQUENCES = 256
SENTENCES = 400
MODEL = ["model=tiny", "model.hidden_size=64", "model.feed_forward_size=256", "model.vocab_size=2048"]
TRAINING = ["training.batch_size=32", "training.sequence_length=32", "masking.rate=0.4", "training.lanes=1"]
DATA = ["data=sotu"]
LAUNCHER = ["hydra/launcher=cores"]
STORE = "../../mlruns/notebooks"

# %%
import subprocess
import sys
import warnings
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

import analysis.runs
from minibert import load_run
from minibert.data.annotated.conllu import AnnotatedSentence
from minibert.diagnostics import (
    compute_effective_rank,
    compute_layer_similarity,
    compute_linear_cka,
)
from minibert.evaluation import ProbeTask, analyze_linguistic_probes

plt.style.use("notebook.mplstyle")
warnings.filterwarnings("ignore", "IProgress not found")


def train(*words):
    """The command `python -m minibert.run`. What it prints is shown only if it fails."""
    words = (*words, f"tracking.folder={STORE}", "tracking.report=false")
    command = [sys.executable, "-m", "minibert.run", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


# %%
train(
    "--multirun", f"seed=range({SEEDS})", "study.name=notebook_representations", f"training.steps={STEPS}", *MODEL,
    *TRAINING, *DATA, *LAUNCHER, "evaluation=off", f"evaluation.every={max(STEPS // 4, 1)}",
    "evaluation.sequences=128", "diagnostics=off", "diagnostics.figures=[]",
)  # fmt: skip
runs = analysis.runs.load("notebook_representations", folder=STORE).set_index("seed").sort_index()
trained = load_run(runs.run_id.iloc[0], folder=STORE)
untrained = load_run(runs.run_id.iloc[0], step=0, folder=STORE)
places = ["embeddings", *[f"layer {layer}" for layer in range(trained.model.config.layers)]]
runs[["eval/loss", "baseline/unigram_entropy", "baseline/bigram_cross_entropy"]].round(3)

# %% [markdown]
# Held-out text comes with hidden words, as the network is asked about them. Here we want to see the words, so we
# put them back: a label is the word that was hidden.

# %%
batch = trained.held_out(SEQUENCES)
ids = np.where(batch.labels >= 0, batch.labels, batch.input_ids)
words = ids >= 5  # the first five are [PAD], [UNK], [CLS], [SEP] and [MASK]


def states_of(run):
    """The hidden states (n, D) of all words, at every place from the embeddings up."""
    _, cache = run.model.forward(ids, batch.attention_mask, position_ids=batch.position_ids)
    return [states[words] for states in cache.hidden_states]


before, after = states_of(untrained), states_of(trained)
tokens = ids[words]

# %% [markdown]
# ## A word, and a word in its place
#
# Take the five most frequent words, and draw their vectors in the plane of the two directions in which they vary
# most.

# %%
frequent = [token for token, _ in Counter(tokens.tolist()).most_common(5)]
figure, panels = plt.subplots(2, len(places), figsize=(9, 5.6))
for row, (name, states) in enumerate({"untrained": before, "trained": after}.items()):
    for panel, place, vectors in zip(panels[row], places, states, strict=True):
        chosen = np.isin(tokens, frequent)
        centred = vectors[chosen] - vectors[chosen].mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        flat = centred @ axes[:2].T
        for number, token in enumerate(frequent):
            mine = tokens[chosen] == token
            label = trained.tokenizer.id_to_token(token)
            panel.scatter(*flat[mine].T, s=6, alpha=0.5, color=f"C{number}", label=label, linewidths=0)
        panel.set(title=f"{name}: {place}", xticks=[], yticks=[])
panels[0, 0].legend(markerscale=2.5, loc="best")
figure.supxlabel("first principal direction", fontsize=9)
figure.supylabel("second principal direction", fontsize=9)
plt.show()

# %% [markdown]
# At the embeddings each word is one point, however often it occurs: with rotary positions, nothing but the word
# is in there. Further up, the points become clouds, because attention adds something of the surroundings. Before
# training, this is much the same mean for all words of a sentence, and the clouds are small and round. Training
# makes them larger, and gives them shapes: the vector of *the* now depends on what stands around it.
#
# One number for this: the share of the variance that lies between words,
#
# $$R^2 = \frac{\sum_w n_w \lVert \mu_w - \mu \rVert^2}{\sum_i \lVert x_i - \mu \rVert^2},$$
#
# with $\mu_w$ the mean of word $w$. It is 1 where a vector tells the word and nothing else.


# %%
def share_of_word(vectors):
    """R²: the share of the variance that the identity of the word explains."""
    _, groups, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    means = sums / counts[:, None]
    total = vectors - vectors.mean(axis=0)
    return float((counts @ ((means - vectors.mean(axis=0)) ** 2).sum(axis=1)) / (total**2).sum())


steps = [0, *[2**power for power in range(4, 20) if 2**power < STEPS], STEPS]
history = []
for step in steps:
    states = states_of(load_run(runs.run_id.iloc[0], step=step, folder=STORE))
    for place, vectors in zip(places, states, strict=True):
        history.append(
            {
                "step": step,
                "place": place,
                "word": share_of_word(vectors),
                "rank": compute_effective_rank(vectors, centred=True),
            }
        )
history = pd.DataFrame(history)

figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
for place, part in history.groupby("place", sort=False):
    panels[0].plot(part.step, part.word, marker="o", markersize=3, label=place)
    panels[1].plot(part.step, part["rank"], marker="o", markersize=3, label=place)
panels[0].set(ylabel="share of the variance", title="how much of a vector is the word", ylim=(0, 1.05))
panels[1].set(
    ylabel="effective rank", title=f"how many of {after[0].shape[1]} dimensions are in use", ylim=(0, None)
)
for panel in panels:
    panel.set_xscale("symlog", linthresh=16)
    panel.set_xticks(steps, [f"{step:,}" for step in steps], minor=False)
    panel.minorticks_off()
    panel.set(xlabel="optimizer step", xlim=(-2, 1.1 * STEPS))
panels[0].legend(loc="lower left")
plt.show()

# %% [markdown]
# Most of a vector stays the word, in all layers. What training adds is a small share of the variance, and we will
# see that there is much in it.
#
# On the right is the effective rank, the number of directions that the vectors use: $e^{H}$ with $H$ the entropy
# of the singular values after dividing them by their sum (Roy & Vetterli 2007). Random vectors use nearly all
# directions. Training first puts variance into fewer of them, while the network learns what most words have in
# common, and then opens up new ones.
#
# ## Are two layers the same?
#
# Vectors of two networks cannot be compared entry by entry, since every network has its own axes. Centred kernel
# alignment compares *which words are close to which*. With centred $X$ and $Y$ of the same words,
#
# $$\mathrm{CKA}(X, Y) = \frac{\lVert X^\top Y \rVert_F^2}{\lVert X^\top X \rVert_F\,\lVert Y^\top Y \rVert_F},$$
#
# from 0 to 1, and 1 for all rotations of the same picture (Kornblith et al. 2019). minibert takes the unbiased
# form.

# %%
pairs = {"trained · trained": (after, after), "untrained · trained": (before, after)}
if SEEDS > 1:
    pairs["seed 0 · seed 1"] = (after, states_of(load_run(runs.run_id.iloc[1], folder=STORE)))
figure, panels = plt.subplots(1, len(pairs), figsize=(9.5, 3.2))
for panel, (name, (first, second)) in zip(panels, pairs.items(), strict=True):
    matrix = compute_layer_similarity(first, second)
    image = panel.imshow(matrix, vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(matrix):
        panel.text(
            column, row, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black"
        )
    panel.set_xticks(range(len(places)), places, fontsize=7)
    panel.set_yticks(range(len(places)), places, fontsize=7)
    panel.set(xlabel=name.split(" · ")[1], ylabel=name.split(" · ")[0])
figure.colorbar(image, ax=panels, shrink=0.8, label="CKA")
plt.show()

# %% [markdown]
# Within a network, each layer resembles the one below, for the residual branch carries it up. The trained network
# hardly resembles its own start. But two networks that were trained from different starts, and on the text in
# another order, have found similar pictures: more similar to each other than either is to where it began. What
# training finds is a property of the text more than of the dice.
#
# ## A probe with its controls
#
# Is the *word before* in the vector? A linear classifier on frozen vectors is a probe. If it can tell which of
# ten frequent words stands before a word, the layer holds it in a form that is easy to read. But a high accuracy
# alone says little. Beside it stand
#
# * the most frequent answer, and the most frequent answer for each word: no vectors needed;
# * the same layer of the untrained network;
# * a *control task* (Hewitt & Liang 2019): each word gets a label by lot. It can only be learnt by heart.
#   Accuracy less that of the control is *selectivity*: what is read, not memorised.
#
# No treebank is needed for this question, the text has the answer.


# %%
def as_words(row):
    """The words of a row of ids, pieces put together."""
    found = []
    for token in map(trained.tokenizer.id_to_token, row):
        if token.startswith("##") and found:
            found[-1] += token.removeprefix("##")
        elif not token.startswith("["):
            found.append(token)
    return tuple(found)


text = trained.held_out(SENTENCES)
restored = np.where(text.labels >= 0, text.labels, text.input_ids).tolist()
sentences = [AnnotatedSentence.of_words(found) for found in map(as_words, restored) if len(found) > 1]


def previous_word(sentences, training):
    """The label of a word is the word before it, if it is one of ten frequent ones; else nothing is asked."""
    counts = Counter(word for sentence in sentences[:training] for word in sentence.words)
    asked = {word for word, _ in counts.most_common(10)}
    return [[None, *[word if word in asked else None for word in sentence.words[:-1]]] for sentence in sentences]


task = ProbeTask("previous_word", "word", "which of ten frequent words stands before a word", previous_word)
probes = analyze_linguistic_probes(trained, [task], sentences, untrained=untrained.model).tasks["previous_word"]

figure, panel = plt.subplots(figsize=(6.5, 3.6))
at = np.arange(len(places))
panel.errorbar(
    at,
    [layer.accuracy for layer in probes.layers],
    yerr=np.array([[layer.accuracy - layer.low, layer.high - layer.accuracy] for layer in probes.layers]).T,
    marker="o",
    capsize=3,
    label="trained",
)
panel.plot(at, [layer.untrained_accuracy for layer in probes.layers], marker="s", label="untrained")
panel.plot(at, [layer.control_accuracy for layer in probes.layers], marker="^", label="control task (by heart)")
panel.axhline(probes.majority_accuracy, color="0.5", linestyle=":", label="most frequent answer")
panel.axhline(probes.word_tag_accuracy, color="0.5", linestyle="--", label="most frequent answer for the word")
panel.set_xticks(at, places)
panel.set(
    ylabel="accuracy on unseen text", title=f"which word stands before? ({probes.test} examples)", ylim=(0, 1)
)
panel.legend(fontsize=7, loc="best")
plt.show()
table = pd.DataFrame(
    {
        place: {
            "accuracy": layer.accuracy,
            "untrained": layer.untrained_accuracy,
            "selectivity": layer.selectivity,
        }
        for place, layer in zip(places, probes.layers, strict=True)
    }
)
table.round(2)

# %% [markdown]
# At the embeddings the probe knows what the word itself says about its predecessor, and no more: *states* often
# has *united* before it. That is the dashed line. The control task is easier there than the true one: a vector
# that tells the word is all that it takes to learn by heart.
#
# In the last layer the true task is far ahead of its control and of the untrained network. The heads of this
# layer look at neighbours (the first notebook), and what they fetch can be read off by a line. In layer 0 they
# look everywhere, and the word before cannot be told. This is what a probe is for: not that something *can* be
# learnt from a vector, but what training has put there.

# %% [markdown]
# ## Exercises
#
# **1. Similarity of noise.** Draw two independent Gaussian matrices of 100 words and 64 dimensions, and compute
# their CKA with `compute_linear_cka`, once with `debiased=False`. What is the use of the unbiased form?

# %% jupyter={"source_hidden": true} tags=["solution"]
random = np.random.default_rng(0)
for count in (100, 1000, 5000):
    first, second = random.normal(size=(2, count, 64))
    plain, unbiased = compute_linear_cka(first, second, debiased=False), compute_linear_cka(first, second)
    display(Markdown(f"{count} words of noise: plain {plain:.2f}, unbiased {unbiased:+.2f}."))
display(Markdown("With few words, the plain form finds similarity where there is none."))

# %% [markdown]
# **2. A common direction.** Anisotropy is the mean cosine of two different words. With unit vectors $u_i$, it is
# $(\lVert \sum_i u_i \rVert^2 - n) / (n (n - 1))$. Compute it at every place, before and after training, and once
# more after subtracting the mean vector. How much of it is one direction that all words share?


# %% jupyter={"source_hidden": true} tags=["solution"]
def anisotropy(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    count = len(unit)
    return (np.sum(unit.sum(axis=0) ** 2) - count) / (count * (count - 1))


rows = {}
for name, states in {"untrained": before, "trained": after}.items():
    rows[name] = [anisotropy(vectors) for vectors in states]
    rows[f"{name}, less the mean"] = [anisotropy(vectors - vectors.mean(axis=0)) for vectors in states]
pd.DataFrame(rows, index=places).T.round(3)

# %% [markdown]
# **3. Two words before.** Write the task for the word *two* places before. At which layer can it be read, if at
# all? Compare with the heads of the first notebook.


# %% jupyter={"source_hidden": true} tags=["solution"]
def two_before(sentences, training):
    counts = Counter(word for sentence in sentences[:training] for word in sentence.words)
    asked = {word for word, _ in counts.most_common(10)}
    return [[None, None, *[word if word in asked else None for word in each.words[:-2]]] for each in sentences]


further = ProbeTask("two_before", "word", "which of ten frequent words stands two before a word", two_before)
read = analyze_linguistic_probes(trained, [further], sentences, untrained=untrained.model).tasks["two_before"]
pd.DataFrame(
    {
        "one before": [layer.accuracy - layer.untrained_accuracy for layer in probes.layers],
        "two before": [layer.accuracy - layer.untrained_accuracy for layer in read.layers],
    },
    index=pd.Index(places, name="accuracy above the untrained network"),
).round(2)

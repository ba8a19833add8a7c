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
# # 2 · Gradient flow
#
# **Question.** Is the gradient right, and does it reach the first layer?
#
# Every gradient of this network is written by hand. So two things can go wrong: a formula, and the scale. A wrong
# formula trains a little worse, and nobody notices. A wrong scale lets the gradient vanish, or explode, on its
# way down through the layers. Both can be seen before a single step is trained.
#
# **Expectation.** Central differences agree with a right gradient to many digits, and catch a wrong one, but only
# if one looks in the right place. With depth, a chain of products shrinks or grows like a power; residual
# branches and norms are there to prevent it.

# %% tags=["parameters"]
STEPS = 80
LAYERS = 6
DEEP = 16
MODEL = ["model=tiny", "model.hidden_size=64", "model.feed_forward_size=256", "model.vocab_size=2048"]
TRAINING = ["training.batch_size=32", "training.sequence_length=32", "masking.rate=0.4", "training.lanes=1"]
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
from minibert import MiniBERT, ModelConfig, load_run
from minibert.diagnostics import analyze_gradient_magnitudes_by_layer

plt.style.use("notebook.mplstyle")
warnings.filterwarnings("ignore", "IProgress not found")


def train(*words):
    """The command `python -m minibert.run`. What it prints is shown only if it fails."""
    words = (*words, f"tracking.folder={STORE}", "tracking.report=false")
    command = [sys.executable, "-m", "minibert.run", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


# %% [markdown]
# ## A gradient, checked
#
# Take a direction $v$ in the space of all parameters. The loss changes along it by $g \cdot v$, if $g$ is the
# gradient. The same number comes from two values of the loss alone:
#
# $$g \cdot v \;\approx\; \frac{L(\theta + \varepsilon v) - L(\theta - \varepsilon v)}{2\,\varepsilon}.$$
#
# The right-hand side has two errors. The curve bends, which costs about $\varepsilon^2$. And losses are rounded,
# which costs about $10^{-16} / \varepsilon$ in float64. So there is a best $\varepsilon$ in the middle, and the
# error there tells right from wrong.
#
# The network is moved away from its initial values first, gains and biases included. We will see why.

# %%
random = np.random.default_rng(0)
config = ModelConfig(
    vocab_size=50, hidden_size=16, layers=2, heads=2, feed_forward_size=32, max_length=16, dtype="float64"
)
model = MiniBERT(config, seed=0)
model.params.vector[:] += 0.1 * random.normal(size=model.params.vector.size)

input_ids = random.integers(5, 50, size=(4, 12))
labels = np.where(random.random((4, 12)) < 0.3, input_ids, -100)  # -100: nothing is predicted
loss, gradients = model.loss_and_gradients(input_ids, labels)

direction = random.normal(size=model.params.vector.size)
exact = gradients.vector @ direction


def slope(model, direction, epsilon):
    """Central difference of the loss along a direction."""
    start, losses = model.params.vector.copy(), []
    for sign in (1, -1):
        model.params.vector[:] = start + sign * epsilon * direction
        losses.append(model.loss_and_gradients(input_ids, labels)[0])
    model.params.vector[:] = start
    return (losses[0] - losses[1]) / (2 * epsilon)


epsilons = np.geomspace(1e-9, 1e-1, 25)
errors = [abs(slope(model, direction, epsilon) - exact) / abs(exact) for epsilon in epsilons]

figure, panel = plt.subplots(figsize=(6, 3.2))
panel.loglog(epsilons, errors, marker="o", markersize=3, label="measured")
best = int(np.argmin(errors))
panel.loglog(epsilons, errors[-8] * (epsilons / epsilons[-8]) ** 2, "--", color="0.6", label="grows with ε²")
panel.loglog(epsilons, errors[4] * epsilons[4] / epsilons, ":", color="0.6", label="grows with 1/ε")
panel.set(xlabel="ε (units of a parameter)", ylabel="relative error", ylim=(1e-12, 1))
panel.set_title("hand-written gradient against central differences, float64")
panel.legend()
plt.show()
display(Markdown(f"Best agreement: a relative error of **{errors[best]:.0e}** at ε = {epsilons[best]:.0e}."))

# %% [markdown]
# The two slopes of the V are the two errors. Had the gradient a mistake of one per cent, the curve would not go
# below $10^{-2}$ anywhere. A check at one single $\varepsilon$ with a wide tolerance would not tell.
#
# One direction tests all parameters at once. To find a culprit, take a direction for each part:

# %%
rows = {}
for name in (
    "embeddings.",
    "layers.0.attention.",
    "layers.0.feed_forward.",
    "layers.1.",
    "final_norm.",
    "mlm_head.",
):
    inside = MiniBERT(config).params  # a set of parameters, to write a direction by names
    inside.vector[:] = 0
    for each in inside:
        if each.startswith(name):
            inside[each][...] = random.normal(size=inside[each].shape)
    part = inside.vector
    by_hand = gradients.vector @ part
    rows[name] = {"g · v": by_hand, "relative error": abs(slope(model, part, 1e-5) - by_hand) / abs(by_hand)}
pd.DataFrame(rows).T.style.format({"g · v": "{:.4f}", "relative error": "{:.0e}"})

# %% [markdown]
# ## A wrong gradient, caught
#
# Layer norm is $y = \gamma\,\hat x + \beta$ with $\hat x = (x - \mu) / \sigma$. Its gradient is
#
# $$\frac{\partial L}{\partial x}
# = \frac{1}{\sigma} \left( h - \overline{h} - \hat x\,\overline{h\,\hat x} \right), \qquad
# h = \gamma\,\frac{\partial L}{\partial y},$$
#
# with means over the entries of a vector. A classic mistake takes the gain $\gamma$ out of the means and
# multiplies at the end. It is found in many a home-made transformer. Below are both, with a test at two places.


# %%
def layer_norm(x, gain):
    return gain * (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def right(dy, x, gain):
    normal, sigma = layer_norm(x, 1.0), x.std(-1, keepdims=True)
    h = gain * dy
    return (h - h.mean(-1, keepdims=True) - normal * (h * normal).mean(-1, keepdims=True)) / sigma


def wrong(dy, x, gain):
    normal, sigma = layer_norm(x, 1.0), x.std(-1, keepdims=True)
    return gain * (dy - dy.mean(-1, keepdims=True) - normal * (dy * normal).mean(-1, keepdims=True)) / sigma


def error_of(backward, gain, dy, epsilon=1e-5):
    """Relative error of a backward pass, against central differences of Σ dy · y along a random direction."""
    x, v = random.normal(size=(6, 16)), random.normal(size=(6, 16))
    ahead, behind = (np.sum(dy * layer_norm(x + sign * epsilon * v, gain)) for sign in (1, -1))
    measured = (ahead - behind) / (2 * epsilon)
    return abs(np.sum(backward(dy, x, gain) * v) - measured) / max(abs(measured), 1e-8)


ones, drawn = np.ones((6, 16)), random.normal(size=(6, 16))
trained_gain = 1 + 0.5 * random.normal(size=16)
places = {
    "random upstream, gain 1": (np.ones(16), drawn),
    "random upstream, random gain": (trained_gain, drawn),
}
table = pd.DataFrame(
    {
        name: {place: error_of(backward, gain, dy) for place, (gain, dy) in places.items()}
        for name, backward in (("right", right), ("wrong", wrong))
    }
)
table.style.format("{:.0e}")

# %% [markdown]
# At $\gamma = 1$, where every network starts, both formulas are the same. A test of a fresh network passes, and
# the mistake begins to matter when training has moved the gains. This is why a check needs parameters away from
# their initial values. (Also an upstream gradient of all ones hides mistakes: see the exercises.)
#
# ## A chain of products
#
# Now the scale. Without residual branches, a gradient that goes down through $\ell$ layers is multiplied by
# $\ell$ Jacobians. If each changes its length by a factor of $a$ on average, what arrives is $a^\ell$ of it:
# nothing, or far too much. Take a stack of layers $x \to \tanh(x W)$, with entries of $W$ of standard deviation
# $s/\sqrt{D}$.


# %%
def chain(scale, depth=30, size=64):
    """‖∂L/∂x‖ at every depth, relative to the top, for a stack of tanh layers."""
    draw = np.random.default_rng(1)
    x, layers = draw.normal(size=(32, size)), []
    for _ in range(depth):
        weight = draw.normal(scale=scale / np.sqrt(size), size=(size, size))
        x = np.tanh(x @ weight)
        layers.append((weight, x))
    dx = draw.normal(size=x.shape)
    lengths = [np.linalg.norm(dx)]
    for weight, y in reversed(layers):
        dx = (dx * (1 - y**2)) @ weight.T
        lengths.append(np.linalg.norm(dx))
    return np.array(lengths[::-1]) / lengths[0]


figure, panel = plt.subplots(figsize=(6, 3.2))
for scale in (0.5, 0.8, 1.0, 1.5, 2.5):
    panel.semilogy(chain(scale), label=f"s = {scale}")
panel.set(xlabel="layer (0 is the input)", ylabel="‖∂L/∂x‖, relative to the top")
panel.set_title("no residual branches, no norm")
panel.legend()
plt.show()

# %% [markdown]
# A power of the depth, as expected: only near $s = 1$ does anything useful arrive. A scale that is right for one
# layer is a little wrong for thirty, which is enough.
#
# ## Pre-norm and post-norm
#
# A transformer has two remedies. A residual branch $x + f(x)$ has the Jacobian $1 + f'(x)$: the gradient can pass
# without a product. And a norm fixes the length of what goes up. There are two orders, with `norm=pre` and
# `norm=post`:
#
# $$\text{pre: } x + f(\mathrm{norm}(x)), \qquad \text{post: } \mathrm{norm}(x + f(x)).$$
#
# The next cell makes deep networks with random weights of growing scale, and sends one gradient down. The text is
# held-out text of runs that we train right away, because it will be needed later: both orders, with a warm-up of
# the learning rate and without.

# %%
train(
    "--multirun", "norm=pre,post", "schedule.warmup=0,0.3", "study.name=notebook_gradients",
    f"training.steps={STEPS}", *MODEL, f"model.layers={LAYERS}", "optimizer=adamw", "optimizer.learning_rate=3e-3",
    "schedule=constant", *TRAINING, *DATA, *LAUNCHER, "evaluation=off", f"evaluation.every={max(STEPS // 10, 1)}",
    "evaluation.sequences=64", "diagnostics=off", "diagnostics.figures=[]",
    "diagnostics.quantities=[gradient_magnitudes]", "diagnostics.per_doubling=2",
)  # fmt: skip
runs = (
    analysis.runs.load("notebook_gradients", folder=STORE)
    .set_index(["model.norm", "schedule.warmup"])
    .sort_index()
)
trained = {key: load_run(run_id, folder=STORE) for key, run_id in runs.run_id.items()}
batch = trained["pre", 0.0].held_out(32)


def gradient_by_layer(model):
    """Root mean square of the gradient of every layer's parameters, in nats per unit."""
    _, gradients = model.loss_and_gradients(
        batch.input_ids, batch.labels, batch.attention_mask, position_ids=batch.position_ids
    )
    found = analyze_gradient_magnitudes_by_layer(gradients)
    return [each.root_mean_square for name, each in found.items() if name.startswith("layer_")]


sizes = trained["pre", 0.0].config.model
gains = (1, 4, 8, 16, 32)
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(8.5, 3.4))
for panel, norm in zip(panels, ("pre", "post"), strict=True):
    for number, gain in enumerate(gains):
        deep = MiniBERT(replace(sizes, norm=norm, layers=DEEP, init_gain=float(gain)), seed=0)
        colour = plt.get_cmap("viridis")(number / len(gains))
        panel.semilogy(gradient_by_layer(deep), color=colour, marker="o", markersize=3, label=f"{0.02 * gain:.2f}")
    panel.set(title=f"norm={norm}, {DEEP} layers, at initialisation", xlabel="layer (0 reads the embeddings)")
panels[0].set_ylabel("gradient, root mean square\n(nats per unit of a parameter)")
panels[1].legend(title="std of the weights", loc="upper right")
plt.show()

# %% [markdown]
# Neither order lets the gradient vanish. In the pre-norm network it *falls with height*: each layer adds to the
# residual stream, the stream grows, and the norm divides by its size, so that a layer far up counts for less. In
# the post-norm network, with the usual small weights, all layers get the same.
#
# With large weights both tilt, and in the end explode towards the input. Then scores of attention are large, the
# softmax chooses one word, and a small change of its input changes the choice.
#
# ## Does it matter for training?
#
# AdamW divides each gradient by its own size, so that a factor common to all steps does not matter to it. What
# may matter is how the sizes change while it trains. Two networks were trained at the full rate from the first
# step on; for two, the rate rose over the first third of the steps.

# %%
curves = analysis.runs.load_curves("notebook_gradients", ["eval/loss", "gradient_rms/layer_*"], folder=STORE)
figure, panels = plt.subplots(1, 3, figsize=(10, 3.4))
for (norm, warmup), run_id in runs.run_id.items():
    loss = curves[(curves.run_id == run_id) & (curves.metric == "eval/loss")]
    label = f"{norm}, {'with' if warmup else 'no'} warm-up"
    panels[0].plot(
        loss.step, loss.value, color="C0" if norm == "pre" else "C1", ls="-" if warmup else "--", label=label
    )
panels[0].axhline(runs["baseline/unigram_entropy"].iloc[0], color="0.5", linestyle=":", label="unigram")
panels[0].set(xlabel="optimizer step", ylabel="nats per masked token", title="held-out loss")
panels[0].legend(fontsize=7)
for panel, norm in zip(panels[1:], ("pre", "post"), strict=True):
    mine = curves[curves.run_id == runs.run_id[norm, 0.0]]
    for layer in range(LAYERS):
        part = mine[mine.metric == f"gradient_rms/layer_{layer}"]
        label = f"layer {layer}" if layer in (0, LAYERS - 1) else None
        panel.plot(
            part.step, part.value, color=plt.get_cmap("viridis")(layer / LAYERS), linewidth=1.2, label=label
        )
    panel.set(yscale="log", xlabel="optimizer step", title=f"norm={norm}, no warm-up: gradient by layer")
panels[1].set_ylabel("root mean square (nats per unit)")
panels[1].legend()
low, high = zip(*[panel.get_ylim() for panel in panels[1:]], strict=True)
for panel in panels[1:]:
    panel.set_ylim(min(low), max(high))
plt.show()

# %% [markdown]
# Where did the gradient of the pre-norm network go? Nothing bounds its residual stream: each layer adds to it,
# and each large update makes what is added longer. The norm in front of the output divides by the length of the
# stream. Its gradient, in the formula above, is divided by $\sigma$ as well. So let us look at the length.

# %%
rows = {}
for (norm, warmup), run in trained.items():
    _, cache = run.model.forward(batch.input_ids, batch.attention_mask, position_ids=batch.position_ids)
    stream = [
        np.sqrt(np.mean(states**2)) for states in cache.hidden_states[:-1]
    ]  # the last is after the final norm
    rows[f"{norm}, {'with' if warmup else 'no'} warm-up"] = {
        "stream at the input": stream[0],
        f"stream after {LAYERS - 1} layers": stream[-1],
        "gradient of layer 0": gradient_by_layer(run.model)[0],
        "held-out loss": runs.loc[(norm, warmup), "eval/loss"],
    }
pd.DataFrame(rows).T.style.format("{:.3g}")

# %% [markdown]
# A long stream and a small gradient go together. This is how a gradient vanishes in a network that has residual
# branches *and* norms: not by a product over layers, but by a length that the network has given itself. A warm-up
# keeps updates small until the weights have found a direction. One seed each: this shows how to look, and claims
# nothing about which order is better. (The default of minibert is pre-norm with a warm-up over a tenth of the
# steps.)

# %% [markdown]
# ## Exercises
#
# **1. An upstream gradient of ones.** Test both formulas with `ones` in place of `drawn`, at a gain of 1, and
# look at the true gradient itself. Why does this test say nothing?

# %% jupyter={"source_hidden": true} tags=["solution"]
x = random.normal(size=(6, 16))
display(Markdown(f"The largest entry of the true gradient is {np.abs(right(ones, x, np.ones(16))).max():.0e}."))
display(
    Markdown(
        "The entries of a normalised vector always sum to zero. So Σ y does not depend on x, its gradient is "
        "zero, and any code that returns nearly zero passes."
    )
)

# %% [markdown]
# **2. The same in float32.** Draw the V again for a network with `dtype="float32"`. What is the best agreement
# now, and at which $\varepsilon$? The rounding error is about $6 \cdot 10^{-8}$ there. Where should the bottom of
# the V be, if $\varepsilon^2$ and $\delta / \varepsilon$ balance?

# %% jupyter={"source_hidden": true} tags=["solution"]
single = MiniBERT(replace(config, dtype="float32"), seed=0)
single.params.vector[:] = model.params.vector
_, single_gradients = single.loss_and_gradients(input_ids, labels)
along = float(single_gradients.vector.astype(float) @ direction)
coarse = [abs(slope(single, direction, epsilon) - along) / abs(along) for epsilon in epsilons]
figure, panel = plt.subplots(figsize=(6, 3))
panel.loglog(epsilons, errors, color="0.7", label="float64")
panel.loglog(epsilons, np.maximum(coarse, 1e-12), marker="o", markersize=3, label="float32")
panel.set(xlabel="ε (units of a parameter)", ylabel="relative error", ylim=(1e-12, 10))
panel.legend()
plt.show()
display(
    Markdown(
        f"With both constants at one, they balance at ε = δ^(1/3) = {6e-8 ** (1 / 3):.0e}. The direction is long, "
        "about one unit in every parameter, so that the curve bends sooner and the bottom lies further left. "
        "Either way, float32 cannot tell a small mistake from rounding: gradients are checked in float64."
    )
)

# %% [markdown]
# **3. Words that do not occur.** In `gradients["embeddings.token.weight"]`, which rows are zero? The batch above
# has far fewer than 50 different words. Then make a network with `tie_word_embeddings=False`, and look again.

# %% jupyter={"source_hidden": true} tags=["solution"]
for tied in (True, False):
    network = MiniBERT(replace(config, tie_word_embeddings=tied), seed=0)
    _, found = network.loss_and_gradients(input_ids, labels)
    touched = int((np.abs(found["embeddings.token.weight"]).max(axis=1) > 0).sum())
    display(
        Markdown(
            f"tie_word_embeddings={tied}: {touched} of 50 rows have a gradient; the batch has "
            f"{len(np.unique(input_ids))} different words."
        )
    )
display(
    Markdown(
        "Tied embeddings are the output weights too, and the softmax pushes down every word that was not the "
        "answer. Untied ones learn from the words that they read."
    )
)

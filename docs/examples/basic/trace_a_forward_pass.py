"""Trace a forward pass: the shape of every array between five tokens and their scores, and attention by hand."""

import numpy as np

from minibert import MiniBERT, ModelConfig

config = ModelConfig(vocab_size=100, hidden_size=32, layers=2, heads=4, feed_forward_size=64)
model = MiniBERT(config, seed=0)
input_ids = np.array([[2, 17, 4, 23, 3]])  # [CLS], a word, [MASK], a word, [SEP]
logits, cache = model.forward(input_ids)

steps = {"ids": input_ids, "embeddings": cache.hidden_states[0]}
for number, layer in enumerate(cache.layers):
    steps |= {
        f"layer {number}: query": layer.attention.query,
        f"layer {number}: key": layer.attention.key,
        f"layer {number}: value": layer.attention.value,
        f"layer {number}: attention weights": layer.attention.weights,
        f"layer {number}: feed-forward, inside": layer.feed_forward.active,
        f"layer {number}: output": cache.hidden_states[number + 1],
    }
for name, array in (steps | {"scores": logits}).items():
    print(f"{name:30}{array.shape!s:16}mean {array.mean():+8.3f}   deviation {array.std():7.3f}")

attention = cache.layers[1].attention
scores = attention.query @ attention.key.swapaxes(2, 3) / np.sqrt(config.hidden_size // config.heads)
weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
print(f"\nsoftmax(q kᵀ / √K) by hand differs by {np.abs(weights - attention.weights).max():.0e}")
print("what [MASK] attends to, head by head:\n", attention.weights[0, :, 2].round(3))

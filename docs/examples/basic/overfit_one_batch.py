"""Overfit one batch: the first test of any network. If it cannot learn one batch by heart, something is broken."""

import numpy as np

from minibert import MiniBERT, ModelConfig

random = np.random.default_rng(0)
config = ModelConfig(vocab_size=100, hidden_size=32, layers=2, heads=4, feed_forward_size=64, dropout=0.0)
model = MiniBERT(config, seed=0)
text = random.integers(5, 100, (4, 16))  # ids from 5 on are words
masked = random.random(text.shape) < 0.2
input_ids = np.where(masked, 4, text)  # 4 is [MASK]
labels = np.where(masked, text, -100)  # -100 where nothing is predicted

print(f"{masked.sum()} masked tokens; who knows nothing has a loss of log V = {np.log(100):.2f} nats")
first, second = np.zeros((2, model.params.vector.size))
for step in range(1, 101):
    loss, grads = model.loss_and_gradients(input_ids, labels)
    first = 0.9 * first + 0.1 * grads.vector  # Adam, Kingma & Ba 2015
    second = 0.999 * second + 0.001 * grads.vector**2
    update = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    model.params.vector[:] -= 0.01 * update
    if step in (1, 3, 10, 30, 100):
        print(f"step {step:3}: loss {loss:.3f}")
logits, _ = model.forward(input_ids)
right = (logits.argmax(axis=-1) == text)[masked].mean()
print(f"{right:.0%} of the masked tokens are guessed now")

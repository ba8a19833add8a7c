"""The numbers that ``transformers`` gives for four tiny networks, kept for machines without PyTorch.

Run ``python tests/mathematical/make_references.py`` where torch and transformers are installed. It writes
references/<network>.npz: the tensors under that library's names, and for each activation the logits, the loss,
every gradient (its norm and its products with random directions) and the losses of 100 steps.

The networks, batches and training settings are also what the comparison with an installed ``transformers`` uses.
"""

from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

from minibert.config import AdamWConfig, Config, ModelConfig, ScheduleConfig, TrainingConfig
from minibert.config.optimizers import GlobalNormClippingConfig
from minibert.data.batches import Batch
from minibert.model.bert import IGNORED
from minibert.model.foreign import to_tensors
from minibert.model.foreign_settings import fitting_family
from minibert.training.schedules import build_schedule

REFERENCES = Path(__file__).parent / "references"
ACTIVATIONS = {
    "bert": ("gelu", "relu", "gelu_new", "gelu_pytorch_tanh"), "esm": ("gelu",), "esm_rotary": ("gelu",),
    "modernbert": ("gelu", "silu"),
}  # fmt: skip
"""Networks, and what may be told them as their activation; esm knows one only"""
CASES = [(family, activation) for family in ACTIVATIONS for activation in ACTIVATIONS[family]]
STORED = {
    "bert": ("gelu", "relu", "gelu_pytorch_tanh"),
    "esm": ("gelu",),
    "esm_rotary": ("gelu",),
    "modernbert": ("gelu",),
}
"""gelu_new is gelu_pytorch_tanh under an older name"""
SMOOTH = ("gelu", "gelu_pytorch_tanh")
"""Those whose training can be compared. The slope of relu jumps: rounding decides on which side of zero a value
falls, and where a unit is rarely active, Adam makes a whole step of it."""
DTYPES = ("float32", "float64")

TINY = {"vocab_size": 40, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24, "tokens": 9}
SEQUENCES, SEGMENTS, DIRECTIONS, STEPS = 4, 3, 3, 100
TRAINING = Config(
    optimizer=AdamWConfig(learning_rate=3e-3, beta1=0.9, beta2=0.98, epsilon=1e-8, weight_decay=0.05),
    schedule=ScheduleConfig(name="cosine", warmup=0.1, final=0.1),
    clipping=GlobalNormClippingConfig(norm=0.5),
    training=TrainingConfig(steps=STEPS, lanes=2),
)
"""At three times the rate training is chaotic: torch's own losses in float32 and float64 drift apart by 0.05."""


@contextmanager
def turned_in(dtype: str):
    """Let rotary positions of a float64 network be computed in float64: that library always takes float32."""
    import torch

    if dtype == "float32":
        yield
        return
    with patch.object(torch.Tensor, "float", torch.Tensor.double), patch.object(torch, "float", torch.float64):
        yield


def modern_config(sizes: dict, activation: str):
    """Global and local layers with bases of their own, no biases but the decoder's, untied output weights."""
    import transformers

    return transformers.ModernBertConfig(
        vocab_size=sizes["vocab_size"], hidden_size=sizes["hidden_size"], num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"], intermediate_size=sizes["feed_forward_size"],
        max_position_embeddings=sizes["tokens"], pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2,
        sep_token_id=3, hidden_activation=activation, classifier_activation=activation, norm_eps=1e-6,
        local_attention=4, global_attn_every_n_layers=2, global_rope_theta=500.0, local_rope_theta=20.0,
        tie_word_embeddings=False,
    )  # fmt: skip


def torch_model(family: str, activation: str, sizes: dict, dtype: str = "float32"):
    """A network of ``transformers`` with every parameter away from its initial value, without dropout."""
    with turned_in(dtype):
        return _torch_model(family, activation, sizes, dtype)


def _torch_model(family: str, activation: str, sizes: dict, dtype: str):
    import torch
    import transformers

    common = {
        "vocab_size": sizes["vocab_size"], "hidden_size": sizes["hidden_size"], "pad_token_id": 0,
        "num_hidden_layers": sizes["layers"], "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["feed_forward_size"],
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "layer_norm_eps": 1e-6,
    }  # fmt: skip
    if family == "bert":
        config = transformers.BertConfig(
            **common, max_position_embeddings=sizes["tokens"], type_vocab_size=SEGMENTS, hidden_act=activation
        )
        model = transformers.BertForMaskedLM(config)
    elif family == "modernbert":
        model = transformers.ModernBertForMaskedLM(modern_config(sizes, activation))
    else:
        rotary = family == "esm_rotary"
        config = transformers.EsmConfig(
            **common,
            max_position_embeddings=sizes["tokens"] + 1,
            mask_token_id=4,
            position_embedding_type="rotary" if rotary else "absolute",
            rope_theta=300.0,
            emb_layer_norm_before=rotary,
            token_dropout=False,
        )
        model = transformers.EsmForMaskedLM(config)
    random = np.random.RandomState(7)  # its numbers never change, unlike those of the newer generators
    for name, parameter in model.named_parameters():
        gain = name.endswith("norm.weight") or name.endswith("Norm.weight") or "layer_norm_after.weight" in name
        numbers = 0.15 * random.standard_normal(tuple(parameter.shape)) + gain
        parameter.data = torch.tensor(numbers.astype("float32"))
    model.tie_weights()
    return model.eval().to(getattr(torch, dtype))


def batch(number: int, sizes: dict) -> SimpleNamespace:
    """input_ids, attention_mask, labels and segment_ids, each (B, T): padded at the end, a third predicted.

    Tokens follow one another by a rule, so that there is something to learn.
    """
    random = np.random.RandomState(number)
    tokens, vocabulary = sizes["tokens"], sizes["vocab_size"]
    lengths = np.array([tokens, tokens, tokens // 2, tokens - 3])
    real = np.arange(tokens) < lengths[:, None]
    first = random.randint(0, vocabulary - 5, (SEQUENCES, 1))
    text = 5 + (first + 3 * np.arange(tokens)) % (vocabulary - 5)
    predicted = real & (random.random_sample(text.shape) < 0.33)
    predicted[:, 0] = True
    segments = np.sort(random.randint(0, SEGMENTS, text.shape), axis=1)
    return SimpleNamespace(
        input_ids=np.where(real, np.where(predicted, 4, text), 0),
        attention_mask=real,
        labels=np.where(predicted, text, IGNORED),
        segment_ids=segments,
    )


class TrainingBatches:
    """Ten batches in turn, as the trainer asks for them; without segments, which it does not know."""

    def __init__(self, sizes: dict):
        self.sizes = sizes

    def at(self, step: int) -> Batch:
        made = batch(100 + step % 10, self.sizes)
        return Batch(
            input_ids=made.input_ids.astype("int32"),
            labels=made.labels.astype("int32"),
            attention_mask=made.attention_mask,
            tokens=int(made.attention_mask.sum()),
            predictions=int((made.labels != IGNORED).sum()),
        )


def torch_outputs(model, family: str, made):
    """Logits and loss of a batch, as tensors."""
    import torch

    segments = {"token_type_ids": torch.tensor(made.segment_ids)} if family == "bert" else {}
    with turned_in(str(model.dtype).removeprefix("torch.")):
        return model(
            torch.tensor(made.input_ids, dtype=torch.long),
            attention_mask=torch.tensor(made.attention_mask).long(),
            labels=torch.tensor(made.labels, dtype=torch.long),
            **segments,
        )


def torch_losses(model, sizes: dict) -> np.ndarray:
    """The losses of 100 steps of torch's own AdamW, clipping and the schedule of :data:`TRAINING`."""
    import torch

    optimizer = TRAINING.optimizer
    parameters = dict(model.named_parameters())
    decayed = [value for name, value in parameters.items() if name.endswith("weight") and value.ndim == 2]
    others = [value for name, value in parameters.items() if not (name.endswith("weight") and value.ndim == 2)]
    adamw = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": optimizer.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=optimizer.learning_rate,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.epsilon,
    )
    factor = build_schedule(TRAINING.schedule, STEPS)
    schedule = torch.optim.lr_scheduler.LambdaLR(adamw, lambda index: factor(index + 1))
    batches, losses = TrainingBatches(sizes), []
    for step in range(STEPS):
        made = batches.at(step)
        adamw.zero_grad()
        loss = torch_outputs(model, "without segments", made).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), TRAINING.clipping.norm)
        adamw.step()
        schedule.step()
        losses.append(loss.item())
    return np.array(losses)


def to_foreign(arrays: Mapping[str, np.ndarray], config: ModelConfig) -> dict[str, np.ndarray]:
    """Parameters or their gradients as ``transformers`` has them."""
    family, problems = fitting_family(config)
    assert not problems, problems
    return to_tensors(arrays, config, family, padding=0)


def sketch(gradient: np.ndarray) -> np.ndarray:
    """‖g‖ and g · d for three random directions d, each of which is off by about ‖Δ‖ when g is off by Δ."""
    random = np.random.RandomState(gradient.size)
    flat = np.asarray(gradient, np.float64).ravel()
    return np.array([np.linalg.norm(flat), *(random.standard_normal((DIRECTIONS, flat.size)) @ flat)])


def references(family: str) -> dict[str, np.ndarray]:
    stored = {}
    for activation in STORED[family]:
        model = torch_model(family, activation, TINY)
        trained = {name: value for name, value in model.named_parameters() if "contact_head" not in name}
        stored["config"] = np.array(model.config.to_json_string())
        stored |= {f"tensor:{name}": value.detach().numpy().copy() for name, value in trained.items()}
        model = torch_model(family, activation, TINY, "float64")
        outputs = torch_outputs(model, family, batch(0, TINY))
        outputs.loss.backward()
        gradients = dict(model.named_parameters())
        stored[f"{activation}:logits"] = outputs.logits.detach().numpy()
        stored[f"{activation}:loss"] = np.array(outputs.loss.item())
        stored[f"{activation}:gradients"] = np.array([sketch(gradients[name].grad.numpy()) for name in trained])
        for dtype in DTYPES if activation in SMOOTH else ():
            model = torch_model(family, activation, TINY, dtype)
            stored[f"{activation}:losses:{dtype}"] = torch_losses(model, TINY)
    return stored


def main() -> None:
    import torch

    torch.set_num_threads(1)  # on so small arrays, handing work over takes longer than the work
    REFERENCES.mkdir(exist_ok=True)
    for family in STORED:
        path = REFERENCES / f"{family}.npz"
        np.savez_compressed(path, **references(family))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

"""Mistakes in layer norm and root mean square norm."""

from minibert.mistakes import layers, outputs
from minibert.mistakes.entries import LAYERS, LOOPS
from minibert.mistakes.mistake import Mistake, Sighting

BACKWARD, FORWARD = "model.norms:layer_norm_backward", "model.norms:layer_norm"
ROOT_BACKWARD, ROOT = "model.norms:rms_norm_backward", "model.norms:rms_norm"
LAYER_NORM, ROWS = {"epsilon": 0.1}, {"epsilon": 0.1, "shape": (4, layers.HIDDEN)}
GAIN_OUTSIDE = {
    "dy @ (gain / size)": "dy.mean(axis=1)",
    "product @ (gain / size)": "product.mean(axis=1)",
    "np.multiply(dy, gain, out=dy)": "dy.copy()",
    "dx *= inverse_deviation": "dx *= inverse_deviation * gain",
}

MISTAKES = [
    Mistake(
        "layer_norm.gain_outside", "the gain multiplies what the means leave, instead of what goes into them",
        "It is exact while all gains are equal. They are all 1 at initialisation, where most people test, so the "
        "check is green there, and training starts well. The two formulas differ only in where one factor stands.",
        BACKWARD, GAIN_OUTSIDE, f"{LAYERS}test_layer_norm", layers.layer_norm, LAYER_NORM,
        seen=(
            Sighting(
                "DeepSpeed", 2021, "the CUDA kernel of the invertible layer norm read gain and bias at the index "
                "of a row, not of a column: right, too, only while all gains are equal; found when the kernel "
                "was ported",
                "https://github.com/deepspeedai/DeepSpeed/pull/692",
            ),
        ),
        told=True,
    ),
    Mistake(
        "layer_norm.without_mean", "the mean of the gradient is not taken off",
        "The mean of the normalised row is 0, so the term looks as if it were 0, too.",
        BACKWARD, {"dx -= mean_dx_hat[:, None]": "pass"},
        f"{LAYERS}test_layer_norm", layers.layer_norm, LAYER_NORM,
    ),
    Mistake(
        "layer_norm.without_deviation_slope", "the deviation is taken for a constant",
        "The term looks like a small correction, a mean of D numbers of either sign. Gradients keep their size "
        "and most of their direction, so that a network still learns with it.",
        BACKWARD, {"dx -= np.multiply(normalized, mean_product[:, None], out=product)": "pass"},
        f"{LAYERS}test_layer_norm", layers.layer_norm, LAYER_NORM,
        seen=(
            Sighting(
                "mlpack", 2019, "the backward pass of batch norm was wrong and its numerical check green: no "
                "layer with parameters stood below the norm in the test, so that nothing looked at the gradient "
                "of its input",
                "https://github.com/mlpack/mlpack/issues/1923",
            ),
        ),
        told=True,
    ),
    Mistake(
        "layer_norm.undivided", "the gradient is not divided by the deviation",
        "Activations of deviation 1 hide it, and those of many tests are drawn so.",
        BACKWARD, {"dx *= inverse_deviation": "pass"}, f"{LAYERS}test_layer_norm", layers.layer_norm, LAYER_NORM,
    ),
    Mistake(
        "layer_norm.gain_slope_without_input", "the gradient of the gain is that of the bias",
        "It has the right shape, and gain and bias stand side by side in the code.",
        BACKWARD, {"column_sums(product)": "column_sums(dy)"},
        f"{LAYERS}test_layer_norm", layers.layer_norm, LAYER_NORM,
    ),
    Mistake(
        "layer_norm.epsilon_outside_root", "epsilon is added to the deviation, not to the variance",
        "Both keep the quotient finite, and with an epsilon of 1e-12 no output shows the difference. It grows as "
        "epsilon does, and weights that were trained with the one are then read with the other.",
        FORWARD,
        {"(1 / np.sqrt(variance + x.dtype.type(epsilon)))": "(1 / (np.sqrt(variance) + x.dtype.type(epsilon)))"},
        f"{LOOPS}test_logits_equal_the_textbook_formulas", outputs.logits,
        {"norm": "pre", "activation_name": "gelu"},
        seen=(
            Sighting(
                "BERT-pytorch", 2018, "the layer norm of a well-known tutorial, with epsilon beside the "
                "deviation, was taken over; a reader saw that PyTorch's own has it inside the root",
                "https://github.com/codertimo/BERT-pytorch/issues/30",
            ),
            Sighting(
                "pytorch-transformer", 2024, "a course's transformer had it, and a reader sent the right formula",
                "https://github.com/hkproj/pytorch-transformer/pull/31",
            ),
            Sighting(
                "OLMo", 2023, "an RMS norm added epsilon to the root mean square, unlike LLaMA's",
                "https://github.com/allenai/OLMo/issues/281",
            ),
        ),
        told=True,
    ),
    Mistake(
        "layer_norm.unbiased_variance", "the variance is divided by D - 1",
        "It is what statistics teaches for a sample, and what `std` of PyTorch does by default. At D = 768 it "
        "changes the output by less than a thousandth, which looks like rounding. A row is not a sample here: "
        "the norm is a formula, and its gradient belongs to D.",
        FORWARD, {"normalized, normalized) / size": "normalized, normalized) / (size - 1)"},
        f"{LAYERS}test_layer_norm", layers.layer_norm, LAYER_NORM,
        seen=(
            Sighting(
                "annotated-transformer", 2024, "its layer norm called `std` with the default, which is the "
                "unbiased one; a reader sent the paper's formula",
                "https://github.com/harvardnlp/annotated-transformer/pull/119",
            ),
            Sighting(
                "Flux.jl", 2018, "the layer norm used Julia's corrected deviation, other than every library it "
                "was compared with",
                "https://github.com/FluxML/Flux.jl/issues/529",
            ),
        ),
        told=True,
    ),
    Mistake(
        "rms_norm.gain_outside", "the gain multiplies what the mean leaves, instead of what goes into it",
        "It is exact while all gains are equal, as at initialisation. The gradient of the gain itself is right, "
        "so a check of the parameters alone is green at any point.",
        ROOT_BACKWARD,
        {
            "product @ (gain / size)": "product.mean(axis=-1)",
            "np.multiply(dy, gain, out=dy)": "dy.copy()",
            "dx *= inverse_root": "dx *= inverse_root * gain",
        },
        f"{LAYERS}test_rms_norm", layers.rms_norm, ROWS,
        seen=(
            Sighting(
                "Megatron-LM", 2026, "a batch-invariant RMS norm multiplied the second term by the weight once "
                "more, which nothing shows while the weights are 1",
                "https://github.com/NVIDIA/Megatron-LM/pull/6859",
            ),
            Sighting(
                "llm.c", 2024, "reading a new kernel, a reviewer found that their own RMS norm had left the "
                "weight out of the backward pass, after days of search",
                "https://github.com/karpathy/llm.c/pull/763",
            ),
        ),
        told=True,
    ),
    Mistake(
        "rms_norm.without_root_slope", "the root mean square is taken for a constant",
        "As in layer norm, the term looks like a small correction.",
        ROOT_BACKWARD, {"dx -= np.multiply(normalized, mean_product[..., None], out=product)": "pass"},
        f"{LAYERS}test_rms_norm", layers.rms_norm, ROWS,
    ),
    Mistake(
        "rms_norm.centred", "the mean is taken off, as layer norm does",
        "The names are alike, the mean of activations is often near 0, and the text that comes out is fluent. "
        "Under automatic differentiation its gradient is right, and no gradient check sees it.",
        ROOT, {"mean_square = ": "x = x - x.mean(axis=-1, keepdims=True); mean_square = "},
        f"{LOOPS}test_logits_of_other_parts_equal_the_textbook_formulas", outputs.logits_of_parts,
        {"fields": {"norm_kind": "rms_norm"}},
        seen=(
            Sighting(
                "llama.cpp", 2023, "in its first days it ran LLaMA with a norm that took the mean off",
                "https://github.com/ggml-org/llama.cpp/issues/173",
            ),
            Sighting(
                "timm", 2024, "its RMS norm divided by the root of the variance, not of the mean square",
                "https://github.com/huggingface/pytorch-image-models/issues/2380",
            ),
        ),
        told=True,
    ),
    Mistake(
        "final_norm.left_out", "the backward pass of the norm after the last layer is left out",
        "The gradient keeps its shape, and the head above and the layers below are right by themselves.",
        "model.encoder:final_norm_backward", {"dx if cache is None else": "dx if True else"},
        f"{LAYERS}test_final_norm", layers.final_norm, {"norm": "pre", "kind": "layer_norm"},
    ),
]  # fmt: skip

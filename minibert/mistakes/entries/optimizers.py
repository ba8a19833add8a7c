"""Mistakes in AdamW, Lookahead, averages of the weights, and Muon."""

from minibert.config import AdamWConfig
from minibert.config.averaging import EMAConfig, LastConfig
from minibert.mistakes import outputs
from minibert.mistakes.entries import AVERAGING, OPTIMIZERS, ORTHOGONAL, TRANSFORMS
from minibert.mistakes.mistake import Mistake, Sighting

AVERAGES, FUSED = "training.transforms.averaging", "training.transforms.fused:_fused"
SMALL_SIDE = "training.transforms.orthogonal:_on_the_small_side"
SUM = f"{AVERAGING}test_the_exponential_average_is_the_weighted_sum_over_all_steps_without_the_initial_weights"
MEAN = f"{AVERAGING}test_the_mean_of_the_last_steps_is_that_and_before_it_the_trained_weights_are_evaluated"
TOGETHER = f"{TRANSFORMS}test_adamw_in_one_is_equal_to_its_transforms_one_by_one"
EITHER_SIDE = f"{ORTHOGONAL}test_the_fast_form_equals_the_textbook_one_on_either_side"
WIDE = {"rows": 8, "columns": 40, "iterations": 5, "polynomials": "polar_express"}
DOUBLE = {"settings": {"optimizer": AdamWConfig(weight_decay=0.5)}, "dtype": "float64"}


def exponential() -> outputs.Outputs:
    return outputs.averaged(EMAConfig(half_life=0.1), 20)


def last_steps() -> outputs.Outputs:
    return outputs.averaged(LastConfig(share=0.3), 10)


def trained(averaging: EMAConfig, optimizer: str) -> outputs.Outputs:
    return outputs.averaged(averaging, 10)


MISTAKES = [
    Mistake(
        "adamw.epsilon_in_corrections", "epsilon is added before the second moment is corrected",
        "It is there to keep a quotient finite, and 1e-8 beside a gradient seems to be nothing, wherever it "
        "stands. Before the correction it weighs 1/√(1 - β₂ᵗ) times as much, 32 times in the first step at β₂ = "
        "0.999, and gradients of rare words are small.",
        FUSED, {"epsilon * correction2**0.5": "epsilon"}, TOGETHER, outputs.adamw,
        {"settings": {"optimizer": AdamWConfig(epsilon=0.1)}, "dtype": "float64"},
        seen=(
            Sighting(
                "TensorFlow", 2017, "its Adam follows the paper's second formula, whose epsilon is another than "
                "that of the first; asked about again and again since",
                "https://github.com/tensorflow/tensorflow/issues/9047",
            ),
            Sighting(
                "PyTorch", 2019, "epsilon was scaled by the correction, until it was taken out",
                "https://github.com/pytorch/pytorch/pull/22628",
            ),
            Sighting(
                "nanochat", 2025, "the same in an AdamW of its own, mended after a reader's question",
                "https://github.com/karpathy/nanochat/issues/304",
            ),
        ),
        told=True,
    ),
    Mistake(
        "adamw.clipping_not_squared", "the clipping factor is not squared for the second moment",
        "One factor for one gradient, and no gradient is clipped most of the time.",
        FUSED, {"* factor * factor": "* factor"}, TOGETHER, outputs.adamw, DOUBLE,
    ),
    Mistake(
        "adamw.decay_in_corrections", "weight decay is scaled by Adam's correction",
        "After some hundred steps the correction is 1.",
        FUSED, {"decay / slope": "decay / slope * correction2"}, TOGETHER, outputs.adamw, DOUBLE,
    ),
    Mistake(
        "lookahead.last_steps_lost", "steps after the last period never reach the slow weights",
        "Slow weights move every k steps, and a run's length is rarely divided by k. Up to k - 1 steps are lost, "
        "or the fast weights are evaluated, which are the noisier ones.",
        "training.transforms.elements:lookahead", {" and moment.step != steps": ""},
        f"{OPTIMIZERS}test_the_last_step_moves_the_slow_weights_whatever_the_number_of_steps", outputs.lookahead,
        seen=(
            Sighting(
                "Ranger", 2020, "a reader counts that with k = 5 four of five evaluations see the fast weights, "
                "and asks for a move by hand",
                "https://github.com/lessw2020/Ranger-Deep-Learning-Optimizer/issues/24",
            ),
        ),
        told=True,
    ),
    Mistake(
        "average.of_initial_weights", "the exponential average begins with the initial weights",
        "An average has to begin with something, and a copy of the weights looks better than zeros. With a long "
        "memory, the average of a short run is then mostly that of random numbers.",
        f"{AVERAGES}:_average", {"np.zeros_like": "np.copy", "share_of_newest(count)": "share_of_newest(count + "
        "1)"},
        SUM, exponential,
        seen=(
            Sighting(
                "timm", 2022, "with a decay of 0.99999 and 25,000 steps, averaged weights were worse than "
                "expected, until the average began at zero and was corrected",
                "https://github.com/huggingface/pytorch-image-models/issues/1182",
            ),
        ),
    ),
    Mistake(
        "average.half_life_doubled", "the half-life is twice as long as it says",
        "An average over more steps is smoother, and looks better.",
        f"{AVERAGES}:average_exponentially",
        {"expm1(-math.log(2) / half_life)": "expm1(-math.log(2) / half_life / 2)"}, SUM, exponential,
    ),
    Mistake(
        "average.one_step_late", "the mean of the last steps begins one step late",
        "Of hundreds of steps, one does not show.",
        f"{AVERAGES}:_last", {", 1) + 1)": ", 1) + 2)"}, MEAN, last_steps,
    ),
    Mistake(
        "average.trained_on", "training goes on from the average",
        "The average is the better network.",
        f"{AVERAGES}:_average", {"average += update": "average += update; params[...] = average"},
        f"{AVERAGING}test_an_average_changes_no_bit_of_training", trained,
        {"averaging": EMAConfig(half_life=1.0), "optimizer": "adamw"},
    ),
    Mistake(
        "average.before_it_is_there", "a mean is evaluated before its first step",
        "It is an array of the right shape: of zeros.",
        f"{AVERAGES}:averaged_weights", {" and state[AVERAGED_STEPS][0]": ""}, MEAN, last_steps,
    ),
    Mistake(
        "muon.gram_once", "the Gram matrix is multiplied by the polynomial once",
        "A = P A Pᵀ needs it twice; after one product it is still a square matrix.",
        SMALL_SIDE, {"np.matmul(kept, other, out=gram)": "np.copyto(gram, other)"},
        EITHER_SIDE, outputs.orthogonal, WIDE,
    ),
    Mistake(
        "muon.earlier_polynomials_forgotten", "the product forgets the polynomials before",
        "The last one alone also brings singular values nearer to 1.",
        SMALL_SIDE, {"np.matmul(polynomial, product, out=other)": "polynomial.copy()"},
        EITHER_SIDE, outputs.orthogonal, WIDE,
    ),
    Mistake(
        "muon.output_cut_by_columns", "the output is cut into heads by columns, as queries are",
        "The four matrices of attention are of one size, and heads are columns in three of them. What reads the "
        "heads has them in its rows.",
        "training.optimizers:muon", {'"output": (parts, 1)': '"output": (1, parts)'},
        f"{TRANSFORMS}test_heads_apart_divides_what_makes_and_what_reads_the_heads", outputs.muon_of_heads,
    ),
    Mistake(
        "muon.without_constant", "a polynomial lacks its constant",
        "Of a X + b X³ + c X⁵, the first term is added on another line.",
        "training.transforms.orthogonal:_evaluate", {"[...] += a": "[...] += 0"},
        EITHER_SIDE, outputs.orthogonal, WIDE,
    ),
]  # fmt: skip

"""Mistakes in masking, and in rows that are short first."""

from minibert.mistakes import data_outputs as outputs
from minibert.mistakes.entries import MASKING, SHORT_ROWS
from minibert.mistakes.mistake import Mistake

UNIFORM, FIRST = "data.masking:UniformMasking", "data.short_rows:ShortRowsFirst"
TOKENS = f"{SHORT_ROWS}test_steps_have_as_many_tokens_in_short_rows_before_the_change_and_in_whole_ones_after_it"
AFTER = f"{SHORT_ROWS}test_from_the_change_on_every_batch_is_the_one_without_the_curriculum"

MISTAKES = [
    Mistake(
        "masking.special_tokens", "[CLS], [SEP] and padding are masked like words",
        "The loss falls, and fast: the first token of a row is always the same.",
        f"{UNIFORM}.choose", {"ordinary = input_ids >= FIRST_ORDINARY": "ordinary = input_ids >= 0"},
        f"{MASKING}test_special_tokens_are_never_chosen", outputs.masked,
    ),
    Mistake(
        "masking.count_rounded", "the number of predictions is rounded to the nearest",
        "In a long row the difference is small. A sentence of three words has none at a rate of 15 %, ever.",
        f"{UNIFORM}.choose",
        {
            "self.corruption_rate * count + rounding": "self.corruption_rate * count + 0.5",
            "self.prediction_rate * count + rounding": "self.prediction_rate * count + 0.5",
        },
        f"{MASKING}test_the_rounding_of_counts_is_unbiased", outputs.masked,
    ),
    Mistake(
        "masking.share_of_the_rest", "the share of random words is taken of what [MASK] left over",
        "10 % of the remaining 20 % are random, 18 % stay. A share can be meant in both ways, and code that takes "
        "it of the rest asks for 50 %.",
        f"{UNIFORM}.apply",
        {"(kind < self.mask + self.random)": "(kind < self.mask + self.random * (1 - self.mask))"},
        f"{MASKING}test_corrupted_tokens_are_masked_replaced_and_kept_in_the_shares_given", outputs.masked,
    ),
    Mistake(
        "short_rows.as_many_rows", "a batch has as many short rows as whole ones",
        "The batch size is a number of rows. But a step then reads a quarter of the text, and what is laid to "
        "short rows is the work of small batches.",
        "data.training_batches:_short_batches",
        {"settings.batch_size * settings.sequence_length // length": "settings.batch_size"},
        TOKENS, outputs.short_rows,
    ),
    Mistake(
        "short_rows.one_step_late", "the first whole rows come one step late",
        "Steps are counted from 0 or from 1, and of hundreds one does not show.",
        f"{FIRST}.__init__", {"math.ceil(share * steps)": "math.ceil(share * steps) + 1"},
        TOKENS, outputs.short_rows,
    ),
    Mistake(
        "short_rows.whole_rows_from_the_first", "the whole rows begin with those of step 0",
        "None of them was read before, so that any order is new. But runs with and without short rows then end on "
        "other text, and differ by more than what is compared.",
        f"{FIRST}.indices", {"super().indices(step)": "super().indices(step - self.change)"},
        AFTER, outputs.short_rows,
    ),
]  # fmt: skip

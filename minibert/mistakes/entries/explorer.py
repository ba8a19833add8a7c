"""Mistakes in what follows one sentence through a network."""

from minibert.mistakes import outputs
from minibert.mistakes.entries import EXPLORER
from minibert.mistakes.mistake import Mistake

FLOW = f"{EXPLORER}test_the_gradient_flow_is_the_slope_of_the_loss_and_the_gradient_of_the_parameters"
ABLATED = f"{EXPLORER}test_an_ablated_head_is_a_head_whose_output_is_zero"

MISTAKES = [
    Mistake(
        "explorer.exit_without_norm", "an early exit leaves out the final norm",
        "The head has a norm of its own, so that scales look right.",
        "exploration.guesses:early_exits", {"final_norm(states, model.params, model.config)[0]": "states"},
        f"{EXPLORER}test_an_early_exit_is_the_head_on_the_states_of_a_layer", outputs.guessed,
    ),
    Mistake(
        "explorer.another_head", "another head than the one asked for is switched off",
        "Of as many heads as layers, some pair is always there.",
        "exploration.ablation:_output_rows",
        {"[number * size : (number + 1) * size]": "[layer * size : (layer + 1) * size]"},
        ABLATED, outputs.ablated,
    ),
    Mistake(
        "explorer.divergence_reversed", "the divergence is the other way round",
        "Both are 0 where nothing changes, and alike where little does.",
        "exploration.ablation:_divergences", {"np.exp(before), before - after": "np.exp(after), after - before"},
        ABLATED, outputs.ablated,
    ),
    Mistake(
        "explorer.gradient_of_another_position", "the gradient begins at the first position, not at the one "
        "asked for",
        "Attention spreads it over all positions anyway.",
        "exploration.gradient_flow:flow", {"dx[position] = dhead[0]": "dx[0] = dhead[0]"}, FLOW, outputs.flow,
    ),
    Mistake(
        "explorer.without_the_path", "the gradient does not go past a branch, only through it",
        "Each branch is right by itself.",
        "exploration.gradient_flow:_back_through", {"dx = dbranch + dy": "dx = dbranch"}, FLOW, outputs.flow,
    ),
    Mistake(
        "explorer.attribution_of_loss", "attributions have the sign of the loss, not of log p",
        "Their sizes are right.",
        "exploration.gradient_flow:flow", {"attributions = -np.einsum": "attributions = np.einsum"},
        FLOW, outputs.flow,
    ),
    Mistake(
        "explorer.scores_undivided", "the scores that are shown are not divided by √K",
        "The weights that are shown come from the network, and are right.",
        "exploration.attention_steps:attention_steps", {"products *= products.dtype.type(size**-0.5)": "pass"},
        f"{EXPLORER}test_the_steps_of_attention_are_their_formulas", outputs.steps,
    ),
    Mistake(
        "explorer.block_without_input", "a block shows its branch, without what came in",
        "What is shown is what the block computes.",
        "exploration.forward_pass:_block", {"total = states + steps[-1].array": "total = steps[-1].array"},
        f"{EXPLORER}test_every_step_leads_to_the_states_and_scores_of_the_network", outputs.steps,
    ),
]  # fmt: skip

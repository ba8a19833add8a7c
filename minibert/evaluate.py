"""The door ``minibert evaluate``, or ``python -m minibert.evaluate``: what a trained model knows."""

if __name__ == "__main__":
    # The importable module, not this copy of it called __main__: its functions can be sent to other processes.
    from minibert.command_line.doors import enter

    enter("minibert.evaluate")

import sys

from minibert import interruption
from minibert.command_line.arguments import command, door_help, read_arguments, require_text
from minibert.command_line.help import asks_for_help
from minibert.errors import MinibertError
from minibert.interruption import Interrupted
from minibert.running.evaluation import Evaluation, evaluate
from minibert.running.progress import Display

SUMMARY = "Ask a trained model what it knows. What is found is added to the run, with one page: evaluation.html."
EXAMPLES = {
    "run=last evaluation=minimal_pairs": "which of two sentences the newest run prefers",
    "run=RUN_ID evaluation=[probing,minimal_pairs] steps=all": "two instruments at every kept checkpoint",
    "sweep=last evaluation=zero_shot quick=true": "every finished run of a sweep, in seconds each",
    "checkpoint=FOLDER evaluation=minimal_pairs 'evaluation.minimal_pairs.data=[FILE]'": "somebody else's model",
}
NOTE = (
    "Beside these, the words of the group evaluation, as for `minibert run`: evaluation=intrinsic, probing,\n"
    "minimal_pairs, semantics, facts, composition, zero_shot (the last four), downstream, word_learning,\n"
    "full (the default), or a list of them;\n"
    "evaluation.probing.max_sentences=500 and other settings of an instrument. The exit code is 0 if all that\n"
    "have their data answered, 1 if an instrument failed, or one that these words name has no data, and 2 for an\n"
    "error."
)


def main(arguments: list[str] | None = None) -> int:
    """Evaluate what the command line names.

    Returns the exit code: 1 if an instrument failed, or one asked by name has no data; 2 for an error.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if asks_for_help(arguments, lambda: door_help(command("evaluate"), SUMMARY, Evaluation, EXAMPLES, NOTE)):
        return 0
    display = Display()
    chosen = [word for word in arguments if word.startswith(("evaluation=", "evaluation."))]
    try:
        require_text(chosen)
        asked = read_arguments(Evaluation, [word for word in arguments if word not in chosen])
        return 0 if evaluate(asked, chosen, display) else 1
    except MinibertError as error:
        display.error(str(error))
        return 2
    except (Interrupted, KeyboardInterrupt):
        display.error("ended; what was found is recorded")
        return interruption.exit_code()

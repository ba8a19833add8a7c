"""The health of a run: the share of repeated text, and at the end the issues that were found."""

from minibert.diagnostics.engine.registry import diagnostic
from minibert.diagnostics.health.detect import detect_training_issues
from minibert.diagnostics.plotting.series import metric_name


@diagnostic("duplicate_data", every="end", level="light", metrics=("health",))
def duplicate_data(data):
    """``health/duplicate_share`` of the training sequences that occur more than once, and
    ``health/repeated_text_share`` of their text that occurs elsewhere too, 32 tokens or more in a row. Once a
    run, as counted when the text was prepared."""
    return {
        metric_name("health", name): data.statistics[name] for name in ("duplicate_share", "repeated_text_share")
    }


@diagnostic("health", every="end", level="light", metrics=("health",))
def health(record):
    """What :func:`minibert.diagnostics.detect_training_issues` finds in the record.

    A tag ``health.<issue>`` for each finding, which begins with its severity; ``health/findings``, their number
    without notes; ``health/plateau_left_step``, where the loss left the unigram level; ``health.json``, all of it,
    with what could not be checked and why.
    """
    found = detect_training_issues(record)
    # The gravest come first, and the first of an issue is its tag.
    tags = {f"health.{each.issue}": str(each) for each in reversed(found.findings)}
    return tags | {
        "health": found.to_dict(),
        metric_name("health", "findings"): len(found.faults),
        metric_name("health", "plateau_left_step"): found.plateau_left_step,
    }

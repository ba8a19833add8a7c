"""The words that name a sweep to the report and to the lab book."""

from dataclasses import dataclass

from minibert.command_line.arguments import StoreWords, argument

OLDER = {
    "--folder": "tracking.folder", "--uri": "tracking.uri", "--experiment": "tracking.experiment",
    "--sweep": "sweep", "--output": "output", "--lab-book": "lab_book",
}  # fmt: skip
NOTE = "The flags --folder, --uri, --experiment and --sweep with a value mean the words of the same name."


@dataclass(frozen=True)
class StudyWords:
    """A sweep, in the words of the command line."""

    study: str = argument(
        "study.name of the experiment, the name or id of a sweep, or last; study= may be left out", "STUDY", "last"
    )
    sweep: str | None = argument(
        "id of a sweep of this study, its first characters, or last; the study's last if not given",
        "SWEEP_ID",
        None,
    )
    tracking: StoreWords = StoreWords()

"""Sentences with labels: what a classifier is trained and tested on.

A table has tabs between its columns: sentence and label. Without a heading these are its two columns (as in the
SST-2 of Socher et al., "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank", EMNLP
2013); with one, they may be among others (as in GLUE).
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from minibert.data.annotated.lines import as_path, bad_line, read_table
from minibert.errors import MinibertError, listed

PARTS = ("train", "dev", "test")
MOST_LABELS = 200
"""More are refused: a bag of words would take hours, and a table whose second column is no label is as likely"""


class LabelledSentence(NamedTuple):
    text: str
    label: str
    """A number or a word, as the file has it"""


def read_labelled_sentences(file: str | Path) -> list[LabelledSentence]:
    """The sentences of a table.

    Raises :class:`MinibertError` for a file that cannot be read or has no sentence, a heading without ``sentence``
    or ``label``, a first line that seems to be a heading with other names, and a line with another number of
    columns or an empty one, by its number.
    """
    file = as_path(file)
    found = []
    for number, row in read_table(file, ("sentence", "label"), "sentence and its label", bare=True):
        for column in ("sentence", "label"):
            if not row[column]:
                raise bad_line(file, number, f"an empty {column}", "a sentence and its label, with a tab between")
        found.append(LabelledSentence(row["sentence"], row["label"]))
    _check_first_line(file, found)
    return found


def read_labelled_parts(folder: str | Path) -> dict[str, list[LabelledSentence]]:
    """The tables ``train.tsv``, ``dev.tsv`` and ``test.tsv`` of a folder, by the names of these parts.

    Raises :class:`MinibertError` for a part that is missing, a train part with fewer than two labels, and a label
    of another part that the train part does not have.
    """
    folder = as_path(folder)
    files = {part: folder / f"{part}.tsv" for part in PARTS}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise MinibertError(
            f"{folder}: {', '.join(missing)} is missing. Give a folder with train.tsv, dev.tsv and test.tsv."
        )
    parts = {part: read_labelled_sentences(file) for part, file in files.items()}
    labels = {sentence.label for sentence in parts["train"]}
    if len(labels) < 2:
        raise MinibertError(f"{files['train']}: all labels are {labels.pop()!r}. Allowed: at least two labels.")
    if len(labels) > MOST_LABELS:
        raise MinibertError(
            f"{files['train']}: has {len(labels):,} labels. Allowed: 2 to {MOST_LABELS}. Is the "
            "second column a label?"
        )
    for part in PARTS[1:]:
        strange = sorted({sentence.label for sentence in parts[part]} - labels)
        if strange:
            raise MinibertError(
                f"{files[part]}: the label {strange[0]!r} is not in {files['train'].name}. "
                f"Allowed: {', '.join(listed(sorted(labels), 20))}."
            )
    return parts


def _check_first_line(file: Path, sentences: list[LabelledSentence]) -> None:
    """A heading with other names would count as a sentence: its label is the only one that stands there once."""
    times = Counter(sentence.label for sentence in sentences)
    first = sentences[0].label
    if len(times) > 2 and times[first] == 1 and min(times[label] for label in times if label != first) > 1:
        given = f"the label {first!r}, which no other line has"
        raise bad_line(file, 1, given, "labels of several lines, or the heading sentence, tab, label")

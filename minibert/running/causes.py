"""Which of kernel, versions, lanes, code and data explains that a run, trained again, is another.

Each way in which the record and this process differ may be the cause, unless something rules it out. If one kind
is left, it explains the difference. If several are, the record cannot tell them apart, and the run can be trained
once more without one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minibert.tracking.provenance import (
    CAUSES,
    LIBRARY,
    NAME,
    UNRECORDED,
    VECTORS,
    changed,
    continuations,
    explained,
)
from minibert.tracking.recorded_code import changed_files

Tags = Mapping[str, str]
CORPUS, TOKENIZER, COMMIT = "corpus.hash", "tokenizer.hash", "git.commit"
KEEPERS = ("version.hydra-core", "version.omegaconf", "version.mlflow", "version.safetensors")
"""Packages that compose a configuration, or keep what was computed, and compute none of it"""
MEASURING = ("code.evaluation", "code.diagnostics")
"""Rooms that read parameters and change none"""
READERS = ("version.python", "code.data", "code.config")
"""What reads text and settings"""
CUTTER = "version.tokenizers"
"""What makes the vocabulary"""
MOST_FILES = 4


@dataclass(frozen=True)
class Cause:
    """One tag whose value is not the one on record."""

    tag: str
    before: str
    now: str
    ruled_out: str = ""
    """Why it cannot be the cause, as a phrase; empty if it can"""
    files: tuple[str, ...] = ()
    """Of code that can be had as it was: those that do something else now"""
    attempt: str = ""
    """How to train without this difference, as a phrase; empty if it is not known"""
    within: bool = False
    """Whether the run itself changed it, at an interruption"""

    @property
    def kind(self) -> str:
        """A key of :data:`minibert.tracking.provenance.CAUSES`"""
        return next(kind for kind, beginnings in CAUSES.items() if self.tag.startswith(beginnings))

    @property
    def change(self) -> str:
        """``kernel: Haswell on record, SkylakeX now``"""
        when = ("at first", "after an interruption") if self.within else ("on record", "now")
        (told,) = explained({self.tag: (self.before, self.now)}, when)
        more = f" and {len(self.files) - MOST_FILES} more" if self.files[MOST_FILES:] else ""
        others = f" (other in {', '.join(self.files[:MOST_FILES])}{more})" if self.files else ""
        return f"{'the run itself changed its ' if self.within else ''}{told}{others}"


def find_causes(recorded: Tags, now: Tags) -> list[Cause]:
    """All causes that the tags of a run and those of this process leave, in the order of the kinds."""
    changes, mixed = changed(recorded, now), continuations(recorded)
    found = []
    for beginnings in CAUSES.values():
        found += [_judged(tag, recorded, now) for tag in changes if tag.startswith(beginnings)]
        found += [Cause(tag, *mixed[tag], within=True) for tag in mixed if tag.startswith(beginnings)]
    rooms = any(tag.startswith("code.") for tag in recorded)
    return [each for each in found if not (rooms and each.tag == COMMIT)]  # the rooms say more


def explanation(causes: Sequence[Cause], of_parameters: bool) -> list[str]:
    """What explains the difference, and what does not, in sentences.

    ``of_parameters``: whether parameters differ. Otherwise recorded values differ, and no parameter that was kept.
    """
    told, left = [], []
    for cause in causes:
        measures = of_parameters and cause.tag in MEASURING
        if why := cause.ruled_out or ("it measures, and changes no parameter" if measures else ""):
            told.append(f"this does not explain it: {cause.change} ({why})")
        else:
            left.append(cause)
    changes = "; ".join(cause.change for cause in left)
    if not left:
        same = "else is other than" if causes else "differs from what is"
        told.append(f"nothing {same} on record: none of kernel, versions, lanes, code and data explains it")
    elif any(cause.before == UNRECORDED for cause in left):
        told.append(f"this may explain it, but the record does not say what it was: {changes}")
    elif len({cause.kind for cause in left}) == 1:
        told.append(f"this explains it, as nothing else is other than on record: {changes}")
    else:
        told.append(f"which of these explains it, or whether several do, the record cannot tell: {changes}")
        attempts = dict.fromkeys(cause.attempt for cause in left if cause.attempt)
        told += [f"to tell: {attempt}, and reproduce again" for attempt in attempts]
    return told


def of_other_data(causes: Sequence[Cause]) -> str:
    """What explains that the data differ, so that nothing was trained, in a sentence."""
    data = [cause.tag for cause in causes if cause.kind == "data"]
    readers = [cause.change for cause in causes if cause.tag in READERS and not cause.ruled_out]
    if CORPUS in data:
        read = f", or it is read otherwise: {'; '.join(readers)}" if readers else ""
        return f"this explains it: the text is not the one on record{read}"
    makers = [cause.change for cause in causes if cause.tag == CUTTER] + readers
    if makers:
        told = " or ".join(makers)
        return f"the text is the one on record; that its vocabulary is another is explained by {told}"
    return "the text is the one on record, and nothing on record explains that its vocabulary is another"


def _judged(tag: str, recorded: Tags, now: Tags) -> Cause:
    """The cause of a changed tag: what rules it out, or how to do without it."""
    before, (room, _, part) = recorded.get(tag, UNRECORDED), tag.partition(".")
    ruled_out, files, attempt = "", None, ""
    if room == "code":
        commit = recorded.get(COMMIT, UNRECORDED)
        files = changed_files(part, commit, before)
        ruled_out = "only comments, docstrings or layout have changed" if files == [] else ""
        attempt = f"go to the recorded code, git worktree add FOLDER {commit}" if files else ""
    elif tag in KEEPERS:
        ruled_out = "it computes none of these numbers"
    elif tag == "version.minibert" and any(each.startswith("code.") for each in recorded):
        ruled_out = "its code is compared room by room"
    elif tag == CUTTER and now[TOKENIZER] == recorded.get(TOKENIZER):
        ruled_out = "it makes the vocabulary, which is the one on record"
    elif room == "version" and part != "python":
        attempt = f"pip install {part}=={before}"
    elif tag == NAME and now[LIBRARY].startswith("openblas"):
        attempt = f"set OPENBLAS_CORETYPE={before}"
    elif tag == VECTORS and (more := [each for each in now[tag].split() if each not in before.split()]):
        attempt = f'set NPY_DISABLE_CPU_FEATURES="{" ".join(more)}"'
    return Cause(tag, before, now[tag], ruled_out, tuple(files or ()), attempt)

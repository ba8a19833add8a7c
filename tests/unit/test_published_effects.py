"""Published effects beside the lab book's numbers: what is read and concluded, and that the page is up to date."""

import shutil

import pytest

from analysis.published_effects import (
    CLAIMS,
    FIGURE,
    NAME,
    OPEN,
    OTHER,
    SAME,
    measure,
    numbers,
    page_of,
    read_table,
    write_published_effects,
)
from minibert.config import ROOT
from minibert.errors import MinibertError

LAB_BOOK = ROOT / "experiments"


def text_of(claim):
    return (LAB_BOOK / claim.page / "README.md").read_text(encoding="utf-8")


def test_the_page_of_this_checkout_is_that_of_its_lab_book(tmp_path):
    for claim in CLAIMS:
        (tmp_path / claim.page).mkdir()
        shutil.copy(LAB_BOOK / claim.page / "README.md", tmp_path / claim.page)
    made = write_published_effects(tmp_path)
    assert made is not None
    assert (tmp_path / NAME / FIGURE).exists() and (LAB_BOOK / NAME / FIGURE).exists()
    written = (LAB_BOOK / NAME / "README.md").read_text(encoding="utf-8")
    assert made.read_text(encoding="utf-8") == written, "Write it again: python -m analysis.published_effects"


def test_no_page_is_written_beside_a_lab_book_that_lacks_an_entry(tmp_path):
    assert write_published_effects(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("claim", "value"), [(CLAIMS[0], "0.40"), (CLAIMS[1], "relative")])
@pytest.mark.parametrize(
    ("interval", "direction"),
    [("−0.200 [−0.300, −0.100]", SAME), ("+0.200 [+0.100, +0.300]", OTHER), ("+0.100 [−0.100, +0.300]", OPEN)],
)
def test_the_direction_is_that_of_the_interval(claim, value, interval, direction):
    text = (
        "Held-out loss after 9 steps:\n\n| x | seeds | difference to 0.15 | p (Holm) |\n| --- | ---: | ---: | "
        "---: |\n"
        f"| 0.15 | 3 | baseline |  |\n| {value} | 3 | {interval} | 0.1 |\n\nNote.\n"
    )
    measured = claim.measure(text)
    assert measured.direction == direction and interval in measured.short


def ladder(ranks, scores):
    """A page with a score for each of two budgets and as many settings each; the last score is always the same."""
    rows = [(f"{budget}, {place} M", rank, score) for budget in ("equal tokens", "equal compute")
            for place, (rank, score) in enumerate(zip(ranks, scores, strict=True))]  # fmt: skip
    columns = (
        "weights in the layers", "steps", "tokens", "operations", "runs", "held-out loss (nats)",
        "effective rank of hidden states", "of the width",
    )  # fmt: skip
    lines = ["Loss and size:", "", f"| {' | '.join(columns)} |", "| --- |"]
    lines += [f"| {name} | {i} | 1 | {name} | 3 | {5 - score} ± 0.1 | {rank} ± 0.1 | 0.5 ± 0.1 |"
              for i, (name, rank, score) in enumerate(rows)]  # fmt: skip
    for budget in ("equal tokens", "equal compute"):
        sizes = [name.partition(", ")[2] for name, _, _ in rows if name.startswith(budget)]
        values = [f"{score} ± 0.01 (0.5)" for name, _, score in rows if name.startswith(budget)]
        lines += ["", f"Quality by size, {budget}:", "", f"| score | {' | '.join(sizes)} |", "| --- |"]
        lines += [f"| a probe | {' | '.join(values)} |"]
    return "\n".join(lines) + "\n"


def test_scores_that_follow_the_rank_contradict_the_claim_and_few_settings_leave_it_open():
    claim, ranks = CLAIMS[2], [10, 20, 30, 40, 50, 60]
    followed = claim.measure(ladder(ranks, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    assert followed.direction == OTHER and "clear in 1 of 1; median +1.00" in followed.short
    loose = claim.measure(ladder(ranks, [0.3, 0.1, 0.4, 0.15, 0.35, 0.2]))
    assert loose.direction == OPEN and "do not exclude a strong one" in loose.sentences


def test_the_answer_counts_the_directions():
    texts = {claim.page: text_of(claim) for claim in CLAIMS}
    answer = next(line for line in page_of(measure(texts)).splitlines() if line.startswith("**"))
    assert answer.startswith(f"**2 of {len(CLAIMS)} published effects have the published direction here")
    assert (
        f"({OPEN}: tested over 9 settings of size and budget of one recipe, and over no other variants)" in answer
    )


def test_a_page_without_the_table_is_refused():
    with pytest.raises(MinibertError, match="'Loss and size': no table of the page begins so"):
        read_table("# A page\n", "Loss and size")


def test_cells_are_read_as_numbers():
    assert numbers("0.733 ± 0.034 (0.512)") == [0.733, 0.034, 0.512] and numbers("baseline") == []

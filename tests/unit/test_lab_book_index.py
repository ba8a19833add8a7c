"""The index of the lab book is made from its pages, and the one in this checkout is up to date."""

import re
import shutil

import pytest

from analysis.lab_book import DOWNLOADED
from analysis.lab_book_index import BEGIN, END, LONGEST, QUESTIONS, read_entry, shortened, write_index
from minibert.config import ROOT
from minibert.data.annotated.downloads import known_datasets
from minibert.errors import MinibertError

WORDS_A_MINUTE = 240
"""A usual pace of silent reading"""
PAGES = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/README.md"))
PAGE = f"""# Does it help?

**Question.** By hand.

![Of the text](by_hand.png)

{BEGIN}

**Rate 0.4 is best, 4.27 ± 0.06 nats. The others are worse.**

Details.

![Learning curves](curves.png)

Run on 28 November 2026 with `python -m minibert.run +experiment=rates`, commit `0123`, 2 processors (Linux); 12 minutes of training in all.

{END}
"""  # noqa: E501


def page(folder, name, text=PAGE):
    (folder / name).mkdir()
    (folder / name / "README.md").write_text(text, encoding="utf-8")
    return folder / name / "README.md"


def test_a_question_has_its_answer_figure_command_and_minutes(tmp_path):
    page(tmp_path, "rates")
    page(tmp_path, "init_sweep", f"# How much does the start matter?\n\n{BEGIN}\n\nNot run.\n\n{END}\n")
    text = write_index(tmp_path).read_text(encoding="utf-8")
    assert "## [Does it help?](rates/README.md)\n\nRate 0.4 is best, 4.27 ± 0.06 nats. The others" in text
    assert "[![Learning curves](rates/curves.png)](rates/README.md)" in text
    assert "Again: `python -m minibert.run +experiment=rates` (12 minutes of training; run on 28 Nov" in text
    assert "## Not run yet\n\n* [How much does the start matter?](init_sweep/README.md)" in text
    assert write_index(tmp_path).read_text(encoding="utf-8") == text


def test_an_answer_in_words_alone_stands_before_the_numbers(tmp_path):
    words = "**In short.** It helps.\nIn these few steps,\nat least."
    page(tmp_path, "rates", PAGE.replace("**Question.**", f"{words}\n\n**Question.**"))
    text = write_index(tmp_path).read_text(encoding="utf-8")
    assert "(rates/README.md)\n\n**It helps. In these few steps, at least.**\n\nRate 0.4 is best" in text


def test_the_research_questions_come_first(tmp_path):
    for name in ("another", "masking_sweep", "attention_evolution"):
        page(tmp_path, name, PAGE.replace("Does it help?", name))
    text = write_index(tmp_path).read_text(encoding="utf-8")
    places = [text.index(f"## [{name}]") for name in ("attention_evolution", "masking_sweep", "another")]
    assert places == sorted(places)


def test_what_is_not_known_follows_an_answer_of_one_sentence(tmp_path):
    not_known = "Not separated from the baseline 0.15 by these seeds: 0.80 (+0.1 [−0.1, +0.3])."
    details = PAGE.replace("Details.", not_known)
    page(tmp_path, "long", details)
    page(tmp_path, "short", details.replace(" The others are worse.", ""))
    text = write_index(tmp_path).read_text(encoding="utf-8")
    assert text.count(not_known) == 1
    assert f"4.27 ± 0.06 nats. {not_known}\n" in text


def test_a_command_that_runs_as_it_stands_is_taken_before_one_with_folders(tmp_path):
    again = "Again with `python -m minibert.run +experiment=rates data=x`, which downloads the data. Run on 28"
    text = PAGE.replace("=rates`, commit", "=rates data=FOLDER/x`, commit").replace("Run on 28", again)
    page(tmp_path, "rates", text)
    text = write_index(tmp_path).read_text(encoding="utf-8")
    assert "Again: `python -m minibert.run +experiment=rates data=x` (12 minutes" in text and "FOLDER" not in text


def test_an_entry_without_minutes_says_so_and_one_made_from_others_says_from_which(tmp_path):
    page(tmp_path, "rates", PAGE.replace("; 12 minutes of training in all", ""))
    made = "Made with `python -m analysis.effects` from the pages rates and more, without training."
    page(tmp_path, "effects", f"# Effects?\n\n{BEGIN}\n\n**One.**\n\n{made}\n\n{END}\n")
    text = write_index(tmp_path).read_text(encoding="utf-8")
    assert "=rates` (its page has no minutes; run on 28 November 2026)." in text
    assert "Again: `python -m analysis.effects` (from the pages rates and more, without training)." in text


def test_data_sets_that_commands_download_by_name_are_those_that_there_are():
    assert sorted(known_datasets()) == sorted(DOWNLOADED)


def test_the_five_answers_are_read_in_two_minutes():
    """With all that stands above and between them, and without the commands, which are read to be run."""
    for name in QUESTIONS:
        entry = read_entry(ROOT / "experiments" / name / "README.md")
        assert entry.short and entry.answer and entry.figure and entry.command
    index = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    five = "## ".join(index.split("\n## ")[: 1 + len(QUESTIONS)])
    read = re.sub(r"^\[!\[.+$|^Again: .+$|\(\S+/README\.md\)", "", five, flags=re.MULTILINE)
    assert sum(any(map(str.isalnum, word)) for word in read.split()) <= 2 * WORDS_A_MINUTE


@pytest.mark.parametrize("name", PAGES)
def test_every_page_with_a_hypothesis_says_what_became_of_it(name):
    text = (ROOT / "experiments" / name / "README.md").read_text(encoding="utf-8")
    assert ("**Hypothesis" in text) == ("**What became of the hypothesis.**" in text)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_counts_runs_that_do_not_reach_a_level(name):
    text = (ROOT / "experiments" / name / "README.md").read_text(encoding="utf-8")
    assert "over the runs that get there" not in text


def test_a_long_answer_keeps_whole_sentences_and_no_number_is_cut():
    first = "At 0.5 it is 0.25 [0.10, 0.40], " + "x" * LONGEST + ". "
    assert shortened(first + "More.") == first.strip()
    assert shortened("It is 0.25. " + "Y" * LONGEST + ".") == "It is 0.25."


def test_a_file_by_hand_is_not_replaced(tmp_path):
    page(tmp_path, "rates")
    (tmp_path / "README.md").write_text("# Mine\n", encoding="utf-8")
    with pytest.raises(MinibertError, match="is no index of a lab book"):
        write_index(tmp_path)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# Mine\n"


def test_a_page_without_markers_is_listed_as_open(tmp_path):
    assert read_entry(page(tmp_path, "rates", "no title")).question == "rates"


def test_the_index_of_this_checkout_is_that_of_its_pages(tmp_path):
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments", ignore=shutil.ignore_patterns("*.png"))
    kept = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    assert write_index(tmp_path / "experiments").read_text(encoding="utf-8") == kept

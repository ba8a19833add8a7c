"""The index of the lab book is made from its pages, and the one in this checkout is up to date."""

import shutil

import pytest

from analysis.lab_book_index import BEGIN, END, LONGEST, read_entry, shortened, write_index
from minibert.config import ROOT
from minibert.errors import MinibertError

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
    assert "Again: `python -m minibert.run +experiment=rates` (run on 28 November 2026, 12 minutes of" in text
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

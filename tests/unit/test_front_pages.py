"""The pages that are read first say what the others say: README, architecture, glossary, pictures."""

import re
from pathlib import Path

from analysis.lab_book_index import QUESTIONS, read_entry
from tests.unit.test_floors import FLOORS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LETTERS = "BTNDHKFVLRPU"
LARGEST_PICTURE = 150_000


def text(path):
    return path.read_text(encoding="utf-8")


def test_the_readme_gives_the_answers_of_the_lab_book_word_for_word():
    rows = re.findall(
        r"^\| \[.+?\]\(experiments/(\w+)/README\.md\) \| (.+) \|$", text(ROOT / "README.md"), re.MULTILINE
    )
    entries = {path.parent.name: read_entry(path) for path in ROOT.glob("experiments/*/README.md")}
    assert dict(rows) == {name: entries[name].short for name in QUESTIONS}


def test_the_readme_is_read_in_two_minutes():
    lines = [line for line in text(ROOT / "README.md").splitlines() if line.strip()]
    assert len(lines) <= 70


def test_every_room_is_in_the_table_and_in_the_picture():
    rooms = {name.removeprefix("minibert.") for floor in FLOORS[1:-1] for name in floor} - {"minibert"}
    table, picture = text(DOCS / "architecture.md"), text(DOCS / "pictures" / "rooms.svg")
    for room in rooms:
        assert f"{room}/`" in table, room
        assert f">{room}</text>" in picture, room
    assert all(f"`{name.removeprefix('minibert.')}`" in table for name in FLOORS[-1])


def test_the_glossary_has_all_letters_and_its_words_in_order():
    page = text(DOCS / "glossary.md")
    assert set(LETTERS) <= set(re.findall(r"^\| ([A-Z]) \|", page, re.MULTILINE))
    words = [word.lower() for word in re.findall(r"^\*\*(.+?)\.\*\*", page, re.MULTILINE)]
    assert words == sorted(words) and len(words) == len(set(words)) > 40


def test_pictures_are_small_and_each_is_on_a_page():
    pages = "".join(text(page) for page in [ROOT / "README.md", *DOCS.rglob("*.md")])
    for picture in (DOCS / "pictures").iterdir():
        assert picture.stat().st_size <= LARGEST_PICTURE, picture.name
        assert f"pictures/{picture.name}" in pages, picture.name

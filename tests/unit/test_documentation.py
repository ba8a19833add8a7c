"""The pages say what is so: their links lead somewhere, and their commands are taken."""

import re
import shlex
from pathlib import Path

import pytest

from minibert.running.plan import plan

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in ROOT.rglob("*.md") if not {".venv", "mlruns"} & {*path.relative_to(ROOT).parts})
PUBLISHED = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN = re.compile(r"(?:python -m minibert\.run|minibert run)\b(.*)")
FLAGS_OF_ANSWERS = {"--help", "--cfg", "--version"}


def named(path):
    return str(path.relative_to(ROOT))


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_to_a_file_or_a_heading_leads_there(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        file, _, heading = target.partition("#")
        place = page.parent / file if file else page
        assert place.exists(), f"{named(page)}: {target}"
        assert not heading or heading in anchors(place), f"{named(page)}: {target}"


def commands():
    for page in PUBLISHED:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.splitlines():
                if match := RUN.search(line):
                    words = shlex.split(match[1], comments=True)
                    if not FLAGS_OF_ANSWERS & {*words}:
                        yield pytest.param(words, id=f"{named(page)}: {' '.join(words) or 'without words'}")


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_that_runs_is_composed_as_it_is_written(words):
    overrides = [word for word in words if not word.startswith("-")]
    multirun = bool({"-m", "--multirun"} & set(words))
    planned = plan(overrides, multirun)
    assert planned.jobs
    assert bool(planned.sweep) == (multirun or any(word.startswith("+experiment") for word in words))

"""Every command and every block of Python on the pages does what it says; every example runs.

How a page is read: tests/support/pages.py. What stands for a placeholder, what is added to a command to make it
small, and what is left out, by name and with the reason: tests/support/page_rules.py.
"""

import json
import os
import runpy
import shutil
import sys
from importlib import import_module
from itertools import product
from pathlib import Path
from random import Random

import pytest

import minibert.config
import minibert.tracking.store
from minibert.data.annotated.agreement import ADJECTIVES, NOUNS, VERBS
from minibert.running.plan import plan
from minibert.tracking import open_store
from tests.support import sentiment
from tests.support.copies import Copy, import_anew
from tests.support.page_rules import SKIPPED, SMALL
from tests.support.page_runs import Checkout, NotDone, Reader, commands_of, of_the_package, write
from tests.support.page_sizes import with_small_sizes
from tests.support.pages import ROOT, Part, changed, languages, pages, parts_of

PAGES = {name: path.read_text(encoding="utf-8") for name, path in pages().items()}
PARTS = {
    # The tests of the derivations run the blocks on these pages.
    name: [
        part for part in parts_of(name, text) if part.kind == "command" or not name.startswith("docs/mathematics/")
    ]
    for name, text in PAGES.items()
}
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*/*.py"))
LONGEST_EXAMPLE = 39
FEW = ["training.steps=4", "training.batch_size=8"]
IN_A_CHECKOUT = ("minibert", "conf", "analysis", "docs", "experiments", "tests")
LEFT_OUT = shutil.ignore_patterns("*.ipynb", "*.pyc.*")
"""Of those folders. What is compiled goes along, since a new process takes seconds for it; Python is writing the
files of the second pattern"""
RUN = [
    "model=debug", "training=debugging", *(f"{key}={value}" for key, value in SMALL.items()), "data=text",
    "data.path=books/*.txt", "evaluation.intrinsic.enabled=false", "diagnostics.figures=[]",
]  # fmt: skip
TYPED_OFTEN = ([], ["model=tiny"], ["model=debug", "training=debugging"])
"""Options of many pages: what Hydra composes of them here, their readers have"""


@pytest.fixture(scope="module")
def checkout(empty_database, rough_figures, door, tmp_path_factory):
    """A copy of what someone has cloned and trained in: a run, a sweep, and the files that the pages name."""
    folder = tmp_path_factory.mktemp("pages") / "minibert"
    for name in IN_A_CHECKOUT:
        shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OUT)
    for name in ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns")
    write_books(folder / "books")
    write_data(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minibert.config, "ROOT", folder)
        patch.setattr(minibert.tracking.store, "ROOT", folder)
        patch.chdir(folder)
        few = ["training.steps=4", "diagnostics=off", "diagnostics.quantities=[weight_spectra]"]
        give(
            door,
            "+experiment=masking_sweep",
            "masking.rate=0.15,0.4",
            "seed=0,1",
            "hydra/launcher=basic",
            *RUN,
            *few,
        )
        give(door, *RUN, "training.steps=512", "evaluation.every=64")
        give(door, "run=last", "folder=my_bert", module="minibert.export")
        for words in product(TYPED_OFTEN, ([], ["data=text", "data.path=books/*.txt", "diagnostics=off"])):
            plan([word for part in words for word in part], multirun=False)
        yield Checkout(folder, *(newest(folder, kind) for kind in ("run", "sweep")))


def write_books(folder: Path) -> None:
    """Documents with the words of the sentences about subjects and verbs, which are on several pages, too."""
    folder.mkdir()
    subjects = [noun for pair in NOUNS for noun in pair]
    for number in range(8):
        random = Random(number)
        lines = [f"document {number} . we keep the peace of the union , and it is strong ."]
        for _ in range(80):
            (subject, other), adjective, end = random.sample(subjects, 2), *random.sample(ADJECTIVES, 2)
            verb = random.choice([form for pair in VERBS for form in pair])
            lines.append(f"the {adjective} {subject} that we gave to the {other} of the union {verb} {end} .")
        (folder / f"{number}.txt").write_text("\n".join(lines), encoding="utf-8")


def give(door, *words: str, **options) -> None:
    done = door(*words, **options)
    assert done.returncode == 0, done.stderr


def newest(folder: Path, kind: str) -> str:
    store = open_store(None, folder / "mlruns", "minibert")
    found = store.client.search_runs([store.experiment_id], f"tags.`minibert.kind` = '{kind}'")
    return max(found, key=lambda run: run.info.start_time).info.run_id


def write_data(folder: Path) -> None:
    """The small files that are read in place of data sets of these names."""
    lines = []
    for words in product(("we", "they", "you", "i"), ("see", "keep", "find"), ("laws", "ships", "roads", "men")):
        rows = zip(words, [("PRON", "2", "nsubj"), ("VERB", "0", "root"), ("NOUN", "2", "obj")], strict=True)
        for number, (word, (tag, head, relation)) in enumerate(rows, 1):
            lines.append(f"{number}\t{word}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_")
        lines.append("")
    pairs = [
        {"sentence_good": f"the {noun}s are old", "sentence_bad": f"the {noun}s is old"}
        for noun in ("law", "road")
    ]
    for name, files in {
        "ud_english_ewt": {"small.conllu": "\n".join(lines) + "\n"},
        "blimp": {"agreement.jsonl": "".join(f"{json.dumps(pair)}\n" for pair in pairs)},
        "zorro": {"agreement-verbs.txt": "".join(f"{p['sentence_bad']}\n{p['sentence_good']}\n" for p in pairs)},
        "sst2": {
            f"{part}.tsv": "".join(f"{each.text}\t{each.label}\n" for each in sentences)
            for part, sentences in zip(("train", "dev", "test"), sentiment.splits(64, 20, 20), strict=True)
        },
    }.items():
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_text(content, encoding="utf-8")
    shutil.copy(folder / "ud_english_ewt" / "small.conllu", folder / "treebank.conllu")
    shutil.copytree(folder / "sst2", folder / "sentences")
    shutil.copytree(folder / "blimp", folder / "babylm-eval/strict/evaluation_data/full_eval/blimp_filtered")


def in_a_copy(checkout: Checkout, parts: list[Part]) -> str:
    """What could not be done of some parts of a page, in a copy of this process. Files beside are removed."""

    def read(words: list[str]) -> int:
        failures = Reader(checkout, parts).work()
        print("\n\n".join(failures))
        return int(bool(failures))

    there = set(checkout.folder.iterdir())
    with Copy(read, [], checkout.folder.parent / "printed.txt") as reader:
        code = reader.wait()
        printed = reader.printed
    for path in set(checkout.folder.iterdir()) - there:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return printed if code else ""


def elsewhere(checkout: Checkout, name: str) -> str:
    """The same of a page that changes the package: in another copy of the checkout, from which it is imported."""
    folder = checkout.folder.parent / name.replace("/", "_") / "minibert"
    shutil.copytree(checkout.folder, folder, ignore=shutil.ignore_patterns("mlruns"))
    (folder / "mlruns").symlink_to(checkout.folder / "mlruns")
    for part in PARTS[name]:
        if of_the_package(part):
            write(part, folder)

    def read(words: list[str]) -> int:
        import_anew(folder)
        return import_module("tests.support.page_runs").work_here(*words)

    with Copy(read, [name, checkout.run, checkout.sweep], folder.parent / "printed.txt") as reader:
        return reader.printed if reader.wait() else ""


@pytest.mark.parametrize("name", [name for name, parts in PARTS.items() if parts])
def test_everything_on_a_page_can_be_done(name, checkout):
    changes = any(of_the_package(part) for part in PARTS[name])
    failures = elsewhere(checkout, name) if changes else in_a_copy(checkout, PARTS[name])
    assert not failures, f"\n{failures}\nHow pages are tested: CONTRIBUTING.md, Write a page."


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_example_runs_and_is_short(path, checkout):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_EXAMPLE
    assert text.startswith('"""')

    def run(words: list[str]) -> int:
        os.chdir(checkout.folder)
        sys.argv = [str(path), *(FEW if "sys.argv[1:]" in text else [])]
        runpy.run_path(str(path), run_name="__main__")
        return 0

    with Copy(run, [], checkout.folder.parent / "printed.txt") as example:
        assert example.wait() == 0, example.printed
        assert example.printed.strip()


def test_the_table_of_examples_has_every_example_and_what_it_teaches():
    table = (ROOT / "docs" / "examples" / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES:
        command = f"`python docs/examples/{path.parent.name}/{path.name}`"
        assert command in table
        assert len(EXAMPLES) == table.count("`python docs/examples/")


@pytest.mark.parametrize("beginning", SKIPPED)
def test_what_is_left_out_is_still_on_a_page(beginning):
    commands = [part.text for parts in PARTS.values() for part in parts if part.kind == "command"]
    assert any(command.startswith(beginning) for command in commands)


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_seen_and_names_its_language(name):
    found = languages(PAGES[name])
    assert [line for line, language in found if not language] == [], "sh is run, text is shown"
    fences = [line for line in PAGES[name].splitlines() if line.lstrip().startswith("```")]
    assert len(fences) == 2 * len(found), "a block needs an empty line before it, as within <details>"


PAGE = """Some `python -m minibert.run`, `python -m minibert.run seed=1` and `minibert run …`.

```sh
python -m minibert.run model=tiny \\
    seed=2   # a comment
cat > a.txt <<'EOF'
python -m minibert.run
EOF
```

<details><summary>Solution</summary>

Write `mine.py`:

```python
x = 1
```

In the same file:

```python
y = 2
```

</details>

Add at the end of
`minibert/config/positions.py`:

```py
z = 3
```

In `minibert/model/ops.py`:

```diff
-a
+b
```

In `minibert/model/ops.py`, this is how it is:

```python
a = 1
```

<!-- results: begin. -->
`python -m minibert.run seed=3`
<!-- results: end -->

1. A list:

   ```sh
   ls docs
   ```
"""


def test_the_parts_of_a_page_are_what_its_reader_does():
    found = [(part.kind, part.line, part.file, part.text) for part in parts_of("page.md", PAGE)]
    assert found == [
        ("command", 1, "", "python -m minibert.run seed=1"),
        ("command", 4, "", "python -m minibert.run model=tiny seed=2   # a comment"),
        ("command", 6, "", "cat > a.txt <<'EOF'\npython -m minibert.run\nEOF"),
        ("file", 16, "mine.py", "x = 1\n"),
        ("added", 22, "mine.py", "y = 2\n"),
        ("added", 31, "minibert/config/positions.py", "z = 3\n"),
        ("change", 37, "minibert/model/ops.py", "-a\n+b\n"),
        ("python", 44, "", "a = 1\n"),
        ("command", 54, "", "ls docs"),
    ]


def test_a_change_needs_the_lines_that_it_changes():
    assert changed("a\nb\nc\n", " a\n-b\n+B\n@@\n c\n+d\n") == "a\nB\nc\nd\n"
    with pytest.raises(LookupError, match="0 places in the file have these lines"):
        changed("a\nb\n", "-c\n+d\n")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python -m minibert.run masking.raet=0.4", "did you mean 'masking.rate'"),
        ("python -m minibert.run +experiment=masking_swep", "did you mean 'masking_sweep'"),
        ("python -m minibert.inspect run=last setps=all", "exit code 2"),
        ("python -m minibert.evaluate run=NOBODY", "NOBODY: a placeholder needs a row in PLACEHOLDERS"),
        ("make swep", "the Makefile has no target swep"),
        ("emacs", "Add a row to SKIPPED or LOOKED_AT"),
    ],
)
def test_a_command_that_does_not_work_fails_whatever_is_added_to_it(checkout, command, told):
    failures = in_a_copy(checkout, [Part("command", command, "page.md", 7)])
    assert failures.startswith(f"page.md:7: {command}\n") and told in failures


def test_a_block_that_fails_is_told_by_the_line_of_the_page(checkout):
    parts = [Part("python", "x = 1\ny = x + z\n", "page.md", 7), Part("python", "y\n", "page.md", 12)]
    failures = in_a_copy(checkout, parts)
    assert 'File "page.md", line 8' in failures and "name 'z' is not defined" in failures
    assert "page.md:12" not in failures
    with pytest.raises(NotDone, match="not within the checkout"):
        write(Part("file", "", "page.md", 1, "../elsewhere.py"), checkout.folder)


def test_a_sweep_is_made_small_and_what_is_typed_stays():
    (words,) = commands_of(
        "OUT=1 python -m minibert.run -m model=tiny,small 'seed=range(5)' masking.rate=0.2 | head"
    )
    assert words == [
        "OUT=1",
        "python",
        "-m",
        "minibert.run",
        "-m",
        "model=tiny,small",
        "seed=range(5)",
        "masking.rate=0.2",
    ]
    small = with_small_sizes("minibert.run", words[4:], set())
    assert small is not None and {"model=tiny,small", "seed=0", "masking.rate=0.2", "model.layers=2"} <= {*small}
    assert with_small_sizes("minibert.run", ["+experiment=init_sweep"], set()) is None

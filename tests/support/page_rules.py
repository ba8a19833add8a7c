"""What becomes of the commands on the pages in the tests. Whoever writes a page may have to add a row here.

A command that the package itself answers is given as it is typed; small sizes are added behind it (:data:`SMALL`,
:data:`ADDED`). Whatever else is typed is looked at (:data:`LOOKED_AT`), or left out by name with the reason
(:data:`SKIPPED`).
"""

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.pages import ROOT, pages

PLACEHOLDERS = (
    (r"\b(run=|runs:/)(RUN_)?ID\b", r"\1<run>"),
    (r"(\+experiment=|analysis\.lab_book |minibert\.report )NAME\b", r"\1masking_sweep"),
    (r"--help GROUP\b", "--help optimizer"),
    (r"\bcheckpoint=FOLDER\b", "checkpoint=my_bert"),
    (r"\bfolder=(/models/)?my_bert\b", "folder=new_bert"),
    (r"\bFOLDER/", ""),
)
"""What stands for a word in capital letters: a pattern of the command -> its replacement.

``<run>`` is the id of a run of 512 steps, ``<sweep>`` that of a sweep over two masking rates and two seeds.
Commands are given in the folder of a checkout, with ``books/``, ``sentences/``, ``sst2/``, ``ud_english_ewt/``,
``blimp/``, ``zorro/``, ``treebank.conllu`` and ``my_bert/``, a folder in the layout of ``transformers``.
"""

SKIPPED = {
    ". .venv/bin/activate": "the tests run in an environment already",
    "python3 -m venv": "makes an environment",
    "pre-commit install": "changes the settings of Git",
    "jupytext --to ipynb --execute": "tests/integration/test_notebooks.py runs every notebook",
    "python -m minibert.report notebook_optimizers": "needs the store of a notebook",
    "python -m minibert.run +experiment=NAME_best": "is the result of a search, copied by its user",
    "python -m http.server": "serves until it is ended; it is of Python",
    "python -m mkdocs serve": "serves until it is ended; tests/integration/test_site.py builds the site",
    "python -m minibert.watch run=next": "waits for a run; tests/unit/test_watch_door.py begins one",
    "mlflow ui": "serves until it is ended; it is MLflow's own",
    "mlflow models serve": "serves until it is ended; tests/integration/test_serving.py asks the model",
    "curl localhost:5001": "asks the server above",
    "apt-get install": "needs the network",
    "service postgresql": "is of the machine; tests/integration/test_cluster.py starts a database",
    "runuser -u postgres": "is of the machine; tests/integration/test_cluster.py starts a database",
    "mlflow server": "serves until it is ended; tests/integration/test_cluster.py starts one",
    "ray start": "tests/integration/test_cluster.py starts one",
    "cd babylm-eval": "another project",
    "python -m evaluation_pipeline": "another project",
    "bash scripts/eval_zero_shot": "another project",
    "mkdir -p hub/models--my_bert": "for another project; tests/unit/test_revisions.py reads such folders",
    "for revision in": "for another project; tests/unit/test_revisions.py reads such folders",
    "export HF_HUB_CACHE": "for another project",
}
"""Beginning of a command -> why it is not given. A row with which no command begins any more fails a test."""

INSTEAD = {
    'eval "$(minibert --shell-completion install=bash)"': "minibert --shell-completion install=bash",
}
"""A command of the shell -> the command of the package in it"""

COMPOSED = {
    "+experiment=": "tests/integration/test_sweeps.py trains every experiment that is shipped",
    "tracking=server": "tests/integration/test_cluster.py and test_outages.py record at a server",
    "hydra/launcher=": "tests/integration/test_cluster.py trains by every launcher",
    "data=hub": "needs the network",
}
"""Beginning of a word of ``minibert run`` -> why its runs are composed, and not trained. An experiment that the
page itself writes is trained."""

SMALL = {
    "model.vocab_size": 300, "model.hidden_size": 32, "model.layers": 2, "model.heads": 2,
    "model.feed_forward_size": 64, "training.batch_size": 8, "training.sequence_length": 32,
    "training.softmax_words": 40, "training.lanes": 1, "evaluation.sequences": 16, "tracking.progress": "false",
}  # fmt: skip
"""Settings that are added to every run, unless they are swept over"""
UNTYPED = {
    "data=": ["data=text", "data.path=books/*.txt"],
    "evaluation": ["evaluation.intrinsic.enabled=false", "evaluation.rates=[0.4]"],
    "diagnostics": ["diagnostics=off"],
    "diagnostics.figures": ["diagnostics.figures=[]"],
}
"""Beginning of a word -> what is added to a run in which no word begins so"""
STEPS = {"typed": 128, "untyped": 4}
"""The most steps of a run, where its steps are typed and where they are not"""

ADDED = {
    "minibert.evaluate": ["quick=true", "lanes=1"],
    "minibert.reproduce": ["steps=4"],
    "minibert.search": ["search.trials=1", "search.startup=1", "search.workers=1"],
}
"""Program -> words that are added behind those typed"""
ADDED_WITHOUT = {
    ("minibert.inspect", "steps="): ["steps=last"],
    ("minibert.inspect", "quantities="): ["diagnostics=light"],
    ("minibert.inspect", "figures="): ["figures=[health]"],
    ("analysis.lab_book", "lab_book="): ["lab_book=experiments"],
}
"""Program and beginning of a word -> words that are added where no word begins so"""

SERVED: dict[str, Callable[[Sequence[str]], bool]] = {
    "minibert.explore": lambda words: not any(word.lstrip("-").startswith("html") for word in words),
    "minibert.watch": lambda words: "page=true" in words,
}
"""Program -> whether it opens a page on this machine until it is ended; that page is read, and then it is ended"""

EVALUATED = {
    "evaluation=full": [
        "evaluation.downstream.seeds=1", "evaluation.downstream.epochs=1", "evaluation.downstream.rates=[1e-3]",
        "evaluation.downstream.frozen_rates=[1e-2]",
    ],
}  # fmt: skip
"""A word of ``minibert evaluate`` -> words that are added behind it; ``evaluation=full`` is meant without one"""


def looked_at_make(words: Sequence[str]) -> str | None:
    """The targets are there."""
    rules = re.findall(r"^([\w%./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for target in words[1:]:
        if not any(re.fullmatch(rule.replace("%", ".+"), target) for rule in rules):
            return f"the Makefile has no target {target}"
        benchmark = target.partition("benchmark-")[2]
        if benchmark and not (ROOT / "tests" / "benchmarks" / f"{benchmark}.py").is_file():
            return f"there is no tests/benchmarks/{benchmark}.py"
    return None


def looked_at_pip(words: Sequence[str]) -> str | None:
    """The extras of minibert are there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in words:
        if found := re.fullmatch(r"(?:minibert|\.)\[(.+)\]", word):
            for extra in found[1].split(","):
                if extra not in project["optional-dependencies"]:
                    return f"pyproject.toml has no extra {extra}"
    return None


def looked_at_pytest(words: Sequence[str]) -> str | None:
    """The files are there, and have what -k asks for."""
    files = [ROOT / word for word in words if word.startswith("tests/")]
    for file in files:
        if not file.exists():
            return f"{file.relative_to(ROOT)} is not there"
    if "-k" in words and files:
        part = words[words.index("-k") + 1]
        told = [*pages(), *(file.read_text(encoding="utf-8") for file in files if file.is_file())]
        if not any(part in text for text in told):
            return f"{part} is no test of {', '.join(words[4:])}"
    return None


def looked_at_module(words: Sequence[str]) -> str | None:
    """The module is there."""
    path = Path(*words[2].split("."))
    is_there = (ROOT / path).with_suffix(".py").is_file() or (ROOT / path / "__init__.py").is_file()
    return None if is_there else f"there is no module {words[2]}"


def looked_at_example(words: Sequence[str]) -> str | None:
    """The example is there."""
    return None if (ROOT / words[1]).is_file() else f"{words[1]} is not there"


LOOKED_AT: dict[str, Callable[[Sequence[str]], str | None]] = {
    "make": looked_at_make,
    "pip install": looked_at_pip,
    "python -m pip install": looked_at_pip,
    "python -m pytest": looked_at_pytest,
    "python -m tests.": looked_at_module,
    "python docs/examples/": looked_at_example,  # tests/integration/test_pages.py runs them
}
"""Beginning of a command that takes minutes, or the network -> what is wrong with it, if anything"""

SHELL = ("cat", "cp", "echo", "grep", "head", "ln", "ls", "mkdir", "mv", "printf", "tail", "touch", "wc")
"""Programs that are run by the shell, in the reader's folder"""

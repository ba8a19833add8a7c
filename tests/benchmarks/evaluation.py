"""``python -m tests.benchmarks.evaluation``: what it costs to ask a trained model.

Pseudo-log-likelihoods within words of BLiMP's pairs by an untrained network of the size asked for, whose tokenizer
is that of the default corpus; beside minicons, which reads the same network from an exported folder and takes its
best batch size. Both have all cores. Times include the tokenizer, not the loading of the network. Then all probes
of the base network, and all instruments with ``quick=true``.

    python -m tests.benchmarks.evaluation --minicons minicons/bin/python --json evaluation.json
    python -m tests.benchmarks.evaluation --data FOLDER_OF_BLIMP model.layers=6 tracking.folder=/tmp/mlruns

minicons 0.3.39 needs ``transformers`` below 5, so it has an environment of its own:

    python3 -m venv minicons && minicons/bin/pip install minicons==0.3.39 transformers==4.57.6 torch
"""

import json
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.table import Table
from rich.text import Text

from minibert.command_line.terminal import print_table
from minibert.config import Config, ModelConfig, register
from minibert.data.annotated.conllu import read_conllu
from minibert.data.annotated.downloads import dataset
from minibert.data.annotated.minimal_pairs import MinimalPair, read_minimal_pairs
from minibert.data.prepared import PreparedData, prepare_data
from minibert.evaluation.asking import ask
from minibert.evaluation.catalogue import enabled
from minibert.evaluation.instruments import Subject
from minibert.evaluation.intrinsic.held_out import bits_of_a_nat
from minibert.evaluation.probing import TASKS, analyze_linguistic_probes
from minibert.evaluation.pseudo_likelihood import pseudo_log_likelihoods
from minibert.model.bert import MiniBERT
from minibert.running.evaluation import FolderPlace, settings_of
from minibert.running.plan import plan
from tests.benchmarks.options import Parser, one_line_errors, program, whole
from tests.benchmarks.report import machine, machine_line
from tests.benchmarks.turns import console
from tests.benchmarks.worker import QUIET, Watch
from tests.benchmarks.workload import physical_cores
from tests.support.minicons_scores import ask_minicons

SENTENCES = 2000
"""Of the treebank, that probes are fitted to and scored on"""
PAIRS, PARADIGMS = 1000, 67
"""That are scored beside minicons, and that BLiMP has"""
BATCH_SIZES = (16, 32, 64)
"""Sentences that minicons is given at a time; its best counts"""


@dataclass
class Workbench:
    """What the works share."""

    options: Namespace
    config: Config
    data: PreparedData
    model: MiniBERT
    pairs: list[MinimalPair]


@dataclass(frozen=True)
class Row:
    """What was measured of a work."""

    work: str
    seconds: list[float]
    """By round"""
    target: float | None = None
    """In seconds, or in multiples of what is named in ``of``"""
    of: str = ""
    beside: float | None = None
    """Seconds of what is named in ``of``"""
    note: str = ""
    others: float = 0.0
    """The largest share of the machine that went to other processes"""
    more: dict = field(default_factory=dict)

    @property
    def value(self) -> float:
        """What the target bounds."""
        median = float(np.median(self.seconds))
        return median if self.beside is None else median / self.beside


@one_line_errors()
def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    register()
    words = [f"model={options.model}", *options.overrides]
    config = plan(words, multirun=False).jobs[0].config
    about = machine()
    console.print(machine_line(about))
    data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length, console.print)
    pairs = read_minimal_pairs(dataset(options.data, Path(config.data.cache), console.print))
    bench = Workbench(options, config, data, MiniBERT(config.model, seed=0), pairs)
    rows = [row for name in WORKS if options.only in (None, name) for row in WORKS[name](bench)]
    print_table(console, table(rows))
    if options.json:
        written = {"machine": about, "words": words, "rows": [asdict(row) | {"value": row.value} for row in rows]}
        options.json.write_text(json.dumps(written, indent=1))
        console.print(f"written to {options.json}")


def parse(arguments: list[str] | None) -> Namespace:
    parser = Parser("evaluation", __doc__)
    parser.add_argument("--model", default="tiny", help="an option of the group model")
    parser.add_argument(
        "--data", default="blimp", help="BLiMP: the data set, which is downloaded, or a folder of it"
    )
    parser.add_argument(
        "--treebank", default="ud_english_ewt", help="the data set, which is downloaded, or CoNLL-U of your own"
    )
    parser.add_argument("--minicons", type=program, metavar="PYTHON", help="an interpreter that has minicons")
    parser.add_argument("--rounds", type=whole(), default=3)
    parser.add_argument("--only", choices=list(WORKS), help="the one work that is measured")
    parser.add_json("every time, with the machine")
    parser.add_argument("overrides", nargs="*", help="further settings, as minibert.run takes them")
    return parser.parse_args(arguments)


def score_pairs(bench: Workbench) -> Iterator[Row]:
    """1,000 pairs, evenly over all that are there, before and after the turn of minicons."""
    sentences = spread_sentences(bench.pairs, PAIRS)
    work = f"{len(sentences) // 2:,} BLiMP pairs, PLL within words"
    seconds, others, scores = timed_rounds(bench, sentences)
    if not bench.options.minicons:
        note = "minicons was not asked: --minicons PYTHON names an interpreter that has it"
        yield Row(work, seconds, note=note, others=others)
        return
    with tempfile.TemporaryDirectory() as folder, console.status(f"{work}: minicons"):
        bench.model.save_pretrained(folder, bench.data.tokenizer)
        asked = {"within_word": BATCH_SIZES}
        answer = ask_minicons(bench.options.minicons, Path(folder), sentences, asked, physical_cores())
    # Again after minicons' turn: a machine that became slower or busier in between shows.
    more_seconds, more_others, _ = timed_rounds(bench, sentences)
    seconds, others = seconds + more_seconds, max(others, more_others)
    by_size = answer["found"]["within_word"]
    best = min(by_size, key=lambda size: by_size[size]["seconds"])
    off = float(np.abs(np.array(by_size[best]["scores"]) - scores).max())
    of = f"minicons {answer['versions']['minicons']}, batches of {best}"
    theirs = {size: round(found["seconds"], 3) for size, found in by_size.items()}
    more = {
        "minicons_seconds_by_batch_size": theirs,
        "versions": answer["versions"],
        "largest_difference_nats": off,
    }
    note = f"scores differ by {off:.1e} nats at most"
    yield Row(work, seconds, 0.2, of, by_size[best]["seconds"], note, others, more)


def score_paradigms(bench: Workbench) -> Iterator[Row]:
    """All pairs that are there, once."""
    paradigms = len({pair.paradigm for pair in bench.pairs})
    sentences = [each for pair in bench.pairs for each in (pair.good, pair.bad)]
    seconds, others, _ = timed_rounds(bench, sentences, rounds=1)
    note = "" if paradigms == PARADIGMS else f"extrapolated from {paradigms} paradigms, {seconds[0]:.1f} s"
    scaled = [each * PARADIGMS / paradigms for each in seconds]
    yield Row(f"all {PARADIGMS} paradigms of BLiMP", scaled, 180.0, note=note, others=others)


def probe_base(bench: Workbench) -> Iterator[Row]:
    """All probes and controls of every layer of the base network, features included."""
    sentences = read_conllu(dataset(bench.options.treebank, Path(bench.config.data.cache), console.print))
    network = MiniBERT(ModelConfig(), seed=0)
    watch, started = Watch(psutil.Process()), time.perf_counter()
    found = analyze_linguistic_probes(
        network, list(TASKS), sentences, bench.data.tokenizer, max_sentences=SENTENCES, lanes=physical_cores()
    )
    seconds, others = time.perf_counter() - started, watch.others()
    work = f"{len(found.tasks)} probes of all layers of base, {SENTENCES:,} sentences"
    yield Row(work, [seconds], 60.0, others=others)


def ask_everything(bench: Workbench) -> Iterator[Row]:
    """``evaluation=full quick=true``, by the door's own functions; reading the data included."""
    treebank = bench.options.treebank
    words = ["evaluation=full", *(f"evaluation.{name}.treebank={treebank}" for name in ("intrinsic", "probing"))]
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(
            model=bench.model,
            tokenizer=bench.data.tokenizer,
            untrained=lambda: MiniBERT(bench.config.model, seed=0),
            key=folder,  # nothing that is cached of another call is taken
            cache=Path(bench.config.data.cache),
            lanes=physical_cores(),
            quick=True,
            held_out=bench.data.evaluation,
            unigram_counts=bench.data.unigram_counts,
            bits_of_a_nat=bits_of_a_nat(bench.data),
            note=lambda message: None,
        )
        about = {"name": "a network", "what": "For a benchmark."}
        watch, started = Watch(psutil.Process()), time.perf_counter()
        outcome = ask(enabled(settings_of(words)), [0], lambda step: subject, FolderPlace(Path(folder)), about)
        seconds, others = time.perf_counter() - started, watch.others()
    missing = [*outcome.skipped, *outcome.failed]
    note = f"without {', '.join(missing)}" if missing else ""
    yield Row("evaluation=full quick=true", [seconds], 60.0, note=note, others=others, more=outcome.seconds)


WORKS: dict[str, Callable[[Workbench], Iterator[Row]]] = {
    "pairs": score_pairs, "paradigms": score_paradigms, "probes": probe_base, "full": ask_everything,
}  # fmt: skip
"""Name -> what measures it"""


def spread_sentences(pairs: list[MinimalPair], count: int) -> list[str]:
    """Both sentences of so many pairs, evenly over the list."""
    places = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int))
    return [each for place in places for each in (pairs[place].good, pairs[place].bad)]


def timed_rounds(bench: Workbench, sentences: list[str], rounds: int | None = None):
    """Seconds of every round, the largest share that went to other processes, and the scores (S,) in nats."""
    model, tokenizer, lanes = bench.model, bench.data.tokenizer, physical_cores()
    pseudo_log_likelihoods(model, tokenizer, sentences[:20], lanes=lanes)  # the first call warms up
    seconds, others, scores = [], [], []
    for _ in range(rounds or bench.options.rounds):
        watch, started = Watch(psutil.Process()), time.perf_counter()
        scores = pseudo_log_likelihoods(model, tokenizer, sentences, lanes=lanes)
        seconds.append(time.perf_counter() - started)
        others.append(watch.others())
    return seconds, max(others), np.array([score.log_likelihood for score in scores])


def table(rows: list[Row]) -> Table:
    """Without a quiet machine nothing is met or missed."""
    found = Table(title="Evaluation", title_justify="left")
    found.add_column("work")
    for column in ("median s", "by round", "beside it, s", "measured", "target", ""):
        found.add_column(column, justify="right")
    found.add_column("remarks")
    for row in rows:
        judgement = Text("")
        if row.target is not None:
            judgement = Text("met") if row.value <= row.target else Text("missed", style="bold red")
            judgement = judgement if row.others <= QUIET else Text("void", style="yellow")
        remarks = [each for each in (row.of, row.note) if each]
        if row.others > QUIET:
            remarks.append(f"{row.others:.0%} of the machine went to others")
        found.add_row(
            row.work,
            f"{np.median(row.seconds):.2f}",
            f"{min(row.seconds):.2f}-{max(row.seconds):.2f}",
            "" if row.beside is None else f"{row.beside:.2f}",
            f"{row.value:.3f}",
            "" if row.target is None else f"≤ {row.target:g}",
            judgement,
            "; ".join(remarks),
        )
    return found


if __name__ == "__main__":
    main()

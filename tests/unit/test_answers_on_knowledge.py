"""The study of what the layers know: tracked runs whose probes are known, to what its report says of them."""

import re
from functools import partial

import numpy as np
import pytest

from analysis.evidence import gather
from analysis.lab_book import write_lab_book
from analysis.questions.layer_knowledge_measures import known, learnt, orders
from analysis.questions.probe_records import read_probes
from analysis.report import write_report
from minibert.running.plan import plan
from minibert.training.checkpoints import log_spaced_steps
from tests.support.reports import cells, copied_store, plant

STUDY = {
    "name": "layer_knowledge", "question": "Which?", "factor": "model.layers", "metric": "eval/loss",
    "label": "number of layers",
}  # fmt: skip
STEPS = np.array([0, 32, 64, 128, 256, 512])
KINDS = {
    # kind: (last accuracy by layer, before training, bits, begin and end of the gain in steps)
    "part_of_speech": ((0.70, 0.80, 0.78, 0.75), (0.60, 0.58, 0.56, 0.54), (2.0, 1.5, 1.4, 1.6), (32, 128)),
    "head_distance": ((0.40, 0.45, 0.50, 0.52), (0.38, 0.38, 0.40, 0.40), (2.5, 2.3, 2.2, 2.1), (128, 512)),
    "word_content": ((0.60, 0.50, 0.40, 0.30), (0.60, 0.55, 0.50, 0.50), (1.0, 1.1, 1.2, 1.3), (1, 2)),
}
CONTROL, WORD_TAG, MAJORITY = 0.55, 0.72, 0.20


def ramp(steps, begin, end):
    """The share of the gain: 0 until the step ``begin``, 1 from ``end`` on, and even over log₂(1 + step)."""
    times, low, high = np.log2(1 + np.asarray(steps)), np.log2(1 + begin), np.log2(1 + end)
    return np.clip((times - low) / (high - low), 0, 1)


def results(step, seed, kinds):
    found = {}
    for kind in kinds:
        last, before, bits, (begin, end) = KINDS[kind]
        found |= {f"probing/majority_accuracy/{kind}": MAJORITY, f"probing/word_tag_accuracy/{kind}": WORD_TAG}
        for layer, (high, low, length) in enumerate(zip(last, before, bits, strict=True)):
            moved = 0.002 * (seed - 1) * (layer + 1)
            shift = 2 ** (0.1 * (seed - 1))
            accuracy = low + (high + moved - low) * float(ramp(step, begin * shift, end * shift))
            place = f"{kind}/layer_{layer}"
            found |= {
                f"probing/accuracy/{place}": accuracy, f"probing/control_accuracy/{place}": CONTROL,
                f"probing/selectivity/{place}": accuracy - CONTROL, f"probing/untrained_accuracy/{place}": low,
                f"probing/code_length/{place}": length, f"probing/compression/{place}": 3 / length,
            }  # fmt: skip
    return found


def track(store, seeds, steps=STEPS, kinds=tuple(KINDS), layers=(3,), reason=None, probed=None):
    """Runs of networks of 3 layers, or of several depths. ``probed``: seeds that have results; None is all"""

    def record(run, seed):
        for step in (0, 512):
            run.log({"eval/loss": 6.0 - step / 256 + 0.01 * seed}, step)
        run.flush()
        if probed is None or seed in probed:
            for step in steps if kinds else ():
                run.log_results(results(int(step), seed, kinds), int(step))
        elif reason:
            run.set_tags({"evaluation.left_out.probing": reason})

    runs = (
        (f"{depth} · seed {seed}", {"model": {"layers": depth}, "seed": seed}, partial(record, seed=seed))
        for depth in layers
        for seed in seeds
    )
    plant(store, STUDY, f"{seeds}{list(steps)}{kinds}{layers}{reason}{probed}", runs)


@pytest.fixture
def empty_store(empty_database, tmp_path):
    return copied_store(empty_database, tmp_path)


@pytest.fixture(scope="module")
def store(empty_database, tmp_path_factory):
    store = copied_store(empty_database, tmp_path_factory.mktemp("mlruns"))
    track(store, (0, 1, 2))
    return store


@pytest.fixture(scope="module")
def report(store, rough_figures):
    return write_report(store, "layer_knowledge")


def test_the_sweep_keeps_the_checkpoints_that_it_probes():
    jobs = plan(["+experiment=layer_knowledge", "tracking.folder=."], multirun=True).jobs
    assert [job.config.seed for job in jobs] == [0, 1, 2]
    for config in (job.config for job in jobs):
        training = config.training
        kept = log_spaced_steps(training.steps, training.checkpoint_every, training.checkpoints_per_doubling)
        assert set(config.evaluation.steps) <= set(kept) and config.evaluation.steps[-1] == training.steps


def test_the_best_layer_is_found_with_its_distance_to_the_embeddings_and_to_the_next_best(report):
    rows = cells(report, "The layer that knows most")
    best, accuracy, over_embeddings, p, next_best, over_next, _, shortest = rows["part of speech"]
    assert (best, next_best, shortest) == ("1", "2", "2")
    # Of seeds 0, 1, 2: 0.796, 0.800, 0.804, so a half width of 4.303 · 0.004 / √3.
    assert accuracy == "0.800 ± 0.010"
    assert over_embeddings.startswith("+0.100 [+0.095, +0.105]") and float(p.removeprefix("< ")) < 0.01
    assert over_next.startswith("+0.020 [")
    assert rows["head distance"][0] == "3" and rows["head distance"][4] == "2"
    assert rows["word content"][:1] == ("0",) and rows["word content"][2:4] == ("–", "–")


def test_p_values_are_adjusted_for_all_comparisons_of_the_table(store, report):
    first = known(read_probes(store, report.evidence.findings.groups[0].runs))[0]
    shown = cells(report, "The layer that knows most")["part of speech"][6]
    assert first.over_next.p_value < 0.05 and float(shown.removeprefix("< ")) > first.over_next.p_value


def test_the_best_layer_stands_beside_every_control(report):
    rows = cells(report, "Beside the controls")
    _, selectivity, same, any_layer, _, word_tag, majority = rows["part of speech"]
    assert selectivity.startswith("+0.250 [") and same.startswith("+0.220 [") and any_layer.startswith("+0.200 [")
    assert word_tag.startswith("+0.080 [") and majority.startswith("+0.600 [")
    assert rows["word content"][3].startswith("+0.000")


def test_half_of_the_gain_is_dated_where_it_was_put(report):
    rows = cells(report, "When each kind is learnt")

    def step(kind):
        return float(rows[kind][2].split()[0].replace(",", ""))

    def middle(begin, end):
        return 2 ** ((np.log2(1 + begin) + np.log2(1 + end)) / 2) - 1

    assert step("part of speech") == pytest.approx(middle(32, 128), rel=0.03)
    assert step("head distance") == pytest.approx(middle(128, 512), rel=0.03)
    assert rows["part of speech"][0].startswith("+0.220") and rows["part of speech"][1] == "3 of 3"
    assert rows["word content"][1:3] == ("0 of 3", "–")
    assert list(rows) == ["part of speech", "head distance", "word content"]
    assert rows["part of speech"][4:] == ("head distance", "head distance")
    assert rows["head distance"][4:] == ("–", "–")


def test_answer_and_details_are_made_of_the_numbers(report):
    for expected in (
        "The best layer is above the untrained network in 2 of 3 kinds of knowledge, above the embeddings in 2",
        "above the next best layer in 3 (3 seeds). Which is learnt first is told of 1 of the 1 pairs ",
        "reads most from the embeddings: word content; from layer 1: part of speech; from layer 3: head distance.",
    ):
        assert expected in report.answer, (expected, report.answer)
    details = " ".join(report.details)
    for expected in (
        "the best layer is above the embeddings in 2 of 3 kinds of knowledge, above the next best layer in 3,",
        "at these steps: part of speech (64",
        "decide which comes first in 1 of 1 pairs (Holm: 1).",
        "any layer of the untrained network for part of speech, head distance; not for word content.",
        "the most frequent label of each word for part of speech; not for head distance, word content.",
        "whose labels are random for part of speech, word content; not for head distance.",
        "the held-out loss (mean, 95 % interval) is",
    ):
        assert expected in details, (expected, details)


def test_page_and_lab_book_show_the_figures_with_what_they_cannot_say(report, tmp_path):
    names = {"knowledge_by_layer", "knowledge_by_checkpoint", "knowledge_times"}
    page = report.path.read_text(encoding="utf-8")
    assert names <= {path.stem for path in report.path.parent.glob("*.png")}
    assert all(f"<code>{name}.png</code>" in page for name in names)
    assert "not that the network uses it" in page
    text = write_lab_book(report.evidence, tmp_path).read_text(encoding="utf-8")
    shown = {file for about, file in re.findall(r"!\[([^\]]+)\]\((\w+)\.png\)", text) if about != f"{file}.png"}
    assert names <= shown and all((tmp_path / f"{name}.png").exists() for name in names)
    assert f"**{report.answer}**" in text and "not that the network uses it" in text


def test_a_gain_before_the_first_checkpoint_is_known_to_be_no_more_than_that(empty_store, rough_figures):
    track(empty_store, (0, 1), steps=np.array([0, 256, 512]), kinds=("part_of_speech",))
    report = write_report(empty_store, "layer_knowledge")
    assert cells(report, "When each kind is learnt")["part of speech"][3] == "2"


def test_without_a_checkpoint_at_step_0_gains_begin_at_the_untrained_network(empty_store, store):
    track(empty_store, (0, 1, 2), steps=STEPS[1:], kinds=("part_of_speech",))
    found = [
        learnt(known(read_probes(each, gather(each, "layer_knowledge").findings.groups[0].runs)))
        for each in (empty_store, store)
    ]
    one, other = (next(each for each in times if each.name == "part_of_speech") for times in found)
    assert list(one.by_seed.values()) == pytest.approx(list(other.by_seed.values()))


def test_one_checkpoint_has_layers_and_no_times(empty_store, rough_figures):
    track(empty_store, (0, 1), steps=STEPS[-1:])
    report = write_report(empty_store, "layer_knowledge")
    titles = [table.title for table in report.evidence.examination.tables]
    assert titles == ["The layer that knows most", "Beside the controls"]
    assert "Half of the last gain" not in " ".join(report.details)
    assert not (report.path.parent / "knowledge_times.png").exists()


def test_one_seed_gets_figures_and_no_claim(empty_store, rough_figures):
    track(empty_store, (1,))
    report = write_report(empty_store, "layer_knowledge")
    assert report.answer.endswith("this report claims nothing.")
    assert (report.path.parent / "knowledge_times.png").exists()
    assert cells(report, "The layer that knows most")["part of speech"][3] == "–"
    found = orders(learnt(known(read_probes(empty_store, report.evidence.findings.groups[0].runs))))
    assert not any(order.told or order.separated for order in found)


def test_runs_that_could_not_be_probed_say_why(empty_store, rough_figures):
    track(empty_store, (0, 1), kinds=(), probed=(), reason="ud_english_ewt: cannot be downloaded. Put it here.")
    report = write_report(empty_store, "layer_knowledge")
    assert report.answer == "No run could be probed, so it cannot be said which layer knows what."
    assert report.details[0] == "ud_english_ewt: cannot be downloaded. Put it here."
    assert "cannot be downloaded" in report.path.read_text(encoding="utf-8")


def test_a_run_without_results_is_counted_among_the_limits(empty_store, rough_figures):
    track(empty_store, (0, 1, 2), probed=(0, 2), reason="no treebank")
    report = write_report(empty_store, "layer_knowledge")
    assert "1 of 3 finished runs have no results of probes. no treebank." in report.path.read_text(
        encoding="utf-8"
    )
    assert "(2 seeds)" in report.answer


def test_runs_that_were_not_to_be_probed_get_the_report_of_any_study(empty_store, rough_figures):
    track(empty_store, (0, 1), kinds=())
    report = write_report(empty_store, "layer_knowledge")
    assert report.evidence.examination is None
    assert "the held-out loss (mean, 95 % interval) is" in report.answer


def test_networks_of_several_depths_are_examined_one_by_one(empty_store, rough_figures):
    track(empty_store, (0, 1), layers=(3, 5))
    report = write_report(empty_store, "layer_knowledge")
    assert "At number of layers 3: The best layer" in report.answer
    assert "At number of layers 5: The best layer" in report.answer
    assert (report.path.parent / "knowledge_times_number_of_layers_5.png").exists()

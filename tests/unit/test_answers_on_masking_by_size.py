"""The study of masking ratio and size: tracked runs whose best ratios are known, to what its report says."""

from functools import partial

import numpy as np
import pytest

from analysis.evidence import gather
from analysis.lab_book import plain, write_lab_book
from analysis.questions.masking_by_size_runs import read_sizes
from analysis.questions.representation_scaling_runs import layer_weights
from analysis.report import write_report
from minibert.running.plan import plan
from tests.support.reports import copied_store, plant

STUDY = {
    "name": "masking_by_size", "question": "Does it grow?", "metric": "eval/loss", "label": "size · masking rate",
}  # fmt: skip
RATIOS = (0.15, 0.25, 0.40, 0.60)
SIZES = {"xxs": (2, 32), "s": (4, 96), "m": (5, 160)}
WEIGHTS = {"xxs": "0.025 M", "s": "0.44 M", "m": "1.5 M"}
GROWING, LEVEL = {"xxs": 0.20, "s": 0.30, "m": 0.45}, {"xxs": 0.3, "s": 0.3, "m": 0.3}
"""Size -> its best ratio"""


def loss(best, ratio):
    """A parabola in the logarithm of the ratio"""
    return 4.5 + 2.0 * (np.log10(ratio) - np.log10(best)) ** 2


def track(store, seeds, best, left_out=(), fails=()):
    """``best``: size -> its best ratio; ``left_out``, ``fails``: pairs of size and ratio."""

    def record(run, size, ratio, seed):
        if (size, ratio) in fails:
            return "Step 3: the loss is inf, which is not finite."
        noise = np.random.default_rng([seed, *SIZES[size], int(100 * ratio)]).normal(0, 0.003)
        end = loss(best[size], ratio) + 0.05 * seed + noise
        for step, value in ((0, 6.4), (400, end)):
            run.log({"eval/loss": value}, step)
        run.flush()
        return None

    def given(size, ratio, seed):
        layers, width = SIZES[size]
        shape = {"layers": layers, "hidden_size": width, "feed_forward_size": 4 * width, "activation": "gelu"}
        return {"model": {"name": size} | shape, "masking": {"rate": ratio}, "seed": seed}

    runs = (
        (f"{size} {ratio} {seed}", given(size, ratio, seed), partial(record, size=size, ratio=ratio, seed=seed))
        for size in best
        for ratio in RATIOS
        for seed in seeds
        if (size, ratio) not in left_out
    )
    plant(store, STUDY, f"{seeds}", runs)


def examined(store):
    return gather(store, "masking_by_size").examination


def rows_of(examination, place):
    return {row[0]: row[1:] for row in examination.tables[place].rows}


@pytest.fixture
def empty_store(empty_database, tmp_path):
    return copied_store(empty_database, tmp_path)


@pytest.fixture(scope="module")
def evidence(empty_database, tmp_path_factory):
    store = copied_store(empty_database, tmp_path_factory.mktemp("mlruns"))
    track(store, (0, 1, 2), GROWING)
    return gather(store, "masking_by_size")


@pytest.fixture(scope="module")
def found(evidence):
    return evidence.examination


def test_the_sweep_has_every_size_at_every_ratio_with_three_seeds():
    jobs = plan(["+experiment=masking_by_size", "tracking.folder=."], multirun=True).jobs
    found = {(job.config.model.name, job.config.masking.rate, job.config.seed) for job in jobs}
    assert len(found) == len(jobs) == len(SIZES) * len((*RATIOS, 0.80)) * 3
    for config in (job.config for job in jobs):
        layers, width = SIZES[config.model.name.removeprefix("ladder_")]
        assert (config.model.layers, config.model.hidden_size) == (layers, width)


def test_sizes_are_in_order_with_their_losses_by_ratio(evidence):
    runs = evidence.findings.study.runs
    sizes = read_sizes(runs)
    assert [size.weights for size in sizes] == [
        layer_weights({"model.layers": str(a), "model.hidden_size": str(b), "model.feed_forward_size": str(4 * b)})
        for a, b in SIZES.values()
    ]
    assert all(set(size.losses) == set(RATIOS) and size.runs == 12 for size in sizes)
    assert [size.best for size in sizes] == [0.25, 0.25, 0.40]


def test_a_best_ratio_that_grows_is_found_with_its_factor(found):
    rows = rows_of(found, 1)
    assert rows["0.025 M"][3].startswith("0.20 [0.") and rows["1.5 M"][3].startswith("0.45 [0.")
    assert rows["largest against smallest"][3].startswith("×2.2")
    assert found.answer.startswith(
        "The best masking ratio grows from 0.025 M to 1.5 M weights in the layers, by the factor ×2.2"
    )


def test_differences_of_two_ratios_and_their_interaction_are_paired_by_seed(found):
    rows = rows_of(found, 1)
    gains = [loss(best, 0.40) - loss(best, 0.15) for best in GROWING.values()]
    for weights, gain in zip(WEIGHTS.values(), gains, strict=True):
        assert float(rows[weights][1].split()[0].replace("−", "-")) == pytest.approx(gain, abs=0.01)
    change = rows["largest against smallest"]
    assert float(change[1].split()[0].replace("−", "-")) == pytest.approx(gains[-1] - gains[0], abs=0.01)
    assert "more masking brings more to the larger network." in found.sentences[0]


def test_the_table_says_which_ratios_are_not_separated_from_the_best(found):
    row = rows_of(found, 0)["0.44 M"]
    assert row[:2] == ("12", "0")
    assert "(best)" in row[3] and "p " in row[2] and "p " in row[5]
    assert "The lowest mean loss is at the ratio 0.25 with 0.025 M" in found.answer


def test_without_an_interaction_the_answer_says_so(empty_store):
    track(empty_store, (0, 1, 2), LEVEL)
    found = examined(empty_store)
    assert found.answer.startswith("The data do not show that the best masking ratio changes with size")
    assert "which the data do not separate from no change." in found.sentences[0]


def test_a_best_ratio_at_an_end_of_those_tried_is_told_as_such(empty_store):
    track(empty_store, (0, 1, 2), {"xxs": 0.9, "s": 0.9})
    found = examined(empty_store)
    answer = found.answer
    assert "0.60 with 0.025 M (an end of what was tried)" in answer
    assert answer.startswith("Whether the best ratio grows with size cannot be told")
    assert any(text in found.sentences[0] for text in ("more masking brings", "do not separate from no change"))


def test_diverged_runs_are_counted_and_leave_their_cells_empty(empty_store):
    track(empty_store, (0, 1, 2), GROWING, fails={("m", 0.40)})
    found = examined(empty_store)
    assert "3 of 36 runs diverged (3 with 1.5 M)." in found.sentences
    assert rows_of(found, 0)["1.5 M"][:2] == ("12", "3") and rows_of(found, 0)["1.5 M"][4] == "–"
    assert " (one of the two is missing with 1.5 M)." in found.sentences[0]
    assert "From the smallest of these sizes to the largest it changes by" in found.sentences[0]


def test_a_missing_size_leaves_the_others_compared(empty_store):
    track(empty_store, (0, 1, 2), {name: GROWING[name] for name in ("xxs", "s")})
    answer = examined(empty_store).answer
    assert "from 0.025 M to 0.44 M weights in the layers" in answer


def test_one_size_gets_the_report_of_any_study(empty_store):
    track(empty_store, (0, 1), {"s": 0.3})
    assert examined(empty_store) is None


def test_one_seed_gets_a_figure_and_no_claim(empty_store, rough_figures):
    track(empty_store, (1,), GROWING)
    report = write_report(empty_store, "masking_by_size")
    assert report.answer.endswith("this report claims nothing.")
    assert (report.path.parent / "ratios_by_size.png").exists()


def test_the_lab_book_has_the_figure_and_the_limits(evidence, rough_figures, tmp_path):
    text = write_lab_book(evidence, tmp_path).read_text(encoding="utf-8")
    assert "](ratios_by_size.png)" in text and (tmp_path / "ratios_by_size.png").exists()
    assert f"**{plain(evidence.examination.answer)}**" in text
    assert "Wettig et al. trained larger networks for far longer" in text

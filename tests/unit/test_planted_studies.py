"""Studies with effects of known size, by the same path as a report: what is found, how often, and what is refused.

Noise is normal. Seeds of one number share half of their variance in all settings, so that pairs differ by less.
"""

import math
from itertools import product

import numpy as np
import pytest

from analysis.answers import answer, compared_with_baseline, details
from analysis.assumptions import check, check_replicates
from analysis.combinations import examine
from analysis.findings import find
from analysis.grid import Grid, lay_out
from analysis.statistics import minimum_detectable, paired_difference, seeds_to_settle
from analysis.tables import costs
from minibert.errors import MinibertError
from tests.support.studies import START, study_of, tracked_run

NOISE = 0.05
"""Standard deviation of a run's loss around what its seed and its setting have in common"""
PAIRED = NOISE * math.sqrt(2)
"""Of the difference between two runs of one seed"""
TWO = ("rate", "optimizer")
GRID = [*product(("a", "b"), ("x", "y"))]


def losses(generator, means, seeds=5, shared=True):
    """Cell -> seed -> loss, for cell -> mean. Without ``shared``, every cell has seeds of its own."""
    common = generator.normal(0, NOISE, seeds)
    found = {}
    for place, (cell, mean) in enumerate(means.items()):
        noise = generator.normal(0, NOISE, seeds) + (common if shared else generator.normal(0, NOISE, seeds))
        found[cell] = {seed + (0 if shared else 100 * place): 5 + mean + noise[seed] for seed in range(seeds)}
    return found


def share(studies, tell):
    told = [tell(each) for each in studies]
    return sum(told) / len(told), 3 * math.sqrt(0.25 / len(told))


def typical(difference, seeds):
    """A difference of this size, with the standard deviation of planted ones between its seeds."""
    spread = np.linspace(-1, 1, seeds)
    values = difference + spread * PAIRED / spread.std(ddof=1)
    return paired_difference(dict(enumerate(values)), dict.fromkeys(range(seeds), 0.0))


@pytest.mark.parametrize("seeds", [3, 5])
def test_an_effect_of_the_minimum_detectable_size_is_found_four_times_of_five(seeds):
    effect, generator = minimum_detectable(typical(0.1, seeds)), np.random.default_rng(seeds)
    studies = (
        study_of(losses(generator, {("a",): 0, ("b",): effect}, seeds), have_curves=False) for _ in range(600)
    )
    found, error = share(studies, lambda study: find(study).groups[1].separated)
    assert abs(found - 0.8) < error


def test_as_many_seeds_as_settle_a_difference_find_it_and_fewer_do_not():
    effect = 1.2 * PAIRED
    enough = seeds_to_settle(typical(effect, 6))
    assert enough is not None
    shares = []
    for seeds in (enough - 1, enough):
        generator = np.random.default_rng(seeds)
        studies = (
            study_of(losses(generator, {("a",): 0, ("b",): effect}, seeds), have_curves=False) for _ in range(1500)
        )
        shares.append(share(studies, lambda study: find(study).groups[1].separated)[0])
    # Two standard errors of a share of four in five of 1,500 are 0.02.
    assert shares[0] < 0.8 + 0.02 and shares[1] > 0.8 - 0.02 and shares[0] < shares[1]


def test_of_1000_studies_without_an_effect_at_most_5_in_100_tell_one_of_their_five_groups_apart():
    generator = np.random.default_rng(0)
    means = {(value,): 0.0 for value in "abcde"}
    told = 0
    for _ in range(1000):
        findings = find(study_of(losses(generator, means, seeds=3), have_curves=False))
        separated = any(group.separated for group in findings.groups)
        told += separated
        claimed = "seed by seed" in answer(findings)
        assert claimed <= separated
    # 0.05 and two standard errors of a share of 5 % of 1,000
    assert told / 1000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)


def test_sentences_claim_what_is_separated_and_nothing_else():
    generator = np.random.default_rng(1)
    for effect in np.linspace(0, 4 * PAIRED, 20):
        findings = find(study_of(losses(generator, {("a",): 0, ("b",): effect, ("c",): 0}, seeds=4)))
        said = compared_with_baseline(findings)
        claims = "".join(each for each in said if each.startswith(("Better", "Worse")))
        for group in findings.groups[1:]:
            assert (f"{group.shown} (" in claims) == group.separated


def test_a_planted_interaction_is_found_and_effects_that_add_up_are_not_called_one():
    generator = np.random.default_rng(2)
    additive = {cell: 0.2 * (cell[0] == "b") + 0.3 * (cell[1] == "y") for cell in GRID}
    # A contrast of four cells has the standard deviation 2 · NOISE.
    effect = minimum_detectable(typical(0.1, 5)) * 2 * NOISE / PAIRED
    for planted, expected in ((0.0, 0.05), (effect, 0.8)):
        means = additive | {("b", "y"): additive["b", "y"] + planted}
        studies = (study_of(losses(generator, means), TWO) for _ in range(600))
        found, _ = share(studies, lambda study: lay_out(study).interactions[0].separated)
        assert abs(found - expected) < 3 * math.sqrt(expected * (1 - expected) / 600)


def test_main_effects_are_found_at_their_size_and_with_their_power_also_over_three_settings():
    generator = np.random.default_rng(3)
    cells = [*product(("a", "b"), ("x", "y"), ("1", "2"))]
    means = {cell: 0.4 * (cell[0] == "b") + 0.3 * (cell[1] == "y") for cell in cells}
    sizes, false = [], 0
    for _ in range(100):
        rate, optimizer, layers = lay_out(study_of(losses(generator, means), ("rate", "optimizer", "layers"))).main
        assert rate.separated and optimizer.separated
        sizes.append((rate.difference.mean, optimizer.difference.mean))
        false += layers.separated
    assert np.mean(sizes, axis=0) == pytest.approx([0.4, 0.3], abs=0.02) and false <= 11


def two_factors(seed=4, planted=0.5, seeds=4, shared=True):
    means = dict.fromkeys(GRID, 0.0) | {("b", "y"): planted}
    return losses(np.random.default_rng(seed), means, seeds, shared)


def told(study):
    findings = find(study)
    examination = examine(findings)
    return answer(findings, examination), " ".join(details(findings, examination)), examination


def tables(examination):
    return [table for section in examination.sections for table in section.tables]


def test_an_interaction_is_told_with_both_effects_and_their_difference():
    said, more, examination = told(study_of(two_factors(), TWO))
    assert "What rate does depends on optimizer (p = 0." in said and "the held-out loss rises by 0." in said
    assert "] (worse) with optimizer y, and no change is shown with x." in said
    assert "The effect of rate depends on optimizer: from a to b, the held-out loss changes by" in more
    assert " with x and by +0." in more and "(between these: +0." in more
    assert "its average holds at none" in more and "if so, by no more than" not in more
    assert "interactions.png" in examination.figures


def test_effects_that_add_up_are_told_with_what_is_ruled_out():
    said, more, _ = told(study_of(two_factors(planted=0.0), TWO))
    assert "nor that the effect of one depends on the other." in said
    assert "Whether the effect of rate depends on optimizer; if so, by no more than 0." in more


def test_cells_without_shared_seeds_are_compared_unpaired_and_it_is_said():
    study = study_of(two_factors(shared=False), TWO)
    assert {each.difference.unpaired for each in lay_out(study).main} == {True}
    said, more, examination = told(study)
    assert "depends on optimizer" in said and "Compared unpaired (Satterthwaite's t interval)" in more
    assert "t test, not paired (Satterthwaite), adjusted for all 2 comparisons" in tables(examination)[0].note


def test_seeds_that_one_cell_lacks_are_left_out_everywhere():
    found = two_factors()
    del found["b", "y"][3]
    (effect,) = lay_out(study_of(found, TWO)).interactions
    assert effect.difference.n == 3 and not effect.difference.unpaired


def test_a_combination_that_diverged_is_named_and_what_it_leaves_cannot_be_told():
    found = two_factors()
    found["b", "y"] = dict.fromkeys(range(4), math.nan)
    said, more, examination = told(study_of(found, TWO))
    assert "rate (at optimizer x alone): these seeds do not separate a from b" in more
    assert "Whether the effect of one depends on the other cannot be told for lack of runs." in said
    assert (
        "4 of 16 runs have no result and no part in this: 4 ended without a finite held-out loss (b · y: 4)"
        in said
    )
    assert "Without two finite results: b · y." in more
    assert tables(examination)[1].rows[0][1:] == ("–", "–", "–", "–", "0")


def test_where_the_first_value_diverged_everywhere_the_others_are_compared_with_the_next():
    means = dict.fromkeys(product("abc", "xy"), 0.0) | {("c", "x"): 1.0, ("c", "y"): 1.0}
    found = losses(np.random.default_rng(6), means)
    found["a", "x"] = found["a", "y"] = dict.fromkeys(range(5), math.nan)
    (untold, told_apart) = lay_out(study_of(found, TWO)).main_of("rate")
    assert (told_apart.firsts, told_apart.values, told_apart.separated) == (("b",), ("c",), True)
    assert untold.values == ("a",) and untold.difference.n == 0


def test_of_three_values_the_incomplete_one_is_averaged_over_less_and_it_is_said():
    means = dict.fromkeys(product("abc", "xy"), 0.0) | {("b", "x"): 1.0, ("b", "y"): 1.0}
    found = losses(np.random.default_rng(5), means)
    del found["c", "y"]
    grid = lay_out(study_of(found, TWO))
    assert [(each.values, each.effect.over) for each in grid.main_of("rate")] == [
        (("b",), (("x",), ("y",))),
        (("c",), (("x",),)),
    ]
    said, more, _ = told(study_of(found, TWO))
    assert "rate (averaged over the values of optimizer that have the runs for it): " in more
    assert "On average, with rate b (averaged over the values of optimizer that have" in said
    assert "the held-out loss is 0.97" in said and "higher than with a (worse)." in said
    assert "Without two finite results: c · y." in more


def test_one_seed_claims_nothing_in_any_grid():
    for study in (study_of(two_factors(seeds=1), TWO), study_of({("a",): {0: 5.0}, ("b",): {0: 4.0}})):
        findings = find(study)
        examination = examine(findings) if study.factors else None
        assert "claims nothing" in answer(findings, examination) and details(findings, examination) == []
        assert "±" not in str(examination) and "[+" not in str(examination)


def test_failed_unfinished_and_never_started_runs_are_counted_in_every_answer():
    others = (tracked_run(("b",), 8, None, "FAILED"), tracked_run(("b",), 9, None, "RUNNING"))
    found = {("a",): {0: 5.0, 1: 5.1, 2: math.nan}, ("b",): {0: 4.0, 1: 4.1, 2: 4.2}}
    counted = (
        "4 of 9 runs have no result and no part in this: 1 never started; 1 failed; 1 not finished; "
        "1 ended without a finite held-out loss (a: 1)."
    )
    for stated in ({}, {"target": 4.5}, {"baseline": None}):
        study = study_of(found, others=others, planned={"x": "lost"}, **stated)
        assert answer(find(study)).endswith(counted)


def test_a_level_that_some_runs_never_reach_is_told_as_a_lower_bound_and_nobody_is_passed_over():
    """The level is the worst end of a, 5.2. Runs of b end at 5.0, 5.0 and 6.0: two get there, after
    100 · 2.8 / 3 = 93.3 steps, and one has not after 100: 95.6 up to then."""
    found = {
        ("a",): {0: 5.0, 1: 5.1, 2: 5.2},
        ("b",): {0: 5.0, 1: 5.0, 2: 6.0},
        ("c",): dict.fromkeys(range(3), 7.0),
    }
    findings = find(study_of(found))
    level = findings.efficiencies[1]
    assert level.level == pytest.approx(5.2)
    b = level.costs["b"]
    assert (b.reached, b.runs, b.at_least) == (2, 3, True)
    assert b.axes["step"].mean == pytest.approx((2 * 100 * (START - 5.2) / (START - 5.0) + 100) / 3)
    rows = {row[0]: row[1:3] for row in costs(findings, level).rows}
    assert rows["b"][0] == "2 of 3" and rows["b"][1].startswith("≥ 96")
    assert rows["c"] == ("0 of 3", "> 100")
    assert "not all runs get there at b (2 of 3), c (0 of 3)" in " ".join(details(findings))


def test_runs_that_all_reach_a_level_have_the_plain_mean_of_their_costs():
    found = {("a",): {0: 5.0, 1: 5.1, 2: 5.2}, ("b",): {0: 4.0, 1: 4.1, 2: 4.2}}
    cost = find(study_of(found)).efficiencies[0].costs["b"]
    steps = [100 * (START - 5.2) / (START - final) for final in (4.0, 4.1, 4.2)]
    assert not cost.at_least and cost.axes["step"].mean == pytest.approx(np.mean(steps))


def test_a_second_setting_that_varies_unsaid_is_refused_by_name():
    runs = [
        tracked_run((rate,), seed, 5.0) for rate in ("0.15", "0.4") for seed in (0, 1)
    ]  # fmt: skip
    for place, run in enumerate(runs):
        run.parameters.update({"rate": run.value, "layers": str(2 + place % 2)})
    with pytest.raises(MinibertError, match=r"its runs differ in layers \(2, 3\)\. Allowed: the factor rate"):
        check("planted", "rate", None, "eval/loss", ["rate", "layers"], runs)


def test_two_finished_runs_of_one_setting_and_seed_are_refused():
    with pytest.raises(MinibertError, match="have the same settings and seeds"):
        check_replicates(
            "planted", ["rate"], "eval/loss", [tracked_run(("a",), 0, 5.0), tracked_run(("a",), 0, 5.1)]
        )


def test_a_grid_without_a_finished_run_or_with_a_diagonal_alone_is_told_and_drawn():
    failed = tuple(tracked_run(cell, 0, None, "FAILED") for cell in GRID)
    for study in (
        study_of({("a", "x"): {}}, TWO, failed),
        study_of({("a", "x"): {0: 5.0, 1: 5.1}, ("b", "y"): {0: 4.0, 1: 4.3}}, TWO),
    ):
        findings = find(study)
        examination = examine(findings)
        assert "nan" not in " ".join([answer(findings, examination), *details(findings, examination)]).lower()
        assert {row[-2:] for table in tables(examination)[1:2] for row in table.rows} == {("–", "0")}
        figure = examination.figures["interactions.png"].figure
        figure.set_dpi(20)
        figure.canvas.draw()


def test_of_300_grids_without_an_effect_at_most_5_in_100_tell_a_change_with_the_others_held_fixed():
    generator = np.random.default_rng(7)
    firsts = {"rate": "a", "optimizer": "x"}
    cells = (losses(generator, dict.fromkeys(GRID, 0.0), seeds=3) for _ in range(300))
    grids = (Grid(study_of(each, TWO, have_curves=False), each, firsts, (), ()) for each in cells)
    told, _ = share(grids, lambda grid: any(row.separated for rows in grid.held_fixed.values() for row in rows))
    # 0.05 and two standard errors of a share of 5 % of 300
    assert told <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)

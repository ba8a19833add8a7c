"""The study of size: tracked runs whose laws are known, to what its report says of them."""

import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.evidence import gather
from analysis.lab_book import write_lab_book
from analysis.questions.representation_scaling import _beside_next
from analysis.questions.representation_scaling_figures import POINTS
from analysis.questions.representation_scaling_runs import find_budgets, in_millions, layer_weights, read_sizes
from analysis.report import write_report
from analysis.statistics import paired_difference
from minibert.model.arithmetic import count_flops
from minibert.running.plan import plan
from tests.support.reports import cells, copied_store, plant

STUDY = {
    "name": "representation_scaling", "question": "How?", "factor": "recipe.name", "metric": "eval/loss",
    "baseline": "s, both", "label": "size and budget",
}  # fmt: skip
LADDER = {"xxs": (2, 32), "xs": (3, 64), "s": (4, 96), "m": (5, 160), "l": (6, 224)}
TOKENS, FLOPS = 1_024_000, 2.7e12
BEST = 5.4
"""log₁₀ of the best size at equal compute"""
PROBES = ("part_of_speech", "number")


def weights(rung):
    layers, width = LADDER[rung]
    return layers * 12 * width**2


def law(n):
    return 2.5 + 60 * n**-0.3


def valley(n):
    """Lowest at 10^BEST weights"""
    return 0.4 * (np.log10(n) - BEST) ** 2


def settings_of(rungs, budgets):
    """Name of the setting -> rung, tokens, operations, loss"""
    found = {}
    for rung in rungs:
        n = weights(rung)
        by_tokens, by_compute = law(n), law(weights("s")) + valley(n) - valley(weights("s"))
        if rung == "s":
            found["s, both"] = rung, TOKENS, FLOPS, by_tokens
            continue
        if "tokens" in budgets:
            found[f"{rung}, equal tokens"] = rung, TOKENS, FLOPS * n / weights("s"), by_tokens
        if "compute" in budgets:
            tokens = TOKENS * weights("s") / n
            found[f"{rung}, equal compute"] = rung, tokens, FLOPS * (1 + 0.001 * len(found)), by_compute
    return found


def results(rung, loss, random):
    """A score that follows the loss, one that follows the size, and one that follows nothing."""
    layers, _ = LADDER[rung]
    found = {"minimal_pairs/accuracy": 0.5, "minimal_pairs/untrained_accuracy/agreement": 0.5}
    found["minimal_pairs/accuracy/agreement"] = 0.55 + random.normal(0, 0.02)
    found["minimal_pairs/accuracy/agreement/simple"] = 0.1
    values = {"part_of_speech": 1.2 - 0.1 * loss, "number": 0.1 * np.log10(weights(rung))}
    for kind, value in values.items():
        for layer in range(layers + 1):
            # The layer with the shortest code is the second; the last has a higher accuracy, which is not taken.
            high = {1: value, layers: value + 0.02}.get(layer, value - 0.1)
            found |= {
                f"probing/accuracy/{kind}/layer_{layer}": high + random.normal(0, 0.001),
                f"probing/code_length/{kind}/layer_{layer}": 1.0 + abs(layer - 1),
                f"probing/untrained_accuracy/{kind}/layer_{layer}": 0.40 - 0.01 * layer,
            }
    return found


def track(store, seeds, rungs=tuple(LADDER), budgets=("tokens", "compute"), asked=True, reason=None):

    def record(run, setting, seed):
        rung, tokens, flops, loss = settings[setting]
        layers, width = LADDER[rung]
        random, steps = np.random.default_rng([seed, len(setting), layers]), round(tokens / 2048)
        end = loss + random.normal(0, 0.01)
        for step, value in ((0, 6.4), (steps, end)):
            run.log(
                {"eval/loss": value, "tokens_seen": step * 2048.0, "flops": flops * step / tokens * 2048}, step
            )
        run.flush()
        found = {f"hidden_effective_rank/layer_{layers - 1}": width**0.8}
        run.log_results(found | (results(rung, loss, random) if asked else {}), steps)
        if reason:
            run.set_tags({"evaluation.left_out.probing": reason, "evaluation.failed.minimal_pairs": "broken"})

    def given(setting, seed):
        rung, tokens, _, _ = settings[setting]
        layers, width = LADDER[rung]
        model = {"layers": layers, "hidden_size": width, "feed_forward_size": 4 * width, "activation": "gelu"}
        training = {"steps": round(tokens / 2048)}
        return {"model": model, "recipe": {"name": setting}, "seed": seed, "training": training}

    settings = settings_of(rungs, budgets)
    runs = (
        (f"{setting} · seed {seed}", given(setting, seed), partial(record, setting=setting, seed=seed))
        for setting in settings
        for seed in seeds
    )
    plant(store, STUDY, f"{seeds}{rungs}{budgets}{asked}{reason}", runs)


def track_plain(store, factor, rungs, seeds=(0, 1), failed="", vocabularies=None):
    """A sweep without an experiment file, over networks of these sizes and for equal tokens."""

    def record(run, rung, seed):
        if rung == failed:
            return "broken"
        for step, value in ((0, 6.4), (500, law(weights(rung)) + 0.01 * seed)):
            run.log({"eval/loss": value, "tokens_seen": step * 2048.0, "flops": 1.0 * weights(rung) * step}, step)
        run.flush()
        run.set_tags({"choice.model": f"ladder/{rung}"} if factor == "model" else {})

    def given(rung, seed):
        layers, width = LADDER[rung]
        sizes = {"layers": layers, "hidden_size": width, "feed_forward_size": 4 * width, "activation": "gelu"}
        sizes["vocab_size"] = (vocabularies or {}).get(rung, 1024)
        settings = {"model": sizes, "seed": seed, "training": {"steps": 500}}
        return settings | ({"recipe": {"name": rung}} if factor == "recipe.name" else {})

    runs = [
        (f"{rung} · seed {seed}", given(rung, seed), partial(record, rung=rung, seed=seed))
        for rung in rungs
        for seed in seeds
    ]
    plant(store, {"name": factor}, f"{factor}{rungs}", runs, swept=[factor, "seed"])


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
    return write_report(store, "representation_scaling")


def test_the_sweep_has_every_rung_with_the_tokens_and_with_the_operations_of_the_one_in_the_middle():
    """501 of 2,048 tokens are predicted, over some 1,154 sampled words: as counted in a training."""
    jobs = plan(["+experiment=representation_scaling", "tracking.folder=.", "seed=0"], multirun=True).jobs
    found = {}
    for config in (job.config for job in jobs):
        rung = config.model.name.removeprefix("ladder_")
        assert (config.model.layers, config.model.hidden_size) == LADDER[rung]
        assert config.recipe.name.startswith(f"{in_millions(weights(rung))}, ")
        operations = config.training.steps * count_flops(config.model, 32, 64, 501, words=1154)
        found[config.recipe.name] = rung, config.training.steps, operations
    (middle,) = [each for each in found.values() if each[0] == "s"]
    assert len(found) == 2 * len(LADDER) - 1 and {rung for rung, _, _ in found.values()} == set(LADDER)
    for name, (_, steps, operations) in found.items():
        if name.endswith("equal tokens"):
            assert steps == middle[1]
        else:
            assert operations == pytest.approx(middle[2], rel=0.005)


def test_size_counts_the_matrices_of_the_layers():
    ladder = {"model.layers": "4", "model.hidden_size": "96", "model.feed_forward_size": "384"}
    assert layer_weights(ladder) == 4 * 12 * 96**2 == weights("s")
    gated = ladder | {"model.activation": "swiglu"}
    assert layer_weights(gated) == 4 * (4 + 12) * 96**2
    assert layer_weights(gated | {"model.match_feed_forward": "True"}) == weights("s")


def test_budgets_are_found_in_the_records_and_share_the_run_that_is_of_both(report):
    groups = report.evidence.findings.groups
    tokens, compute = find_budgets(read_sizes(run for group in groups for run in group.runs))
    assert (tokens.name, compute.name) == ("equal tokens", "equal compute")
    assert tokens.sizes == compute.sizes == [weights(rung) for rung in LADDER]
    assert len(tokens.runs) == len(compute.runs) == 15
    assert {run.setting for run in tokens.runs} & {run.setting for run in compute.runs} == {"s, both"}
    assert tokens.amount == TOKENS and compute.amount == pytest.approx(FLOPS, rel=0.01)
    assert tokens.spread == 0 < compute.spread < 0.02


def test_the_law_of_equal_tokens_is_found_with_its_interval(report):
    rows = cells(report, "Power laws")
    exponent, floor, lack, verdict = rows["equal tokens: a + b N^-c"]
    assert float(exponent.split()[0]) == pytest.approx(0.3, abs=0.03) and "[" in exponent
    assert float(floor.split()[0]) == pytest.approx(2.5, abs=0.2)
    assert float(lack.removeprefix("< ")) > 0.05 and verdict == "identified"
    for name in ("equal tokens: b N^-c", "equal compute: a + b N^-c"):
        assert float(rows[name][2].removeprefix("< ")) < 0.05 and rows[name][-1] == "does not hold"
    assert "exponent c = 0.3" in " ".join(report.details)


def test_the_best_size_at_equal_compute_is_where_it_was_put(report):
    rows = cells(report, "Loss and size")
    assert rows["equal compute, 0.15 M"][5] == "best" and rows["equal tokens, 3.6 M"][5] == "best"
    assert (
        rows["equal compute, 3.6 M"][5].startswith("+0.")
        and float(rows["equal compute, 3.6 M"][6].strip("< ")) < 0.05
    )
    assert rows["equal tokens, 0.44 M"][:2] == ("500", "1,024,000")
    assert re.search(r"tokens with 3\.6 M weights, the largest tried, [\d.]+ ± ", report.answer)
    assert re.search(r"and at equal compute with 0\.15 M, [\d.]+ ± [\d.]+ nats \([\d.]+ M: \+", report.answer)
    low = " ".join(report.details).partition("A parabola in log N is lowest at ")[2]
    assert float(low.split()[0]) == pytest.approx(10 ** (BEST - 6), rel=0.3)


def test_scores_are_of_the_layer_with_the_shortest_code_beside_the_best_untrained_one(report):
    found = cells(report, "Quality by size, equal tokens")["probe of part of speech"]
    assert float(found[2].split()[0]) == pytest.approx(1.2 - 0.1 * law(weights("s")), abs=0.005)
    assert found[2].endswith("(0.400)")


def test_what_follows_the_loss_is_told_from_what_follows_the_size(report):
    rows = cells(report, "Quality against loss")
    assert rows["probe of part of speech"][0] == "27"
    assert rows["probe of part of speech"][1].startswith("−0.9")
    assert float(rows["probe of number"][2].split()[0]) > 0.9
    assert set(rows) == {"probe of part of speech", "probe of number", "minimal pairs (agreement)"}
    followed = "Of 3 scores of the representations, 1 clearly rises as the loss falls, none fall, and 2 cannot"
    assert followed in report.answer
    assert "At the same loss, size goes with probe of number (partial ρ 0.9" in " ".join(report.details)


def test_details_say_where_training_brought_nothing_and_how_many_directions_are_used(report):
    details = " ".join(report.details)
    for expected in (
        "Spearman's ρ of each score with the loss, over all runs: probe of part of speech −0.9",
        "not clearly above those of the untrained network: minimal pairs (agreement) (0.025 M",
        "effective rank of the hidden states after the last layer is 16.0 ± 0.0 of 32 in the smallest network",
    ):
        assert expected in details, (expected, details)


def test_page_and_lab_book_show_the_figures_with_what_they_cannot_say(report, tmp_path):
    names = {"loss_by_size", "quality_by_size", "quality_by_loss", "rank_by_size"}
    page = report.path.read_text(encoding="utf-8")
    assert names <= {path.stem for path in report.path.parent.glob("*.png")}
    assert all(f"<code>{name}.png</code>" in page for name in names)
    assert "does not say how a larger network would do" in page
    text = write_lab_book(report.evidence, tmp_path).read_text(encoding="utf-8")
    shown = {file for about, file in re.findall(r"!\[([^\]]+)\]\((\w+)\.png\)", text) if about != f"{file}.png"}
    assert names <= shown and all((tmp_path / f"{name}.png").exists() for name in names)
    assert f"**{report.answer}**" in text


def test_without_equal_compute_the_answer_says_so(empty_store, rough_figures):
    track(empty_store, (0, 1), budgets=("tokens",))
    report = write_report(empty_store, "representation_scaling")
    assert "No three sizes have had the same compute, so nothing is said of that." in report.details
    assert "equal compute: b N^-c" not in cells(report, "Power laws")


def test_three_sizes_get_a_pure_law_and_no_floor(empty_store, rough_figures):
    track(empty_store, (0, 1), rungs=("xs", "s", "m"), budgets=("tokens",))
    report = write_report(empty_store, "representation_scaling")
    floor = "A floor of the loss cannot be told (four sizes are needed for it); b N^-c has the exponent"
    assert floor in " ".join(report.details)


def legend(report, title):
    """The labels in the legend of a panel of the losses by size, and how many lines are drawn between them."""
    (panel,) = [
        panel
        for panel in report.evidence.examination.figures["loss_by_size.png"].figure.axes
        if panel.get_title() == title
    ]
    drawn = [line for line in panel.lines if len(line.get_xdata()) == POINTS]
    return [text.get_text() for text in panel.get_legend().get_texts()], len(drawn)


def test_a_law_that_holds_is_drawn(report):
    for title, label in (("equal tokens", r"2\.\d+ \+ b / N\^0\.3\d"), ("equal compute", "parabola in log N")):
        labels, drawn = legend(report, title)
        assert drawn == 1 and any(re.fullmatch(label, each) for each in labels)


def test_a_law_that_misses_the_means_is_named_and_not_drawn(empty_store, rough_figures):
    track_plain(empty_store, "model", ("xxs", "s", "l"))
    report = write_report(empty_store, "model")
    labels, drawn = legend(report, "equal tokens")
    named = r"not drawn: b / N\^0\.\d+ \(misses the means\)"
    assert drawn == 0 and any(re.fullmatch(named, each) for each in labels)
    assert "but the means of sizes are off it (p of lack of fit" in " ".join(report.details)
    assert cells(report, "Power laws")["equal tokens: b N^-c"][-1] == "does not hold"


@pytest.mark.parametrize("rungs", [("xxs", "xs", "s"), tuple(LADDER)])
def test_one_seed_a_size_gives_exponents_without_intervals_and_draws_no_law(empty_store, rough_figures, rungs):
    track_plain(empty_store, "model", rungs, seeds=(0,))
    report = write_report(empty_store, "model")
    rows = cells(report, "Power laws")
    assert set(rows) == {f"equal tokens: {law}" for law in ("a + b N^-c", "b N^-c")[len(rungs) < 5 :]}
    for exponent, floor, lack, verdict in rows.values():
        assert "[" not in exponent + floor and (lack, verdict) == ("–", "cannot be told")
    told = " ".join(report.evidence.examination.sentences)
    assert "Each size has one run, so the spread between trainings is not known" in told
    labels, drawn = legend(report, "equal tokens")
    assert drawn == 0 and any(each.endswith("(fit unknown)") for each in labels)


def test_two_sizes_get_the_report_of_any_study(empty_store, rough_figures):
    track(empty_store, (0, 1), rungs=("s", "m"), budgets=("tokens",))
    assert write_report(empty_store, "representation_scaling").evidence.examination is None


def test_runs_without_instruments_get_their_laws_and_say_what_is_missing(empty_store, rough_figures):
    track(empty_store, (0, 1), asked=False, reason="ud_english_ewt: cannot be downloaded.")
    report = write_report(empty_store, "representation_scaling")
    assert "No run has results of probes or minimal pairs." in report.answer
    page = report.path.read_text(encoding="utf-8")
    assert "Probing did not answer in every run: ud_english_ewt: cannot be downloaded." in page
    assert "Minimal pairs did not answer in every run: broken." in page
    assert not (report.path.parent / "quality_by_loss.png").exists()


@pytest.mark.parametrize("factor", ["model", "model.hidden_size"])
def test_any_sweep_over_three_sizes_gets_their_laws(empty_store, rough_figures, factor):
    track_plain(empty_store, factor, ("xs", "s", "m"))
    report = write_report(empty_store, factor)
    assert report.answer.startswith(
        "The held-out loss is lowest at equal tokens with 1.5 M weights, the largest tried"
    )
    assert "probes" not in report.answer
    assert report.evidence.examination.title == "How the loss changes with size"
    assert (report.path.parent / "loss_by_size.png").exists()
    before = report.path.stat().st_ino
    assert write_report(empty_store, factor, again=False).path.stat().st_ino == before


def test_all_sizes_that_are_not_separated_from_the_best_are_named():
    def told(*ps):
        others = {10**5 * (n + 2): (paired_difference({"0": 5.1 + n, "1": 5.3 + n}, {"0": 5.0, "1": 5.1}), p)
                  for n, p in enumerate(ps)}  # fmt: skip
        return _beside_next(SimpleNamespace(over_others=others))

    assert told(0.01, 0.9).endswith("]")
    assert told(0.5, 0.01).endswith("], not separated")
    assert told(0.5, 0.2, 0.01).endswith("], not separated; nor is 0.3 M")
    assert told(0.5, 0.2, 0.3, 0.01).endswith("], not separated; nor are 0.3 M and 0.4 M")
    assert told(0.5, 0.2).endswith("], not separated; nor is any other size")


def test_a_size_without_a_result_is_not_passed_over_where_the_largest_is_named(empty_store, rough_figures):
    track_plain(empty_store, "model", ("xs", "s", "m", "l"), failed="l")
    assert "1.5 M weights, the largest with a result" in write_report(empty_store, "model").answer


def test_losses_of_other_vocabularies_are_not_compared(empty_store):
    track_plain(empty_store, "model", ("xs", "s", "m"), vocabularies={"s": 4096})
    assert gather(empty_store, "model").examination is None


def test_two_sizes_and_sizes_that_are_not_what_is_swept_over_get_none(empty_store):
    track_plain(empty_store, "model", ("xs", "s"))
    assert gather(empty_store, "model").examination is None
    track_plain(empty_store, "recipe.name", ("xs", "s", "m"))
    assert gather(empty_store, "recipe.name").examination is None


def test_an_instrument_that_answered_later_on_is_not_said_to_be_missing(empty_store, rough_figures):
    track(empty_store, (0, 1), budgets=("tokens",), reason="no treebank")
    limits = gather(empty_store, "representation_scaling").examination.limits
    assert not any("did not answer" in limit for limit in limits)


def test_one_seed_gets_figures_and_no_claim(empty_store, rough_figures):
    track(empty_store, (1,))
    report = write_report(empty_store, "representation_scaling")
    assert report.answer.endswith("this report claims nothing.")
    assert (report.path.parent / "quality_by_loss.png").exists()

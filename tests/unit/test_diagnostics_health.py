"""What is found wrong with a run, against histories with one fault planted in each; and where a NaN arose."""

import json
import re
from collections import Counter
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest

from minibert.config import Config, ModelConfig, PositionConfig
from minibert.data.batches import Batch, Questions
from minibert.diagnostics import (
    compute_duplicate_shares,
    detect_training_issues,
    locate_nonfinite,
    plot_training_health,
)
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.health.detect import CHECKS
from minibert.diagnostics.health.figures import draw_health
from minibert.diagnostics.health.loss_checks import find_plateau_end
from minibert.diagnostics.health.nonfinite import describe, to_dict
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.dropout import DropoutMasks
from minibert.model.words import WordSample
from minibert.training.trainer import NotFinite, Trainer

LOGGED, EVALUATED, LOOKED_AT = range(10, 1001, 10), range(0, 1001, 100), (0, 1, 10, 100, 999)
LAYERS, HEADS = 2, 2


def healthy() -> dict[str, tuple]:
    """A run of 1,000 steps in which nothing is wrong: the loss leaves 6 nats on its way to 4."""
    curve = {step: 6.05 - 2 * step / 1000 for step in range(1001)}
    noise = np.random.default_rng(0).normal(1, 0.1, len(LOGGED))
    record = {
        "train/loss": (LOGGED, [curve[step] + each / 10 for step, each in zip(LOGGED, noise, strict=True)]),
        "eval/loss": (EVALUATED, [curve[step] for step in EVALUATED]),
        "baseline/unigram_entropy": ([0], [6.0]),
        "gradient_norm/global": (LOGGED, 2 * noise),
        "health/duplicate_share": ([1000], [0.001]),
        "health/repeated_text_share": ([1000], [0.02]),
        "tokens_predicted": (EVALUATED, [300.0 * step for step in EVALUATED]),
    }
    for layer in range(LAYERS):
        record[f"gradient_norm/layer_{layer}"] = (LOGGED, noise)
        record[f"dead_units/layer_{layer}"] = (LOOKED_AT, [0.0, 0.1, 0.4, 0.4, 0.3])
        record[f"update_ratio/layers.{layer}.feed_forward.in.weight"] = (LOOKED_AT, [1e-4, 1e-3, 1e-2, 1e-2, 1e-4])
        record[f"head_distance/layer_{layer}"] = (LOOKED_AT, [1e-4, 1e-4, 0.02, 0.2, 0.15])
        for head in range(HEADS):
            name = f"layer_{layer}/head_{head}"
            record[f"attention_entropy_share/{name}"] = (LOOKED_AT, [1, 1, 0.9, 0.6, 0.5])
            record[f"attention_to_cls/{name}"] = (LOOKED_AT, [0.03, 0.03, 0.1, 0.3, 0.4])
    return record


def changed(metric, at) -> dict[str, tuple]:
    """The healthy record with values of a metric set, by step."""
    record = healthy()
    steps, values = record[metric]
    return record | {metric: (steps, [at.get(step, value) for step, value in zip(steps, values, strict=True)])}


def everywhere(prefix, value) -> dict[str, tuple]:
    """The healthy record with all values of the metrics that begin so set."""
    record = healthy()
    for name, (steps, values) in record.items():
        if name.startswith(prefix):
            record[name] = (steps, [value] * len(values))
    return record


def climbing(*metrics, by=3.0, until=1000) -> dict[str, tuple]:
    """The healthy record with losses that climb between step 500 and ``until``."""
    record = healthy()
    for metric in metrics:
        steps, values = record[metric]
        climb = [by if 500 <= step <= until else 0.0 for step in steps]
        record[metric] = (steps, [value + more for value, more in zip(values, climb, strict=True)])
    return record


FAULTS = {
    "loss climbs": (climbing("train/loss", "eval/loss"), "divergence", "problem", "eval/loss"),
    "loss climbs and falls": (
        climbing("train/loss", "eval/loss", until=700), "divergence", "warning", "eval/loss",
    ),
    "loss is no number": (changed("train/loss", at={500: np.nan}), "divergence", "problem", "train/loss"),
    "gradient spikes": (
        changed("gradient_norm/global", at={600: 40.0}), "exploding_gradients", "warning", "gradient_norm/global",
    ),
    "gradient stays large": (
        changed("gradient_norm/global", at=dict.fromkeys(range(800, 1001, 10), 1e3))
        | {f"gradient_norm/layer_{layer}": (LOGGED, [500] * len(LOGGED)) for layer in range(LAYERS)},
        "exploding_gradients", "problem", "gradient_norm/global",
    ),
    "gradient is infinite": (
        changed("gradient_norm/global", at={700: np.inf}),
        "exploding_gradients", "problem", "gradient_norm/global",
    ),
    "layer gets no gradient": (
        everywhere("gradient_norm/layer_1", 1e-3), "vanishing_gradients", "problem", "gradient_norm/layer_1",
    ),
    "gradient fades": (
        changed("gradient_norm/global", at=dict.fromkeys(range(510, 1001, 10), 1e-3))
        | {f"gradient_norm/layer_{layer}": (LOGGED, [1e-4] * len(LOGGED)) for layer in range(LAYERS)},
        "vanishing_gradients", "problem", "gradient_norm/global",
    ),
    "updates as large as weights": (
        everywhere("update_ratio/", 0.9), "large_updates", "warning", "update_ratio/median",
    ),
    "updates of nothing": (everywhere("update_ratio/", 1e-9), "small_updates", "problem", "update_ratio/median"),
    "loss stays": (everywhere("eval/loss", 6.02), "loss_plateau", "problem", "eval/loss"),
    "held-out loss rises": (climbing("eval/loss", by=3.0), "overfitting", "warning", "eval/loss"),
    "dead units": (everywhere("dead_units/layer_1", 0.95), "dead_units", "problem", "dead_units/layer_1"),
    "attention on one token": (
        everywhere("attention_entropy_share/layer_0", 0.01),
        "saturated_attention", "note", "attention_entropy_share/layer_0/head_0",
    ),
    "attention on [CLS]": (
        everywhere("attention_to_cls/layer_1", 0.97),
        "collapsed_attention", "warning", "attention_to_cls/layer_1/head_0",
    ),
    "heads become alike": (
        changed("head_distance/layer_0", at={999: 0.01}),
        "collapsed_attention", "warning", "head_distance/layer_0",
    ),
    "sequences twice": (
        changed("health/duplicate_share", at={1000: 0.3}), "duplicate_data", "warning", "health/duplicate_share",
    ),
    "passages twice": (
        changed("health/repeated_text_share", at={1000: 0.6}),
        "duplicate_data", "warning", "health/repeated_text_share",
    ),
    "nothing predicted": (everywhere("tokens_predicted", 0.0), "no_predictions", "problem", "tokens_predicted"),
    "hardly anything predicted": (
        changed("tokens_predicted", at={1000: 900.0}), "no_predictions", "warning", "tokens_predicted",
    ),
}  # fmt: skip


class Kept:
    """A record in memory."""

    def __init__(self, histories=()):
        self.histories, self.tags, self.documents = dict(histories), {}, {}

    def log(self, metrics, step):
        for name, value in metrics.items():
            steps, values = self.histories.setdefault(name, ([], []))
            steps.append(step)
            values.append(value)

    def history(self, metric):
        return self.histories.get(metric, ([], []))

    def metric_names(self, prefix=""):
        return sorted(name for name in self.histories if name.startswith(prefix))

    def log_dict(self, content, path):
        self.documents[path] = content

    def set_tags(self, tags):
        self.tags |= tags


class TestFindings:
    def test_nothing_is_found_in_a_healthy_run_and_everything_is_looked_for(self):
        health = detect_training_issues(healthy())
        assert health.findings == []
        assert health.not_checked == {}
        assert health.checked == tuple(CHECKS)
        assert health.plateau_left_step == 100

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_planted_fault_is_the_one_that_is_found(self, fault):
        record, issue, severity, metric = FAULTS[fault]
        (found,) = detect_training_issues(record).findings
        assert (found.issue, found.severity, found.metric) == (issue, severity, metric)
        assert found.cause and found.advice

    def test_sharp_heads_are_a_warning_only_where_the_loss_is_on_the_unigram_level_or_above_it(self):
        sharp = everywhere("attention_entropy_share/layer_0", 0.01)
        assert detect_training_issues(sharp).faults == []
        stands = sharp | {"eval/loss": (EVALUATED, [6.02] * len(EVALUATED))}
        back = sharp | {"eval/loss": (EVALUATED, [6.0 - step / 500 if step < 900 else 6.1 for step in EVALUATED])}
        for record in (stands, back):
            (found,) = [
                each for each in detect_training_issues(record).faults if each.issue == "saturated_attention"
            ]
            assert found.severity == "warning" and "not below the unigram entropy of 6.000" in found.evidence
        unknown = {name: points for name, points in sharp.items() if name != "baseline/unigram_entropy"}
        assert (
            "unigram_entropy is not recorded" in detect_training_issues(unknown).not_checked["saturated_attention"]
        )

    def test_every_issue_has_a_fault_planted_for_it(self):
        assert {issue for _, issue, _, _ in FAULTS.values()} == CHECKS.keys()

    def test_every_issue_has_its_row_in_the_table_of_the_docstring(self):
        table = re.split(r" *={10,} ={10,}\n", detect_training_issues.__doc__)[1]
        rows = [line.split()[0].strip("`") for line in table.splitlines() if re.match(r" {4}\S", line)]
        assert rows == list(CHECKS)

    def test_a_run_that_ended_before_its_first_step_is_not_blamed_for_predicting_nothing(self):
        health = detect_training_issues(healthy() | {"tokens_predicted": ([0], [0.0])})
        assert health.findings == [] and "no_predictions" in health.not_checked

    def test_a_finding_says_where_and_by_how_much(self):
        (found,) = detect_training_issues(changed("gradient_norm/global", at={600: 40.0})).findings
        assert (found.step, found.value) == (600, 40.0)
        assert "gradient_norm/global is 40 at step 600" in found.evidence
        assert "limit 10" in found.evidence
        assert str(found).startswith("warning: gradient_norm/global")

    def test_a_record_gives_what_a_mapping_gives(self):
        mapping = FAULTS["gradient spikes"][0]
        assert detect_training_issues(Kept(mapping)) == detect_training_issues(mapping)

    def test_the_order_of_points_does_not_matter(self):
        record = healthy()
        shuffled = {
            name: (list(reversed(steps)), list(reversed(values))) for name, (steps, values) in record.items()
        }
        assert detect_training_issues(shuffled) == detect_training_issues(record)

    def test_what_is_not_recorded_is_not_checked_and_said_to_be_so(self):
        kept = ("train/", "eval/", "baseline/")
        losses = {name: each for name, each in healthy().items() if name.startswith(kept)}
        health = detect_training_issues(losses)
        assert health.checked == ("divergence", "loss_plateau", "overfitting")
        assert health.not_checked["dead_units"] == "dead_units/layer_i is not recorded"
        nothing = detect_training_issues({})
        assert nothing.not_checked.keys() == CHECKS.keys()
        assert nothing.plateau_left_step is None

    def test_the_gravest_comes_first(self):
        record = FAULTS["gradient spikes"][0] | {"dead_units/layer_0": (LOOKED_AT, [1.0] * len(LOOKED_AT))}
        assert [found.severity for found in detect_training_issues(record).findings] == ["problem", "warning"]

    def test_the_json_data_of_a_number_that_is_none_is_json(self):
        health = detect_training_issues(FAULTS["gradient is infinite"][0])
        content = json.loads(json.dumps(health.to_dict(), allow_nan=False))
        assert content["findings"][0]["value"] == "inf"

    def test_a_record_of_another_kind_is_refused(self):
        with pytest.raises(MinibertError, match=r"a list was given.*mapping metric"):
            detect_training_issues([1, 2])
        with pytest.raises(MinibertError, match="2 steps and 1 values"):
            detect_training_issues({"train/loss": ([1, 2], [3.0])})


class TestLossCurves:
    def test_the_plateau_ends_where_the_loss_stays_below_for_good(self):
        steps, losses = [0, 10, 20, 30, 40], [6.1, 5.8, 6.0, 5.7, 5.5]
        assert find_plateau_end(steps, losses, level=6.0, margin=0.1) == 30
        assert find_plateau_end(steps, losses, level=6.0, margin=0.4) == 40
        assert find_plateau_end(steps, losses, level=6.0, margin=0.6) is None
        assert find_plateau_end(steps, losses, level=7.0, margin=0.1) == 0
        assert find_plateau_end([], [], level=6.0) is None
        assert find_plateau_end([0, 1], [5.0, np.nan], level=6.0) is None

    def test_a_short_run_on_the_plateau_has_a_note_and_no_fault(self):
        record = everywhere("eval/loss", 6.02)
        short = {name: (list(steps)[:4], list(values)[:4]) for name, (steps, values) in record.items()}
        health = detect_training_issues(short)
        assert [found.severity for found in health.findings if found.issue == "loss_plateau"] == ["note"]
        assert not any(found.issue == "loss_plateau" for found in health.faults)

    def test_without_evaluations_the_plateau_is_read_from_the_training_loss(self):
        record = healthy()
        del record["eval/loss"]
        record["train/loss"] = (LOGGED, [6.0] * 50 + [5.0] * 50)
        assert detect_training_issues(record).plateau_left_step == 510  # the mean of 6, 6, 6, 6 and 5 is 5.8

    def test_a_training_loss_that_climbs_alone_has_not_diverged(self):
        assert detect_training_issues(climbing("train/loss")).findings == []

    def test_held_out_text_of_other_frequencies_moves_the_upper_end_of_the_level(self):
        record = everywhere("eval/loss", 6.5)
        record["eval/loss"][1][0] = 6.4
        assert detect_training_issues(record).findings == []
        record["baseline/unigram_cross_entropy"] = ([0], [6.4])
        assert [found.issue for found in detect_training_issues(record).findings] == ["loss_plateau"]

    def test_a_gradient_that_fades_because_all_is_learnt_has_not_vanished(self):
        record = FAULTS["gradient fades"][0]
        record |= {"train/loss": (LOGGED, np.linspace(6, 0.1, len(LOGGED)))}
        assert detect_training_issues(record).findings == []


class TestDuplicates:
    def test_sequences_that_occur_twice_are_counted_both(self):
        ids = np.array([[2, 5, 6, 3], [2, 7, 8, 3], [2, 5, 6, 3], [2, 8, 7, 3], [2, 5, 7, 3]])
        shares = compute_duplicate_shares(ids, ids > 4, window=4)
        assert shares.sequences == pytest.approx(2 / 5)

    def test_a_passage_is_found_at_other_places_of_its_rows(self):
        # 0 to 9, 20 to 25, 3 to 8, 30 and 31: of 24 tokens, 3 to 8 stand twice, six in a row.
        text = np.array([*range(10), *range(20, 26), *range(3, 9), 30, 31]) + 5
        ids = text.reshape(4, 6)
        assert compute_duplicate_shares(ids, ids > 4, window=4).text == pytest.approx(12 / 24)
        assert compute_duplicate_shares(ids, ids > 4, window=8).text == 0
        assert compute_duplicate_shares(ids, ids > 4, window=1).text == pytest.approx(12 / 24)

    def test_special_tokens_do_not_part_a_passage(self):
        ids = np.array([[2, 10, 11, 3], [2, 12, 13, 3], [2, 14, 10, 3], [2, 11, 12, 3], [2, 13, 15, 3]])
        shares = compute_duplicate_shares(ids, ids > 4, window=4)
        assert shares.text == pytest.approx(8 / 10)
        assert shares.sequences == 0

    def test_random_text_is_counted_as_by_hand(self):
        ids = np.random.default_rng(0).integers(5, 9, (300, 12))
        stream, window = ids.ravel().tolist(), 8
        runs = Counter(tuple(stream[start : start + window]) for start in range(len(stream) - window + 1))
        covered = np.zeros(len(stream), bool)
        for start in range(len(stream) - window + 1):
            if runs[tuple(stream[start : start + window])] > 1:
                covered[start : start + window] = True
        rows = Counter(map(tuple, ids.tolist()))
        shares = compute_duplicate_shares(ids, ids > 4, window)
        assert shares.text == pytest.approx(covered.mean(), abs=1e-12)
        assert shares.sequences == sum(count for count in rows.values() if count > 1) / len(ids)
        assert 0 < shares.text < 1

    def test_less_text_than_a_window_holds_no_passage(self):
        assert compute_duplicate_shares(np.array([[5, 6]]), np.ones((1, 2), bool), window=32).text == 0

    def test_other_shapes_and_windows_are_refused(self):
        ids = np.ones((2, 3), int)
        with pytest.raises(MinibertError, match=r"shapes \(2, 3\) and \(3,\)"):
            compute_duplicate_shares(ids, np.ones(3, bool))
        with pytest.raises(MinibertError, match="power of two"):
            compute_duplicate_shares(ids, ids > 0, window=12)


MODEL = ModelConfig(
    vocab_size=50, hidden_size=16, layers=2, heads=2, feed_forward_size=24, max_length=12,
    dropout=0.1, attention_dropout=0.1, position=PositionConfig(),
)  # fmt: skip
RARE = 49
"""A token that stands in no batch unless it is put there"""


def batch_of(sequences=6) -> Batch:
    random = np.random.default_rng(0)
    input_ids = random.integers(5, RARE, (sequences, 12)).astype("int32")
    labels = np.where(random.random(input_ids.shape) < 0.3, input_ids, -100)
    return Batch(input_ids, labels, None, input_ids.size, int((labels != -100).sum()))


def locate(plant, batch=None, model=MODEL):
    network = MiniBERT(model, seed=1)
    plant(network.params)
    before = network.params.vector.copy()
    location = locate_nonfinite(network, batch or batch_of(), dropout_seed=5, step=3)
    assert network.params.vector.tobytes() == before.tobytes()
    assert json.dumps(to_dict(location), allow_nan=False)
    return location


class TestNonFinite:
    def test_a_finite_step_has_no_place(self):
        assert locate(lambda params: None) is None
        assert "finite" in describe(None)

    def test_a_bad_parameter_comes_before_everything(self):
        def plant(params):
            params["layers.1.feed_forward.in.weight"][2, 3] = np.nan

        found = locate(plant)
        assert (found.stage, found.array, found.layer) == ("parameters", "layers.1.feed_forward.in.weight", 1)
        assert (found.entries, found.nans, found.infinities) == (16 * 24, 1, 0)
        assert "after 3 updates" in describe(found)

    def test_scores_that_overflow_are_blamed_on_queries_and_keys(self):
        def plant(params):
            params["layers.1.attention.query.weight"] *= 1e21
            params["layers.1.attention.key.weight"] *= 1e20

        found = locate(plant)
        assert (found.stage, found.array, found.layer) == ("forward", "layers.1.attention.weights", 1)
        assert found.before.name == "layers.1.attention.query"
        assert found.before.maximum > 1e19

    def test_the_output_of_a_branch_is_told_from_the_sum_that_it_joins(self):
        def plant(params):
            params["layers.0.attention.value.bias"] = 10
            params["layers.0.attention.output.weight"] = 3e38

        found = locate(plant)
        assert found.array == "layers.0.attention.output"
        assert found.before.name == "layers.0.attention.context"

    @pytest.mark.parametrize("sequences, where", [(6, 4), (40, 35)])
    def test_the_sequences_that_are_concerned_are_those_of_the_whole_batch(self, sequences, where):
        """More than are repeated at once, too, and only those with the token that is too large."""

        def plant(params):
            params["embeddings.token.weight"][RARE] = 3e38
            params["embeddings.position.weight"][2] = 3e38

        batch = batch_of(sequences)
        batch.input_ids[where, 2] = RARE
        found = locate(plant, batch, replace(MODEL, dropout=0.0))
        assert (found.array, found.sequences, found.layer) == ("embeddings", (where,), None)
        assert (found.entries, found.infinities) == (sequences * 12 * 16, 16)
        assert f"in sequence {where} of the batch" in describe(found)

    def test_finite_scores_may_have_an_infinite_loss(self):
        batch = batch_of()
        wanted = batch.labels[batch.labels >= 0]

        def plant(params):
            params["mlm_head.bias"] = -3e38
            params["mlm_head.bias"][RARE] = 3e38

        found = locate(plant, batch)
        assert (found.array, found.infinities) == ("mlm_loss", len(wanted))
        assert found.before.name == "mlm_head.logits"

    def test_of_a_sample_of_the_vocabulary_only_its_words_are_looked_at(self):
        """An infinite bias of a word that is in the sample, then of one that is not, while all parameters pass."""
        batch, drawn = batch_of(), np.union1d(batch_of().labels.clip(5), [RARE])
        words = WordSample(drawn, np.zeros(len(drawn), "float32"))

        def plant(params):
            params["mlm_head.bias"] = -3e38
            params["mlm_head.bias"][RARE] = 3e38

        found = locate(plant, replace(batch, words=words))
        assert found.array == "mlm_loss"
        without = WordSample(drawn[:-1], np.zeros(len(drawn) - 1, "float32"))
        assert locate(plant, replace(batch, words=without)) is None

    def test_a_gradient_may_overflow_where_the_forward_pass_does_not(self):
        def plant(params):  # large inputs times a weight of zero: the gradient of the weight has the inputs alone
            params["layers.0.feed_forward.norm.gain"] = 1e37
            params["layers.0.feed_forward.in.weight"] = 0
            params["layers.0.feed_forward.out.weight"] *= 1e6

        found = locate(plant)
        assert (found.stage, found.array, found.layer) == ("gradients", "layers.0.feed_forward.in.weight", 0)
        # Infinities of both signs in one sum are a NaN: the order of summation, and so the kernel, decides which
        assert found.infinities + found.nans == 16 * 24
        assert "gradient of layers.0.feed_forward.in.weight" in describe(found)

    def test_a_gradient_of_one_sequence_is_traced_to_it(self):
        def plant(params):
            params["embeddings.norm.gain"] = 1e-36
            params["embeddings.norm.bias"] = 0
            params["embeddings.token.weight"] *= 1e6
            params["layers.0.attention.query.weight"] = 0
            params["layers.0.attention.value.weight"] *= 1e38
            params["layers.0.attention.output.weight"] *= 50

        batch = batch_of()
        labels = np.full_like(batch.labels, -100)
        labels[5, 4] = 7
        alone = replace(batch, labels=labels, predictions=1)
        post = replace(MODEL, norm="post", dropout=0.0, attention_dropout=0.0)
        found = locate(plant, alone, post)
        assert (found.stage, found.array) == ("gradients", "embeddings.norm.gain")
        assert found.sequences == (5,)

    def test_finite_gradients_may_have_a_norm_that_is_not(self):
        def plant(params):
            params["layers.0.feed_forward.norm.gain"] = 1e25
            params["layers.0.feed_forward.in.weight"] = 0
            params["layers.0.feed_forward.out.weight"] *= 1e6

        found = locate(plant)
        assert (found.stage, found.layer) == ("gradient_norm", 0)
        assert found.before.name == "layers.0.feed_forward.in.weight"
        assert found.before.maximum > 1e20

    def test_auxiliary_heads_are_looked_at_too(self):
        asked = np.full((6, 12), -100, np.int32)
        asked[:, 0] = [0, 1, 0, 1, 0, 1]
        batch = replace(batch_of(), auxiliary={"sop": Questions(asked, 1.0)}, segment_ids=np.zeros((6, 12), int))

        def plant(params):
            params["sop_head.transform.bias"] = 10
            params["sop_head.out.weight"] = 3e38

        found = locate(plant, batch, replace(MODEL, segments=2, auxiliary_heads=["sop"]))
        assert found.array == "sop_head.logits"
        assert found.sequences == tuple(range(6))

    @pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
    @pytest.mark.parametrize("checkpointed", [False, True])
    def test_the_step_at_which_training_stops_is_explained(self, checkpointed):
        """A segment that only the third batch has is almost too large; what dropout keeps of it is too large."""
        model = replace(MODEL, segments=2)

        class Batches:
            def at(self, step):
                segments = np.zeros((6, 12), int)
                segments[4, 3] = step == 2
                return replace(batch_of(), segment_ids=segments)

        config = Config(model=model)
        config.seeds.dropout, config.training.steps, config.training.lanes = 5, 4, 2
        config.training.checkpoint_activations = checkpointed
        network = MiniBERT(model, seed=1)
        network.params["embeddings.segment.weight"][1] = 3.2e38
        with Trainer(network, Batches(), config) as trainer, pytest.raises(NotFinite) as stopped:
            trainer.train()
        found = locate_nonfinite(network, stopped.value.batch, config.seeds.dropout, stopped.value.step)
        kept = DropoutMasks(5, 2, 0).draw(0.1, (6, 12, 16), "float32")[4, 3] > 0
        assert (found.step, found.array, found.sequences) == (2, "embeddings", (4,))
        assert found.infinities == kept.sum() < 16

    def test_a_batch_that_fits_nothing_is_refused(self):
        batch = batch_of()
        with pytest.raises(MinibertError, match=r"labels of shape \(6, 11\)"):
            locate_nonfinite(MiniBERT(MODEL), replace(batch, labels=batch.labels[:, 1:]), 5, 0)


class TestRecordingAndDrawing:
    def test_a_run_is_tagged_with_its_findings(self):
        record = Kept(FAULTS["gradient spikes"][0])
        Diagnostics(choose(["health"]), [0], 1000, record).conclude()
        assert list(record.tags) == ["health.exploding_gradients"]
        assert record.tags["health.exploding_gradients"].startswith("warning: ")
        assert record.history("health/findings") == ([1000], [1.0])
        assert record.history("health/plateau_left_step") == ([1000], [100.0])
        assert record.documents["health.json"]["findings"][0]["step"] == 600

    def test_a_healthy_run_has_no_tag(self):
        record = Kept(healthy())
        Diagnostics(choose(["health"]), [0], 1000, record).conclude()
        assert record.tags == {}
        assert record.history("health/findings") == ([1000], [0.0])

    def test_the_page_lists_and_marks_what_was_found(self):
        drawn = draw_health(Kept(FAULTS["gradient spikes"][0]))["health"]
        texts = " ".join(text.get_text() for text in drawn.figure.findobj(lambda each: hasattr(each, "get_text")))
        assert "Exploding gradients (warning)." in texts
        assert drawn.caption.startswith("1 finding. Checked: divergence")
        drawn.figure.savefig(BytesIO(), format="png", dpi=30)

    def test_the_page_of_a_healthy_run_is_calm(self):
        figure = plot_training_health(healthy())
        texts = [text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))]
        assert "No findings." in texts
        assert "leaves the unigram level\nat step 100" in texts

    @pytest.mark.parametrize("fault", ["loss is no number", "gradient is infinite", "updates of nothing"])
    def test_what_no_axis_can_show_is_drawn_all_the_same(self, fault):
        plot_training_health(FAULTS[fault][0]).savefig(BytesIO(), format="png", dpi=30)

    def test_a_page_with_the_loss_alone_says_what_is_missing(self):
        figure = plot_training_health({"train/loss": (LOGGED, [5.0] * len(LOGGED))})
        texts = [text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))]
        assert "update_ratio/<parameter> is not recorded" in texts

    def test_without_a_training_loss_there_is_no_page(self):
        assert draw_health(Kept()) == {}


def test_the_documentation_has_a_row_for_every_issue():
    assert all(f"``{issue}``" in detect_training_issues.__doc__ for issue in CHECKS)

"""Attention read as numbers: every quantity where the answer is known, and what a tiny run gives."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from minibert.config import Config, ModelConfig
from minibert.data.annotated.conllu import AnnotatedSentence
from minibert.data.batches import Batch, masked_batch
from minibert.data.masking import UniformMasking
from minibert.diagnostics.attention.dependencies import (
    compute_dependency_attention,
    measure_dependency_attention,
)
from minibert.diagnostics.attention.figures import plot_attention_quantities, plot_head_distances
from minibert.diagnostics.attention.maps import (
    create_attention_heatmap,
    plot_attention_over_steps,
    plot_recorded_maps,
    sharpest_head,
    spaced_steps,
    visualize_attention_patterns,
)
from minibert.diagnostics.attention.measures import (
    attention_of_text,
    attention_rows,
    cluster_heads,
    compute_attention_distance,
    compute_attention_entropy,
    compute_attention_shares,
    compute_head_distances,
    join_rows,
)
from minibert.diagnostics.catalogue import choose
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.training.trainer import Trainer

CLS, SEP, PAD = 2, 3, 0


def uniform(tokens, batch=1):
    return np.full((batch, 1, tokens, tokens), 1 / tokens, np.float32)


def one_hot(columns, tokens):
    """(1, 1, R, T): row r looks at columns[r] alone"""
    return np.eye(tokens, dtype=np.float32)[list(columns)][None, None]


def random_weights(shape, seed=0):
    weights = np.random.default_rng(seed).random(shape)
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


class TestEntropy:
    def test_a_uniform_row_has_log_n_and_all_of_its_maximum(self):
        assert compute_attention_entropy(uniform(8)) == pytest.approx([np.log(8)], rel=1e-6)
        assert compute_attention_entropy(uniform(8), share=True) == pytest.approx([1], rel=1e-6)

    def test_a_one_hot_row_has_none(self):
        assert compute_attention_entropy(one_hot([3, 0, 1, 1], 4)) == pytest.approx([0], abs=1e-12)

    def test_two_tokens_at_a_quarter_and_three_quarters(self):
        weights = np.tile([0.25, 0.75, 0, 0], (4, 1))[None, None]
        assert compute_attention_entropy(weights) == pytest.approx([0.5623351446], rel=1e-9)

    def test_is_a_mean_over_rows_for_each_head(self):
        heads = np.concatenate([one_hot([0, 0, 0, 0], 4), uniform(4)], axis=1)
        heads[0, 0, 0] = 0.25
        assert compute_attention_entropy(heads) == pytest.approx([np.log(4) / 4, np.log(4)], rel=1e-6)

    def test_the_maximum_counts_only_what_a_row_may_look_at(self):
        mask = np.array([[True, True, True, False]])
        weights = np.where(mask, 1 / 3, 0)[None, None].repeat(4, axis=2)
        assert compute_attention_entropy(weights, mask, share=True) == pytest.approx([1])

    def test_rows_of_padding_are_left_out(self):
        mask = np.array([[True, True, False, False]])
        weights = one_hot([1, 0, 0, 0], 4)
        weights[0, 0, 2:] = [0.5, 0.5, 0, 0]
        assert compute_attention_entropy(weights, mask) == pytest.approx([0], abs=1e-12)

    def test_a_row_without_a_choice_has_no_share(self):
        mask = np.eye(3, dtype=bool)[None]
        assert np.isnan(compute_attention_entropy(one_hot([0, 1, 2], 3), mask, share=True)).all()

    def test_half_precision_is_taken(self):
        assert compute_attention_entropy(uniform(8).astype(np.float16)) == pytest.approx([np.log(8)], rel=1e-3)


class TestRows:
    def test_padded_chosen_rows_are_left_out(self):
        weights = np.concatenate([one_hot([1, 2], 4), np.full((1, 1, 2, 4), 0.25)])
        rows, chosen = np.array([[1, 2], [0, 3]]), np.array([[True, True], [False, False]])
        assert compute_attention_entropy(weights, None, rows, chosen) == pytest.approx([0], abs=1e-12)
        assert compute_attention_shares(weights, None, rows, chosen)["self"] == pytest.approx([1])

    def test_rows_of_several_passes_are_one_mean(self):
        parts = [attention_rows(one_hot([0, 1, 2, 3], 4)), attention_rows(uniform(4, batch=3))]
        assert compute_attention_entropy(join_rows(parts)) == pytest.approx([np.log(4) * 12 / 16], rel=1e-6)

    def test_pieces_packed_into_a_row_are_told_from_padding(self):
        # [CLS] a [SEP] [CLS] b [SEP] [PAD]: padding may look at the piece before it, and is looked at by none.
        original = np.array([[CLS, 7, SEP, CLS, 8, SEP, PAD]], np.int32)
        draws = [np.random.default_rng(0)]
        batch = masked_batch(original, np.array([6]), UniformMasking(20, 0.15, 0.15), draws)
        assert batch.attention_mask.shape == (1, 7, 7)
        weights = batch.attention_mask / batch.attention_mask.sum(axis=-1, keepdims=True)
        taken = attention_rows(weights[:, None], batch.attention_mask, input_ids=original)
        assert taken.places.tolist() == [0, 1, 2, 3, 4, 5]
        assert compute_attention_entropy(taken) == pytest.approx([np.log(3)])
        # In a piece of three, the distances are 0 1 2, 1 0 1, 2 1 0.
        assert compute_attention_distance(taken) == pytest.approx([8 / 9])
        shares = compute_attention_shares(taken, tokens={"cls": CLS})
        assert shares["cls"] == pytest.approx([1 / 3])
        assert shares["previous"] == pytest.approx([1 / 3])

    def test_evenly_spaced_rows(self):
        taken = attention_rows(uniform(4, batch=2)).spread(4)
        assert taken.places.tolist() == [1, 3, 1, 3]
        assert taken.weights.shape == (1, 4, 4)

    def test_uniform_has_the_same_weight_wherever_a_row_may_look(self):
        mask = np.array([[True, True, True, False]])
        weights = random_weights((1, 2, 4, 4)) * mask
        taken = attention_rows(weights / weights.sum(axis=-1, keepdims=True), mask)
        assert taken.uniform.weights == pytest.approx(np.tile([1 / 3, 1 / 3, 1 / 3, 0], (1, 3, 1)))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"attention_weights": np.ones((4, 4))}, "Allowed: .batch, heads, rows, tokens."),
            ({"attention_weights": uniform(4)[:, :, :2]}, "Say which positions"),
            ({"attention_weights": uniform(4) * 1.1}, "before dropout"),
            ({"attention_weights": uniform(4), "attention_mask": np.ones((1, 3))}, "attention_mask: shape"),
            ({"attention_weights": uniform(4), "rows": np.zeros((2, 4), int)}, "rows: shape"),
            ({"attention_weights": uniform(4), "chosen": np.ones((1, 2))}, "chosen: shape"),
            ({"attention_weights": uniform(4), "input_ids": np.ones((1, 2))}, "input_ids: shape"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, arguments, said):
        with pytest.raises(MinibertError, match=said):
            attention_rows(**arguments)


class TestWhereHeadsLook:
    def test_a_planted_previous_token_head(self):
        # Row 0 has nothing before it and looks at itself.
        weights = one_hot([0, 0, 1, 2, 3], 5)
        shares = compute_attention_shares(weights)
        assert shares["previous"] == pytest.approx([1])
        assert shares["next"] == pytest.approx([0])
        assert shares["self"] == pytest.approx([1 / 5])
        assert compute_attention_distance(weights) == pytest.approx([4 / 5])

    def test_a_planted_next_token_head(self):
        assert compute_attention_shares(one_hot([1, 2, 3, 3], 4))["next"] == pytest.approx([1])

    def test_the_distance_of_uniform_attention(self):
        # Σ |i - j| over i, j is (n³ - n) / 3.
        assert compute_attention_distance(uniform(6)) == pytest.approx([(6**3 - 6) / 3 / 6**2])

    def test_attention_on_tokens_by_their_ids(self):
        ids = np.array([[CLS, 9, SEP, 9, SEP]])
        weights = np.tile([0.1, 0.2, 0.3, 0.25, 0.15], (5, 1))[None, None]
        shares = compute_attention_shares(weights, input_ids=ids, tokens={"cls": CLS, "sep": SEP, "none": 17})
        assert shares["cls"] == pytest.approx([0.1])
        assert shares["sep"] == pytest.approx([0.45])
        assert np.isnan(shares["none"]).all()

    def test_tokens_without_ids_are_refused(self):
        with pytest.raises(MinibertError, match="input_ids: none were given"):
            compute_attention_shares(uniform(4), tokens={"cls": CLS})


class TestHeadDistances:
    def test_identical_heads_have_none_and_disjoint_ones_log_two(self):
        heads = np.concatenate(
            [one_hot([0, 1, 2, 3], 4), one_hot([1, 2, 3, 0], 4), one_hot([0, 1, 2, 3], 4)], axis=1
        )
        distances = compute_head_distances(heads)
        assert distances[0, 2] == 0
        assert distances[0, 1] == pytest.approx(np.log(2), rel=1e-6)
        assert (distances == distances.T).all()
        assert (distances.diagonal() == 0).all()

    def test_one_token_beside_an_even_look_at_two(self):
        # p = (1, 0), q = (½, ½): H(¾, ¼) - H(½, ½) / 2
        weights = np.array([[[[1, 0], [1, 0]], [[0.5, 0.5], [0.5, 0.5]]]])
        assert compute_head_distances(weights)[0, 1] == pytest.approx(0.5623351446 - np.log(2) / 2, rel=1e-9)

    def test_padding_does_not_count(self):
        mask = np.array([[True, True, False]])
        heads = np.concatenate([one_hot([0, 1, 0], 3), one_hot([0, 1, 1], 3)], axis=1)
        assert compute_head_distances(heads, mask)[0, 1] == 0

    def test_planted_groups_are_found_and_stand_together(self):
        kinds = [[0, 1, 2, 3], [1, 2, 3, 0], [0, 1, 2, 3], [1, 2, 3, 0], [0, 1, 2, 3]]
        found = cluster_heads(compute_head_distances(np.concatenate([one_hot(kind, 4) for kind in kinds], axis=1)))
        assert found.count == 2
        assert found.labels.tolist() == [0, 1, 0, 1, 0]
        assert sorted(found.order.tolist()) == [0, 1, 2, 3, 4]
        assert np.abs(np.diff(found.labels[found.order])).sum() == 1

    def test_one_head_is_one_group(self):
        assert cluster_heads(np.zeros((1, 1))).count == 1

    def test_what_is_no_matrix_of_distances_is_refused(self):
        for wrong in (np.zeros((2, 3)), np.array([[0, 1], [2, 0]]), np.full((2, 2), np.nan), np.zeros((0, 0))):
            with pytest.raises(MinibertError, match="symmetric matrix"):
                cluster_heads(wrong)


class TestDependencies:
    heads = (2, 2, 5, 5, 5, -1)
    # [CLS] and [SEP], and the second word in two tokens
    owners = np.array([-1, 0, 1, 1, 2, 3, 4, 5, -1])
    first_token = (1, 2, 4, 5, 6, 7)

    def along_the_arcs(self):
        """Each token looks at (the first token of) its word's head; special tokens and the root's at [SEP]."""
        targets = [
            8 if owner < 0 or self.heads[owner] < 0 else self.first_token[self.heads[owner]]
            for owner in self.owners
        ]
        return np.eye(9)[targets]

    def test_a_planted_head_that_follows_all_arcs(self):
        planted = self.along_the_arcs()
        weights = np.stack([planted, np.full((9, 9), 1 / 9)])
        found = compute_dependency_attention([weights], [self.owners], [self.heads])
        assert found.arcs == 5
        assert found.to_head_share == pytest.approx([1, 1 / 9])
        assert found.to_head_accuracy[0] == 1
        assert found.to_dependent_share == pytest.approx([0, 6 / 45])
        # Of the five words that depend on another, one has two tokens of the nine.
        assert found.to_head_uniform == pytest.approx(1 / 9)
        assert found.to_dependent_uniform == pytest.approx(6 / 45)

    def test_the_other_direction_is_that_of_the_transposed_arcs(self):
        # The head of three dependents looks at them alike; every word is looked at most by its head.
        planted = self.along_the_arcs().T
        planted[:, 0] += 1e-9
        planted /= planted.sum(axis=1, keepdims=True)
        found = compute_dependency_attention([planted[None]], [self.owners], [self.heads])
        assert found.to_dependent_accuracy == pytest.approx([1])
        assert found.to_head_accuracy[0] < 0.5

    def test_attention_to_a_word_adds_up_and_that_from_a_word_is_averaged(self):
        # Two words, the second in two tokens and the head of the first.
        weights = np.array([[[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.8, 0.1, 0.1]]])
        found = compute_dependency_attention([weights], [[0, 1, 1]], [[1, -1]])
        assert found.to_head_share == pytest.approx([0.8])
        assert found.to_dependent_share == pytest.approx([0.7])
        assert (found.to_head_uniform, found.to_dependent_uniform) == pytest.approx((2 / 3, 1 / 3))

    def test_the_best_fixed_offset_is_what_to_beat(self):
        # Offsets to the head: 2, 1, 3, 2, 1.  Of two alike, the nearer.
        found = compute_dependency_attention([np.full((1, 9, 9), 1 / 9)], [self.owners], [self.heads])
        assert (found.offset, found.offset_accuracy) == (1, pytest.approx(2 / 5))

    def test_sentences_weigh_by_their_arcs_and_layers_stay_apart(self):
        weights = np.stack([self.along_the_arcs(), np.full((9, 9), 1 / 9)])[:, None]
        small = np.full((2, 1, 2, 2), 0.5)
        found = compute_dependency_attention([weights, small], [self.owners, [0, 1]], [self.heads, [-1, 0]])
        assert found.to_head_share.shape == (2, 1)
        assert found.to_head_share[0, 0] == pytest.approx((5 + 0.5) / 6)

    def test_only_the_arcs_of_one_relation(self):
        relations = ["det", "amod", "nsubj", "aux", "advmod", "root"]
        weights = [self.along_the_arcs()[None]]
        found = compute_dependency_attention(weights, [self.owners], [self.heads], [relations], "nsubj")
        assert (found.arcs, found.offset) == (1, 3)
        with pytest.raises(MinibertError, match="no arc of the relation 'obj'"):
            compute_dependency_attention(weights, [self.owners], [self.heads], [relations], "obj")

    @pytest.mark.parametrize(
        ("weights", "owners", "heads", "said"),
        [
            (np.full((1, 3, 3), 1 / 3), [0, 1], [1, -1], "attention_weights: shape"),
            (np.full((1, 2, 2), 0.5), [0, 1], [2, -1], "heads: values"),
            (np.full((1, 2, 2), 0.5), [0, 0], [1, -1], "word 1 has no token"),
            (np.full((1, 2, 2), 0.5), [0, 1], [-1, -1], "no arc"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, weights, owners, heads, said):
        with pytest.raises(MinibertError, match=said):
            compute_dependency_attention([weights], [owners], [heads])


TEXT = "the old man does see the state of the union"


@pytest.fixture(scope="module")
def tokenizer():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *TEXT.split(), "n", "'", "t", "##s"]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    made.add_special_tokens(words[:5])
    made.pre_tokenizer = BertPreTokenizer()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return made


MODEL = ModelConfig(
    vocab_size=30, hidden_size=16, layers=2, heads=2, feed_forward_size=24, max_length=12,
    dropout=0.1, attention_dropout=0.1,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tokenizer):
    """Looks like a loaded run"""
    return SimpleNamespace(model=MiniBERT(MODEL, seed=1), tokenizer=tokenizer)


WORDS = ("the", "old", "man", "does", "n't", "see")


class TestTexts:
    def test_a_network_beside_a_treebank(self, run):
        tags, heads = ("X",) * len(WORDS), (2, 2, 5, 5, 5, -1)
        sentences = [AnnotatedSentence(WORDS, tags, ({},) * len(WORDS), heads, ("dep",) * len(WORDS), line=1)]
        found = measure_dependency_attention(run, sentences)
        assert found.to_head_share.shape == (2, 2)
        assert found.arcs == 5
        # Near its initialisation the network looks at everything nearly alike.
        assert found.to_head_share == pytest.approx(np.full((2, 2), found.to_head_uniform), rel=0.1)
        too_long = replace(sentences[0], words=(*WORDS[:5], "n't n't n't n't"))
        with pytest.raises(MinibertError, match="no arc is in these 0 sentences"):
            measure_dependency_attention(run, [too_long])

    def test_a_mask_in_a_text_is_a_mask(self, run):
        weights, tokens = attention_of_text(run, "the [MASK] man")
        assert tokens == ["[CLS]", "the", "[MASK]", "man", "[SEP]"]
        assert weights.shape == (2, 2, 5, 5)
        assert weights.sum(axis=-1) == pytest.approx(np.ones((2, 2, 5)), rel=1e-5)

    def test_a_heat_map_of_a_loaded_run_and_of_a_network_beside_its_tokenizer(self, run):
        for model, given in ((run, None), (run.model, run.tokenizer)):
            figure = create_attention_heatmap(model, "the old man", 1, 0, tokenizer=given)
            labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
            assert labels == ["[CLS]", "the", "old", "man", "[SEP]"]
            weights, _ = attention_of_text(run, "the old man")
            assert np.allclose(figure.axes[0].images[0].get_array(), weights[1, 0])

    def test_what_cannot_be_drawn_is_refused(self, run):
        for arguments, said in (
            ((run.model, "the", 0, 0), "tokenizer: none was given, and a MiniBERT has none"),
            ((run, "the " * 11, 0, 0), "text: has 13 tokens .* at most model.max_length=12"),
            ((run, "the", 2, 0), "layer=2: there is no such layer. Allowed: 0 to 1"),
            ((run, "the", 0, -1), "head=-1: there is no such head. Allowed: 0 to 1"),
        ):
            with pytest.raises(MinibertError, match=said):
                create_attention_heatmap(*arguments)

    def test_patterns_of_weights_that_a_cache_holds(self, run):
        _, cache = run.model.forward(np.array([[2, 5, 6, 3]]))
        weights = [layer.attention.weights for layer in cache.layers]
        figure = visualize_attention_patterns(weights, ["[CLS]", "$5", "$6", "[SEP]"], 0, 1)
        assert np.allclose(figure.axes[0].images[0].get_array(), weights[0][0, 1])
        figure.canvas.draw()
        with pytest.raises(MinibertError, match="and 3 tokens were given"):
            visualize_attention_patterns(weights, ["a", "b", "c"], 0, 1)


class TestSteps:
    def test_steps_are_spaced_on_a_logarithmic_scale(self):
        looks = [0, *(2**power for power in range(10)), 1000]
        assert spaced_steps(dict.fromkeys(looks)) == [0, 4, 16, 64, 256, 1000]
        assert spaced_steps({7: None}) == [7]
        with pytest.raises(MinibertError, match="holds no step"):
            plot_attention_over_steps({})

    def test_the_sharpest_head_has_the_lowest_entropy(self):
        weights = random_weights((3, 4, 5, 5))
        weights[2, 1] = np.eye(5)
        assert sharpest_head(weights.astype(np.float16)) == (2, 1)


class RandomBatches:
    """[CLS] words [SEP], the first row padded"""

    def at(self, step):
        random = np.random.default_rng(step)
        input_ids = random.integers(5, 25, (6, 12)).astype("int32")
        input_ids[:, 0], input_ids[:, -1] = CLS, SEP
        input_ids[0, 8:] = [SEP, PAD, PAD, PAD]
        labels = np.where((random.random(input_ids.shape) < 0.3) & (input_ids >= 5), input_ids, -100)
        return Batch(input_ids, labels, input_ids != PAD, 69, int((labels >= 0).sum()))


class Collected:
    """A record that keeps what is logged"""

    def __init__(self):
        self.metrics, self.kept, self.tags = {}, {}, {}

    def log(self, metrics, step):
        for name, value in metrics.items():
            self.metrics.setdefault(name, ([], []))
            self.metrics[name][0].append(step)
            self.metrics[name][1].append(value)

    def log_arrays(self, name, step, arrays):
        self.kept.setdefault(name, {})[step] = dict(arrays)

    def set_tags(self, tags):
        self.tags |= tags

    def history(self, name):
        return self.metrics.get(name, ([], []))

    def metric_names(self, prefix=""):
        return sorted(name for name in self.metrics if name.startswith(prefix))

    def arrays(self, name):
        return self.kept.get(name, {})


NAMES = ("attention_patterns", "head_distances", "attention_maps")


def train(tokenizer, lanes=2, **settings):
    config = Config(model=MODEL)
    config.training.steps, config.training.lanes, config.seeds.dropout = 2, lanes, 5
    for name, value in settings.items():
        setattr(config.training, name, value)
    record = Collected()
    diagnostics = Diagnostics(choose(NAMES), [0, 1, 2], 2, record)
    data = SimpleNamespace(tokenizer=tokenizer)
    probe = RandomBatches().at(99)
    with Trainer(MiniBERT(MODEL, seed=1), RandomBatches(), config, (), diagnostics, data, probe) as trainer:
        trainer.train()
    assert not record.tags
    return record, trainer.params.vector.copy()


@pytest.fixture(scope="module")
def trained(tokenizer):
    return train(tokenizer)


class TestInTraining:
    def test_the_names_of_the_metrics(self, trained):
        record, _ = trained
        heads = [f"layer_{layer}/head_{head}" for layer in range(2) for head in range(2)]
        widths = ["entropy", "entropy_share"]
        means = ["distance", "to_self", "to_previous", "to_next", "to_cls", "to_sep"]
        assert set(record.metrics) == {
            *(f"attention_{quantity}/{head}" for quantity in widths + means for head in heads),
            *(f"attention_uniform/{quantity}/layer_{layer}" for quantity in means for layer in range(2)),
            "head_distance/layer_0", "head_distance/layer_1", "head_distance/clusters",
        }  # fmt: skip
        assert all(steps == [0, 1, 2] for steps, _ in record.metrics.values())
        assert {name.split("/")[0] for name in record.metrics} == {
            room for each in choose(NAMES) for room in each.metrics
        }

    def test_near_the_start_heads_look_at_everything_nearly_alike(self, trained):
        record, _ = trained
        assert record.metrics["attention_entropy_share/layer_1/head_0"][1][0] == pytest.approx(1, abs=0.01)
        alike = record.metrics["attention_uniform/distance/layer_0"][1][0]
        assert record.metrics["attention_distance/layer_0/head_1"][1][0] == pytest.approx(alike, rel=0.02)
        assert record.metrics["head_distance/clusters"][1][0] == 1

    def test_uniform_attention_on_the_first_layers_rows(self, trained):
        # 5 rows of 12 tokens and one of 9; the distance of n is (n² - 1) / 3n.
        record, _ = trained
        expected = (5 * 12 * (143 / 36) + 9 * (80 / 27)) / 69
        assert record.metrics["attention_uniform/distance/layer_0"][1][0] == pytest.approx(expected, rel=1e-5)
        assert record.metrics["attention_uniform/to_cls/layer_0"][1][0] == pytest.approx((5 + 1) / 69, rel=1e-5)

    def test_the_last_layer_has_predicted_rows_unless_it_is_computed_everywhere(self, trained, tokenizer):
        record, _ = trained
        everywhere, _ = train(tokenizer, last_layer_everywhere=True)
        name = "attention_uniform/distance/layer_{}"
        assert everywhere.metrics[name.format(1)] == everywhere.metrics[name.format(0)]
        assert record.metrics[name.format(1)][1][0] != record.metrics[name.format(0)][1][0]
        labels = RandomBatches().at(0).labels
        sizes = np.array([9, 12, 12, 12, 12, 12])
        sequence, place = np.nonzero(labels >= 0)
        mean = np.mean([np.abs(np.arange(sizes[s]) - p).mean() for s, p in zip(sequence, place, strict=True)])
        assert record.metrics[name.format(1)][1][0] == pytest.approx(mean, rel=1e-5)

    def test_lanes_parts_and_checkpointed_activations_see_the_same(self, trained, tokenizer):
        record, _ = trained
        one, _ = train(tokenizer, lanes=1)
        again, _ = train(tokenizer, checkpoint_activations=True)
        for other in (one, again):
            for name, (_, values) in record.metrics.items():
                assert other.metrics[name][1][0] == pytest.approx(values[0], rel=1e-4), name
        parts, _ = train(tokenizer, accumulation=2)
        # The last part has three full rows.
        assert parts.metrics["attention_uniform/to_cls/layer_0"][1][0] == pytest.approx(1 / 12, rel=1e-5)

    def test_looking_changes_nothing(self, trained):
        config = Config(model=MODEL)
        config.training.steps, config.training.lanes, config.seeds.dropout = 2, 2, 5
        with Trainer(MiniBERT(MODEL, seed=1), RandomBatches(), config) as trainer:
            trainer.train()
        assert (trainer.params.vector == trained[1]).all()

    def test_the_arrays(self, trained, tokenizer):
        record, _ = trained
        maps = record.kept["attention_maps"][2]
        # The probe's first sequence has nine tokens and three of padding.
        assert maps["weights"].shape == (2, 2, 9, 9)
        assert maps["weights"].dtype == np.float16
        assert maps["weights"].sum(axis=-1) == pytest.approx(np.ones((2, 2, 9)), abs=0.01)
        assert maps["tokens"][0] == "[CLS]"
        assert tokenizer.token_to_id(str(maps["tokens"][3])) == maps["input_ids"][3]
        distances = record.kept["head_distances"][2]["distances"]
        assert distances.shape == (4, 4)
        assert record.kept["head_distances"][2]["layers"].tolist() == [0, 0, 1, 1]
        assert record.metrics["head_distance/layer_1"][1][2] == pytest.approx(distances[2, 3], rel=1e-6)


class TestFigures:
    def test_what_is_recorded_is_drawn(self, trained):
        record, _ = trained
        drawn = plot_attention_quantities(record) | plot_recorded_maps(record)
        assert set(drawn) == {
            "entropy_share", "distance", "patterns", "patterns_over_steps", "head_distance", "head_distances",
            "maps", "maps_over_steps", "sharpest_head_over_steps", "sharpest_head",
        }  # fmt: skip

    def test_nothing_recorded_is_nothing_drawn(self):
        assert plot_attention_quantities(Collected()) == {}
        assert plot_recorded_maps(Collected()) == {}

    def test_heads_stand_in_the_order_of_their_tree(self):
        distances = np.array([[0, 0.5, 0.01], [0.5, 0, 0.5], [0.01, 0.5, 0]])
        figure = plot_head_distances(distances, np.array([0, 0, 1]))
        labels = [label.get_text() for label in figure.axes[1].get_xticklabels()]
        assert labels in (
            ["0.1", "0.0", "1.0"],
            ["0.1", "1.0", "0.0"],
            ["0.0", "1.0", "0.1"],
            ["1.0", "0.0", "0.1"],
        )

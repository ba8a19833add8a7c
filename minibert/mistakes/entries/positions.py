"""Mistakes in the ways in which a network learns the order of tokens."""

from minibert.config import PositionConfig, RelativeBiasConfig, RelativeConfig, RopeConfig
from minibert.mistakes import layers, outputs
from minibert.mistakes.entries import LAYERS, LOOPS, NETWORKS
from minibert.mistakes.mistake import Mistake, Sighting

ROTARY, RELATIVE = "model.positions.rotary:RotaryPlaces", "model.positions.relative:RelativePlaces"
BIASES = "model.positions.biases"
IN_ATTENTION = f"{LAYERS}test_attention_that_knows_positions"
IN_LOOPS = f"{LOOPS}test_logits_of_every_position_scheme_equal_the_textbook_formulas"
TURNED = {"scheme": "rope", "position_ids": None, "rows": None, "rate": 0.0}
VECTORS, BUCKETS = TURNED | {"scheme": "relative"}, TURNED | {"scheme": "relative_bias"}
ALIBI = {"position": PositionConfig("alibi")}

MISTAKES = [
    Mistake(
        "rope.turned_on", "gradients are turned by the positions once more, instead of back",
        "The forward pass turns, and the gradient goes through the same function. At position 0 nothing turns, "
        "and nearby the difference is small; lengths are kept everywhere, so that gradient norms look as they "
        "should.",
        f"{ROTARY}.rotate_backward", {"self.query_turns.conj()": "self.query_turns"},
        IN_ATTENTION, layers.attention, TURNED,
        seen=(
            Sighting(
                "Paddle", 2025, "a fused kernel multiplied by the sine on the wrong side of the turn; its test "
                "had sines whose two halves were equal, under which both orders give the same",
                "https://github.com/PaddlePaddle/Paddle/pull/74716",
            ),
        ),
        told=True,
    ),
    Mistake(
        "rope.keys_not_turned_back", "the keys' gradients are not turned back",
        "The queries' are.",
        f"{ROTARY}.rotate_backward", {"_turn(dkey, self.key_turns.conj())": "pass"},
        IN_ATTENTION, layers.attention, TURNED,
    ),
    Mistake(
        "rope.of_first_positions", "in a layer of some rows, queries turn as the first positions",
        "Shapes agree, and if the first positions are those computed, it is right.",
        f"{ROTARY}.at",
        {"take_queries(self.query_turns, rows)": "self.query_turns[:, : rows.shape[1]]"},
        f"{NETWORKS}test_a_trimmed_last_layer_equals_the_full_computation_in_every_position_scheme",
        outputs.trimmed_with_position, {"position": RopeConfig(base=50.0)},
    ),
    Mistake(
        "rope.other_exponent", "frequencies fall with half the exponent",
        "They still fall from 1 on, and only products know which they were. What was trained so works; what "
        "comes from elsewhere loses the farther it looks.",
        "model.positions.rotary:RotaryPositions._turning", {"np.arange(pairs) / pairs": "np.arange(pairs) / (2 * "
        "pairs)"},
        IN_LOOPS, outputs.logits_of_position, {"position": RopeConfig(base=20.0)},
        seen=(
            Sighting(
                "pie", 2026, "where a part of each head turns, exponents were taken from the whole head's size: "
                "right at position 0, worse the longer the text",
                "https://github.com/pie-project/pie/issues/602",
            ),
        ),
    ),
    Mistake(
        "relative.keys_not_in_query_gradient", "the keys' table is not in the queries' gradient",
        "The table has its own gradient, and the queries have one from the keys.",
        f"{RELATIVE}.add_to_scores_backward", {"dquery += np.matmul(dproducts, params[name])": "pass"},
        IN_ATTENTION, layers.attention, VECTORS,
    ),
    Mistake(
        "relative.values_not_in_weights_gradient", "the values' table is not in the weights' gradient",
        "The table has its own gradient, and the weights have one from the values.",
        f"{RELATIVE}.add_to_context_backward", {"dweights += ": "_ = "}, IN_ATTENTION, layers.attention, VECTORS,
    ),
    Mistake(
        "relative.first_head_alone", "the table has the gradient of one head alone",
        "The heads share the table, so that one seems to do.",
        f"{RELATIVE}.add_to_scores_backward", {"query).sum(axis=(0, 1))": "query)[:, 0].sum(axis=0)"},
        IN_ATTENTION, layers.attention, VECTORS,
    ),
    Mistake(
        "relative.reversed", "distances run from the key to the query",
        "Only the sign changes. A network that is trained so learns the mirror image of the table; gradients are "
        "right.",
        "model.positions.scheme:distances",
        {"plain = columns - columns[:, None]": "plain = columns[:, None] - columns"},
        IN_LOOPS, outputs.logits_of_position, {"position": RelativeConfig(distance=2)},
        seen=(
            Sighting(
                "nntrainer", 2026, "one of the two position terms of DeBERTa had the sign of an index that its "
                "model transposes later: every score off the diagonal was another",
                "https://github.com/nntrainer/nntrainer/pull/3982",
            ),
        ),
    ),
    Mistake(
        "relative.across_pieces", "where texts share a row, distances are counted along the row",
        "Every text has the right distances within itself, and a mask keeps texts apart. Where none does, two "
        "texts that begin anew are as far from each other as their places in the row, an accident of packing.",
        "model.positions.scheme:distances",
        {"return given if differ.any() else plain[None]": "return plain[None]"},
        f"{NETWORKS}test_positions_between_pieces_count_where_no_mask_keeps_them_apart", outputs.pieces,
        {"position": RelativeConfig(distance=2)},
        seen=(
            Sighting(
                "LLaMA-Factory", 2025, "packed texts were masked from each other, and yet each but the first was "
                "read at positions that continue those before it",
                "https://github.com/hiyouga/LlamaFactory/pull/7318",
            ),
            Sighting(
                "nanoVLM", 2026, "so were packed samples; without a mask of its own, the second could also read "
                "the first",
                "https://github.com/huggingface/nanoVLM/pull/204",
            ),
        ),
        told=True,
    ),
    Mistake(
        "relative_bias.gradient_unscaled", "the gradient of a bias is not multiplied by √K",
        "The bias is multiplied by √K where it is made, out of sight of the backward pass.",
        f"{BIASES}:LearnedBiasPlaces.add_to_scores_backward", {"self.scale * sums": "sums"},
        IN_ATTENTION, layers.attention, BUCKETS,
    ),
    Mistake(
        "relative_bias.first_sequence_alone", "the gradient of a bias is that of the first sequence alone",
        "The biases are the same for every sequence.",
        f"{BIASES}:LearnedBiasPlaces.add_to_scores_backward",
        {"np.ones((1, batch), dscores.dtype)": "np.eye(1, batch, dtype=dscores.dtype)"},
        IN_ATTENTION, layers.attention, BUCKETS,
    ),
    Mistake(
        "relative_bias.one_direction", "keys before and behind the query share their buckets",
        "A language model that looks one way has one direction, and the formula is told for it first.",
        f"{BIASES}:RelativeBiasPositions.bucket", {"(apart > 0) * len(edges)": "0"},
        IN_LOOPS, outputs.logits_of_position, {"position": RelativeBiasConfig(buckets=8, farthest=3)},
    ),
    Mistake(
        "alibi.behind_alone", "only keys behind the query have a penalty",
        "The paper's models look one way, and there it is all the same.",
        f"{BIASES}:AlibiPositions.places", {"np.abs(": "np.maximum(0, "},
        IN_LOOPS, outputs.logits_of_position, ALIBI,
        seen=(
            Sighting(
                "x-transformers", 2022, "penalties were right under a mask that looks one way, and not without it",
                "https://github.com/lucidrains/x-transformers/pull/88",
            ),
            Sighting(
                "attention-gym", 2024, "the example's penalty had the other sign: a reward for distance",
                "https://github.com/meta-pytorch/attention-gym/pull/86",
            ),
        ),
    ),
    Mistake(
        "alibi.divided_by_root", "the penalty is divided by √K, as the scores are",
        "It is added to the products, and what stands there is scaled. The slopes keep their ratios; each head "
        "merely looks farther than it should. Its gradient is none, so that no check of gradients can see it.",
        f"{BIASES}:AlibiPositions.places", {" * np.sqrt(config.hidden_size // config.heads)": ""},
        IN_LOOPS, outputs.logits_of_position, ALIBI,
        seen=(
            Sighting(
                "tt-metal", 2026, "an additive bias was scaled with the products: at K = 64 an eighth of it was "
                "left",
                "https://github.com/tenstorrent/tt-metal/pull/56406",
            ),
        ),
        told=True,
    ),
    Mistake(
        "sinusoidal.cosines_first", "even entries are cosines, odd ones sines",
        "Any order of the waves tells positions apart as well: a network that is trained with it does not mind. "
        "It minds weights that were trained with another.",
        "model.positions.absolute:SinusoidalPositions.table",
        {"[np.sin(angles), np.cos(angles)]": "[np.cos(angles), np.sin(angles)]"},
        IN_LOOPS, outputs.logits_of_position, {"position": PositionConfig("sinusoidal")},
        seen=(
            Sighting(
                "tensor2tensor", 2023, "readers ask why sines come first and then all cosines, unlike the paper; "
                "the answer is that it is the same up to an order",
                "https://github.com/tensorflow/tensor2tensor/issues/1925",
            ),
            Sighting(
                "AllenNLP", 2019, "the same question, and the same answer",
                "https://github.com/allenai/allennlp/issues/2993",
            ),
        ),
    ),
]  # fmt: skip

"""Mistakes in dropout, residual paths, embeddings and tied weights."""

from minibert.mistakes import layers, networks, outputs
from minibert.mistakes.entries import LAYERS, NETWORKS
from minibert.mistakes.layers import ROWS
from minibert.mistakes.mistake import Mistake, Sighting

BACKWARD, LAYER = "model.attention:attention_backward", "model.encoder:layer_backward"
EMBEDDINGS, HEAD = "model.embeddings:embeddings_backward", "model.heads:mlm_head_backward"
ATTENTION, WHOLE_LAYER = f"{LAYERS}test_attention", f"{LAYERS}test_layer"
TABLES, LOSS = f"{LAYERS}test_embeddings_with_repeated_ids", f"{NETWORKS}test_loss_and_gradients"
OTHER_PARTS = f"{NETWORKS}test_loss_and_gradients_of_other_parts"
DROPPED = {"mask": "none", "rows": None, "rate": 0.3}
PRE_NORM = {"norm": "pre", "rows": None, "rate": 0.0}
REPEATED_IDS = {"norm": "pre", "segments": 0, "rate": 0.0}
WHOLE = {"norm": "pre", "activation": "gelu", "dropout": 0.0}
EMBEDDED = {"fields": {"embedding_norm": True, "first_attention_norm": False}, "dropout": 0.0}
UNTIED = {"fields": {"tie_word_embeddings": False}, "dropout": 0.0}

MISTAKES = [
    Mistake(
        "dropout.weights_not_in_gradient", "the mask of the attention weights is not in their gradient",
        "On average over masks, the gradient is right: it looks like noise. With a rate of 0, as in most checks, "
        "there is no mask at all. A check has to hold the mask fixed to see it.",
        BACKWARD, {"dropout(dweights, cache.dropout)": "pass"}, ATTENTION, layers.attention, DROPPED,
        seen=(
            Sighting(
                "nki-samples", 2025, "the backward kernel of flash attention did not drop the weights' gradient, "
                "and read the dropped weights where those of the softmax belong",
                "https://github.com/aws-neuron/nki-samples/pull/81",
            ),
            Sighting(
                "apex", 2020, "the backward pass of multi-head attention scaled by the rate, not by 1/(1 - rate)",
                "https://github.com/NVIDIA/apex/pull/816",
            ),
        ),
        told=True,
    ),
    Mistake(
        "dropout.weights_not_in_values", "the values' gradient reads the weights before dropout",
        "Both arrays are in the cache, and without dropout they are one.",
        BACKWARD, {"cache.dropped_weights.transpose": "cache.weights.transpose"},
        ATTENTION, layers.attention, DROPPED,
    ),
    Mistake(
        "dropout.branch_not_in_gradient", "the mask of a branch is not in its gradient",
        "Dropout is a trick for training, so that it seems to belong to the forward pass alone. The gradient's "
        "mean is right; each single one is that of another network than the one that made the loss.",
        "model.encoder:_undrop", {"if mask is None:": "if True:"},
        WHOLE_LAYER, layers.layer, {"norm": "pre", "rows": None, "rate": 0.3},
        seen=(
            Sighting(
                "numpy-ml", 2024, "its dropout wrapper divides the gradient by the share kept, without the mask",
                "https://github.com/ddbourgin/numpy-ml/issues/94",
            ),
            Sighting(
                "guided-diffusion", 2025, "recomputed activations drew new masks, so that the gradient belonged "
                "to other masks than the loss, and training diverged",
                "https://github.com/openai/guided-diffusion/issues/167",
            ),
        ),
        told=True,
    ),
    Mistake(
        "dropout.of_first_rows", "a layer of some rows drops by the masks of the first rows",
        "The shape is right, and the masks are random anyway. But the result then depends on which rows are "
        "computed.",
        "model.encoder:_drop", {"take_rows(mask, rows)": "mask[: rows.size]"},
        f"{NETWORKS}test_a_trimmed_last_layer_equals_the_full_computation", outputs.trimmed,
        {"norm": "pre", "dropout": 0.25},
    ),
    Mistake(
        "dropout.embeddings_not_in_gradient", "the mask of the embeddings is not in their gradient",
        "As with a branch, the mean is right.",
        EMBEDDINGS, {"dropout(dx.reshape(batch, tokens, -1), cache.dropout)": "pass"},
        TABLES, layers.embeddings, {"norm": "pre", "segments": 2, "rate": 0.3},
    ),
    Mistake(
        "residual.attention_path_forgotten", "the residual path around attention is forgotten",
        "The branch has its gradient, and one layer learns.",
        LAYER, {"dbranch += dy": "pass"}, WHOLE_LAYER, layers.layer, PRE_NORM,
    ),
    Mistake(
        "residual.feed_forward_path_forgotten", "the residual path around the feed-forward network is forgotten",
        "A layer has two such paths, and one of them is there. Every parameter has a gradient of the right "
        "shape. But from layer to layer it shrinks, so that the first layers learn nothing: the loss falls, and "
        "stops early.",
        LAYER, {"np.add(dbranch, dz, out=dbranch)": "dbranch"}, WHOLE_LAYER, layers.layer, PRE_NORM,
        seen=(
            Sighting(
                "entrenar", 2026, "of 24 layers' gradients only the last few were not zero, until the second "
                "path was added; runs before had all ended at one and the same perplexity",
                "https://github.com/paiml/entrenar/issues/313",
            ),
            Sighting(
                "quack", 2025, "the gradient of the path was added before the backward pass of an RMS norm, not "
                "after it",
                "https://github.com/Dao-AILab/quack/pull/53",
            ),
        ),
        told=True,
    ),
    Mistake(
        "residual.path_of_rows_forgotten", "the residual path of a layer of some rows is forgotten",
        "It is another branch of the code than that for all rows.",
        LAYER, {"add_at_rows(dbranch, cache.attention.rows, dy)": "pass"},
        WHOLE_LAYER, layers.layer, {"norm": "post", "rows": ROWS, "rate": 0.0},
    ),
    Mistake(
        "residual.path_written_over", "the branch writes over the gradient that the path still needs",
        "In-place arithmetic saves memory, and without dropout the array is not touched. The path then gets the "
        "gradient of the branch: right in shape and about right in size.",
        LAYER,
        {
            "dbranch = _undrop(dz, cache.feed_forward_dropout, work)":
            "dbranch = dz = _undrop(dz, cache.feed_forward_dropout, work)",
        },
        WHOLE_LAYER, layers.layer, {"norm": "pre", "rows": None, "rate": 0.3},
        seen=(
            Sighting(
                "ggml", 2026, "the backward pass of the softmax could be given its own input's memory for its "
                "result, and wrote over it before it had read it",
                "https://github.com/ggml-org/ggml/pull/1521",
            ),
            Sighting(
                "Liger-Kernel", 2024, "a loss that stores its gradient in the memory of its input spoils what "
                "the layer below has kept",
                "https://github.com/linkedin/Liger-Kernel/issues/272",
            ),
        ),
        told=True,
    ),
    Mistake(
        "residual.first_norm_only_forward", "every layer's attention norm is left out of the backward pass",
        "The first layer's is left out, as wanted where the embeddings are normalised.",
        LAYER, {"if pre and cache.attention_norm is not None:": "if False:"},
        OTHER_PARTS, networks.loss_of_parts, EMBEDDED,
    ),
    Mistake(
        "embedding.norm_left_out", "the backward pass of the norm on the embeddings is left out",
        "It is the last step of the backward pass, and only the tables are below it.",
        EMBEDDINGS, {"if cache.norm is not None:": "if False:"},
        TABLES, layers.embeddings, {"norm": "post", "segments": 0, "rate": 0.0},
    ),
    Mistake(
        "embedding.norm_of_pre_norm_left_out", "in a pre-norm network, where the norm on the embeddings is an "
        "option, its backward pass is left out",
        "Without the option, there is nothing to leave out.",
        EMBEDDINGS, {"if cache.norm is not None:": "if False:"}, OTHER_PARTS, networks.loss_of_parts, EMBEDDED,
    ),
    Mistake(
        "embedding.repeated_ids_lost", "grad[ids] += d keeps one of the gradients of a repeated id",
        "NumPy reads the rows, adds, and writes them back: of an id that stands twice, the last one wins. The "
        "statement says what is meant, and a test with distinct ids is green. In text, the most frequent words "
        "lose most.",
        "model.parameters:Gradients.add_rows",
        {
            "self[name][distinct] += summing @ values":
            "self[name][rows] += values",
        },
        TABLES, layers.embeddings, REPEATED_IDS,
        seen=(
            Sighting(
                "autograd", 2015, "the gradient of `take` counted an index that stands twice once",
                "https://github.com/HIPS/autograd/issues/39",
            ),
            Sighting(
                "MXNet", 2017, "so did that of `gather_nd`",
                "https://github.com/apache/mxnet/issues/9172",
            ),
            Sighting(
                "PyTensor", 2026, "on one backend, increments at repeated indices were dropped: the gradients of "
                "embeddings were wrong without a word",
                "https://github.com/pymc-devs/pytensor/pull/2242",
            ),
        ),
        told=True,
    ),
    Mistake(
        "embedding.position_of_first_sequence", "the position table has the gradient of the first sequence alone",
        "Positions are the same in every sequence, so that one seems to do. A batch of one is right.",
        "model.positions.absolute:AbsolutePositions.embed_backward",
        {"dx.sum(axis=0, out=gradient[: dx.shape[1]])": "gradient[: dx.shape[1]] = dx[0]"},
        TABLES, layers.embeddings, REPEATED_IDS,
        seen=(
            Sighting(
                "ND4J", 2017, "the gradient of a variable that was broadcast was not summed over the rows it "
                "went to",
                "https://github.com/deeplearning4j/nd4j/issues/2424",
            ),
        ),
    ),
    Mistake(
        "embedding.position_averaged", "the position table's gradient is averaged over the batch",
        "A mean over sequences looks natural; the loss has been divided already.",
        "model.positions.absolute:AbsolutePositions.embed_backward", {"dx.sum(axis=0": "dx.mean(axis=0"},
        TABLES, layers.embeddings, REPEATED_IDS,
    ),
    Mistake(
        "embedding.segment_forgotten", "the segment table has no gradient",
        "It has two rows, which hardly matter.",
        EMBEDDINGS, {"if cache.segment_ids is not None:": "if False:"},
        TABLES, layers.embeddings, {"norm": "pre", "segments": 2, "rate": 0.0},
    ),
    Mistake(
        "tied_head.output_part_forgotten", "the tied table has no gradient as output weights",
        "It has one as embeddings, of the right shape.",
        HEAD, {"grads.add_product(name, left, right)": "pass"}, LOSS, networks.loss, WHOLE,
    ),
    Mistake(
        "tied_head.input_part_forgotten", "the tied table has no gradient as embeddings",
        "The head gives every row a gradient, also those of words that the text does not have, so that nothing "
        "looks missing. The embeddings even learn: through the head.",
        EMBEDDINGS,
        {'grads.add_rows("embeddings.token.weight", cache.input_ids.reshape(-1), dx)': "pass"},
        LOSS, networks.loss, WHOLE,
        seen=(
            Sighting(
                "entrenar", 2026, "the table was copied at the start: head and embeddings each had a gradient, an "
                "optimizer and soon weights of their own",
                "https://github.com/paiml/entrenar/issues/314",
            ),
        ),
        told=True,
    ),
    Mistake(
        "untied_head.embeddings_read", "with output weights of their own, the backward pass reads the embeddings",
        "Both matrices have one size, up to a transpose.",
        HEAD, {"cache.output_weight.T": 'params["embeddings.token.weight"]'},
        OTHER_PARTS, networks.loss_of_parts, UNTIED,
    ),
    Mistake(
        "untied_head.embeddings_written", "with output weights of their own, the embeddings get the gradient",
        "Something gets it, and the loss falls.",
        HEAD, {'untied, h = "mlm_head.weight" in params': "untied, h = False"},
        OTHER_PARTS, networks.loss_of_parts, UNTIED,
    ),
]  # fmt: skip

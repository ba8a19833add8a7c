"""Mistakes in the loss, in sums of gradients, and in what is learnt beside masked words."""

from minibert.mistakes import networks, outputs
from minibert.mistakes.entries import AUXILIARY, CLASSIFIER, LAYERS, NETWORKS
from minibert.mistakes.layers import cross_entropy
from minibert.mistakes.mistake import Mistake, Sighting

LOSS, HEAD = "model.ops:cross_entropy", "model.heads:mlm_head_backward"
SAMPLED_GRADIENTS = f"{NETWORKS}test_loss_and_gradients_over_a_sample_of_words"
SAMPLED_LOSS = f"{NETWORKS}test_the_loss_over_a_sample_of_words_is_that_of_the_formula"
TIED, UNTIED = {"fields": {}}, {"fields": {"tie_word_embeddings": False}}
TASKS = {"norm": "pre", "recompute": False, "dropout": 0.0}

MISTAKES = [
    Mistake(
        "cross_entropy.not_divided", "the gradient of the mean loss is that of the sum",
        "It points the same way, and Adam does not ask for its length. Clipping and weight decay do.",
        LOSS, {"(total * logits.dtype.type(count))": "total", "logits.dtype.type(1 / count)": "1"},
        f"{LAYERS}test_cross_entropy", cross_entropy, {"count": 4},
    ),
    Mistake(
        "cross_entropy.own_rows", "each part of a batch is divided by its own predictions",
        "Each part's loss is then a mean, as a loss should be. But a mean of means is not the mean: a part with "
        "few predictions weighs as much as one with many. If all have equally many, as in a test with full rows, "
        "it is right up to a factor.",
        LOSS, {"losses = np.empty(len(labels))": "count = len(labels); losses = np.empty(count)"},
        f"{NETWORKS}test_parts_of_a_batch_sum_to_the_whole", outputs.parts_of_a_batch, {"dropout": 0.0},
        seen=(
            Sighting(
                "transformers", 2024, "with accumulated gradients, the trainer averaged the means of batches of "
                "texts of different lengths, and the loss differed from that of one large batch",
                "https://github.com/huggingface/transformers/pull/34191",
            ),
            Sighting(
                "nanochat", 2025, "fine-tuning divided by the number of batches, not by that of tokens",
                "https://github.com/karpathy/nanochat/pull/59",
            ),
        ),
        told=True,
    ),
    Mistake(
        "cross_entropy.without_one_hot", "the gradient is the softmax, without the label",
        "It pushes all scores down, the most likely most; the loss is right.",
        LOSS, {"block[rows, wanted] -= logits.dtype.type(1 / count)": "pass"},
        f"{LAYERS}test_cross_entropy", cross_entropy, {"count": 4},
    ),
    Mistake(
        "gradients.scored_rows_in_front", "gradients of the scored rows are put in front, not in their places",
        "Their number is right, and if the first rows are those scored, so are their places.",
        "model.bert:MiniBERT._unchoose", {"full[chosen.reshape(-1)] = dx": "full[: len(dx)] = dx"},
        f"{NETWORKS}test_loss_and_gradients", networks.loss, {"norm": "pre", "activation": "gelu", "dropout": 0.0},
    ),
    Mistake(
        "gradients.second_replaces_first", "a second gradient of a parameter replaces the first",
        "A parameter that is used once has the right gradient, and examples use each once. Then a table is tied, "
        "a layer shared or a batch split, and all uses but the last are lost.",
        "model.parameters:Gradients.add", {"self[name] += value": "self[name] = value"},
        f"{NETWORKS}test_accumulating_twice_doubles", outputs.accumulated, {"way": "backward"},
        seen=(
            Sighting(
                "nn-zero-to-hero", 2024, "a lesson on automatic differentiation writes `=` for `+=` on purpose, "
                "to have it found; a note in the code tells that one stayed in the video",
                "https://github.com/karpathy/nn-zero-to-hero/issues/52",
            ),
            Sighting(
                "TrenTorch", 2026, "a tensor that went two ways sent only the first gradient up: 6 where 21 is "
                "right",
                "https://github.com/TrenTorch/TrenTorch/pull/182",
            ),
        ),
        told=True,
    ),
    Mistake(
        "gradients.not_cleared", "a gradient adds to the one before it was cleared",
        "The loss still falls: old gradients act like momentum without end.",
        "model.parameters:Gradients.clear", {"self._touched.clear()": "pass"},
        f"{NETWORKS}test_accumulating_twice_doubles", outputs.accumulated, {"way": "loss_and_gradients"},
        seen=(
            Sighting(
                "DN-DETR", 2022, "a reader misses the line that clears gradients in the training loop",
                "https://github.com/IDEA-Research/DN-DETR/issues/19",
            ),
        ),
    ),
    Mistake(
        "gradients.second_product_replaces_first", "a second matrix product replaces the first",
        "A product is written into place the first time, which is faster, and must be added the second time.",
        "model.parameters:Gradients.add_product", {"self[name] += left @ right": "self[name] = left @ right"},
        f"{LAYERS}test_gradients_accumulate_until_they_are_cleared", outputs.products,
    ),
    Mistake(
        "sampled_words.not_raised", "scores over a sample of words are not raised by -log π",
        "The loss falls, and it is a cross-entropy: of another distribution, in which words count by how often "
        "they are drawn. Frequent words are drawn most, so they are pushed down most. Gradient and loss agree.",
        "model.heads:mlm_head", {"bias[words.ids] + words.raised": "bias[words.ids]"},
        SAMPLED_LOSS, outputs.sampled_loss, TIED,
        seen=(
            Sighting(
                "Merlin Models", 2023, "the sampled softmax had no correction by the sampling probability until "
                "it was written anew",
                "https://github.com/NVIDIA-Merlin/models/pull/1051",
            ),
            Sighting(
                "TensorFlow Recommenders", 2021, "the correction had the wrong sign: log π was added",
                "https://github.com/tensorflow/recommenders/issues/219",
            ),
        ),
        told=True,
    ),
    Mistake(
        "sampled_words.first_rows", "the sample's gradient goes to the first rows of the table",
        "The shape is that of the sample.",
        HEAD, {"(slice(None), ids) if untied else ids": "np.arange(len(ids))"},
        SAMPLED_GRADIENTS, networks.sampled_loss, TIED,
    ),
    Mistake(
        "sampled_words.first_columns", "the sample's gradient goes to the first columns of the output weights",
        "The shape is that of the sample.",
        HEAD, {"(slice(None), ids) if untied else ids": "(slice(None), np.arange(len(ids)))"},
        SAMPLED_GRADIENTS, networks.sampled_loss, UNTIED,
    ),
    Mistake(
        "sampled_words.first_biases", "the sample's gradient goes to the first biases",
        "The weights' goes to its place.",
        HEAD, {'"mlm_head.bias", ids': '"mlm_head.bias", np.arange(len(ids))'},
        SAMPLED_GRADIENTS, networks.sampled_loss, TIED,
    ),
    Mistake(
        "sampled_words.labels_elsewhere", "labels are not found in the sample",
        "Every label names some word of the sample, so nothing fails.",
        "model.words:WordSample.places", {"np.searchsorted(self.ids, labels)": "labels % len(self.ids)"},
        SAMPLED_LOSS, outputs.sampled_loss, TIED,
    ),
    Mistake(
        "auxiliary.tanh_slope_left_out", "an auxiliary head's backward pass lacks the slope of its tanh",
        "Near 0 the slope is 1.",
        "model.auxiliary_heads:auxiliary_head_backward", {"dx *= 1 - cache.pooled**2": "pass"},
        f"{AUXILIARY}test_auxiliary_head", networks.auxiliary_head,
    ),
    Mistake(
        "auxiliary.weight_in_loss_alone", "an auxiliary task's weight is in its loss, not in its gradient",
        "The loss that is logged is the one of the formula, and follows the setting. What is learnt does not: the "
        "weight can be set to anything.",
        "model.auxiliary_heads:auxiliary_losses", {"dlogits *= x.dtype.type(task.weight)": "pass"},
        f"{AUXILIARY}test_a_task_alone_without_masked_words", networks.loss_of_task, {"name": "sop"},
        seen=(
            Sighting(
                "NeMo AutoModel", 2026, "the weight of a balancing loss was only asked whether it is above 0, "
                "and the loss had no gradient at all",
                "https://github.com/NVIDIA-NeMo/Automodel/issues/1408",
            ),
        ),
        told=True,
    ),
    Mistake(
        "auxiliary.one_over_another", "the gradient of one auxiliary task replaces that of another",
        "Tasks that ask different positions do not meet.",
        "model.auxiliary_heads:auxiliary_losses",
        {"dx[rows] += auxiliary_head_backward": "dx[rows] = auxiliary_head_backward"},
        f"{AUXILIARY}test_loss_and_gradients_with_auxiliary_tasks", networks.loss_with_tasks, TASKS,
    ),
    Mistake(
        "auxiliary.in_place_of_masked_words", "auxiliary heads' gradients replace those of the masked words",
        "Without auxiliary tasks nothing changes.",
        "model.bert:MiniBERT.backward", {"dread[cache.predicted] += dhead": "pass"},
        f"{AUXILIARY}test_loss_and_gradients_with_auxiliary_tasks", networks.loss_with_tasks, TASKS,
    ),
    Mistake(
        "classifier.mean_not_divided", "the gradient of a sentence's mean is not divided by its length",
        "It is spread over the tokens, as the gradient of a sum would be.",
        "model.classifier:classification_head_backward",
        {"dpooled /= cache.lengths[:, None].astype(dpooled.dtype)": "pass"},
        f"{CLASSIFIER}test_classification_head", networks.classification_head, {"dropout": 0.0},
    ),
    Mistake(
        "classifier.divided_by_mean_length", "the gradient of a sentence's mean is divided by the mean length of "
        "all",
        "In a batch of sentences of one length, that is right.",
        "model.classifier:classification_head_backward",
        {"cache.lengths[:, None]": "cache.lengths.mean(keepdims=True)[:, None]"},
        f"{CLASSIFIER}test_classification_head", networks.classification_head, {"dropout": 0.0},
    ),
    Mistake(
        "classifier.dropout_only_forward", "dropout before the classes is in the forward pass alone",
        "On average over masks, the gradient is right.",
        "model.classifier:classification_head_backward", {"dropout(dpooled, cache.dropout)": "pass"},
        f"{CLASSIFIER}test_classification_head", networks.classification_head, {"dropout": 0.25},
    ),
    Mistake(
        "classifier.padding_in_mean", "padding is in the mean of a sentence",
        "Attention masks padding, so that it seems to be taken care of; but every position has a hidden state, "
        "padding, too. A sentence alone has none. In a batch, its vector depends on the longest sentence beside "
        "it.",
        "model.classifier:SentenceClassifier._read", {"read = np.asarray(inputs.mask, bool)": "pass"},
        f"{CLASSIFIER}test_padding_changes_nothing", outputs.scores_with_padding,
        seen=(
            Sighting(
                "LightRAG", 2026, "embeddings of a text changed with the texts that were encoded beside it",
                "https://github.com/HKUDS/LightRAG/pull/3675",
            ),
            Sighting(
                "BERT-whitening-pytorch", 2022, "a reader asks for the mask, and another measures both",
                "https://github.com/autoliuweijie/BERT-whitening-pytorch/issues/13",
            ),
        ),
        told=True,
    ),
]  # fmt: skip

"""Every number of the explorer is that of the network's own forward and backward pass."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

import minibert
from minibert.config import ModelConfig, PositionConfig, RelativeBiasConfig, RelativeConfig, RopeConfig
from minibert.data.tokenizer import train_tokenizer
from minibert.errors import MinibertError
from minibert.exploration import MathematicalExplorer, figures
from minibert.exploration.ablation import without_heads
from minibert.exploration.guesses import early_exits
from minibert.mistakes.catalogue import MISTAKES
from minibert.mistakes.entries import EXPLORER
from minibert.mistakes.gradient_check import scatter, slope_along
from minibert.model.attention import attention
from minibert.model.bert import MiniBERT
from minibert.model.encoder import final_norm, layer
from minibert.model.feed_forward import feed_forward
from minibert.model.heads import mlm_head
from minibert.model.norms import norm
from minibert.model.ops import cross_entropy, softmax
from tests.support.mutations import assert_caught

TEXT = "the people [MASK] the union of states"
WORDS = "the people keep the union of states and every nation works in peace "
TOKENIZER = train_tokenizer([WORDS] * 20, 128, lowercase=True)
VARIANTS = {
    "pre": {},
    "post": {"norm": "post", "position": PositionConfig("absolute"), "segments": 2},
    "gated unit": {"activation": "geglu", "feed_forward_bias": False, "position": PositionConfig("sinusoidal")},
    "gated heads": {"attention": "gated", "qk_norm": True, "attention_bias": False},
    "rms, untied": {"norm_kind": "rms_norm", "tie_word_embeddings": False, "position": PositionConfig("alibi")},
    "window": {"attention_window": 4, "global_every": 2, "embedding_norm": True, "first_attention_norm": False},
    "relative": {"position": RelativeConfig(distance=3), "head_bias": False},
    "relative bias": {"position": RelativeBiasConfig(), "norm": "post", "norm_bias": False},
    "none": {"position": PositionConfig("none"), "decoder_bias": False, "activation": "relu"},
    "partly turned": {"position": RopeConfig(fraction=0.5)},
}


def explorer(seed=0, **fields):
    """A network in float64 away from its initial values."""
    sizes = {"hidden_size": 16, "layers": 3, "heads": 2, "feed_forward_size": 24, "max_length": 16}
    config = ModelConfig(vocab_size=140, dtype="float64", **sizes | fields)
    model = MiniBERT(config)
    scatter(model.params, seed)
    return MathematicalExplorer(model, TOKENIZER)


@pytest.fixture(params=VARIANTS)
def variant(request):
    return explorer(**VARIANTS[request.param])


def test_every_step_leads_to_the_states_and_scores_of_the_network(variant):
    found = variant.step_through_forward_pass(TEXT)
    scores, cache = variant.model.forward(found.sentence.ids[None])
    states, norms = [found.at("embeddings")[-1].array], variant.model.config.norm
    for index in range(3):
        part = found.at(f"layers.{index}.feed_forward")
        states.append(part[-1].array)
    if norms == "pre":
        states[-1] = found.step("final_norm", "norm").array
    for step, state in zip(states, cache.hidden_states, strict=True):
        np.testing.assert_allclose(step, state[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.step("mlm_head", "scores").array, scores[0])
    np.testing.assert_allclose(found.step("mlm_head", "probabilities").array, softmax(scores[0].copy()), rtol=1e-9)


def test_the_steps_of_attention_are_their_formulas(variant):
    found, config = variant.step_through_forward_pass(TEXT), variant.model.config
    for index in range(3):
        steps = {step.name: step.array for step in found.at(f"layers.{index}.attention")}
        query, key = steps.get("query_turned", steps["query"]), steps.get("key_turned", steps["key"])
        if "query_turned" not in steps and config.qk_norm:
            query, key = steps["query_norm"], steps["key_norm"]
        products = query @ key.transpose(0, 2, 1)
        if "products" in steps:
            np.testing.assert_allclose(steps["products"], products, rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_allclose(steps["scores"], products / np.sqrt(8), rtol=1e-12, atol=1e-12)
        scores = steps["scores"].copy()
        if config.attention_window and index % 2:
            apart = np.abs(np.subtract.outer(np.arange(scores.shape[1]), np.arange(scores.shape[1])))
            scores[:, apart > 2] = -np.inf
        np.testing.assert_allclose(steps["weights"], softmax(scores), rtol=1e-9, atol=1e-12)
        context = steps["weights"] @ steps["value"]
        if config.position.name != "relative":
            np.testing.assert_allclose(steps["context"], context, rtol=1e-9, atol=1e-12)
        if "gate" in steps:
            gated = steps["gate"][..., None] * steps["context"]
            np.testing.assert_allclose(steps["gated_context"], gated, rtol=1e-12)
        read = steps.get("gated_context", steps["context"]).transpose(1, 0, 2).reshape(-1, 16)
        bias = variant.model.params.get(f"layers.{index}.attention.output.bias", 0)
        output = read @ variant.model.params[f"layers.{index}.attention.output.weight"] + bias
        np.testing.assert_allclose(steps["output"], output, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(steps["residual"] - steps["output"], before(found, index), rtol=0, atol=1e-12)


def before(found, index):
    """The hidden states that a layer reads."""
    place = f"layers.{index - 1}.feed_forward" if index else "embeddings"
    return found.at(place)[-1].array


def test_a_step_says_its_formula_and_its_shape():
    found = explorer().step_through_forward_pass(TEXT)
    tokens = len(found.sentence.ids)
    assert found.places[:3] == ["embeddings", "layers.0.attention", "layers.0.feed_forward"]
    weights = found.step("layers.1.attention", "weights")
    assert (weights.formula, weights.shape) == ("A = softmax(S)", f"H×T×T = 2×{tokens}×{tokens}")
    for step in found.steps:
        assert len(step.axes) == step.array.ndim and step.formula and step.meaning.endswith(".")
    assert "S = Q Kᵀ / √8" in str(found)
    with pytest.raises(MinibertError, match=r"did you mean 'layers.1.attention'"):
        found.at("layers.1.atention")


def test_an_early_exit_is_the_head_on_the_states_of_a_layer(variant):
    model, sentence = variant.model, variant.read(TEXT)
    whole, cache = model.forward(sentence.ids[None])
    scores = list(early_exits(model, cache))
    np.testing.assert_array_equal(scores[-1], whole[0])
    for index, states in enumerate(cache.hidden_states[:-1]):
        normed = final_norm(states[0], model.params, model.config)[0]
        expected = mlm_head(normed, model.params, model.config)[0]
        np.testing.assert_array_equal(scores[index], expected)
        assert (model.config.norm == "post") == np.array_equal(normed, states[0])
    # A network of fewer layers, with the same parameters, ends where the early exit does.
    short = MiniBERT(replace(model.config, layers=2))
    for name in short.params:
        short.params[name] = model.params[name]
    np.testing.assert_allclose(scores[2], short.forward(sentence.ids[None])[0][0], rtol=1e-12, atol=1e-12)


def test_guesses_are_the_likeliest_tokens_with_their_probabilities():
    found, model = explorer(), explorer().model
    masked = found.guess_by_layer("the people keep the union", masked=[3], top_k=4)
    assert masked.sentence.tokens[3] == "[MASK]" and masked.sentence.original_tokens[3] == "keep"
    shares = softmax(model.forward(masked.sentence.ids[None])[0][0])
    known = TOKENIZER.get_vocab_size()
    best = np.argsort(-shares[3, :known], kind="stable")[:4]
    assert masked.ids[-1, 3].tolist() == best.tolist()
    assert masked.tokens[-1][3] == [TOKENIZER.id_to_token(int(id)) for id in best]
    np.testing.assert_allclose(masked.probabilities[-1, 3], shares[3, best], rtol=1e-9)
    keep = TOKENIZER.token_to_id("keep")
    np.testing.assert_allclose(masked.original_probabilities[-1, 3], shares[3, keep], rtol=1e-9)
    assert masked.original_ranks[-1, 3] == 1 + (shares[3] > shares[3, keep]).sum()
    np.testing.assert_allclose(masked.entropies[-1], -(shares * np.log(shares)).sum(axis=1), rtol=1e-9)
    assert "position 3, [MASK]" in str(masked) and "layer_2" in str(masked)


def test_attention_of_the_explorer_is_that_of_the_cache():
    found = explorer(attention_window=4, global_every=2)
    heads = found.explore_attention_heads(TEXT)
    _, cache = found.model.forward(heads.sentence.ids[None])
    for index, kept in enumerate(cache.layers):
        np.testing.assert_array_equal(heads.weights[index], kept.attention.weights[0])
    own = np.einsum("lhtt->lht", heads.weights).mean(axis=2)
    np.testing.assert_allclose(heads.shares["self"], own)
    apart = np.abs(np.subtract.outer(np.arange(9), np.arange(9)))
    most = np.log((apart <= 2).sum(axis=1))
    entropy = -(heads.weights[1] * np.log(np.where(heads.weights[1] > 0, heads.weights[1], 1))).sum(axis=2)
    np.testing.assert_allclose(heads.entropies[1], (entropy / most).mean(axis=1))
    assert str(heads).count("\n") == 6


def test_an_ablated_head_is_a_head_whose_output_is_zero(variant):
    model, sentence, head = variant.model, variant.read(TEXT), (2, 0)
    found = variant.ablate_heads(TEXT, [head], top_k=3)
    scores = by_hand(model, sentence.ids, head)
    np.testing.assert_allclose(
        without_heads(model, [head]).forward(sentence.ids[None])[0][0], scores, rtol=1e-10, atol=1e-10
    )
    after, whole = softmax(scores), softmax(model.forward(sentence.ids[None])[0][0])
    divergence = (whole * np.log(whole / after)).sum(axis=1)
    np.testing.assert_allclose(found.divergences, divergence, rtol=1e-6, atol=1e-12)
    position = sentence.masked[0]
    assert [token for token, _ in found.after[position]] == [
        TOKENIZER.id_to_token(int(id)) for id in np.argsort(-after[position, : TOKENIZER.get_vocab_size()])[:3]
    ]
    np.testing.assert_allclose(
        found.original_after, np.log(after[np.arange(len(after)), sentence.originals]), rtol=1e-9
    )


def by_hand(model, ids, head):
    """The scores with the context of one head set to zero, layer after layer."""
    params, config = model.params, model.config
    _, cache = model.forward(ids[None])
    x = cache.hidden_states[0][0]
    for index in range(config.layers):
        prefix, kept = f"layers.{index}", cache.layers[index].attention
        bias = None
        if config.attention_window and index % 2:
            apart = np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x))))
            bias = np.where(apart <= 2, 0.0, -1e300)[None, None]
        z, own = layer(x, 1, prefix, params, config, bias, places=kept.places)
        if index == head[0]:
            context = own.attention.gated_context.copy()
            context[:, head[1] * 8 : (head[1] + 1) * 8] = 0
            shift = params.get(f"{prefix}.attention.output.bias", 0)
            y = x + context @ params[f"{prefix}.attention.output.weight"] + shift
            if config.norm == "post":
                y, _ = norm(y, f"{prefix}.attention.norm", params, config)
            z = after_attention(model, y, index)
        x = z
    return mlm_head(final_norm(x, params, config)[0], params, config)[0]


def after_attention(model, y, index):
    """The feed-forward block of a layer."""
    name = f"layers.{index}.feed_forward"
    if model.config.norm == "post":
        z = y + feed_forward(y, name, model.params, model.config)[0]
        return norm(z, f"{name}.norm", model.params, model.config)[0]
    read, _ = norm(y, f"{name}.norm", model.params, model.config)
    return y + feed_forward(read, name, model.params, model.config)[0]


def test_the_effect_of_a_head_is_the_fall_of_log_p_without_it_and_nothing_is_left_changed():
    found = explorer()
    kept = found.model.params.vector.copy()
    effects = found.measure_head_effects(TEXT, target="union")
    np.testing.assert_array_equal(found.model.params.vector, kept)
    target, position = TOKENIZER.token_to_id("union"), effects.sentence.masked[0]
    for head in np.ndindex(3, 2):
        without = by_hand(found.model, effects.sentence.ids, head)[position]
        expected = effects.log_probability - np.log(softmax(without[None])[0, target])
        assert effects.effects[head] == pytest.approx(expected, abs=1e-9)
    assert found.ablate_heads(TEXT, []).divergences.max() == 0


def test_the_gradient_flow_is_the_slope_of_the_loss_and_the_gradient_of_the_parameters(variant):
    model = variant.model
    flow = variant.analyze_gradient_flow(TEXT, target="keep")
    ids, position, target = flow.sentence.ids, flow.position, TOKENIZER.token_to_id("keep")
    labels = np.full((1, len(ids)), -100)
    labels[0, position] = target
    loss, gradients = model.loss_and_gradients(ids[None], labels)
    assert flow.loss == pytest.approx(loss, rel=1e-12)
    for name in model.params:
        np.testing.assert_allclose(flow.parameters[name], gradients[name], rtol=1e-8, atol=1e-10)
    random = np.random.default_rng(0)
    for place, gradient in enumerate(flow.gradients):
        states = states_at(model, ids, place)
        direction = random.normal(size=states.shape)
        slope = slope_along(partial(rest, model, states, place, position, target, ids), states, direction)
        assert np.vdot(gradient, direction) == pytest.approx(slope, rel=1e-6, abs=1e-10), flow.places[place]
    assert [block.name for block in flow.blocks] == flow.places[1:]
    assert flow.attributions.shape == (len(ids),)
    np.testing.assert_allclose(flow.attributions, -(states_at(model, ids, 0) * flow.gradients[0]).sum(axis=1))


def places_of(model, ids):
    return [kept.attention.places for kept in model.forward(ids[None])[1].layers]


def half(model, x, ids, number):
    """One residual block; ``number`` counts all of them."""
    index, second = divmod(number, 2)
    if second:
        return after_attention(model, x, index)
    params, config, name = model.params, model.config, f"layers.{index}.attention"
    bias = None
    if config.attention_window and index % 2:
        apart = np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x))))
        bias = np.where(apart <= 2, 0.0, -1e300)[None, None]
    has_norm = config.norm == "pre" and f"{name}.norm.gain" in params
    read = norm(x, f"{name}.norm", params, config)[0] if has_norm else x
    y = x + attention(read, 1, name, params, config, bias, places=places_of(model, ids)[index])[0]
    return norm(y, f"{name}.norm", params, config)[0] if config.norm == "post" else y


def states_at(model, ids, place):
    x = model.forward(ids[None])[1].hidden_states[0][0].copy()
    for number in range(place):
        x = half(model, x, ids, number)
    return x


def rest(model, states, place, position, target, ids):
    x = states.copy()
    for number in range(place, 2 * model.config.layers):
        x = half(model, x, ids, number)
    scores, _ = mlm_head(final_norm(x, model.params, model.config)[0][position][None], model.params, model.config)
    return cross_entropy(scores, np.array([target]), 1)[0]


def test_the_parts_of_a_block_add_up_to_the_gradient_before_it():
    flow = explorer().analyze_gradient_flow(TEXT, target="keep")
    for number, block in enumerate(flow.blocks):
        after, before = flow.gradients[number + 1], flow.gradients[number]
        assert block.arriving == pytest.approx(np.linalg.norm(after))
        assert block.branch == pytest.approx(np.linalg.norm(before - after))


def test_layers_are_compared_within_a_network_and_with_another():
    first, second = explorer(), explorer(seed=1)
    own = first.compare_layer_representations([TEXT, "every nation works in peace"])
    np.testing.assert_allclose(np.diag(own.similarity), 1)
    np.testing.assert_allclose(np.diag(own.cosines), 1)
    np.testing.assert_allclose(own.similarity, own.similarity.T)
    assert own.norms.shape[1] == sum(len(each.ids) for each in own.sentences)
    same = first.compare_layer_representations(TEXT, explorer())
    alone = first.compare_layer_representations(TEXT)
    np.testing.assert_allclose(same.similarity, alone.similarity, atol=1e-9)
    other = first.compare_layer_representations(TEXT, second)
    assert np.abs(np.diag(other.cosines)).max() < 0.99 and other.similarity.shape == (4, 4)
    _, cache = first.model.forward(alone.sentences[0].ids[None])
    before, after = cache.hidden_states[0][0], cache.hidden_states[1][0]
    change = np.linalg.norm(after - before, axis=1) / np.linalg.norm(before, axis=1)
    np.testing.assert_allclose(alone.changes[0], change)
    narrow = explorer(hidden_size=8)
    assert first.compare_layer_representations(TEXT, narrow).cosines is None
    assert first.compare_layer_representations("union").similarity is None
    assert "linear CKA" in str(own)


def test_what_is_found_is_drawn():
    found = explorer()
    drawn = [
        figures.plot_guesses(found.guess_by_layer(TEXT)),
        figures.plot_flow(found.analyze_gradient_flow(TEXT)),
        figures.plot_comparison(found.compare_layer_representations(TEXT)),
        figures.plot_head_effects(found.measure_head_effects(TEXT)),
    ]
    assert all(figure.axes for figure in drawn)
    labels = [label.get_text() for label in drawn[1].axes[0].get_xticklabels()]
    assert labels == found.read(TEXT).tokens


def test_the_example_of_the_documentation_runs(monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "explore.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    run = SimpleNamespace(
        model=explorer().model, tokenizer=train_tokenizer([WORDS + "state we peace "] * 20, 140, True)
    )
    monkeypatch.setattr(minibert, "load_run", lambda which: run, raising=False)
    exec(compile(block, "explore.md", "exec"), {})
    assert "softmax" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda e: e.read(""), "text: '' was given"),
        (lambda e: e.read("  \n"), "Allowed: a sentence"),
        (lambda e: e.read(3), "text: 3 was given"),
        (lambda e: e.read("half \ud800"), "Allowed: a sentence"),
        (lambda e: e.read("the union " * 20), "has 42 tokens with .* at most 16"),
        (lambda e: e.read(TEXT, [0]), "masked: 0 is no position of a word. Allowed: 1 to 7"),
        (lambda e: e.read(TEXT, [99]), "masked: 99"),
        (lambda e: e.read(TEXT, [1.5]), "masked: 1.5"),
        (lambda e: e.read(TEXT, [True]), "masked: True"),
        (lambda e: e.guess_by_layer(TEXT, top_k=0), "top_k=0: out of range"),
        (lambda e: e.analyze_gradient_flow("the union"), "the text has no .MASK."),
        (lambda e: e.analyze_gradient_flow(TEXT, position=-1), "position=-1: is not there. Allowed: 0 to 8"),
        (lambda e: e.analyze_gradient_flow(TEXT, target="zebra crossing"), "is not one token of the vocabulary"),
        (lambda e: e.analyze_gradient_flow(TEXT, target="xyzzy"), "is not one token of the vocabulary"),
        (lambda e: e.analyze_gradient_flow(TEXT, target=10**6), "target=1000000: no such id"),
        (lambda e: e.ablate_heads(TEXT, [(0, 2)]), "heads: .0, 2. is not there. Allowed: pairs"),
        (lambda e: e.ablate_heads(TEXT, ["ab"]), "heads: 'ab' is not there"),
        (lambda e: e.compare_layer_representations([]), "text: 0 sentences"),
    ],
)
def test_what_cannot_be_explored_is_one_clear_message(ask, said):
    with pytest.raises(MinibertError, match=said):
        ask(explorer())


def test_a_tokenizer_without_masks_is_refused():
    plain = Tokenizer(WordLevel({"the": 0, "[UNK]": 1}, unk_token="[UNK]"))
    with pytest.raises(MinibertError, match="has no token"):
        MathematicalExplorer(explorer().model, plain)


def test_scores_that_are_not_finite_are_one_clear_message():
    found = explorer()
    found.model.params["mlm_head.bias"][0] = np.nan
    for ask in (found.guess_by_layer, found.step_through_forward_pass, found.analyze_gradient_flow):
        with pytest.raises(MinibertError, match="scores that are not finite"):
            ask(TEXT)


@pytest.mark.parametrize("name", [name for name, each in MISTAKES.items() if each.test.startswith(EXPLORER)])
def test_a_mistake_in_the_explorer_is_caught(name):
    assert_caught(MISTAKES[name], globals()[MISTAKES[name].test_name], variant=explorer())

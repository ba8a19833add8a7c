"""How stable representations are under small changes, where the answer is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from minibert.config import ModelConfig, PositionConfig
from minibert.data.tokenizer import train_tokenizer
from minibert.diagnostics import measure_representation_stability
from minibert.diagnostics.geometry.perturbations import (
    SENTENCES,
    SYNONYMS,
    change_case,
    make_typos,
    replace_synonyms,
)
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.randomness import generator


@pytest.fixture(scope="module")
def tokenizer():
    words = " ".join([*SENTENCES, *SYNONYMS, *SYNONYMS.values()])
    return train_tokenizer([words, words.title()], 400, lowercase=False)


@pytest.fixture(scope="module")
def model(tokenizer):
    """Away from its initialisation, where layers change little."""
    sizes = {
        "hidden_size": 16,
        "layers": 2,
        "heads": 2,
        "feed_forward_size": 24,
        "max_length": 64,
        "position": PositionConfig(),
    }
    network = MiniBERT(ModelConfig(vocab_size=tokenizer.get_vocab_size(), **sizes), seed=1)
    network.params.vector[...] += 0.3 * generator(0).standard_normal(network.params.vector.size, "float32")
    return network


def test_what_changes_nothing_leaves_all_and_what_gives_the_other_text_leaves_nothing(model, tokenizer):
    texts = SENTENCES[:2]
    other = dict(zip(texts, reversed(texts), strict=True))
    found = measure_representation_stability(
        model, {"nothing": str, "other": other.get}, texts=texts, tokenizer=tokenizer
    )
    for place in ("embeddings", "layer_0", "layer_1"):
        assert (found["nothing"][place].stability, found["nothing"][place].changed) == (1, 0)
        assert found["other"][place].changed == 1
        assert found["other"][place].stability == pytest.approx(0, abs=1e-4)


def test_stability_is_the_cosine_above_that_of_different_texts(model, tokenizer):
    """Two texts whose words' vectors are averaged by hand, at the embeddings without positions."""
    table, places = (model.params[f"embeddings.{name}.weight"] for name in ("token", "position"))

    def pooled(text):
        ids = tokenizer.encode(text).ids
        return np.mean([table[token] + places[place] for place, token in enumerate(ids)][1:-1], axis=0)

    def cosine(first, second):
        first, second = pooled(first), pooled(second)
        return first @ second / np.linalg.norm(first) / np.linalg.norm(second)

    texts, change = ["the ship left", "war and peace"], {"the ship left": "a ship left", "war and peace": "war"}
    found = measure_representation_stability(model, {"cut": change.get}, texts=texts, tokenizer=tokenizer)
    at_embeddings = found["cut"]["embeddings"]
    expected = np.mean([cosine(text, change[text]) for text in texts])
    baseline = cosine(*texts)
    assert at_embeddings.cosine == pytest.approx(expected, abs=1e-6)
    assert at_embeddings.baseline == pytest.approx(baseline, abs=1e-6)
    assert at_embeddings.stability == pytest.approx((expected - baseline) / (1 - baseline), abs=1e-5)


def test_the_built_in_perturbations_are_the_same_for_the_same_seed(model, tokenizer):
    run = SimpleNamespace(model=model, tokenizer=tokenizer)
    before = model.params.vector.tobytes()
    found = measure_representation_stability(run)
    assert list(found) == ["typos", "case", "synonym", "dropout"]
    assert all(found[name]["layer_1"].changed == 1 for name in found)
    assert all(places["layer_1"].stability < 1 for places in found.values())
    assert all(found[name]["layer_1"].stability > 0.2 for name in ("typos", "synonym", "dropout"))
    assert found == measure_representation_stability(run)
    assert found["dropout"] != measure_representation_stability(run, ["dropout"], seed=3)["dropout"]
    assert found["typos"] == measure_representation_stability(run, "typos")["typos"]
    assert (
        found["case"]["layer_1"]
        != measure_representation_stability(run, "case", pooling="first")["case"]["layer_1"]
    )
    assert model.params.vector.tobytes() == before
    assert model.config.dropout == ModelConfig().dropout


def test_a_lower_casing_tokenizer_makes_case_trivially_stable(model):
    lower = train_tokenizer(list(SENTENCES), 300, lowercase=True)
    found = measure_representation_stability(model, ["case"], tokenizer=lower)["case"]["layer_1"]
    assert (found.stability, found.changed) == (1, 0)


def test_where_all_texts_are_alike_nothing_is_said_of_stability(model, tokenizer):
    """The first token's embedding is [CLS] in every text."""
    found = measure_representation_stability(model, ["typos"], tokenizer=tokenizer, pooling="first")["typos"]
    assert math.isnan(found["embeddings"].stability)
    assert found["layer_1"].stability < 1


def test_perturbations_do_what_they_say():
    random = generator(0)
    assert replace_synonyms("The large house, at the END", random) == "The big home, at the Finish"
    assert change_case("like This", random) == "Like this"
    assert make_typos("a b cd", random) == "a b cd"
    for text in SENTENCES:
        assert make_typos(text, random).split()[0][0] == text[0]
        assert 0 < sum(a != b for a, b in zip(text.split(), make_typos(text, random).split(), strict=True)) <= 3
        assert replace_synonyms(text, random) != text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"perturbations": ["typo"]}, "perturbations: unknown name 'typo' .did you mean 'typos'"),
        ({"pooling": "max"}, "pooling: unknown name 'max'"),
        ({"texts": ["one"]}, "At least 2"),
        ({"texts": ["one", ""]}, "has no tokens"),
        ({"dropout_rate": 0}, "dropout_rate=0"),
    ],
)
def test_bad_settings_of_stability_are_one_message(model, tokenizer, arguments, message):
    with pytest.raises(MinibertError, match=message):
        measure_representation_stability(model, tokenizer=tokenizer, **arguments)


def test_the_tokenizer_of_these_tests_keeps_case(tokenizer):
    assert tokenizer.encode("War").ids != tokenizer.encode("war").ids


def test_a_network_without_a_tokenizer_is_refused(model):
    with pytest.raises(MinibertError, match="a MiniBERT without a tokenizer was given"):
        measure_representation_stability(model)

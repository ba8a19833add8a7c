"""Folders in the layout of transformers: what comes back, and what is refused."""

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minibert import MiniBERT, MinibertError, ModelConfig
from minibert.config import PositionConfig, RopeConfig
from minibert.data.tokenizer import load_tokenizer, train_tokenizer

SIZES = {"vocab_size": 20, "hidden_size": 8, "layers": 2, "heads": 2, "feed_forward_size": 12, "max_length": 6}


MODERN = {
    "norm": "pre", "segments": 0, "embedding_norm": True, "first_attention_norm": False, "activation": "geglu",
    "position": RopeConfig(base=500.0),
}  # fmt: skip
UNBIASED = {"attention_bias": False, "feed_forward_bias": False, "norm_bias": False, "head_bias": False}


def build(**fields) -> MiniBERT:
    model = MiniBERT(ModelConfig(**SIZES | {"norm": "post", "segments": 2, "position": PositionConfig()} | fields))
    model.params.vector[:] = np.random.default_rng(0).normal(size=model.params.vector.shape)
    return model


@pytest.fixture
def folder(tmp_path):
    """A network of the bert family, written by minibert itself."""
    build().save_pretrained(tmp_path)
    return tmp_path


def edit_tensors(folder, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def edit_config(folder, **settings) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"segments": 0, "activation": "relu", "norm_epsilon": 1e-5, "dropout": 0.25, "attention_dropout": 0.0},
        {"segments": 1, "activation": "gelu_tanh", "dtype": "float64", "init_scale": 0.03},
        {"norm": "pre", "segments": 0},
        {"norm": "pre", "segments": 0, "dtype": "float64"},
        {"tie_word_embeddings": False},
        {"norm": "pre", "segments": 0, "position": RopeConfig(base=70.0), "embedding_norm": True},
        {"norm": "pre", "segments": 0, "position": RopeConfig(), "tie_word_embeddings": False},
        MODERN,
        MODERN | UNBIASED | {"activation": "swiglu", "tie_word_embeddings": False},
        MODERN | UNBIASED | {"decoder_bias": False, "dtype": "float64"},
        MODERN | {"attention_bias": False, "attention_window": 3, "global_every": 2, "layers": 3},
        MODERN | {"attention_window": 4, "global_every": 0, "position": RopeConfig(base=9.0, local_base=4.0)},
        MODERN | {"attention_window": 4, "global_every": 5},
    ],
)
def test_a_round_trip_is_equal_to_the_bit(fields, tmp_path):
    model = build(**fields)
    model.save_pretrained(tmp_path)
    back = MiniBERT.from_pretrained(tmp_path)
    assert back.params.vector.tobytes() == model.params.vector.tobytes()
    neutral = {"name": "", "output_bias": ""}
    assert vars(back.config) | neutral == vars(model.config) | neutral


def test_linear_weights_are_written_transposed_and_embeddings_are_not(folder):
    params, tensors = build().params, load_file(folder / "model.safetensors")
    weight = tensors["bert.encoder.layer.1.intermediate.dense.weight"]
    assert weight.shape == (12, 8)
    assert np.array_equal(weight, params["layers.1.feed_forward.in.weight"].T)
    assert np.array_equal(tensors["bert.embeddings.word_embeddings.weight"], params["embeddings.token.weight"])


def test_esm_counts_positions_from_the_row_after_its_padding(tmp_path):
    model = build(norm="pre", segments=0)
    model.save_pretrained(tmp_path)
    table = load_file(tmp_path / "model.safetensors")["esm.embeddings.position_embeddings.weight"]
    assert table.shape == (7, 8) and not table[0].any()
    assert np.array_equal(table[1:], model.params["embeddings.position.weight"])


def test_old_names_of_norms_and_a_missing_prefix_are_understood(folder):
    def age(tensors):
        for name in list(tensors):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            tensors[old.removeprefix("bert.")] = tensors.pop(name)

    edit_tensors(folder, age)
    assert np.array_equal(MiniBERT.from_pretrained(folder).params.vector, build().params.vector)


def rename(folder, change) -> None:
    def apply(tensors):
        for name in list(tensors):
            tensors[change(name)] = tensors.pop(name)

    edit_tensors(folder, apply)


@pytest.mark.parametrize("wrapper", ["module.", "model.", "_orig_mod.", "bert.", "module._orig_mod."])
def test_names_with_the_prefix_of_a_wrapper_are_understood(folder, wrapper):
    rename(folder, lambda name: wrapper + name)
    assert np.array_equal(MiniBERT.from_pretrained(folder).params.vector, build().params.vector)


@pytest.mark.parametrize("wrapper", ["module.", "0.auto_model."])
def test_a_wrapper_around_an_encoder_alone_is_understood(folder, wrapper):
    rename(folder, lambda name: wrapper + name.removeprefix("bert."))
    assert np.array_equal(MiniBERT.from_pretrained(folder).params.vector, build().params.vector)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda name: f"roberta.{name}", r"begin with roberta\., which is no wrapper .* Allowed: module\., "),
        (lambda name: f"gpt.h.{name.replace('embed', 'x')}", r"is named as those of BertForMaskedLM .* gpt\.h"),
        (lambda name: ("a." if "layer.0" in name else "b.") + name, r"begin with b\., which is no wrapper"),
    ],
)
def test_other_prefixes_are_named_in_a_line(folder, change, complaint):
    rename(folder, change)
    with pytest.raises(MinibertError, match=complaint) as error:
        MiniBERT.from_pretrained(folder)
    assert len(str(error.value)) < 600 and "\n" not in str(error.value)


def test_of_two_encoders_in_one_file_neither_is_chosen(folder):
    def double(tensors):
        for name in list(tensors):
            tensor = tensors.pop(name)
            tensors[f"query.{name}"], tensors[f"passage.{name}"] = tensor, tensor.copy()

    edit_tensors(folder, double)
    with pytest.raises(MinibertError, match=r"holds 2 encoders, whose names begin with passage\., query\."):
        MiniBERT.from_pretrained(folder)


def test_of_many_tensors_that_are_missing_a_few_are_named(folder):
    rename(folder, lambda name: name.replace("encoder.layer", "encoder.block"))
    words = r"is missing; and 27 more like this; .* is unknown; and 27 more"
    with pytest.raises(MinibertError, match=words) as error:
        MiniBERT.from_pretrained(folder)
    assert len(str(error.value)) < 1200


@pytest.mark.parametrize("name", ["bert.encoder.layer.1.output.dense.weight", "cls.predictions.bias"])
def test_weights_that_are_not_finite_are_counted_and_named(folder, name):
    def spoil(tensors):
        tensors[name] = tensors[name].copy()
        tensors[name].flat[:3] = [np.nan, np.inf, np.nan]

    edit_tensors(folder, spoil)
    with pytest.raises(MinibertError, match=rf"{name} holds 2 NaN and 1 infinite of"):
        MiniBERT.from_pretrained(folder)


def test_whole_numbers_are_no_weights(folder):
    edit_tensors(folder, lambda tensors: tensors.update({"cls.predictions.bias": np.arange(20)}))
    with pytest.raises(MinibertError, match=r"cls\.predictions\.bias holds int64 \(allowed: floating-point"):
        MiniBERT.from_pretrained(folder)


@pytest.mark.parametrize(
    "name", ["gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate", "gelu_python_tanh"]
)
def test_every_name_of_the_tanh_approximation_is_known(folder, name):
    edit_config(folder, hidden_act=name)
    assert MiniBERT.from_pretrained(folder).config.activation == "gelu_tanh"


@pytest.mark.parametrize("name", ["gelu_10", "quick_gelu", "silu", "relu6", ["gelu"], {"a": 1}])
def test_other_activations_are_one_refusal(folder, name):
    edit_config(folder, hidden_act=name)
    with pytest.raises(MinibertError, match="hidden_act=") as error:
        MiniBERT.from_pretrained(folder)
    assert "(allowed: gelu, gelu_python, relu," in str(error.value)


@pytest.mark.parametrize(
    ("key", "size"),
    [
        ("num_hidden_layers", 10**8), ("num_hidden_layers", 10**5), ("hidden_size", 10**6),
        ("intermediate_size", 10**9), ("vocab_size", 10**9), ("max_position_embeddings", 10**12),
        ("type_vocab_size", 10**10), ("vocab_size", 10**300),
    ],
)  # fmt: skip
def test_sizes_far_beyond_the_tensors_are_refused_before_memory_is_taken(folder, key, size):
    edit_config(folder, **{key: size})
    with pytest.raises(MinibertError, match="its sizes are those of a network of at least") as error:
        MiniBERT.from_pretrained(folder)
    assert len(str(error.value)) < 600


def test_what_masked_language_modelling_does_not_use_is_left_aside(folder):
    def add(tensors):
        tensors["bert.pooler.dense.weight"] = np.ones((8, 8), "float32")
        tensors["bert.embeddings.position_ids"] = np.arange(6)[None]
        tensors["cls.seq_relationship.weight"] = np.ones((2, 8), "float32")
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].copy()
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].copy()

    edit_tensors(folder, add)
    assert np.array_equal(MiniBERT.from_pretrained(folder).params.vector, build().params.vector)


def test_without_a_head_it_starts_fresh_and_a_warning_says_so(folder):
    def behead(tensors):
        for name in [name for name in tensors if name.startswith("cls.")]:
            del tensors[name]

    edit_tensors(folder, behead)
    with pytest.warns(UserWarning, match="without a language-model head: the head starts fresh"):
        model = MiniBERT.from_pretrained(folder)
    assert np.array_equal(model.params["embeddings.norm.gain"], build().params["embeddings.norm.gain"])
    assert np.array_equal(model.params["mlm_head.norm.gain"], np.ones(8))


def test_all_that_is_wrong_with_a_folder_is_listed_at_once(folder):
    def damage(tensors):
        del tensors["bert.encoder.layer.0.attention.self.key.bias"]
        tensors["bert.encoder.layer.1.output.dense.weight"] = np.zeros((8, 11), "float32")
        tensors["bert.encoder.layer.0.attention.self.distance_embedding.weight"] = np.zeros((11, 4), "float32")
        tensors["cls.predictions.decoder.weight"] = np.zeros((20, 8), "float32")

    edit_tensors(folder, damage)
    edit_config(folder, position_embedding_type="relative_key", is_decoder=True)
    edit_config(folder, hidden_act="silu", auto_map={"AutoModel": "code.Model"})
    with pytest.raises(MinibertError) as error:
        MiniBERT.from_pretrained(folder)
    for complaint in (
        "position_embedding_type=relative_key (allowed: absolute)",
        "is_decoder=True",
        "hidden_act=silu (allowed: gelu,",
        "auto_map names code",
        "bert.encoder.layer.0.attention.self.key.bias is missing",
        "bert.encoder.layer.1.output.dense.weight has shape (8, 11), not (8, 12)",
        "bert.encoder.layer.0.attention.self.distance_embedding.weight is unknown",
        "cls.predictions.decoder.weight differs from the token embeddings",
    ):
        assert complaint in str(error.value)


def test_of_the_two_biases_of_an_untied_bert_the_decoder_s_is_read(tmp_path):
    build(tie_word_embeddings=False).save_pretrained(tmp_path)
    edit_tensors(tmp_path, lambda tensors: tensors["cls.predictions.bias"].fill(0))
    params = MiniBERT.from_pretrained(tmp_path).params
    assert np.array_equal(params.vector, build(tie_word_embeddings=False).params.vector)


def test_two_different_biases_of_a_tied_bert_are_refused(folder):
    edit_tensors(folder, lambda tensors: tensors.update({"cls.predictions.decoder.bias": np.ones(20, "float32")}))
    with pytest.raises(MinibertError, match=r"decoder\.bias differs from cls\.predictions\.bias"):
        MiniBERT.from_pretrained(folder)


def test_untied_output_weights_that_are_missing_are_not_made_up(folder):
    edit_config(folder, tie_word_embeddings=False)
    with pytest.raises(MinibertError, match=r"cls\.predictions\.decoder\.weight is missing"):
        MiniBERT.from_pretrained(folder)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"model_type": "roberta"}, r"model_type=roberta \(allowed: bert, esm, modernbert\)"),
        ({"hidden_size": None}, "hidden_size=None is not a whole number"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers='two' is not a whole number"),
        ({"num_attention_heads": 3}, "heads=3: does not divide"),
        ({"num_attention_heads": 0}, r"model\.heads=0: out of range"),
        ({"hidden_size": -8}, r"model\.hidden_size=-8: out of range"),
        ({"hidden_size": [8]}, r"hidden_size=\[8\] is not a whole number"),
        ({"hidden_size": True}, "hidden_size=True is not a whole number"),
        ({"type_vocab_size": "2"}, "type_vocab_size='2' is not a whole number"),
        ({"type_vocab_size": {"a": 2}}, "type_vocab_size={'a': 2} is not a whole number"),
        ({"pad_token_id": True}, "pad_token_id=True is no token id"),
        ({"hidden_dropout_prob": "0.1"}, "hidden_dropout_prob='0.1' is not a number"),
        ({"layer_norm_eps": float("nan")}, r"model\.norm_epsilon=nan: out of range"),
        ({"model_type": ["bert"]}, r"model_type=\['bert'\] \(allowed: bert, esm, modernbert\)"),
        ({"num_hidden_layers": 1}, r"bert\.encoder\.layer\.1\.\S+ is unknown"),
        ({"num_hidden_layers": 3}, r"bert\.encoder\.layer\.2\.\S+ is missing"),
    ],
)
def test_settings_that_do_not_fit_are_named(folder, settings, complaint):
    edit_config(folder, **settings)
    with pytest.raises(MinibertError, match=complaint):
        MiniBERT.from_pretrained(folder)


@pytest.mark.parametrize(("key", "value"), [("token_dropout", True), ("is_folding_model", True)])
def test_variants_of_esm_that_are_other_networks_are_refused(tmp_path, key, value):
    build(norm="pre", segments=0).save_pretrained(tmp_path)
    edit_config(tmp_path, **{key: value})
    with pytest.raises(MinibertError, match=f"{key}=True"):
        MiniBERT.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"hidden_activation": "relu"}, r"hidden_activation=relu \(allowed: gelu, "),
        ({"classifier_activation": "silu"}, r"classifier_activation=silu \(allowed: gelu, that of the gates\)"),
        (
            {"layer_types": ["sliding_attention", "full_attention"]},
            r"layer_types=\['sliding_attention', 'full_attention'\] \(allowed: full_attention in every n-th layer",
        ),
        ({"layer_types": ["full_attention"]}, "layer_types="),
        ({"layer_types": None, "global_attn_every_n_layers": -1}, "global_attn_every_n_layers=-1"),
        (
            {"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 500.0}}},
            r"rope_parameters of full_attention: {'rope_type': 'yarn', 'factor': 4\.0}",
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, r"rope_scaling={'type': 'linear'"),
        ({"partial_rotary_factor": 0.5}, r"partial_rotary_factor=0\.5"),
        ({"head_dim": 8}, r"head_dim=8 \(allowed: hidden_size / num_attention_heads\)"),
        ({"mlp_bias": "yes"}, r"mlp_bias=yes \(allowed: true, false\)"),
        ({"mlp_bias": True}, r"mlp\.W[io]\.bias is missing"),
        ({"norm_bias": False}, r"norm\.bias is unknown"),
        ({"rope_parameters": None, "global_rope_theta": "big"}, "rope_theta='big' is not a number"),
        ({"local_attention": 2.5}, r"local_attention=2\.5 is not a whole number"),
    ],
)
def test_what_a_modernbert_has_and_minibert_has_not_is_named(tmp_path, settings, complaint):
    build(**MODERN | {"feed_forward_bias": False}).save_pretrained(tmp_path)
    edit_config(tmp_path, **settings)
    with pytest.raises(MinibertError, match=complaint) as error:
        MiniBERT.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)


def test_a_modernbert_of_older_versions_says_its_bases_and_layers_by_other_keys(tmp_path):
    model = build(
        **MODERN | {"layers": 3, "attention_window": 4, "position": RopeConfig(base=9.0, local_base=4.0)}
    )
    model.save_pretrained(tmp_path)
    edit_config(tmp_path, layer_types=None, rope_parameters=None)
    assert MiniBERT.from_pretrained(tmp_path).config.position == RopeConfig(base=9.0, local_base=4.0)
    edit_config(tmp_path, local_rope_theta=None)
    back = MiniBERT.from_pretrained(tmp_path)
    assert back.config.position == RopeConfig(base=9.0)
    assert (back.config.attention_window, back.config.global_every) == (4, 3)


def test_a_rate_of_dropout_that_there_is_not_is_a_warning(tmp_path):
    build(**MODERN, dropout=0.1).save_pretrained(tmp_path)
    edit_config(tmp_path, mlp_dropout=0.3)
    with pytest.warns(UserWarning, match=r"mlp_dropout=0\.3, where training takes embedding_dropout=0\.1"):
        assert MiniBERT.from_pretrained(tmp_path).config.dropout == 0.1


def test_turns_are_written_as_halves_of_a_head(tmp_path):
    """Heads of 4: entries 0, 2 and then 1, 3 of the query and of the key; the value stays as it is."""
    model = build(**MODERN)
    model.save_pretrained(tmp_path)
    joint = load_file(tmp_path / "model.safetensors")["model.layers.1.attn.Wqkv.weight"]
    query, value = (model.params[f"layers.1.attention.{name}.weight"] for name in ("query", "value"))
    assert np.array_equal(joint[:8], query.T[[0, 2, 1, 3, 4, 6, 5, 7]])
    assert np.array_equal(joint[16:], value.T)


@pytest.mark.parametrize(
    ("fields", "family", "complaints"),
    [
        (MODERN | {"attention": "gated"}, "modernbert", ["model.attention=gated (allowed: softmax)"]),
        (
            UNBIASED | {"norm": "pre", "segments": 0, "position": RopeConfig(), "activation": "geglu"},
            "modernbert",
            ["model.embedding_norm=False (allowed: True)", "model.first_attention_norm=True (allowed: False)"],
        ),
        (
            {"norm": "pre", "segments": 0, "position": RopeConfig(fraction=0.5), "attention_window": 4}, "esm",
            ["model.position.fraction=0.5 (allowed: 1)", "model.attention_window=4 (allowed: None)"],
        ),
        ({"norm_kind": "rms_norm"}, "bert", ["model.norm_kind=rms_norm (allowed: layer_norm)"]),
        ({"head_bias": False}, "bert", ["model.head_bias=False (allowed: True)"]),
    ],
)  # fmt: skip
def test_what_does_not_travel_is_named_with_the_nearest_that_does(tmp_path, fields, family, complaints):
    with pytest.raises(MinibertError, match=f"Nearest is {family}, but for") as error:
        build(**fields).save_pretrained(tmp_path / "new")
    assert all(complaint in str(error.value) for complaint in complaints)
    assert str(error.value).count("allowed") == len(complaints)


def test_the_turns_that_an_esm_keeps_must_be_those_of_its_base(tmp_path):
    model = build(norm="pre", segments=0, position=RopeConfig(base=70.0))
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    rates = [tensor for name, tensor in tensors.items() if name.endswith("rotary_embeddings.inv_freq")]
    # Once for version 5 of that library, and once a layer for the versions before.
    assert [rate.shape for rate in rates] == [(2,)] * (1 + model.config.layers)
    assert all((rate == rates[0]).all() for rate in rates)
    edit_config(tmp_path, rope_theta=90.0)
    with pytest.raises(MinibertError, match=r"rotary_embeddings\.inv_freq is not what rope_theta=90\.0 gives"):
        MiniBERT.from_pretrained(tmp_path)


def test_pickled_weights_are_never_opened(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(MinibertError, match=r"pytorch_model\.bin is pickled.*never read"):
        MiniBERT.from_pretrained(folder)
    assert not (tmp_path / "sprung").exists()


def test_an_index_may_not_name_files_outside_of_the_folder(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../elsewhere.safetensors"}}')
    with pytest.raises(MinibertError, match=r"outside of the folder: \.\./elsewhere"):
        MiniBERT.from_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", "{"), ("config.json", "[]"), ("config.json", "[" * 100_000), ("model.safetensors", "cut")],
)
def test_broken_files_are_named(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises(MinibertError, match=name):
        MiniBERT.from_pretrained(folder)


def test_a_setting_given_twice_is_refused(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("{", '{"hidden_size": 8, ', 1))
    with pytest.raises(MinibertError, match=r"config\.json: .*the key 'hidden_size' more than once"):
        MiniBERT.from_pretrained(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MinibertError, match="nowhere"):
        MiniBERT.from_pretrained(tmp_path / "nowhere")


def test_what_the_layout_cannot_express_is_listed_at_once(tmp_path):
    model = build(norm="pre", activation="relu")
    model.config.position = PositionConfig(name="rotary")
    with pytest.raises(MinibertError) as error:
        model.save_pretrained(tmp_path / "new")
    for complaint in (
        "Nearest is esm, but for",
        "model.position.name=rotary (allowed: absolute, rope)",
        "model.activation=relu (allowed: gelu)",
        "model.segments=2 (allowed: 0)",
    ):
        assert complaint in str(error.value)
    assert not (tmp_path / "new").exists()


def test_the_tokenizer_comes_back_from_either_of_its_files(tmp_path):
    tokenizer = train_tokenizer(["The river runs, and RUNS to the sea."], vocab_size=40, lowercase=False)
    build(vocab_size=40).save_pretrained(tmp_path, tokenizer)
    text = "The seas run: RUN, [MASK]!"
    expected = tokenizer.encode(text).ids
    assert load_tokenizer(tmp_path).encode(text).ids == expected
    (tmp_path / "tokenizer.json").unlink()
    assert load_tokenizer(tmp_path).encode(text).ids == expected


def test_a_vocabulary_may_number_its_special_tokens_as_it_likes(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\n##b\n[MASK]\n[PAD]\n[SEP]\n[UNK]\n[CLS]\n", encoding="utf-8")
    assert load_tokenizer(tmp_path).encode("Ab [MASK] é").ids == [6, 0, 1, 2, 5, 4]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "neither tokenizer.json nor vocab.txt"),
        ({"tokenizer.json": "{}"}, "tokenizer.json: cannot be read"),
        ({"vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n"}, r"vocab.txt: lacks \[MASK\]"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_named(tmp_path, files, complaint):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(MinibertError, match=complaint):
        load_tokenizer(tmp_path)

"""Networks from names, checkpoints and other networks; tokenizers from files."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest

import minibert
from minibert import MinibertError, ModelConfig, create_model, create_tokenizer, load_model
from minibert.config import CONF, DataConfig, PositionConfig, RopeConfig, ScheduleConfig
from minibert.config.averaging import AveragingConfig
from minibert.config.data import (
    AdaptiveMaskingConfig,
    CurriculumConfig,
    LossCurriculumConfig,
    MaskingConfig,
    ObjectiveConfig,
    PacedCurriculumConfig,
    ScheduledMaskingConfig,
)
from minibert.config.evaluation import DownstreamConfig
from minibert.config.optimizers import (
    ClippingConfig,
    DepthRatesConfig,
    LayerRatesConfig,
    LookaheadConfig,
    MuonConfig,
)
from minibert.data.corpora import load_corpus
from minibert.data.curriculum import implement_curriculum_learning
from minibert.data.masking import build_masking
from minibert.data.masking_rates import implement_adaptive_masking
from minibert.data.objectives import add_auxiliary_tasks
from minibert.data.tokenizer import train_tokenizer
from minibert.evaluation import finetune
from minibert.evaluation.downstream import Recipe
from minibert.model import add_gated_attention
from minibert.model.classifier import SentenceClassifier
from minibert.model.positions import build_positions
from minibert.randomness import derive_seeds, generator, generators
from minibert.running.plan import plan
from minibert.training.checkpoints import save_checkpoint
from minibert.training.optimizers import build_direction
from minibert.training.schedules import build_schedule
from minibert.training.transforms.averaging import build_averaging
from minibert.training.transforms.clipping import build_clipping
from minibert.training.transforms.layer_rates import compute_layer_wise_learning_rates

INPUT_IDS = np.array([[2, 9, 9, 5, 3], [2, 7, 3, 1, 0]])
RUNGS = ("xxs", "xs", "s", "m", "l", "xl", "xxl")


def settings(**fields) -> ModelConfig:
    sizes = {
        "vocab_size": 40, "hidden_size": 16, "layers": 2, "heads": 4, "feed_forward_size": 24, "max_length": 6,
        "dtype": "float64",
    }  # fmt: skip
    return ModelConfig(**sizes | fields)


def save(model, path, /, **about) -> None:
    save_checkpoint(path, dict(model.params.items()), {"step": 3, "model": asdict(model.config)} | about)


# Names


def test_a_model_is_created_from_a_name_as_the_command_line_composes_it():
    (job,) = plan(["model=tiny"], False).jobs
    assert create_model("tiny", seed=4).config == job.config.model


def test_a_model_is_created_from_a_configuration():
    config = settings(position=RopeConfig())
    model = create_model(config, seed=4)
    np.testing.assert_array_equal(model.params.vector, minibert.MiniBERT(config, 4).params.vector)


@pytest.mark.parametrize("name", ["tinny", "../schedule/linear", "", "ladder"])
def test_unknown_names_are_refused_with_the_known_ones(name):
    with pytest.raises(MinibertError, match=r"model: unknown name.*Allowed: base, debug, ladder/l"):
        create_model(name)


@pytest.mark.parametrize("given", [["debug"], {"layers": 2}, None, 5, ModelConfig], ids=repr)
def test_what_is_neither_a_name_nor_a_configuration_is_refused(given):
    with pytest.raises(
        MinibertError, match=r"^model: .* was given\. Allowed: a ModelConfig, or one of base, debug"
    ):
        create_model(given)
    with pytest.raises(MinibertError, match=r"^config: .* was given\. Allowed: a ModelConfig"):
        minibert.MiniBERT(given)


@pytest.mark.parametrize("seed", [-1, "a", float("nan"), None, 1.5, True, [1], 2**128], ids=repr)
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    model = create_model(settings())
    for call in (
        lambda: create_model("debug", seed),
        lambda: create_model(settings(), seed),
        lambda: minibert.MiniBERT(settings(), seed=seed),
        lambda: SentenceClassifier(model, ["no", "yes"], seed),
        lambda: derive_seeds(seed),
        lambda: generator(seed, 1),
        lambda: next(generators(seed, [(1,)])),
    ):
        with pytest.raises(MinibertError, match=r"^seed: .* was given\. Allowed: a whole number, at least 0"):
            call()
    assert create_model(settings(), np.int64(3)).params.vector.size  # a whole number of NumPy is one


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"layers": "2"},
            r"model\.layers: str '2' was given\. Allowed: a whole number, at least 1 and at most 1000",
        ),
        ({"layers": 2.5}, r"model\.layers: float 2\.5 was given\. Allowed: a whole number"),
        ({"vocab_size": None, "heads": True}, r"model\.vocab_size: None.*\nmodel\.heads: bool True"),
        ({"dropout": "0"}, r"model\.dropout: str '0' was given\. Allowed: a number, at least 0 and below 1"),
        ({"norm_epsilon": [1]}, r"model\.norm_epsilon: list \[1\] was given\. Allowed: a number, above 0"),
        ({"norm": None}, r"model\.norm: NoneType None was given\. Allowed: pre, post"),
        ({"norm": ["pre"]}, r"model\.norm: list \['pre'\] was given\. Allowed: pre, post"),
        ({"qk_norm": "no"}, r"model\.qk_norm: str 'no' was given\. Allowed: True or False"),
        ({"position": None}, r"model\.position: NoneType None was given\. Allowed: a PositionConfig"),
        ({"position": "rope"}, r"model\.position: str 'rope' was given\. Allowed: a PositionConfig"),
        ({"auxiliary_heads": "sop"}, r"model\.auxiliary_heads: str 'sop' was given\. Allowed: a list of texts"),
        ({"auxiliary_heads": None}, r"model\.auxiliary_heads: NoneType None.*Allowed: a list of texts"),
        ({"auxiliary_heads": ["sop", 1]}, r"model\.auxiliary_heads\[1\]: int 1 was given\. Allowed: a text"),
        ({"auxiliary_heads": ["sap"]}, r"model\.auxiliary_heads=\['sap'\]: not allowed\. Allowed: nsp, sop"),
        ({"auxiliary_heads": ["sop", "sop"]}, r"not allowed\. Allowed: nsp, .* each once"),
        ({"position": RopeConfig(base="x")}, r"model\.position\.base: str 'x' was given\. Allowed: a number"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_values_of_another_type_are_refused_with_what_is_allowed(fields, said):
    with pytest.raises(MinibertError, match=said):
        minibert.MiniBERT(settings(**fields))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("a", "str 'a'"),
        ([0.0], r"list \[0\.0\]"),
        ([["a"]], r"list \[\['a'\]\]"),
        (np.zeros(3), r"an array of shape \(3,\)"),
        (np.zeros((40, 1)), r"an array of shape \(40, 1\)"),
        (np.full(40, np.nan), r"an array of shape \(40,\)"),
    ],
    ids=str,
)
def test_an_output_bias_starts_at_one_finite_number_a_token(given, told):
    with pytest.raises(
        MinibertError, match=rf"^log_frequencies: {told} was given\. Allowed: an array of shape \(40,\)"
    ):
        minibert.MiniBERT(settings(), 0, given)


GIVEN = {
    "a curriculum": (
        lambda given: implement_curriculum_learning(given, None, None, 8, 0, 100, None),
        [
            ("length", r"^curriculum: str 'length' was given\. Allowed: a CurriculumConfig"),
            (
                PacedCurriculumConfig("length", start="x"),
                r"^curriculum\.start: str 'x' was given\. Allowed: a number",
            ),
            (CurriculumConfig("length"), r"^curriculum\.name=length: was given in a CurriculumConfig.* a Paced"),
            (
                PacedCurriculumConfig("none"),
                r"^curriculum\.name=none: was given in a PacedCurriculumConfig\. Allowed in it: length, rarity;",
            ),
            (LossCurriculumConfig("rarity"), r"Allowed in it: loss; rarity belongs in a PacedCurriculumConfig"),
        ],
    ),
    "a masking": (
        lambda given: implement_adaptive_masking(given, None),
        [
            (None, r"^masking: NoneType None was given\. Allowed: an AdaptiveMaskingConfig"),
            (AdaptiveMaskingConfig("adaptive", target=2.0), r"^masking\.target=2\.0: out of range"),
            (
                AdaptiveMaskingConfig("uniform"),
                r"^masking\.name=uniform: was given in an AdaptiveMaskingConfig\. Allowed in it: adaptive;",
            ),
            (AdaptiveMaskingConfig("adpative"), r"^masking\.name=adpative: not allowed \(did you mean 'adaptive'"),
        ],
    ),
    "layer-wise rates": (
        lambda given: compute_layer_wise_learning_rates(given, 1e-3, {}),
        [
            ("depth", r"^layer_rates: str 'depth' was given\. Allowed: a LayerRatesConfig"),
            (LayerRatesConfig("dpeth"), r"^layer_rates\.name=dpeth: not allowed \(did you mean 'depth'"),
            (LayerRatesConfig("depth"), r"^layer_rates\.name=depth: was given in a LayerRatesConfig"),
            (DepthRatesConfig("none"), r"^layer_rates\.name=none: not allowed\. Allowed: depth"),
        ],
    ),
    "every other group": (
        lambda given: given[0](given[1]),
        [
            (
                (lambda one: build_masking(one, 99), MaskingConfig("adaptive")),
                r"adaptive belongs in an AdaptiveMasking",
            ),
            (
                (lambda one: build_masking(one, 99), ScheduledMaskingConfig("span")),
                r"Allowed in it: scheduled; span",
            ),
            ((build_clipping, ClippingConfig("adaptive")), r"adaptive belongs in an AdaptiveClippingConfig"),
            (
                (lambda one: build_schedule(one, 9), ScheduleConfig("range_test")),
                r"range_test belongs in a RangeTest",
            ),
            ((lambda one: build_averaging(one, 9), AveragingConfig("ema")), r"ema belongs in an EMAConfig"),
            ((build_direction, LookaheadConfig()), r"^optimizer\.name=lookahead: has no direction of its own"),
            ((build_direction, MuonConfig("adamw")), r"^optimizer\.name=adamw: was given in a MuonConfig"),
            ((build_positions, settings(position=RopeConfig("alibi"))), r"On the command line: position=alibi\."),
        ],
    ),
    "an objective": (
        lambda given: add_auxiliary_tasks(given, None, np.ones(3)),
        [
            ({"sop": 1}, r"^objective: dict .* was given\. Allowed: an ObjectiveConfig"),
            (ObjectiveConfig(sop="1"), r"^objective\.sop: str '1' was given\. Allowed: a number, at least 0"),
        ],
    ),
    "a corpus": (
        load_corpus,
        [
            ("sotu", r"^data: str 'sotu' was given\. Allowed: a DataConfig"),
            (
                DataConfig("sotu", lowercase="yes"),
                r"^data\.lowercase: str 'yes' was given\. Allowed: True or False",
            ),
        ],
    ),
    "positions": (
        build_positions,
        [
            (RopeConfig(), r"^model: RopeConfig .* was given\. Allowed: a ModelConfig"),
            (
                settings(position=PositionConfig("rop")),
                r"^model\.position\.name=rop: not allowed \(did you mean 'rope'",
            ),
        ],
    ),
    "a fine-tuning": (
        lambda given: finetune(None, None, None, given),
        [
            ({"rates": [1]}, r"^evaluation\.downstream: dict .* Allowed: a DownstreamConfig"),
            (DownstreamConfig(rates=1e-3), r"^evaluation\.downstream\.rates: float .* Allowed: a list of numbers"),
            (DownstreamConfig(rates=["1"]), r"^evaluation\.downstream\.rates\[0\]: str '1' .* a number"),
        ],
    ),
    "a recipe": (
        lambda given: Recipe(**given),
        [
            ({"rate": "1"}, r"^recipe\.rate: str '1' was given\. Allowed: a number, above 0"),
            ({"rate": 1e-3, "epochs": 0}, r"^recipe\.epochs=0: out of range\. Allowed: at least 1"),
            ({"rate": 1e-3, "seed": "a"}, r"^recipe\.seed: str 'a' was given\. Allowed: a whole number"),
        ],
    ),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_every_function_that_takes_a_configuration_refuses_another_one_with_what_is_allowed(kind):
    call, cases = GIVEN[kind]
    for given, said in cases:
        with pytest.raises(MinibertError, match=said):
            call(given)


def test_rungs_of_the_ladder_grow_from_a_fifth_of_a_million_to_twenty_million_parameters():
    """Each about twice the one before; all sizes grow together, heads of 32 and an inner size of four widths."""
    assert {path.stem for path in (CONF / "model" / "ladder").glob("[!_]*.yaml")} == set(RUNGS)
    configs = [plan([f"model=ladder/{name}"], False).jobs[0].config.model for name in RUNGS]
    sizes = [minibert.MiniBERT(config).params.vector.size for config in configs]
    assert sizes[0] == pytest.approx(0.2e6, rel=0.2)
    assert sizes[-1] == pytest.approx(20e6, rel=0.1)
    assert all(1.9 < large / small < 2.7 for small, large in pairwise(sizes))
    for small, large in pairwise(configs):
        assert small.hidden_size < large.hidden_size and small.layers <= large.layers and small.heads < large.heads
        assert small.vocab_size == large.vocab_size
    for name, config, size in zip(RUNGS, configs, sizes, strict=True):
        assert config.name == f"ladder_{name}"
        assert config.hidden_size == 32 * config.heads
        assert config.feed_forward_size == 4 * config.hidden_size
        stated = float((CONF / "model" / "ladder" / f"{name}.yaml").read_text().split(": ", 1)[1].split(" M ")[0])
        assert size / 1e6 == pytest.approx(stated, rel=0.05)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["attention=gated"], {"attention": "gated"}),
        (["feed_forward=swiglu"], {"activation": "swiglu", "match_feed_forward": False}),
        (
            ["feed_forward=geglu", "model.match_feed_forward=true"],
            {"activation": "geglu", "match_feed_forward": True},
        ),
        (["norm=post_rms"], {"norm": "post", "norm_kind": "rms_norm"}),
        (["init=orthogonal", "model.init_gain=0.5"], {"init": "orthogonal", "init_gain": 0.5}),
        (["position=rope", "model.position.base=500"], {"position": RopeConfig(base=500.0)}),
        (["norm=pre_embeddings"], {"norm": "pre", "embedding_norm": True, "first_attention_norm": False}),
        (["attention=local"], {"attention": "softmax", "attention_window": 32, "global_every": 3}),
        (["biases=decoder"], {"attention_bias": False, "norm_bias": False, "decoder_bias": True}),
        (["biases=none"], {"feed_forward_bias": False, "head_bias": False, "decoder_bias": False}),
        (["model.tie_word_embeddings=false"], {"tie_word_embeddings": False}),
        (["model=ladder/s", "norm=post"], {"hidden_size": 96, "norm": "post"}),
    ],
    ids=" ".join,
)
def test_one_word_chooses_a_variant(words, expected):
    config = plan(words, False).jobs[0].config.model
    assert {key: getattr(config, key) for key in expected} == expected


def test_combinations_that_make_no_sense_are_refused_at_composition():
    with pytest.raises(MinibertError, match=r"position=rope.*heads of 3.*even"):
        plan(["position=rope", "model.hidden_size=12"], False)
    with pytest.raises(MinibertError, match=r"training\.sequence_length=200.*max_length=128"):
        plan(["position=relative", "training.sequence_length=200"], False)
    with pytest.raises(MinibertError, match=r"local_base=5.* every layer is global.*attention=local"):
        plan(["position=rope", "model.position.local_base=5"], False)
    assert plan(["position=alibi", "training.sequence_length=200"], False).jobs


# Checkpoints


@pytest.mark.parametrize("fields", [{}, {"position": RopeConfig(base=77.0), "attention": "gated", "norm": "post"}])
def test_a_loaded_model_is_the_one_that_was_saved(tmp_path, fields):
    model = minibert.MiniBERT(settings(**fields), seed=9)
    save(model, tmp_path / "step_3.safetensors")
    loaded = load_model(tmp_path / "step_3.safetensors")
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded.params.vector, model.params.vector)


def test_settings_that_a_checkpoint_does_not_have_are_at_their_defaults(tmp_path):
    model = minibert.MiniBERT(settings())
    old = {name: value for name, value in asdict(model.config).items() if name not in ("qk_norm", "init")}
    save(model, tmp_path / "old.safetensors", model=old)
    assert load_model(tmp_path / "old.safetensors").config == model.config


def test_broken_and_foreign_checkpoints_are_refused(tmp_path):
    path, model = tmp_path / "step_3.safetensors", minibert.MiniBERT(settings())
    with pytest.raises(MinibertError, match="There is no checkpoint at"):
        load_model(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(
        MinibertError, match=r"step_3\.safetensors is no checkpoint \(.*Allowed: a \.safetensors file"
    ):
        load_model(path)
    path.write_bytes(b"")
    with pytest.raises(MinibertError, match=r"broken, or not one of minibert's \([^)]*\)\.$"):
        load_model(path)
    save_checkpoint(path, dict(model.params.items()), {"progress": {}})
    with pytest.raises(MinibertError, match="does not say which network"):
        load_model(path)
    save(model, path, model=asdict(model.config) | {"warp": 9})
    with pytest.raises(MinibertError, match=r"settings that this version does not know.*warp"):
        load_model(path)
    save(model, path, model=asdict(model.config) | {"vocab_size": 10**12})
    with pytest.raises(MinibertError, match=r"sizes are those of a network of at least 16,000,000,"):
        load_model(path)
    save(model, path, model=asdict(model.config) | {"feed_forward_size": 25, "segments": 2})
    words = r"embeddings\.segment\.weight is missing.*has shape \(16, 24\), not \(16, 25\)"
    with pytest.raises(MinibertError, match=words):
        load_model(path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (".", r"^\. is a folder: give the \.safetensors file in it\.$"),
        (CONF, "is a folder: give the"),
        ("/dev/null", "/dev/null is no checkpoint"),
        (CONF / "model" / "tiny.yaml", r"tiny\.yaml is no checkpoint"),
        (minibert.__file__, r"__init__\.py is no checkpoint"),
        *(
            (given, r"checkpoint_path: .* was given.*Allowed: the path of a \.safetensors file")
            for given in ("", None, 5, b"x", ["a"], "a\0b", "~nobody_of_this_name/x")
        ),
        ("x" * 5000, "is no checkpoint"),
    ],
    ids=lambda value: f"{value!a:.30}",
)
def test_what_is_no_checkpoint_is_named_and_never_to_be_deleted(path, said):
    with pytest.raises(MinibertError, match=said) as error:
        load_model(path)
    assert "elete" not in str(error.value)


# Gates added to a network


def test_added_gates_start_open_and_leave_the_network_almost_as_it_was():
    model = create_model(settings(init_scale=0.3), seed=1)
    logits, _ = model.forward(INPUT_IDS)
    wide_open = add_gated_attention(model, bias=40.0)
    np.testing.assert_array_equal(wide_open.forward(INPUT_IDS)[0], logits)
    gated = add_gated_attention(model)
    assert gated.config.attention == "gated" and model.config.attention == "softmax"
    _, cache = gated.forward(INPUT_IDS)
    np.testing.assert_allclose(cache.layers[1].attention.gate, 1 / (1 + np.exp(-4.0)), rtol=1e-12)
    assert not np.shares_memory(gated.params.vector, model.params.vector)
    with pytest.raises(MinibertError, match="has gates already"):
        add_gated_attention(gated)


# Tokenizers


def test_a_tokenizer_is_created_from_either_file_or_their_folder(tmp_path):
    trained = train_tokenizer(["the sea and the sky"] * 3, vocab_size=60, lowercase=True)
    trained.save(str(tmp_path / "tokenizer.json"))
    vocabulary = trained.get_vocab()
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.get)))
    for path in (tmp_path, tmp_path / "tokenizer.json", tmp_path / "vocab.txt"):
        created = create_tokenizer(vocab_path=path)
        assert created.get_vocab() == vocabulary
        assert created.encode("the sky").ids == trained.encode("the sky").ids
    with pytest.raises(MinibertError, match=r"neither tokenizer\.json nor vocab\.txt"):
        create_tokenizer(vocab_path=tmp_path / "nowhere")


def test_a_tokenizer_without_a_path_is_trained_on_the_default_corpus(monkeypatch):
    asked = []

    def beginning(config):
        asked.append(config.name)
        corpus = load_corpus(config)
        return replace(corpus, documents=corpus.documents[:20])

    monkeypatch.setattr("minibert.data.tokenizer.load_corpus", beginning)
    tokenizer = create_tokenizer(vocab_size=300)
    assert asked == ["sotu"]
    assert tokenizer.get_vocab_size() == 300
    assert tokenizer.encode("The nation").tokens[0] == "[CLS]"
    with pytest.raises(MinibertError, match="vocab_size=5: out of range"):
        create_tokenizer(vocab_size=5)


@pytest.mark.parametrize("size", ["100", None, 100.5, True, [300]], ids=repr)
def test_a_size_that_is_no_whole_number_is_refused(size):
    with pytest.raises(MinibertError, match=r"vocab_size: .* was given. Allowed: a whole number, at least 7"):
        create_tokenizer(vocab_size=size)


@pytest.mark.parametrize("size", [10**9, 2_000_001, -1])
def test_a_size_that_no_network_has_is_refused(size):
    with pytest.raises(MinibertError, match=f"vocab_size={size}: out of range.*at most 2000000"):
        create_tokenizer(vocab_size=size)


@pytest.mark.parametrize("path", [5, b"vocab.txt", ["vocab.txt"], "", "a\0b", "~nobody_of_this_name/vocab.txt"])
def test_a_vocabulary_whose_path_is_none_is_refused(path):
    with pytest.raises(MinibertError, match=r"vocab_path: .* was given.*Allowed: the path of a tokenizer"):
        create_tokenizer(vocab_path=path)


@pytest.mark.parametrize(("words", "line"), [("sea sky sea", 8), ("[CLS]", 6), ("sea ##a  x ", 10)])
def test_a_vocabulary_with_a_word_twice_is_refused_with_its_line(tmp_path, words, line):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words.split(" ")]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    with pytest.raises(MinibertError, match=f"line {line} has the token .* again"):
        create_tokenizer(vocab_path=tmp_path)

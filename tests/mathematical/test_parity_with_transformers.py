"""The same function as ``transformers`` has: logits, gradients, training, and folders that both read and write."""

import shutil
import warnings

import numpy as np
import pytest
from make_references import (
    CASES,
    DTYPES,
    STEPS,
    TRAINING,
    TrainingBatches,
    batch,
    to_foreign,
    torch_losses,
    torch_model,
    torch_outputs,
    turned_in,
)

from minibert.config import ModelConfig, PositionConfig, RopeConfig
from minibert.data.tokenizer import load_tokenizer, train_tokenizer
from minibert.model.bert import MiniBERT
from minibert.serving.loading import load_run
from minibert.serving.mlflow_model import fill_mask
from minibert.training.trainer import Trainer

MISSING = "torch or transformers is not installed: pip install 'minibert[parity]'"
torch = pytest.importorskip("torch", reason=MISSING)
transformers = pytest.importorskip("transformers", reason=MISSING)

SIZES = {"vocab_size": 210, "hidden_size": 64, "layers": 3, "heads": 4, "feed_forward_size": 96, "tokens": 24}
LOGITS = {"float32": 1e-5, "float64": 1e-10}
GRADIENTS = {"float32": 1e-4, "float64": 1e-10}
"""Largest difference over the largest entry of each parameter's gradient"""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On so small arrays PyTorch takes longer to hand work over than to do it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=[(*case, dtype) for case in CASES for dtype in DTYPES], ids="-".join)
def pair(request, tmp_path_factory):
    """The name of the family, a network of transformers, and minibert's, read from the folder it was saved to."""
    family, activation, dtype = request.param
    theirs = torch_model(family, activation, SIZES, dtype)
    folder = tmp_path_factory.mktemp("saved")
    theirs.save_pretrained(folder)
    return family, theirs, MiniBERT.from_pretrained(folder)


def inputs(family: str):
    made = batch(1, SIZES)
    return made, made.segment_ids if family == "bert" else None


def test_logits_with_padding_and_segments(pair):
    family, theirs, ours = pair
    made, segments = inputs(family)
    with torch.no_grad():
        expected = torch_outputs(theirs, family, made).logits.numpy()
    logits, _ = ours.forward(made.input_ids, made.attention_mask, segments)
    assert np.abs(expected).max() > 2  # nothing that a tolerance of 1e-5 would hide
    # At padding esm computes something else, which nobody reads.
    difference = np.abs(logits - expected)[made.attention_mask]
    assert difference.max() < LOGITS[ours.config.dtype]


def test_loss_and_all_gradients(pair):
    family, theirs, ours = pair
    made, segments = inputs(family)
    theirs.zero_grad()
    outputs = torch_outputs(theirs, family, made)
    outputs.loss.backward()
    loss, grads = ours.loss_and_gradients(made.input_ids, made.labels, made.attention_mask, segments)
    tolerance = GRADIENTS[ours.config.dtype]
    assert loss == pytest.approx(outputs.loss.item(), rel=tolerance)

    expected = {name: value.grad.numpy() for name, value in theirs.named_parameters() if value.grad is not None}
    gradients = to_foreign(grads, ours.config)
    assert set(gradients) == set(expected)
    for name, gradient in gradients.items():
        # A key's bias adds the same to all scores of a query: its gradient is zero but for rounding.
        scale = np.abs(expected[name.replace("key.bias", "key.weight")]).max()
        assert np.abs(gradient - expected[name]).max() < tolerance * scale, name


@pytest.mark.parametrize(("family", "activation"), [("bert", "gelu"), ("esm", "gelu"), ("modernbert", "gelu")])
def test_every_loss_of_100_steps_of_adamw(family, activation, tmp_path):
    theirs = torch_model(family, activation, SIZES)
    theirs.save_pretrained(tmp_path)
    with Trainer(MiniBERT.from_pretrained(tmp_path), TrainingBatches(SIZES), TRAINING) as trainer:
        losses = np.array([trainer.step().loss for _ in range(STEPS)])
    expected = torch_losses(theirs, SIZES)
    assert expected[-1] < expected[0] - 0.4  # there was something to learn
    assert np.abs(losses - expected).max() < 1e-3


CLASSIC = {"norm": "post", "position": PositionConfig("absolute")}
MODERN = {
    "norm": "pre", "embedding_norm": True, "first_attention_norm": False, "activation": "geglu",
    "position": RopeConfig(base=160000.0),
}  # fmt: skip
UNBIASED = {"attention_bias": False, "feed_forward_bias": False, "norm_bias": False, "head_bias": False}
VARIANTS = {
    "post": {**CLASSIC},
    "post, relu, segments": {**CLASSIC, "activation": "relu", "segments": 2},
    "post, gelu_tanh, one segment": {**CLASSIC, "activation": "gelu_tanh", "segments": 1},
    "pre": {"norm": "pre"},
    "pre, float64": {"norm": "pre", "dtype": "float64"},
    "post, untied": {**CLASSIC, "tie_word_embeddings": False},
    "pre, rope": {"norm": "pre", "position": RopeConfig(base=500.0)},
    "pre, rope, embedding norm, untied, float64": {
        "norm": "pre",
        "position": RopeConfig(),
        "embedding_norm": True,
        "tie_word_embeddings": False,
        "dtype": "float64",
    },
    "modern": MODERN | UNBIASED,
    "modern, float64": MODERN | UNBIASED | {"dtype": "float64"},
    "modern, all biases, swiglu, matched": MODERN | {"activation": "swiglu", "match_feed_forward": True},
    "modern, no biases, untied": MODERN | UNBIASED | {"decoder_bias": False, "tie_word_embeddings": False},
    "modern, windows": MODERN
    | {
        "layers": 4,
        "attention_window": 5,
        "global_every": 3,
        "position": RopeConfig(base=160000.0, local_base=100.0),
    },
    "modern, windows everywhere": MODERN | UNBIASED | {"attention_window": 6, "global_every": 0},
}
TEXTS = [
    "The river runs to the sea; the sea runs to the sky.\nRivers running, skies raining: RAIN again.",
    "A café near the river served the sailors. Sailors, skippers and skies!",
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, vocab_size=90, lowercase=True)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def saved(request, tmp_path, tokenizer):
    """A network of minibert with parameters away from their start, and the folder it was saved to."""
    sizes = {"hidden_size": 24, "layers": 2, "heads": 3, "feed_forward_size": 40, "max_length": 20}
    config = ModelConfig(vocab_size=90, **sizes | request.param)
    model = MiniBERT(config)
    model.params.vector[:] += 0.2 * np.random.default_rng(0).normal(size=model.params.vector.shape)
    model.save_pretrained(tmp_path, tokenizer)
    return model, tmp_path


def padded_ids(vocab_size, tokens):
    """Three rows of token ids, two with padding behind them, and where there is none: (3, T) each."""
    ids = np.random.default_rng(1).integers(5, vocab_size, (3, tokens))
    real = np.arange(tokens) < np.array([tokens, 7, 13])[:, None]
    ids[~real] = 0
    return ids, real


def test_auto_model_reads_a_saved_folder_without_complaint_and_computes_the_same(saved):
    model, folder = saved
    with warnings.catch_warnings(), turned_in(model.config.dtype):
        warnings.simplefilter("error")
        theirs, report = transformers.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    assert str(theirs.dtype) == f"torch.{model.config.dtype}"
    ids, real = padded_ids(90, 20)
    with torch.no_grad(), turned_in(model.config.dtype):
        expected = theirs(torch.tensor(ids), attention_mask=torch.tensor(real).long()).logits.numpy()
    logits, _ = model.forward(ids, real)
    assert np.abs(logits - expected)[real].max() < LOGITS[model.config.dtype]


def test_auto_tokenizer_reads_a_saved_folder_and_cuts_the_same(saved, tokenizer):
    theirs = transformers.AutoTokenizer.from_pretrained(saved[1])
    tokenizer.encode_special_tokens = False
    for text in [*TEXTS, "The [MASK] of the SKY, naïve [MASK]!"]:
        assert theirs(text)["input_ids"] == tokenizer.encode(text).ids
    assert theirs.mask_token_id == tokenizer.token_to_id("[MASK]")
    assert theirs.model_max_length == 20


def test_the_fill_mask_pipeline_gives_the_same_top_five(saved, tokenizer):
    model, folder = saved
    pipeline = transformers.pipeline("fill-mask", model=str(folder), tokenizer=str(folder))
    texts = ["the [MASK] runs to the sea", "Sailors [MASK] near the [MASK], again!"]
    ours = fill_mask(model, tokenizer, texts)
    theirs = [pipeline(text, top_k=5) for text in texts]
    theirs = [answer if isinstance(answer[0], list) else [answer] for answer in theirs]
    for our_masks, their_masks in zip(ours, theirs, strict=True):
        for our_tokens, their_tokens in zip(our_masks, their_masks, strict=True):
            ids = [tokenizer.token_to_id(token) for token, _ in our_tokens]
            assert ids == [answer["token"] for answer in their_tokens]
            shares = [share for _, share in our_tokens]
            assert shares == pytest.approx([answer["score"] for answer in their_tokens], rel=1e-4)


def test_shards_are_read_like_one_file(tmp_path):
    theirs = torch_model("bert", "relu", SIZES)
    theirs.save_pretrained(tmp_path / "one")
    theirs.save_pretrained(tmp_path / "many", max_shard_size="100KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    one, many = (MiniBERT.from_pretrained(tmp_path / name) for name in ("one", "many"))
    assert np.array_equal(one.params.vector, many.params.vector)


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_half_precision_is_read_as_float32_without_loss(half, tmp_path):
    theirs = torch_model("bert", "gelu", SIZES, half)
    theirs.save_pretrained(tmp_path)
    ours = MiniBERT.from_pretrained(tmp_path)
    assert ours.params.vector.dtype == np.float32
    weight = theirs.bert.encoder.layer[1].attention.self.key.weight.detach().float().numpy()
    assert np.array_equal(ours.params["layers.1.attention.key.weight"], weight.T)


def test_an_encoder_saved_by_itself_gets_a_fresh_head(tmp_path):
    theirs = torch_model("bert", "gelu", SIZES).bert
    theirs.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="head starts fresh"):
        ours = MiniBERT.from_pretrained(tmp_path)
    made = batch(1, SIZES)
    with torch.no_grad():
        expected = theirs(
            torch.tensor(made.input_ids),
            attention_mask=torch.tensor(made.attention_mask).long(),
            token_type_ids=torch.tensor(made.segment_ids),
        ).last_hidden_state.numpy()
    _, cache = ours.forward(made.input_ids, made.attention_mask, made.segment_ids)
    assert np.abs(cache.hidden_states[-1] - expected)[made.attention_mask].max() < 1e-5


def test_a_tokenizer_that_transformers_saved_is_read(tmp_path):
    (tmp_path / "source.txt").write_text("[PAD]\n[UNK]\nx\n[CLS]\n[SEP]\n[MASK]\nriver\n##s")
    theirs = transformers.BertTokenizer(str(tmp_path / "source.txt"))
    theirs.save_pretrained(tmp_path / "saved")
    text = "Rivers [MASK] x"
    assert load_tokenizer(tmp_path / "saved").encode(text).ids == theirs(text)["input_ids"] == [3, 6, 7, 5, 2, 4]


@pytest.fixture(scope="module")
def trained_default(door, books, empty_database, tmp_path_factory):
    """A run of the default recipe, a few steps on small data, and the folder that the command ``export`` wrote."""
    folder = tmp_path_factory.mktemp("default")
    shutil.copy(empty_database, folder)
    words = [
        "data=text", f"data.path={books}/*.txt", "model.vocab_size=128", "training.softmax_words=40",
        "training.steps=12", "training.batch_size=16", "training.sequence_length=32", "evaluation.sequences=16",
        "evaluation.every=12", "evaluation.intrinsic.enabled=false", "diagnostics=off", "diagnostics.figures=[]",
        "tracking.progress=false", f"tracking.folder={folder}",
    ]  # fmt: skip
    trained = door(*words)
    assert trained.returncode == 0, trained.stderr
    exported = door(
        "run=last", f"folder={folder / 'exported'}", f"tracking.folder={folder}", module="minibert.export"
    )
    assert exported.returncode == 0, exported.stderr
    return load_run("last", folder=folder), load_run("last", 0, folder=folder), folder / "exported"


def test_the_default_recipe_trained_and_exported_is_read_by_auto_model_with_the_same_logits(trained_default):
    run, untrained, folder = trained_default
    config = run.config
    assert (config.optimizer.name, config.training.softmax_words) == ("muon", 40)
    assert (config.model.layers, config.model.norm, config.model.position) == (1, "pre", RopeConfig(base=30.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs, report = transformers.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()) and not theirs.config.to_dict().get("auto_map"), report
    ids, real = padded_ids(run.tokenizer.get_vocab_size(), 32)
    with torch.no_grad():
        expected = theirs(torch.tensor(ids), attention_mask=torch.tensor(real).long()).logits.numpy()
    logits, _ = run.model.forward(ids, real)
    assert np.abs(logits - expected)[real].max() < LOGITS["float32"]
    before, _ = untrained.model.forward(ids, real)
    assert np.abs(logits - before)[real].max() > 0.5  # it was trained


def test_the_exported_default_fills_masks_as_the_run_does(trained_default):
    run, _, folder = trained_default
    pipeline = transformers.pipeline("fill-mask", model=str(folder), tokenizer=str(folder))
    text = "the state of the [MASK] is strong"
    theirs = [(answer["token"], answer["score"]) for answer in pipeline(text, top_k=5)]
    ((ours,),) = fill_mask(run.model, run.tokenizer, [text])
    assert [run.tokenizer.token_to_id(token) for token, _ in ours] == [token for token, _ in theirs]
    assert [share for _, share in ours] == pytest.approx([score for _, score in theirs], rel=1e-4)

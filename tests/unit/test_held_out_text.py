"""The held-out text of a loaded run: masked as in its evaluation, and refused where the corpus has changed."""

from dataclasses import replace

import numpy as np
import pytest

from minibert import MiniBERT, MinibertError, ModelConfig
from minibert.config import Config, DataConfig
from minibert.data.batches import frozen_batches
from minibert.data.prepared import prepare_data
from minibert.data.tokenizer import train_tokenizer
from minibert.serving.loading import LoadedRun, SavedRun, load_saved
from minibert.training.checkpoints import save_checkpoint

VOCABULARY, LENGTH = 128, 32


@pytest.fixture(scope="module")
def prepared(books, tmp_path_factory):
    """Settings of a run on small files, and its data."""
    cache = str(tmp_path_factory.mktemp("cache"))
    config = Config(data=DataConfig(name="text", source="text", path=f"{books}/*.txt", cache=cache))
    config.model = ModelConfig(vocab_size=VOCABULARY, hidden_size=16, layers=1, heads=2, feed_forward_size=16)
    config.training.sequence_length = LENGTH
    return config, prepare_data(config.data, VOCABULARY, LENGTH)


@pytest.fixture
def run(prepared) -> LoadedRun:
    config, data = prepared
    return LoadedRun(
        MiniBERT(config.model), data.tokenizer, config, 0, SavedRun("0123abcd", config, data.folder, {})
    )


def test_every_kept_step_can_be_loaded_with_the_data_of_the_run(prepared, tmp_path):
    config, data = prepared
    files = {step: tmp_path / f"step_{step}.safetensors" for step in (0, 4)}
    for step, file in files.items():
        save_checkpoint(file, dict(MiniBERT(config.model, step).params.items()), {"step": step})
    last = load_saved(SavedRun("0123abcd", config, data.folder, files))
    assert (last.step, last.kept_steps, last.id) == (4, [0, 4], "0123abcd")
    for step in last.kept_steps:
        found = last.at(step)
        assert found.step == step
        assert np.array_equal(found.model.params.vector, MiniBERT(config.model, step).params.vector)
    with pytest.raises(MinibertError, match=r"no checkpoint of step 3\. Kept steps: 0, 4"):
        last.at(3)
    assert np.array_equal(last.data().train.input_ids, data.train.input_ids)
    assert np.array_equal(last.data().unigram_counts, data.unigram_counts)


def test_it_is_the_text_of_the_evaluation_under_its_masks(run, prepared):
    config, data = prepared
    settings = config.evaluation
    (expected,) = frozen_batches(data.evaluation, settings.rate, 8, 8, settings.mask_seed, VOCABULARY)
    batch = run.held_out(8)
    assert np.array_equal(batch.input_ids, expected.input_ids) and np.array_equal(batch.labels, expected.labels)
    assert batch.input_ids.shape == (8, LENGTH)


def test_a_lower_rate_masks_a_part_of_what_a_higher_one_does(run):
    few, many = run.held_out(8, 0.2).labels >= 0, run.held_out(8, 0.6).labels >= 0
    assert 0 < few.sum() < many.sum() and not (few & ~many).any()


def test_the_network_takes_it(run):
    batch = run.held_out(4)
    loss, _ = run.model.loss_and_gradients(
        batch.input_ids, batch.labels, batch.attention_mask, position_ids=batch.position_ids
    )
    assert loss == pytest.approx(np.log(VOCABULARY), rel=0.05)


@pytest.mark.parametrize(
    ("asked", "complaint"), [((0,), "sequences=0"), ((4, 0.0), "rate=0.0"), ((4, 1), "rate=1")]
)
def test_what_makes_no_batch_is_refused(run, asked, complaint):
    with pytest.raises(MinibertError, match=f"{complaint}: out of range. Allowed: "):
        run.held_out(*asked)


def test_another_corpus_than_that_of_the_run_is_refused(run):
    other = replace(run, tokenizer=train_tokenizer(["some other text"], vocab_size=40, lowercase=True))
    with pytest.raises(MinibertError, match="not what the run was trained on any more"):
        other.held_out(4)

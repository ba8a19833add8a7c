"""Short rows first: the same text and tokens, cut shorter, and whole rows as if there had been no short ones."""

import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from minibert.config import VARIANTS, AdamWConfig, Config, ModelConfig
from minibert.config.data import (
    AdaptiveMaskingConfig,
    CurriculumConfig,
    DataConfig,
    MaskingConfig,
    ObjectiveConfig,
    ShortRowsConfig,
)
from minibert.data.packing import cut_documents, pack_documents, pieces
from minibert.data.pairs import join_documents
from minibert.data.prepared import PreparedData
from minibert.data.short_rows import cut_short
from minibert.data.tokenizer import CLS, PAD, SEP, train_tokenizer
from minibert.data.training_batches import build_batches, probe_batch
from minibert.model.bert import MiniBERT
from minibert.training.observers import Milestones, TrainingLog
from minibert.training.trainer import Trainer

VOCAB, LENGTH, SHORT, BATCH, STEPS = 60, 16, 6, 8, 20
CHANGE = 7
SHORT_ROWS = ShortRowsConfig(sequence_length=SHORT, share=CHANGE / STEPS - 0.01)


@cache
def data() -> PreparedData:
    tokenizer = train_tokenizer(["a bad cab fed a deaf cafe. " * 20], VOCAB, True)
    size = tokenizer.get_vocab_size()
    texts = [np.random.default_rng(n).integers(5, size, 21 + 30 * n).astype(np.int32) for n in range(8)]
    counts = np.bincount(np.concatenate(texts), minlength=VOCAB)
    train = pack_documents(texts, LENGTH)
    return PreparedData(tokenizer, train, train, counts, "", "", "", "", {}, None)


def config(curriculum=SHORT_ROWS, **groups) -> Config:
    model = ModelConfig(
        vocab_size=VOCAB, hidden_size=16, layers=1, heads=2, feed_forward_size=24, max_length=LENGTH, dropout=0.0
    )
    model = replace(model, **groups.pop("model", {}))
    made = Config(
        model=model,
        optimizer=AdamWConfig(learning_rate=0.01),
        curriculum=curriculum,
        data=DataConfig(name="texts", cache="."),
        **{"masking": MaskingConfig(rate=0.3), **groups},
    )
    for stream, seed in {"init": 1, "data": 2, "masking": 3, "dropout": 4}.items():
        setattr(made.seeds, stream, seed)
    made.training = replace(
        made.training, steps=STEPS, batch_size=BATCH, sequence_length=LENGTH, softmax_words=20, lanes=2
    )
    return made


def same(one, other) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("input_ids", "labels", "attention_mask", "position_ids", "segment_ids")
    )


@pytest.mark.parametrize("arrange", [pack_documents, cut_documents])
@pytest.mark.parametrize("length", [3, SHORT, LENGTH - 1])
def test_short_rows_hold_the_text_of_every_document_once_and_in_order(arrange, length):
    texts = [np.arange(5, 5 + size).astype(np.int32) for size in (1, 40, 3, 17)]
    rows = cut_short(arrange(texts, LENGTH), length, packed=arrange is pack_documents)
    assert rows.input_ids.shape[1] == length
    assert [text.tolist() for text in join_documents(rows)] == [text.tolist() for text in texts]
    for row, size in zip(rows.input_ids, rows.lengths, strict=True):
        assert row[0] == CLS and row[size - 1] == SEP and (row[size:] == PAD).all()
        assert (row == CLS).sum() == (row == SEP).sum()


def test_steps_have_as_many_tokens_in_short_rows_before_the_change_and_in_whole_ones_after_it():
    batches = build_batches(config(), data())
    for step in (0, CHANGE - 1):
        assert batches.at(step).input_ids.shape == (BATCH * LENGTH // SHORT, SHORT)
        assert len(batches.indices(step)) == BATCH * LENGTH // SHORT
    for step in (CHANGE, STEPS - 1, STEPS):
        assert batches.at(step).input_ids.shape == (BATCH, LENGTH)
    told = [batches.at(step).settings for step in (CHANGE - 1, CHANGE)]
    assert told == [{"curriculum/sequence_length": SHORT}, {"curriculum/sequence_length": LENGTH}]


def test_from_the_change_on_every_batch_is_the_one_without_the_curriculum():
    short, plain = build_batches(config(), data()), build_batches(config(CurriculumConfig()), data())
    for step in range(CHANGE, STEPS + 1):
        one, other = short.at(step), plain.at(step)
        assert same(one, other)
        assert one.words.ids.tolist() == other.words.ids.tolist()
    assert same(probe_batch(config(), data()), probe_batch(config(CurriculumConfig()), data()))


def test_an_epoch_of_short_rows_has_all_the_text():
    long = config(replace(SHORT_ROWS, share=0.99))
    long.training.steps = 200
    batches, count = build_batches(long, data()), len(cut_short(data().train, SHORT, packed=True))
    taken = np.concatenate([batches.indices(step) for step in range(batches.change)])
    for epoch in taken[: 2 * count].reshape(2, count):
        assert sorted(epoch) == list(range(count))


def test_pieces_of_short_rows_see_themselves_alone_and_count_from_zero():
    batches, rows = build_batches(config(), data()), cut_short(data().train, SHORT, packed=True).input_ids
    of_two = np.flatnonzero(pieces(rows)[:, -1] == 2)
    step = next(step for step in range(CHANGE) if set(of_two) & set(batches.indices(step)))
    original = rows[batches.indices(step)]
    batch, piece = batches.at(step), pieces(original)
    real = original != PAD
    expected = (piece[:, :, None] == piece[:, None, :]) & real[:, None, :]
    assert np.array_equal(batch.attention_mask, expected)
    begins = original == CLS
    assert (batch.position_ids[begins] == 0).all()
    steps = np.diff(batch.position_ids, axis=1)
    assert (steps[~begins[:, 1:]] == 1).all()


@pytest.mark.parametrize("position", VARIANTS["position"])
def test_every_position_scheme_trains_through_the_change(position):
    chosen = config(model={"position": VARIANTS["position"][position](name=position)})
    with Trainer(MiniBERT(chosen.model, 1), build_batches(chosen, data()), chosen) as trainer:
        losses = [trainer.step().loss for _ in range(CHANGE + 3)]
    assert np.isfinite(losses).all()


def test_a_short_step_takes_fewer_operations_and_memory_is_taken_before_the_first_step_of_each_length():
    chosen = config()
    with Trainer(MiniBERT(chosen.model, 1), build_batches(chosen, data()), chosen) as trainer:
        flops, sizes = [], []
        for _ in range(CHANGE + 2):
            trainer.step()
            flops.append(trainer.progress.flops)
            assert all(work.peak <= work.nbytes for work in trainer.lanes.workspaces)
            sizes.append([work.nbytes for work in trainer.lanes.workspaces])
    taken = np.diff(flops, prepend=0)
    assert taken[:CHANGE].max() < taken[CHANGE:].min()
    assert len({tuple(size) for size in sizes}) == 2


def test_an_adaptive_masking_adapts_through_the_change():
    masking = AdaptiveMaskingConfig(name="adaptive", rate=0.3, target=0.2, gain=0.05, memory=0.5)
    adapting = config(masking=masking)
    batches = build_batches(adapting, data())
    (part,) = batches.adapting
    with Trainer(MiniBERT(adapting.model, 1), batches, adapting, [part]) as trainer:
        rates = [trainer.step().settings["masking/rate"] for _ in range(CHANGE + 3)]
    assert len(set(rates)) == len(rates)


@pytest.mark.parametrize("task", ["nsp", "sop", "token_order", "replaced_token"])
def test_tasks_ask_about_short_rows_too(task):
    asking = config(objective=ObjectiveConfig(**{task: 1.0, "moved": 0.5}))
    batches = build_batches(asking, data())
    short, whole = batches.at(0), batches.at(CHANGE)
    assert short.auxiliary[task].labels.shape == short.input_ids.shape == (BATCH * LENGTH // SHORT, SHORT)
    assert short.auxiliary[task].count and whole.auxiliary[task].count


def test_the_change_is_told_once_and_the_length_of_rows_is_recorded():
    chosen, told, lengths = config(), [], {}
    chosen.training = replace(chosen.training, log_every=1)

    def log(metrics, step):
        lengths[step] = metrics["curriculum/sequence_length"]

    with Trainer(MiniBERT(chosen.model, 1), build_batches(chosen, data()), chosen) as trainer:
        trainer.train([TrainingLog(log), Milestones(told.append)])
    assert told == [f"step {CHANGE}: whole rows, of {LENGTH} tokens, from here on"]
    assert lengths == {step: SHORT if step <= CHANGE else LENGTH for step in range(1, STEPS + 1)}


def test_a_change_after_the_last_step_is_not_told():
    chosen, told = config(replace(SHORT_ROWS, share=0.99)), []
    with Trainer(MiniBERT(chosen.model, 1), build_batches(chosen, data()), chosen) as trainer:
        trainer.train([Milestones(told.append)])
    assert not told and trainer.batches.change == STEPS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["curriculum=short_rows", "curriculum.share=0.4"], "step 3: whole rows, of 32 tokens, from here on"),
        (["curriculum=length", "curriculum.share=0.6"], "step 4: all sequences take part from here on"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_prints_the_change_once(door, small_settings, empty_database, tmp_path, words, said):
    shutil.copy(empty_database, tmp_path)
    few = ["training.steps=6", "diagnostics=off", "tracking.progress=true", f"tracking.folder={tmp_path}"]
    done = door(*small_settings, *words, *few)
    assert done.returncode == 0 and done.stdout.count(said) == 1, done.stdout + done.stderr

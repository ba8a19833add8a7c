"""A corpus made ready: what is stored, when it is used again, and when not."""

import resource
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tokenizers import Tokenizer

from minibert.config import DataConfig
from minibert.data import prepared
from minibert.data.duplicates import compute_duplicate_shares
from minibert.data.prepared import ARRAYS, MANIFEST, TOKENIZER, PreparedData, prepare_data
from minibert.errors import MinibertError

WORDS = [
    "the",
    "a",
    "river",
    "sea",
    "sky",
    "runs",
    "falls",
    "sings",
    "near",
    "under",
    "over",
    "old",
    "young",
    "light",
    "dark",
    "stone",
]


@pytest.fixture
def books(tmp_path):
    """Twenty small documents, one of them twice, and an empty one."""
    folder = tmp_path / "books"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(20):
        (folder / f"{number:02}.txt").write_text(" ".join(random.choice(WORDS, size=60)))
    shutil.copy(folder / "00.txt", folder / "copy.txt")
    (folder / "empty.txt").write_text("")
    return folder


@pytest.fixture
def config(books, tmp_path):
    return DataConfig(
        name="text", source="text", path=str(books), evaluation_fraction=0.2, cache=str(tmp_path / "cache")
    )


@pytest.fixture
def builds(monkeypatch):
    """The folders that were really computed."""
    built = []
    build = prepared._build
    monkeypatch.setattr(prepared, "_build", lambda folder, *rest: (built.append(folder), build(folder, *rest)))
    return built


def prepare(config, vocab_size=80, sequence_length=16, **options) -> PreparedData:
    return prepare_data(config, vocab_size, sequence_length, **options)


def assert_same(one: PreparedData, other: PreparedData) -> None:
    for split in ("train", "evaluation"):
        for name, array in vars(getattr(one, split)).items():
            np.testing.assert_array_equal(array, getattr(getattr(other, split), name))
    np.testing.assert_array_equal(one.unigram_counts, other.unigram_counts)
    assert one.tokenizer.to_str() == other.tokenizer.to_str()
    assert (one.statistics, one.corpus_hash, one.tokenizer_hash) == (
        other.statistics,
        other.corpus_hash,
        other.tokenizer_hash,
    )


def test_statistics_tell_what_was_read_dropped_and_held_out(config):
    data = prepare(config)
    statistics = data.statistics
    assert statistics["documents"] == 20
    assert statistics["duplicates_dropped"] == 1
    assert statistics["empty_dropped"] == 1
    assert statistics["evaluation_documents"] == 4
    assert statistics["train_documents"] == 16
    assert statistics["train_sequences"] == len(data.train)
    assert statistics["train_tokens"] == data.train.text_tokens
    assert statistics["unknown_share"] == 0.0
    repeated = compute_duplicate_shares(data.train.input_ids, data.train.ordinary)
    assert (statistics["duplicate_share"], statistics["repeated_text_share"]) == repeated
    assert data.unigram_counts.shape == (80,)
    assert data.unigram_counts.sum() == data.train.text_tokens
    assert all(type(value) in (int, float) for value in statistics.values())
    # Words drawn independently: nothing is gained from the word before, beyond the pieces of one word.
    assert 0 < statistics["bigram_cross_entropy"] < statistics["unigram_cross_entropy"]
    assert statistics["unigram_entropy"] < statistics["unigram_cross_entropy"]


def test_the_vocabulary_is_trained_on_the_training_split_only(config, books):
    for number, file in enumerate(sorted(books.glob("*.txt"))):
        file.write_text(file.read_text() + f" {chr(0x3B1 + number)}")  # a Greek letter of its own for every file
    data = prepare(config)
    decoded = [data.tokenizer.decode(row.tolist(), skip_special_tokens=False) for row in data.evaluation.input_ids]
    assert data.statistics["unknown_share"] > 0
    assert sum(text.count("[UNK]") for text in decoded) == data.statistics["evaluation_documents"]
    assert not (data.train.input_ids == 1).any()


def test_the_second_start_computes_nothing_and_gives_the_same(config, builds):
    first, second = prepare(config), prepare(config)
    assert len(builds) == 1
    assert_same(first, second)


def test_the_cache_is_found_again_under_other_file_names(config, books, builds):
    first = prepare(config)
    for number, file in enumerate(sorted(books.glob("*.txt"), reverse=True)):
        file.rename(books / f"renamed {number}.txt")
    assert_same(first, prepare(config))
    assert len(builds) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"vocab_size": 60},
        {"sequence_length": 20},
        {"lowercase": False},
        {"evaluation_fraction": 0.3},
        {"text": "one more document about the sea"},
    ],
)
def test_what_changes_the_result_has_a_cache_of_its_own(config, books, change):
    first = prepare(config)
    change = dict(change)
    if "text" in change:
        (books / "more.txt").write_text(change.pop("text"))
    for key in [key for key in change if hasattr(config, key)]:
        setattr(config, key, change.pop(key))
    second = prepare(config, **change)
    assert second.folder != first.folder


def test_a_folder_elsewhere_gives_the_same_data(config, tmp_path):
    first = prepare(config)
    config.cache = str(tmp_path / "another" / "deep")
    assert_same(first, prepare(config))


def test_the_folder_holds_the_tokenizer(config):
    data = prepare(config)
    assert Tokenizer.from_file(str(data.folder / "tokenizer.json")).to_str() == data.tokenizer.to_str()


@pytest.mark.parametrize("name", [TOKENIZER, ARRAYS, MANIFEST])
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_cache_is_computed_anew(config, builds, name, damage):
    first = prepare(config)
    file = first.folder / name
    content = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "altered":
        file.write_bytes(content[:-9] + bytes(9))
    else:
        file.unlink()
    messages = []
    assert_same(first, prepare(config, report=messages.append))
    assert len(builds) == 2
    assert "damaged" in messages[0]


FOREIGN = ["[]", "null", "{}", '{"hashes": {}, "statistics": {}}', "[" * 100_000, '{"a":' * 100_000]


@pytest.mark.parametrize("content", FOREIGN, ids=lambda content: content[:12])
def test_a_foreign_manifest_is_made_anew(config, builds, content):
    first = prepare(config)
    (first.folder / MANIFEST).write_text(content)
    assert_same(first, prepare(config))
    assert len(builds) == 2


@pytest.mark.parametrize("suffix", ["", ".partial"])
@pytest.mark.parametrize("kind", ["file", "link to nothing", "link to a folder"])
def test_what_lies_in_place_of_a_folder_of_the_cache_gives_way(config, builds, tmp_path, suffix, kind):
    first = prepare(config)
    place, elsewhere = first.folder.with_suffix(suffix), tmp_path / "elsewhere"
    shutil.rmtree(first.folder)
    if kind == "file":
        place.write_text("in the way")
    else:
        place.symlink_to(elsewhere)
    if kind == "link to a folder":
        elsewhere.mkdir()
        (elsewhere / "mine").write_text("stays")
    messages = []
    assert_same(first, prepare(config, report=messages.append))
    assert len(builds) == 2 and (kind != "link to a folder" or (elsewhere / "mine").exists())
    assert suffix or "damaged and is made anew" in messages[0]


@pytest.mark.parametrize("name", [TOKENIZER, ARRAYS, MANIFEST])
def test_a_folder_in_place_of_a_file_of_the_cache_gives_way(config, builds, name):
    first = prepare(config)
    (first.folder / name).unlink()
    (first.folder / name).mkdir()
    assert_same(first, prepare(config))
    assert len(builds) == 2


def test_a_baseline_that_was_altered_is_measured_anew(config, builds):
    first = prepare(config)
    file = first.folder / MANIFEST
    entropy = str(first.statistics["unigram_entropy"])
    file.write_text(file.read_text().replace(entropy, entropy[:-1] + str((int(entropy[-1]) + 1) % 10)))
    assert_same(first, prepare(config))
    assert len(builds) == 2


def test_on_a_full_disk_there_is_one_message_and_nothing_half_written(config, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(MinibertError, match=r"data\.cache=.*cannot be written .*Give a folder with room"):
            prepare(config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_what_a_killed_process_left_behind_does_no_harm(config):
    first = prepare(config)
    shutil.move(first.folder, first.folder.with_suffix(".partial"))
    (first.folder.with_suffix(".partial") / ARRAYS).write_bytes(b"half")
    assert_same(first, prepare(config))


def test_asking_at_once_computes_once(config, builds):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: prepare(config), range(4)))
    assert len(builds) == 1
    for other in results[1:]:
        assert_same(results[0], other)


def test_progress_is_reported_when_something_is_computed_only(config):
    first, second = [], []
    prepare(config, report=first.append)
    prepare(config, report=second.append)
    assert any("16 documents" in message for message in first)
    assert second == []


def test_a_held_out_document_that_repeats_training_is_said_to_move_to_it(config, books):
    for number in range(0, 8, 2):  # four pairs share their text, but for the first word
        (books / f"{number:02}.txt").write_text("and " + (books / f"{number + 1:02}.txt").read_text())
    messages = []
    prepare(config, report=messages.append)
    (told,) = [message for message in messages if "moved" in message]
    assert told.startswith("1 held-out document repeats training documents by more than data.largest_overlap=0.05")
    assert told.endswith(f", and was moved to the training text: {books / '06.txt'}")


def test_too_little_text_for_a_sequence_is_refused_and_leaves_no_cache(config, tmp_path):
    with pytest.raises(MinibertError, match=r"too little text, the evaluation split .*training.sequence_length"):
        prepare(config, sequence_length=1000)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_cache_that_cannot_be_written_is_one_message(config, tmp_path):
    (tmp_path / "file").write_text("in the way")
    config.cache = str(tmp_path / "file" / "cache")
    with pytest.raises(MinibertError, match=r"data.cache=.*cannot be written"):
        prepare(config)

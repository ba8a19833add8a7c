"""What the functions of minibert.evaluation are given: paths, tuples, single texts, and what is refused."""

import pytest
from support.subjects import tiny_network

from minibert.config.evaluation import DownstreamConfig
from minibert.data.annotated.conllu import read_conllu
from minibert.data.tokenizer import train_tokenizer
from minibert.errors import MinibertError
from minibert.evaluation import (
    analyze_linguistic_probes,
    finetune,
    finetune_sst2,
    measure_catastrophic_forgetting,
    measure_compositional_understanding,
    probe_factual_knowledge,
    probe_semantic_knowledge,
    probe_syntactic_knowledge,
    pseudo_log_likelihoods,
)
from minibert.evaluation.downstream import Recipe

TEXT = "the cat is here and the cats are there in france or germany . paris rome dog red blue"
PAIR = ("the cat is here", "the cat are here")
CLOZE = "paris is in [MASK] ."
TREEBANK = "".join(
    f"1\tthe\t_\tDET\t_\t_\t2\tdet\t_\t_\n2\tcat\t_\tNOUN\t_\t_\t0\troot\t_\t_\n3\t{word}\t_\tVERB\t_\t_\t2\tdep\t_\t_\n\n"
    for word in (f"w{place}" for place in range(60))
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([TEXT] * 4, 150, lowercase=True)


@pytest.fixture(scope="module")
def model(tokenizer):
    return tiny_network(tokenizer.get_vocab_size())


def test_one_sentence_is_a_sentence(model, tokenizer):
    (score,) = pseudo_log_likelihoods(model, tokenizer, PAIR[0])
    assert [score] == pseudo_log_likelihoods(model, tokenizer, iter([PAIR[0]]))


def test_pairs_are_a_path_or_tuples_or_dictionaries(model, tokenizer, tmp_path):
    file = tmp_path / "pairs.tsv"
    file.write_text("good\tbad\n" + "\t".join(PAIR) + "\n")
    expected = probe_syntactic_knowledge(model, tokenizer, [PAIR]).model[-1]
    for given in (str(file), file, [list(PAIR)], [dict(zip(("good", "bad"), PAIR, strict=True))], iter([PAIR])):
        assert probe_syntactic_knowledge(model, tokenizer, given).model[-1] == expected


def test_words_and_prompts_are_paths_or_tuples(model, tokenizer, tmp_path):
    (tmp_path / "own.tsv").write_text("cat\tdog\t5\ncat\tred\t1\n")
    (tmp_path / "own.txt").write_text("paris france rome germany\n")
    (tmp_path / "facts.tsv").write_text(f"prompt\tanswers\n{CLOZE}\tfrance\n")
    pairs, analogies = [("cat", "dog", 5), ("cat", "red", 1.0)], [("paris", "france", "rome", "germany")]
    expected = probe_semantic_knowledge(model, tokenizer, {"own": pairs}, analogies)
    for given in (tmp_path / "own.tsv", {"own": str(tmp_path / "own.tsv")}):
        found = probe_semantic_knowledge(model, tokenizer, given, str(tmp_path / "own.txt"))
        assert found.coverage == expected.coverage
    ranks = [
        probe_factual_knowledge(model, tokenizer, given).completions[0].rank
        for given in (
            tmp_path / "facts.tsv",
            [(CLOZE, "france")],
            [(CLOZE, ["france"])],
            [{"prompt": CLOZE, "answers": "france"}],
        )
    ]
    assert len(set(ranks)) == 1


def test_treebanks_are_paths_and_a_task_is_a_name(model, tokenizer, tmp_path):
    (tmp_path / "own.conllu").write_text(TREEBANK)
    found = analyze_linguistic_probes(model, "part_of_speech", str(tmp_path / "own.conllu"), tokenizer)
    same = analyze_linguistic_probes(model, ["part_of_speech"], read_conllu(tmp_path), tokenizer)
    assert found.tasks["part_of_speech"].layers == same.tasks["part_of_speech"].layers


def test_labelled_sentences_are_tuples_or_tables(model, tokenizer, tmp_path):
    given = [("the red cat", 1), ("the blue dog", 0)] * 8
    for part in ("train", "dev", "test"):
        (tmp_path / f"{part}.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in given))
    settings = {"epochs": 1, "seeds": 1, "rates": [1e-3], "frozen_rates": [1e-3], "encoders": ["frozen"]}
    found = finetune_sst2(model, tokenizer, data=str(tmp_path), cache=tmp_path, note=lambda _: None, **settings)
    for splits in (tmp_path, (given,) * 3, dict.fromkeys(("train", "dev", "test"), given)):
        same = finetune(model, tokenizer, splits, DownstreamConfig(**settings))
        # The texts, since one seed has no interval, and NaN is not equal to NaN.
        assert str(same.fine_tuned["trained", "frozen"].accuracy) == str(
            found.fine_tuned["trained", "frozen"].accuracy
        )
    old = measure_catastrophic_forgetting(model, lambda network: 1.0, given, tokenizer, Recipe(1e-3, epochs=1), 1)
    assert list(old.curves) == ["old_tasks"] and list(old.learnt) == ["new_tasks"]


CALLS = {
    "a sentence without words": (lambda m, t: pseudo_log_likelihoods(m, t, [" "]), r"sentences\[0\]: str ' '"),
    "a pair with one of them": (
        lambda m, t: probe_syntactic_knowledge(m, t, [("a cat", ""), (" ", "x")]),
        r"pairs\[0\]\[1\]: str ''",
    ),
    "no lanes": (lambda m, t: pseudo_log_likelihoods(m, t, ["a cat"], lanes=0), "lanes=0: not allowed"),
    "lanes in words": (lambda m, t: pseudo_log_likelihoods(m, t, ["a cat"], lanes="2"), "lanes='2': not allowed"),
    "no sentence": (lambda m, t: pseudo_log_likelihoods(m, t, 5), "sentences: int 5 was given"),
    "a sentence that is none": (
        lambda m, t: pseudo_log_likelihoods(m, t, ["a", None]),
        r"sentences\[1\]: NoneType",
    ),
    "half a character": (lambda m, t: pseudo_log_likelihoods(m, t, "\ud800"), r"sentences\[0\]: str '\\ud800'"),
    "a pair of one": (
        lambda m, t: probe_syntactic_knowledge(m, t, [("a",)]),
        r"pairs\[0\]: tuple .* MinimalPair\(",
    ),
    "a pair of texts": (lambda m, t: probe_syntactic_knowledge(m, t, ["ab"]), r"pairs\[0\]: str 'ab' was given"),
    "a pair of numbers": (lambda m, t: probe_syntactic_knowledge(m, t, [(1, 2)]), r"pairs\[0\].good: int 1"),
    "other keys": (lambda m, t: probe_syntactic_knowledge(m, t, [{"right": "a"}]), r"pairs\[0\]: dict"),
    "a score of text": (lambda m, t: probe_semantic_knowledge(m, t, [("a", "b", "x")]), r"\[0\].score: str 'x'"),
    "three words": (lambda m, t: probe_semantic_knowledge(m, t, {}, [("a", "b", "c")]), r"analogies\[0\]: tuple"),
    "no answer": (lambda m, t: probe_factual_knowledge(m, t, [(CLOZE, ())]), "has no answer"),
    "cases": (
        lambda m, t: measure_compositional_understanding(m, [("negation", "a")], t),
        r"test_cases\[0\]: tuple",
    ),
    "an unknown task": (lambda m, t: analyze_linguistic_probes(m, ["tenses"], [], t), "did you mean 'tense'"),
    "a task twice": (lambda m, t: analyze_linguistic_probes(m, ["tense"] * 2, [], t), "each once"),
    "words": (lambda m, t: analyze_linguistic_probes(m, "tense", [["the", "cat"]], t), r"sentences\[0\]: list"),
    "parts": (lambda m, t: finetune(m, t, {"train": []}), "splits: dict .* a folder with train.tsv"),
    "an empty sentence": (lambda m, t: finetune(m, t, ([(" ", "1")],) * 3), r"train\[0\]: tuple \(' ', '1'\)"),
    "a setting": (lambda m, t: finetune_sst2(m, t, rate=1), "finetune_sst2: unknown name 'rate'.* 'rates'"),
    "an old task": (
        lambda m, t: measure_catastrophic_forgetting(m, {"a": 5}, [("a", 1)], t),
        r"old_tasks\[a\]: int",
    ),
    "a new task": (lambda m, t: measure_catastrophic_forgetting(m, print, {"b": 5}, t), r"new_tasks\[b\]: int"),
    "a folder as model": (lambda m, t: pseudo_log_likelihoods("folder", t, "a"), "model: str 'folder' was given"),
    "no tokenizer": (lambda m, t: pseudo_log_likelihoods(m, 5, "a"), "tokenizer: int 5 was given"),
    "a path without": (
        lambda m, t: pseudo_log_likelihoods(m, "/nowhere", "a"),
        "neither tokenizer.json nor vocab",
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_anything_else_is_refused_with_what_is_allowed(model, tokenizer, call):
    ask, said = CALLS[call]
    with pytest.raises(MinibertError, match=said):
        ask(model, tokenizer)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tokenizer):
    small = tiny_network(tokenizer.get_vocab_size() - 2)
    with pytest.raises(MinibertError, match=r"tokenizer: 2 of its .* have no embedding"):
        pseudo_log_likelihoods(small, tokenizer, "the cat")

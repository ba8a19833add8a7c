"""Tokenizers whose special tokens have other ids, as in BERT-base: every instrument finds the same."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from support.subjects import tiny_network
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.processors import BertProcessing, Sequence

from minibert.command_line.arguments import StoreWords
from minibert.config.evaluation import INSTRUMENTS
from minibert.data.annotated.agreement import ADJECTIVES, NOUNS
from minibert.data.annotated.composition import KINDS, ROLES
from minibert.data.numbering import own_numbering
from minibert.data.tokenizer import SPECIAL_TOKENS, encode_texts, train_tokenizer
from minibert.errors import MinibertError
from minibert.files import short_name
from minibert.running.evaluation import Evaluation, evaluate
from minibert.running.folders import load_folder
from minibert.running.progress import Display

FRAMES = "the [ MASK ] will be may by last year we know that is not also a of are was were they see keep find ."
LONG = "pairs" * 48
"""A file may be called so; with an ending and a prefix, its name is too long for a file system"""
VERBS = {"see": "Pres", "saw": "Past", "keep": "Pres", "kept": "Past"}


FREQUENT = ("see", "is", "the", "we", ".")
"""Ordinary tokens that have the ids of this package's special tokens where others number"""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    words = {word for triple in ROLES[:12] for word in triple} | {*VERBS, *ADJECTIVES[:6]}
    words |= {word for kind, things in list(KINDS.items())[:4] for word in (kind, *things[:3])}
    words |= {form for forms in NOUNS[:8] for form in forms}
    made = train_tokenizer([f"{' '.join(sorted(words))} {FRAMES} " * 20], 500, lowercase=True)
    first = [*range(5), *(made.token_to_id(word) for word in FREQUENT)]
    return numbered(made, [*first, *(old for old in range(made.get_vocab_size()) if old not in first)])


def numbered(tokenizer: Tokenizer, former: list[int]) -> Tokenizer:
    """The same tokenizer with other ids; ``former``: the id that each new one had."""
    new = {old: number for number, old in enumerate(former)}
    plain = json.loads(tokenizer.to_str())
    plain["model"]["vocab"] = {token: new[old] for token, old in plain["model"]["vocab"].items()}
    for token in plain["added_tokens"]:
        token["id"] = new[token["id"]]
    for about in plain["post_processor"]["special_tokens"].values():
        about["ids"] = [new[old] for old in about["ids"]]
    return Tokenizer.from_str(json.dumps(plain))


def moved(tokenizer: Tokenizer) -> tuple[Tokenizer, list[int]]:
    """Frequent words have the ids 0 to 4, and the special tokens 5 to 9, in another order."""
    former = [5, 6, 7, 8, 9, 3, 4, 0, 2, 1, *range(10, tokenizer.get_vocab_size())]
    return numbered(tokenizer, former), former


def folder_of(folder: Path, tokenizer: Tokenizer, former: list[int] | None = None) -> Path:
    """A model with output weights of its own; ``former``: its tokens are numbered anew, as :func:`moved` does."""
    network = tiny_network(tokenizer.get_vocab_size(), tie_word_embeddings=False)
    params = network.params
    params["mlm_head.bias"][...] = np.random.default_rng(0).normal(size=len(params["mlm_head.bias"]))
    if former is not None:
        params["embeddings.token.weight"][...] = params["embeddings.token.weight"][former]
        params["mlm_head.bias"][...] = params["mlm_head.bias"][former]
        params["mlm_head.weight"][...] = params["mlm_head.weight"][:, former]
    network.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def data(folder: Path) -> list[str]:
    """Annotated files, and the words that name them to every instrument of ``evaluation=full``."""
    blocks, lines = [], []
    for pronoun, (verb, tense), forms in product(("we", "they"), VERBS.items(), NOUNS[:8]):
        for number, noun in zip(("Sing", "Plur"), forms, strict=True):
            subject = "member" if pronoun == "we" else "president"  # *the* twice: what has the id of [CLS] here
            rows = [
                ("the", "DET", "_", 2, "det"), (subject, "NOUN", "Number=Sing", 3, "nsubj"),
                (verb, "VERB", f"Tense={tense}", 0, "root"), ("the", "DET", "_", 5, "det"),
                (noun, "NOUN", f"Number={number}", 3, "obj"),
            ]  # fmt: skip
            blocks += [f"{place}\t{word}\t_\t{tag}\t_\t{features}\t{head}\t{relation}\t_\t_"
                       for place, (word, tag, features, head, relation) in enumerate(rows, 1)]  # fmt: skip
            blocks.append("")
            lines.append(f"{pronoun} {verb} the {noun} .\t{number}")
    (folder / "bank.conllu").write_text("\n".join(blocks) + "\n")
    for place, part in enumerate(("train", "dev", "test")):
        (folder / f"{part}.tsv").write_text("\n".join(lines[place::3]))
    pairs = [
        f"the {one} is old\tthe {one} are old\nthe {many} were old\tthe {many} was old" for one, many in NOUNS[:8]
    ]
    (folder / f"{LONG}.tsv").write_text("\n".join(["good\tbad", *pairs]) + "\n")
    (folder / "words.tsv").write_text("nation\tstate\t8\nlaw\tbank\t3\nship\treport\t1\nsee\tkeep\t5\n")
    (folder / "facts.tsv").write_text(
        "prompt\tanswers\trelation\nthe [MASK] is old .\tnation\twhat\nthe [MASK] were great .\tlaws\twhat\n"
    )
    return [
        *(f"evaluation.{name}.treebank={folder / 'bank.conllu'}" for name in ("intrinsic", "probing")),
        "evaluation.probing.tasks=[part_of_speech]",
        f"evaluation.minimal_pairs.data=[{folder / LONG}.tsv]",
        f"evaluation.semantics.data=[{folder / 'words.tsv'}]",
        f"evaluation.facts.data=[{folder / 'facts.tsv'}]",
        f"evaluation.downstream.data={folder}",
        *(f"evaluation.downstream.{key}=1" for key in ("epochs", "seeds", "forgetting")),
        *(f"evaluation.downstream.{key}=[1e-2]" for key in ("rates", "frozen_rates")),
    ]


def test_every_instrument_finds_the_same_with_other_ids(tmp_path, tokenizer, rough_figures):
    words, found = data(tmp_path), {}
    for name, folder in {
        "own": folder_of(tmp_path / "own", tokenizer),
        "other": folder_of(tmp_path / f"other-{LONG}", *moved(tokenizer)),
    }.items():
        asked = Evaluation(
            checkpoint=str(folder), lanes=1, quick=True, tracking=StoreWords(folder=str(tmp_path / "store"))
        )
        assert evaluate(asked, ["evaluation=full", *words], Display())
        (place,) = (tmp_path / "store" / "evaluations").glob(f"{name}*")
        assert (place / "evaluation" / "minimal_pairs" / f"accuracy_by_paradigm_{short_name(LONG)}.png").is_file()
        files = sorted(place.glob("evaluation/*/step_0000000.json"))
        found[name] = {file.parent.name: json.loads(file.read_text())["findings"] for file in files}
    assert set(found["own"]) == set(INSTRUMENTS) - {"word_learning"}  # it needs held-out text
    for name, findings in found["own"].items():
        assert findings == found["other"][name], name
        assert len({value for value in findings["metrics"].values() if value}) > 1


def test_texts_are_cut_as_before_and_parameters_follow(tmp_path, tokenizer):
    texts = ["the nation [MASK] old", "unseen zebras ###"]
    other, former = moved(tokenizer)
    own = load_folder(folder_of(tmp_path / "own", tokenizer), print)
    model, found = load_folder(folder_of(tmp_path / "other", other, former), print)
    assert np.array_equal(model.params.vector, own[0].params.vector)
    assert found.get_vocab() == tokenizer.get_vocab() and found.to_str() == own[1].to_str()
    for mine, encoding in zip(encode_texts(found, texts), encode_texts(other, texts), strict=True):
        assert mine.tokens == encoding.tokens
    assert own_numbering(tokenizer, 500)[0] is tokenizer


def test_special_tokens_that_only_the_added_ones_name_are_numbered_too(tokenizer):
    plain = json.loads(tokenizer.to_str())
    plain["model"]["vocab"] = {
        token: index - 5 for token, index in plain["model"]["vocab"].items() if token not in SPECIAL_TOKENS[2:]
    }
    plain["model"]["vocab"] = {token: place for place, token in enumerate(plain["model"]["vocab"])}
    plain["added_tokens"], plain["post_processor"] = [], None
    other = Tokenizer.from_str(json.dumps(plain))
    other.add_special_tokens(list(SPECIAL_TOKENS))
    cls, sep = ((token, other.get_vocab()[token]) for token in ("[CLS]", "[SEP]"))
    other.post_processor = Sequence([BertProcessing(sep, cls)])
    own, former = own_numbering(other, other.get_vocab_size() + 7)
    assert [own.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert sorted(former) == list(range(other.get_vocab_size() + 7))
    (before,), (after,) = (encode_texts(each, ["the [MASK] nation"]) for each in (other, own))
    assert after.tokens == before.tokens and former[after.ids].tolist() == before.ids


def test_a_vocabulary_without_ids_is_refused():
    other = Tokenizer(Unigram([("a", 0.0), *((token, 0.0) for token in SPECIAL_TOKENS)], unk_id=2))
    with pytest.raises(MinibertError, match=r"a Unigram model with \[CLS\] at 3 .* Allowed: WordPiece and BPE"):
        own_numbering(other, 6)

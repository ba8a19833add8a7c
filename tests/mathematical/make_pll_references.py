"""The pseudo-log-likelihoods that minicons gives for a tiny fixed network, kept for machines without it.

Run ``python tests/mathematical/make_pll_references.py PYTHON FOLDER``. PYTHON is an interpreter with minicons
(tests/support/minicons_scores.py says how to make one). FOLDER holds the files of BLiMP and Zorro that SAMPLES
names. It writes references/pseudo_log_likelihoods.json: scores and hashes of sentences, no texts.

The network, its tokenizer and the sentences are also what the test scores.
"""

import hashlib
import json
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from minibert.config import ModelConfig, PositionConfig
from minibert.data.annotated.minimal_pairs import read_minimal_pairs
from minibert.data.tokenizer import SPECIAL_TOKENS, load_tokenizer
from minibert.model.bert import MiniBERT

CHECKOUT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).parent / "references" / "pseudo_log_likelihoods.json"
KINDS = ("original", "within_word")
OWN = ("own_blimp_like", "own_zorro_like")
SAMPLES = {
    "blimp": (
        "anaphor_number_agreement.jsonl", "determiner_noun_agreement_1.jsonl",
        "distractor_agreement_relational_noun.jsonl", "wh_questions_object_gap.jsonl",
    ),
    "zorro": (
        "agreement_subject_verb-across_prepositional_phrase.txt", "anaphor_agreement-pronoun_gender.txt",
        "filler-gap-wh_question_object.txt", "irregular-verb.txt",
    ),
}  # fmt: skip
"""Data set -> files that give 50 sentences each"""
SENTENCES = 200
"""Of each set"""

WORDS = [
    "the",
    "a",
    "this",
    "that",
    "these",
    "some",
    "no",
    "every",
    "she",
    "he",
    "they",
    "it",
    "who",
    "what",
    "is",
    "are",
    "was",
    "were",
    "has",
    "have",
    "had",
    "do",
    "does",
    "not",
    "in",
    "on",
    "at",
    "of",
    "to",
    "with",
    "and",
    "but",
    "which",
    "dog",
    "dogs",
    "cat",
    "cats",
    "boy",
    "girl",
    "teacher",
    "teachers",
    "river",
    "ship",
    "look",
    "like",
    "see",
    "eat",
    "run",
    "walk",
    "read",
    "sing",
    "talk",
    "help",
    "him",
    "her",
    "them",
    "self",
    "selves",
    "old",
    "big",
    "red",
    "happy",
    "never",
    "ever",
    "quickly",
    "Mary",
    "John",
]
"""Whole words of the vocabulary. All others are spelt in pieces."""
PIECES = [
    "ing",
    "ed",
    "s",
    "es",
    "er",
    "est",
    "ly",
    "ness",
    "ment",
    "tion",
    "able",
    "al",
    "self",
    "selves",
    "th",
    "sh",
    "ch",
    "ow",
    "ea",
    "ee",
    "oo",
    "ai",
    "an",
    "in",
    "on",
    "er",
    "at",
]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
PUNCTUATION = ".,;:!?'\"-()"


def reference_tokenizer(folder: Path) -> Tokenizer:
    """BERT's rules around a vocabulary of ours, from a vocab.txt that is written to ``folder``."""
    words = [*SPECIAL_TOKENS, *PUNCTUATION, *LETTERS, *(word.lower() for word in WORDS)]
    pieces = [f"##{piece}" for piece in (*LETTERS, *PIECES)]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys([*words, *pieces])) + "\n")
    return load_tokenizer(folder / "vocab.txt")


def reference_model(tokenizer: Tokenizer) -> MiniBERT:
    """Two layers, with parameters that no change of the initialisers touches."""
    config = ModelConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, layers=2, heads=2, feed_forward_size=48,
        max_length=192, norm="post", embedding_norm=True, dropout=0.0, segments=0,
        position=PositionConfig("absolute"),
    )  # fmt: skip
    model = MiniBERT(config)
    random = np.random.RandomState(11)  # its numbers never change, unlike those of the newer generators
    for name, array in sorted(model.params.items()):
        array[...] = (0.25 * random.standard_normal(array.shape) + name.endswith("gain")).astype("float32")
    return model


def own_sentences() -> dict[str, list[str]]:
    """Sentences of ours: as BLiMP writes them (capitals, full stops, contractions), and as Zorro does (lower case,
    spaces before punctuation)."""
    names, nouns = (
        ("Katherine", "Mary", "Russell", "A lady"),
        ("truck", "restaurants", "red-hot story", "skateboard"),
    )
    verbs, ends = (
        ("isn't helping", "won't hire", "admires", "has forgotten"),
        ("himself", "these teachers", "Paul's niece"),
    )
    blimp = [f"{a} {b} {c} {d}." for a, b, c, d in product(names, verbs, ("the", "that"), (*nouns, *ends))]
    openings, objects = ("look at", "where did he put", "she likes"), ("this", "these", "the fuzzy", "my littlest")
    things, closings = (
        ("piggy", "dogs", "peppermints", "bottle"),
        (".", "?", "with the teacher .", "and the daddy .", "!"),
    )
    zorro = [f"{a} {b} {c} {d}" for a, b, c, d in product(openings, objects, things, closings)]
    return {name: spread(made) for name, made in zip(OWN, (blimp, zorro), strict=True)}


def spread(sentences: list[str], count: int = SENTENCES) -> list[str]:
    """So many of them, evenly over the list."""
    return [sentences[place] for place in np.linspace(0, len(sentences) - 1, count).astype(int)]


def sampled_sentences(folder: Path, name: str) -> list[str]:
    """50 sentences of each file of a data set, found in ``folder`` or in the folders within."""
    found = []
    for file in SAMPLES[name]:
        pairs = read_minimal_pairs(next(iter(sorted(folder.rglob(file))), folder / file))
        found += spread(
            [each for pair in pairs for each in (pair.good, pair.bad)], SENTENCES // len(SAMPLES[name])
        )
    return found


def hashes(sentences: list[str]) -> list[str]:
    return [hashlib.sha256(sentence.encode()).hexdigest()[:16] for sentence in sentences]


def main(python: str, folder: str) -> None:
    sys.path.insert(0, str(CHECKOUT))
    from tests.support.minicons_scores import ask_minicons

    sets = own_sentences() | {name: sampled_sentences(Path(folder), name) for name in SAMPLES}
    everything = [sentence for sentences in sets.values() for sentence in sentences]
    with tempfile.TemporaryDirectory() as temporary:
        tokenizer = reference_tokenizer(Path(temporary))
        exported = Path(temporary) / "exported"
        reference_model(tokenizer).save_pretrained(exported, tokenizer)
        # One sentence at a time: what a batch pads cannot matter.
        answer = ask_minicons(python, exported, everything, {kind: [1] for kind in KINDS})
    found = {kind: iter(answer["found"][kind]["1"]["scores"]) for kind in KINDS}
    stored = {
        name: {"hashes": hashes(sentences)}
        | {kind: [round(next(found[kind]), 6) for _ in sentences] for kind in KINDS}
        for name, sentences in sets.items()
    }
    STORED.write_text(json.dumps({"versions": answer["versions"], "sets": stored}) + "\n")
    print(f"{STORED}: {STORED.stat().st_size / 1000:.0f} kB, {answer['versions']}")


if __name__ == "__main__":
    main(*sys.argv[1:])

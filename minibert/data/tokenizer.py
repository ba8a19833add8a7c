"""WordPiece: text to token ids.

Words are cut greedily into the longest pieces of a learned vocabulary; ``##`` marks a piece that continues a
word. Schuster & Nakajima, "Japanese and Korean voice search", ICASSP 2012; used by Devlin et al., "BERT", 2019.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from numbers import Integral
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

from minibert.config import DataConfig
from minibert.config.model import LARGEST_VOCABULARY
from minibert.data.corpora import load_corpus, split_documents
from minibert.data.foreign_tokenizers import apply_settings, read_settings, require_bert
from minibert.errors import MinibertError, shown
from minibert.files import given_path

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
FIRST_ORDINARY = len(SPECIAL_TOKENS)
"""The first id of an ordinary token. Ordinary tokens may be masked, predicted and drawn at random."""

CHARACTERS_AT_ONCE = 1_000_000
"""Characters given to the library in one call: its intermediate results take about a hundred bytes for each."""
PIECE = 10_000
"""Characters of a piece of a line that is encoded at once; it is longer only if a longer word is in it"""


WHITE_SPACE = re.compile(r"[ \t]+")


@dataclass
class Lost:
    """How many characters of text became [UNK] and so were lost. White space is not counted."""

    characters: int = 0
    in_long_words: int = 0
    """Lost with words longer than the tokenizer reads"""
    unknown: int = 0
    """Lost with words that hold a character outside of the vocabulary"""

    @property
    def share(self) -> float:
        return (self.in_long_words + self.unknown) / max(self.characters, 1)

    def add(self, tokenizer: Tokenizer, text: str, times: int, has_unknown: bool) -> None:
        """Count a text that occurs so many times. ``has_unknown``: whether [UNK] is among its tokens."""
        self.characters += times * sum(map(len, text.split()))
        if not has_unknown:
            return  # computing offsets, which tell how long the text of an [UNK] is, would take time
        encoding = tokenizer.encode(text, add_special_tokens=False)
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token == UNK and end - start > tokenizer.model.max_input_chars_per_word:
                self.in_long_words += times * (end - start)
            elif token == UNK:
                self.unknown += times * (end - start)


def train_tokenizer(
    texts: Sequence[str], vocab_size: int, lowercase: bool, strip_accents: bool = False, longest_word: int = 100
) -> Tokenizer:
    """A WordPiece tokenizer of at most ``vocab_size`` tokens; fewer if the text does not yield so many.

    The special tokens have the ids 0 to 4. ``strip_accents`` removes accents and all other combining marks.
    Uncased BERT lower-cases and strips accents. A word of more than ``longest_word`` characters becomes one [UNK].
    The same texts give the same tokenizer, to the byte.
    """
    trained = _empty_tokenizer({}, lowercase, strip_accents, longest_word)
    alphabet = _alphabet(texts, trained, largest=(vocab_size - FIRST_ORDINARY) // 2)
    # The trainer numbers the ##-pieces of single characters in the order of a hash map, which differs between
    # calls, and breaks ties between equally frequent merges by these numbers. Declaring the pieces beforehand, as
    # special tokens, fixes both. It also puts them in the vocabulary, so that every word of known characters can
    # be encoded.
    continuations = [f"##{character}" for character in alphabet if _continues_words(character, trained)]
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL_TOKENS, *continuations],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    trained.train_from_iterator((piece for text in texts for piece in _pieces(text)), trainer)
    return _empty_tokenizer(trained.get_vocab(), lowercase, strip_accents, longest_word)


def create_tokenizer(vocab_size: int = 8192, vocab_path=None) -> Tokenizer:
    """The tokenizer of ``vocab_path`` (:func:`load_tokenizer`), which has its own size. Without a path, a
    tokenizer of ``vocab_size`` tokens, trained on the default corpus as in a run.

    Raises :class:`MinibertError` if the path holds no tokenizer, and for a size that leaves no room for ordinary
    tokens or is above that of any network.
    """
    if vocab_path is not None:
        return load_tokenizer(vocab_path)
    smallest = FIRST_ORDINARY + 2
    allowed = f"Allowed: a whole number, at least {smallest} and at most {LARGEST_VOCABULARY}"
    if not isinstance(vocab_size, Integral) or isinstance(vocab_size, bool):
        raise MinibertError(f"vocab_size: {shown(vocab_size)} was given. {allowed}.")
    if not smallest <= vocab_size <= LARGEST_VOCABULARY:
        raise MinibertError(f"vocab_size={vocab_size}: out of range. {allowed}.")
    config = DataConfig(name="sotu")
    train, _ = split_documents(load_corpus(config), config.evaluation_fraction)
    texts = [document.text for document in train]
    return train_tokenizer(texts, int(vocab_size), config.lowercase, config.strip_accents, config.longest_word)


def load_tokenizer(path) -> Tokenizer:
    """The tokenizer of a tokenizer.json, of a vocab.txt (with BERT's rules), or of a folder with either file.

    Settings in the files of ``transformers`` beside it are applied (:mod:`minibert.data.foreign_tokenizers`),
    except padding and truncation: texts are neither padded nor cut.

    Raises :class:`MinibertError` if there is neither file, if one of BERT's special tokens is missing, and for a
    vocab.txt that has one token twice.
    """
    given = given_path(path, "vocab_path", "the path of a tokenizer.json, a vocab.txt, or a folder with either")
    candidates = [given / "tokenizer.json", given / "vocab.txt"] if os.path.isdir(given) else [given]
    path = next((candidate for candidate in candidates if os.path.exists(candidate)), None)
    if path is None:
        raise MinibertError(f"{given}: has neither tokenizer.json nor vocab.txt, so no text can be encoded.")
    try:
        settings = read_settings(path.parent)
        whole = path.suffix != ".txt"
        tokenizer = Tokenizer.from_file(str(path)) if whole else _around_vocabulary(path, settings)
        _require_special_tokens(path, tokenizer.get_vocab())
        apply_settings(tokenizer, settings, path)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer
    except MinibertError:
        raise
    except Exception as error:  # the library raises bare Exceptions
        raise MinibertError(f"{path}: cannot be read as a tokenizer ({error}).") from error


@contextmanager
def whole_texts(tokenizer: Tokenizer, spelt_out: bool) -> Iterator[None]:
    """Within this context the tokenizer neither pads nor cuts texts. Afterwards its settings are restored.

    ``spelt_out``: a special token in a text, such as [MASK], is read as ordinary characters.
    """
    spelling, padding, truncation = tokenizer.encode_special_tokens, tokenizer.padding, tokenizer.truncation
    if spelling != spelt_out:
        tokenizer.encode_special_tokens = spelt_out
    if padding:
        tokenizer.no_padding()
    if truncation:
        tokenizer.no_truncation()
    try:
        yield
    finally:
        if spelling != spelt_out:
            tokenizer.encode_special_tokens = spelling
        if padding:
            tokenizer.enable_padding(**padding)
        if truncation:
            tokenizer.enable_truncation(**truncation)


def encode_texts(tokenizer: Tokenizer, texts: Sequence, is_pretokenized: bool = False) -> list[Encoding]:
    """[CLS] text [SEP] of every text, or of every list of words, whole. [MASK] in a text is a mask."""
    with whole_texts(tokenizer, spelt_out=False):
        return tokenizer.encode_batch(list(texts), is_pretokenized=is_pretokenized)


def encode_documents(tokenizer: Tokenizer, texts: Sequence[str], lost: Lost | None = None) -> list[np.ndarray]:
    """The token ids of every text, (n,) int32 each, without [CLS] and [SEP].

    A special token that is spelt out in a text is read as ordinary characters. ``lost`` counts the characters that
    become [UNK]. No token spans white space, so that each word is encoded once, however often it occurs.
    """
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    words = [_numbered(text, numbers) for text in texts]
    with whole_texts(tokenizer, spelt_out=True):
        encoded = [np.empty(0, np.int32)]
        for batch in _batches(numbers):
            found = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            encoded += [np.array(encoding.ids, np.int32) for encoding in found]
        sizes, ids = np.array([len(each) for each in encoded[1:]], np.int64), np.concatenate(encoded)
        if lost is not None:
            times = np.bincount(np.concatenate([np.empty(0, np.int64), *words]), minlength=len(numbers))
            unknown = {int(place) for place in np.repeat(np.arange(len(sizes)), sizes)[ids == UNK]}
            for word, number in numbers.items():
                lost.add(tokenizer, word, int(times[number]), number in unknown)
    starts = np.cumsum(sizes) - sizes
    return [ids[_runs(starts[own], sizes[own])] for own in words]


def _numbered(text: str, numbers: Mapping[str, int]) -> np.ndarray:
    """The numbers of the words of a text, which are what stands between white space."""
    words = chain.from_iterable(piece.replace("\t", " ").split(" ") for piece in _pieces(text))
    return np.fromiter(map(numbers.__getitem__, words), np.int64)


def _runs(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The places of one run after the other, each from its start.

    >>> _runs(np.array([7, 2]), np.array([2, 3])).tolist()
    [7, 8, 2, 3, 4]
    """
    ends = np.cumsum(sizes)
    return np.arange(sizes.sum()) + np.repeat(starts - (ends - sizes), sizes)


def _batches(words: Iterable[str]) -> Iterator[list[str]]:
    """The words, as lists that hold about :data:`CHARACTERS_AT_ONCE`."""
    batch, size = [], 0
    for word in words:
        batch.append(word)
        size += len(word)
        if size >= CHARACTERS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _pieces(text: str) -> Iterator[str]:
    """A text, cut at line breaks, and in long lines at other white space.

    No token spans white space, so pieces give the same ids as the whole text, with less memory and on all cores.
    """
    for line in text.split("\n"):
        start = 0
        while len(line) - start > PIECE:
            gap = WHITE_SPACE.search(line, start + PIECE)
            if gap is None:
                break
            yield line[start : gap.start()]
            start = gap.end()
        if rest := line[start:]:
            yield rest


def _empty_tokenizer(
    vocabulary: dict[str, int], lowercase: bool, strip_accents: bool | None, longest_word: int = 100
) -> Tokenizer:
    """BERT's pipeline around a vocabulary: normaliser, words and punctuation, WordPiece, [CLS] … [SEP]."""
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=longest_word))
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder()
    if vocabulary:
        tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
        tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
        )
    return tokenizer


def _around_vocabulary(path: Path, settings: dict) -> Tokenizer:
    """BERT's pipeline around a vocab.txt, a token a line."""
    require_bert(settings, path)
    tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    vocabulary: dict[str, int] = {}
    for index, token in enumerate(tokens):
        if vocabulary.setdefault(token, index) != index:
            raise MinibertError(
                f"{path}: line {index + 1} has the token {token!a} of line {vocabulary[token] + 1} again. "
                "Allowed: every token once."
            )
    _require_special_tokens(path, vocabulary)
    # Without a setting of their own, accents are stripped if the text is lower-cased.
    return _empty_tokenizer(vocabulary, lowercase=True, strip_accents=None)


def _require_special_tokens(path: Path, vocabulary: dict[str, int]) -> None:
    missing = [token for token in SPECIAL_TOKENS if token not in vocabulary]
    if missing:
        raise MinibertError(f"{path}: lacks {', '.join(missing)}. Allowed: tokenizers of BERT.")


def _alphabet(texts: Sequence[str], tokenizer: Tokenizer, largest: int) -> list[str]:
    """The ``largest`` most frequent characters of the normalised texts, sorted. Others become [UNK]."""
    raw = Counter()
    for text in texts:
        raw.update(text)
    counts = Counter()
    for character, times in raw.items():
        for normalised in tokenizer.normalizer.normalize_str(character):
            if not normalised.isspace():
                counts[normalised] += times
    return sorted(sorted(counts, key=lambda character: (-counts[character], character))[:largest])


def _continues_words(character: str, tokenizer: Tokenizer) -> bool:
    """Whether the character may be inside a word: punctuation and Chinese characters are words of their own."""
    return len(tokenizer.pre_tokenizer.pre_tokenize_str("a" + character)) == 1

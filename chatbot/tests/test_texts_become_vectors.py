"""The model in numpy against values that PyTorch computed from the same weights, once."""

from __future__ import annotations

import math

import pytest

from chatbot.core.pieces import MOST_TOKENS
from chatbot.integrations import minilm

TEXTS = (
    "A man is eating food.",
    "A man eats a piece of bread.",
    "The girl is carrying a baby.",
    "How do refunds work?",
    "Refunds are possible within 30 days of purchase.",
)
# PyTorch 2.13 on the CPU, mean pooling; the cosines of each with each, and the first four numbers of each vector.
COSINES = (
    (1.000000, 0.737412, -0.104959, 0.011895, 0.005929),
    (0.737412, 1.000000, -0.071101, 0.022292, -0.010468),
    (-0.104959, -0.071101, 1.000000, 0.037249, 0.035912),
    (0.011895, 0.022292, 0.037249, 1.000000, 0.685461),
    (0.005929, -0.010468, 0.035912, 0.685461, 1.000000),
)
BEGINNINGS = (
    (0.033242, 0.004406, -0.006277, 0.048379),
    (0.038637, 0.058197, -0.004043, -0.006017),
    (-0.036309, -0.035653, -0.027223, 0.03832),
    (-0.100598, 0.028369, 0.055737, 0.012348),
    (-0.081225, 0.022756, 0.052257, -0.003819),
)


def cosine(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def test_the_vectors_are_those_of_the_official_model() -> None:
    """To five digits, in a batch of texts of different length."""
    vectors = minilm.load().embed(TEXTS)
    for vector, beginning in zip(vectors, BEGINNINGS, strict=True):
        assert vector[:4] == pytest.approx(beginning, abs=2e-6)
    for vector, row in zip(vectors, COSINES, strict=True):
        assert [cosine(vector, other) for other in vectors] == pytest.approx(row, abs=1e-5)


def test_a_batch_changes_nothing() -> None:
    """Padding is not read: a text has the same vector alone and beside a long one."""
    model = minilm.load()
    alone = model.embed([TEXTS[0]])[0]
    beside = model.embed([TEXTS[0], "word " * 200])[0]
    assert cosine(alone, beside) == pytest.approx(1, abs=1e-6)


def test_what_is_too_long_is_read_to_the_limit() -> None:
    """Beyond the limit more words change nothing, and nothing breaks."""
    model = minilm.load()
    full, longer = model.embed(["word " * (MOST_TOKENS - 2), "word " * 1000])
    assert cosine(full, longer) == pytest.approx(1, abs=1e-6)

"""Document → passages with vectors, on one core: cut by the tokenizer and embedded by the model in numpy, as a worker does.

Beside it, in the same run: the matrix products of one passage alone, which no code around them can undercut.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from chatbot.core.outline import outline_of_markdown
from chatbot.core.passages import embedded_text
from chatbot.core.pieces import MOST_TOKENS, cut
from chatbot.integrations import minilm
from chatbot.integrations.embeddings import BATCH

PARAGRAPHS = 160
_LAYERS, _WIDTH, _WIDE = 6, 384, 1536


def measure() -> dict[str, Any]:
    model = minilm.load()
    text = "".join(
        f"\n\n{f'# Chapter {n // 20}' if n % 20 == 0 else ''}\n\nPump {n} is oiled in spring, and its seal is changed every"
        f" {n % 7 + 1} years by whoever holds the licence for the site; the record of it is kept with the keys."
        * 4
        for n in range(PARAGRAPHS)
    )
    pieces = cut(outline_of_markdown(text), model.tokens)
    began, wall = time.process_time(), time.perf_counter()
    texts = [embedded_text(piece) for piece in cut(outline_of_markdown(text), model.tokens)]
    for start in range(0, len(texts), BATCH):
        model.embed(texts[start : start + BATCH])
    seconds, passed = time.process_time() - began, time.perf_counter() - wall
    products = _products()
    return {
        "target": ">= 5 passages a second on one core",
        "passages": len(pieces),
        "mean_tokens": round(sum(len(model.tokens(each)) for each in texts) / len(texts)),
        "passages_per_second_of_one_core": round(len(pieces) / seconds, 1),
        "passages_per_second_by_the_clock": round(len(pieces) / passed, 1),
        "milliseconds_each": round(seconds / len(pieces) * 1000, 1),
        "matrix_products_alone_ms": round(products * 1000, 1),
    }


def _products() -> float:
    """The dense layers of one passage of MOST_TOKENS, without anything between them."""
    hidden = np.ones((MOST_TOKENS, _WIDTH), dtype=np.float32)
    wide = np.ones((MOST_TOKENS, _WIDE), dtype=np.float32)
    qkv, out = np.ones((_WIDTH, 3 * _WIDTH), dtype=np.float32), np.ones((_WIDTH, _WIDTH), dtype=np.float32)
    up, down = np.ones((_WIDTH, _WIDE), dtype=np.float32), np.ones((_WIDE, _WIDTH), dtype=np.float32)
    rounds = 10
    began = time.process_time()
    for _ in range(rounds * _LAYERS):
        for left, right in ((hidden, qkv), (hidden, out), (hidden, up), (wide, down)):
            left @ right
    return (time.process_time() - began) / rounds


if __name__ == "__main__":
    import json

    print(json.dumps(measure(), indent=2))

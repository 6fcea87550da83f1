"""The given runbook to the model, beside markdown-it-py alone on the same text."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from bench.statistics_of import milliseconds
from responder.runbooks.reader import parse_runbook

GIVEN = Path(__file__).parents[1] / "responder" / "tests" / "runbook-as-given.md"
ROUNDS = 60
WARM = 5


def measure() -> dict[str, Any]:
    text = GIVEN.read_text(encoding="utf-8")
    markdown = MarkdownIt("commonmark").enable("table")
    ours, bare = _timed(lambda: parse_runbook(text, path="x.md")), _timed(lambda: markdown.parse(text))
    whole, alone = milliseconds(ours), milliseconds(bare)
    return {
        "target": "p50 <= 25 ms",
        "runbook_to_model": whole,
        "markdown_it_alone": alone,
        "ratio_p50": round(whole["p50_ms"] / alone["p50_ms"], 2),
    }


def _timed(work: Callable[[], object]) -> list[float]:
    seconds: list[float] = []
    for _ in range(ROUNDS + WARM):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds[WARM:]

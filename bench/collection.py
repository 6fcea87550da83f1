"""Five hundred runbooks to the model, beside markdown-it-py alone on the same texts: generated ones, or a folder of real ones."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from responder.runbooks.reader import parse_runbook

FILES = 500
ROUNDS = 5
_TEXT = "the queue grows when a worker stops or its database answers late so look at both before anything is restarted"
_WORDS = _TEXT.split()
_COMMANDS = (
    "kubectl -n $NAMESPACE get pods -o wide", "kubectl logs deploy/worker --tail=100 | grep -i error", "df -h",
    "journalctl -u worker -n 50", "curl -s http://127.0.0.1:8080/health", "redis-cli info memory", "systemctl status worker",
    "tail -f /var/log/worker.log",
)  # fmt: skip
_QUERIES = (
    'rate(http_requests_total{status=~"5.."}[5m])',
    "histogram_quantile(0.95, sum by (le) (rate(x_seconds_bucket[5m])))",
    "up == 0",
)
_SQL = (
    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active';",
    "SELECT pid, query FROM pg_stat_activity ORDER BY query_start LIMIT 10;",
)


def measure() -> dict[str, Any]:
    folder = os.environ.get("BENCH_CORPUS")
    texts = _real(Path(folder)) if folder else [_generated(number) for number in range(FILES)]
    markdown = MarkdownIt("commonmark").enable("table")
    ours = _seconds(lambda: [parse_runbook(text, path=f"Alert{n}.md") for n, text in enumerate(texts)])
    alone = _seconds(lambda: [markdown.parse(text) for text in texts])
    return {
        "target": "500 files <= 2 s",
        "texts": "a folder of real runbooks" if folder else "generated, of varied shape",
        "files": len(texts),
        "megabytes": round(sum(len(text.encode()) for text in texts) / 1e6, 2),
        "to_model_s": ours,
        "markdown_it_alone_s": alone,
        "ratio": round(ours / alone, 2),
    }


def _seconds(work: Callable[[], object]) -> float:
    """The best of some rounds: what the work takes when nothing else has the processor."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return round(best, 3)


def _real(folder: Path) -> list[str]:
    files = sorted(path for path in folder.rglob("*.md") if path.is_file())[:FILES]
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in files)
    return [text for text in texts if text.strip()]


def _generated(number: int) -> str:
    """A runbook of a shape that the number decides: one alert or several, facts in some dress, fences of all languages."""
    chance = random.Random(number)  # noqa: S311 - the same texts every time, no secret
    alerts = chance.choice((1, 1, 1, 2, 4))
    level = "#" if alerts == 1 else "##"
    parts = ["# Alerts of a service", ""] if alerts > 1 else []
    for alert in range(alerts):
        parts += [f"{level} ServiceAlert{number}x{alert}", "", *_facts(chance), ""]
        for heading in ("Meaning", "Impact", "Diagnosis", "Mitigation", "Escalation"):
            parts += [f"{level}# {heading}", "", *_part(chance, heading), ""]
    return "\n".join(parts)


def _facts(chance: random.Random) -> list[str]:
    severity, threshold = chance.choice(("P0", "critical", "SEV2", "warning")), ">5% error rate for 5 minutes"
    return chance.choice(
        (
            [f"**Severity:** {severity}  ", f"**Threshold:** {threshold}"],
            [f"- Severity: {severity}", f"- Threshold: {threshold}"],
            ["| Severity | Threshold |", "|---|---|", f"| {severity} | {threshold} |"],
        )
    )


def _part(chance: random.Random, heading: str) -> list[str]:
    if heading == "Escalation":
        return [
            "- **No improvement after 15 min:** Escalate to engineering lead",
            "- **P0:** Page on-call engineer",
        ]
    if heading not in {"Diagnosis", "Mitigation"}:
        return [_sentence(chance) for _ in range(chance.randint(1, 4))]
    rows: list[str] = []
    for step in range(chance.randint(2, 6)):
        language, texts = chance.choice((("sh", _COMMANDS), ("promql", _QUERIES), ("sql", _SQL)))
        body = chance.sample(texts, k=min(len(texts), chance.randint(1, 3)))
        rows += [
            f"{step + 1}. {_sentence(chance)}",
            "",
            f"   ```{language}",
            *(f"   {row}" for row in body),
            "   ```",
            "",
        ]
    return rows


def _sentence(chance: random.Random) -> str:
    return f"{' '.join(chance.choices(_WORDS, k=chance.randint(6, 24))).capitalize()}."

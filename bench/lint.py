"""`responder check` over a thousand rules, beside `promtool check rules` on the same files in the same run.

Whole processes are timed, from start to exit. The rules are in the forms of the project's own; the runbook has an entry for each.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.statistics_of import milliseconds

ROOT = Path(__file__).parents[1]
RULES = 1000
FILES = 10
ROUNDS = 9

# In turn: a ratio with its floor, a state over time, a quantile, a count, an age.
EXPRESSIONS = (
    'sum(rate(requests_total{service="s%d",status=~"5.."}[5m])) / sum(rate(requests_total{service="s%d"}[5m])) > 0.05'
    ' and sum(rate(requests_total{service="s%d"}[5m])) > 0.2',
    'avg_over_time(circuit_breaker_state{service="s%d",state="open"}[5m]) > 0.5',
    'histogram_quantile(0.95, sum by (le) (rate(duration_seconds_bucket{service="s%d"}[5m]))) > 5',
    'sum(pool_connections{service="s%d",state="used"}) > 90',
    'time() - last_success_timestamp_seconds{service="s%d"} > 24 * 60 * 60',
)
THRESHOLDS = (
    ">5% error rate for 5 minutes", "Breaker open for 5 minutes", "p95 > 5 seconds for 5 minutes",
    ">90 connections for 5 minutes", "age > 1 day for 5 minutes",
)  # fmt: skip


def measure() -> dict[str, Any]:
    promtool = shutil.which("promtool") or shutil.which(
        "promtool", path=str(ROOT / ".stack" / "system" / "usr" / "bin")
    )
    assert promtool, "promtool is missing; run: sudo apt-get install prometheus"
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = _write(folder)
        check = [sys.executable, "-c", "from responder.cli import main; main()", "check"]
        arguments = [str(folder / "runbook.md"), "--rules", *files, "--format", "json"]
        start = [*check, str(_small(folder))]
        times: dict[str, list[tuple[float, float]]] = {"check": [], "start_alone": [], "promtool": []}
        for _ in range(ROUNDS):
            times["check"].append(_timed([*check, *arguments], codes={0, 1}))
            times["start_alone"].append(_timed(start, codes={0}))
            times["promtool"].append(_timed([promtool, "check", "rules", *files], codes={0}))
    found = {name: milliseconds([clock for clock, _ in pairs]) for name, pairs in times.items()}
    processor = {name: milliseconds([spent for _, spent in pairs])["p50_ms"] for name, pairs in times.items()}
    return {
        "target": "p50 <= 2000 ms for 1000 rules and 1000 entries",
        "rules": RULES,
        "entries": RULES,
        **found,
        "processor_p50_ms": processor,
        "load_average": round(os.getloadavg()[0], 1),
        "ratio_p50_to_promtool": round(found["check"]["p50_ms"] / found["promtool"]["p50_ms"], 2),
    }


def _write(folder: Path) -> list[str]:
    entries = "\n".join(
        f"## Fault {n}\n\n**Alert:** `Fault{n}`  \n**Severity:** Critical (P0)  \n**Threshold:** {_nth(THRESHOLDS, n)}\n\n"
        "### Investigation Steps\n\n1. **Look**\n   ```promql\n   sum by (route) (rate(requests_total[5m]))\n   ```\n\n"
        "### Escalation\n- **P0:** Page on-call engineer\n"
        for n in range(RULES)
    )
    (folder / "runbook.md").write_text(f"# Runbook\n\n{entries}", encoding="utf-8")
    files: list[str] = []
    for number in range(FILES):
        rows = [f"groups:\n- name: g{number}\n  rules:"]
        for n in range(number, RULES, FILES):
            expr = _nth(EXPRESSIONS, n).replace("%d", str(n))
            rows.append(
                f"  - alert: Fault{n}\n    expr: '{expr}'\n    for: 5m\n    labels: {{severity: P0}}\n"
                f"    annotations:\n      summary: '{{{{ $value }}}} of s{n}'"
            )
        path = folder / f"{number}.rules.yml"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        files.append(str(path))
    return files


def _nth(choices: tuple[str, ...], n: int) -> str:
    return choices[n % len(choices)]


def _small(folder: Path) -> Path:
    path = folder / "small.md"
    path.write_text("# Nothing\n\nText.\n", encoding="utf-8")
    return path


def _timed(command: list[str], *, codes: set[int]) -> tuple[float, float]:
    """Seconds by the clock, and seconds of a processor: on a busy machine only the second says something."""
    began, used = time.perf_counter(), _processor()
    done = subprocess.run(command, capture_output=True, check=False)
    seconds = time.perf_counter() - began
    assert done.returncode in codes, done.stderr.decode()
    return seconds, _processor() - used


def _processor() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime

"""The month as Prometheus would have scraped it: series in OpenMetrics text, a file a day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from replay.month import DAY, MINUTE, STEP, Floats, Month

START = 1_767_225_600  # 2026-01-01, midnight
# How often a series is scraped: what no rule looks at within a minute needs no more than these.
EVERY_STEP, EVERY_MINUTE = 1, MINUTE
JOB = 'job="bitb-chatbot",instance="chatbot:8801"'
POSTGRES = 'job="postgres",instance="exporter:9187",server="db:5432"'


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its family, whether that is a counter, the labels, a value a step (NaN: not measured)."""

    family: str
    kind: str
    name: str
    values: Floats
    every: int = EVERY_STEP


def series_of(month: Month) -> list[Series]:
    """Everything that the rules read. Families stand together, as the format wants it."""
    failed = month.rng.binomial(month.requests.astype(int), month.error_share).astype(float)
    found = [
        _counter(month, "http_requests", 'status="200"', month.requests - failed, EVERY_STEP),
        _counter(month, "http_requests", 'status="500"', failed, EVERY_STEP),
        Series("up", "gauge", f"up{{{JOB}}}", month.up),
    ]
    for part, values in month.probes.items():
        path = "" if part == "service" else f"/{part}"
        labels = f'job="health",instance="http://chatbot:8801/api/health{path}",part="{part}"'
        found.append(Series("probe_success", "gauge", f"probe_success{{{labels}}}", values))
    found += _answers(month)
    found += _database(month)
    found += [
        _counter(month, "auth_attempts", 'tenant_id="acme",ip="other",status="success"', month.requests, EVERY_MINUTE),
        _counter(month, "auth_attempts", 'tenant_id="acme",ip="other",status="failed"', month.auth_failed, EVERY_STEP),
        _counter(month, "tenant_isolation_violations", 'tenant_id="unknown",source="retrieval"', 0 * month.up, EVERY_MINUTE),
    ]  # fmt: skip
    # A tenant's series begins with its first violation.
    seen = np.where(month.violations > 0, month.violations, np.nan)
    name = f'tenant_isolation_violations_total{{{JOB},tenant_id="acme",source="cache"}}'
    return [*found, Series("tenant_isolation_violations", "counter", name, seen, EVERY_MINUTE)]


def _answers(month: Month) -> Iterator[Series]:
    for breaker, values in month.breaker.items():
        name = f'circuit_breaker_state{{{JOB},breaker="{breaker}",state="open"}}'
        yield Series("circuit_breaker_state", "gauge", name, _seen(month, values))
    unaided = np.floor(month.requests * month.unaided_share)
    by_fallback = np.where(month.breaker["groq"] > 0, month.requests - unaided, 0)
    kinds = {
        "generated": month.requests - unaided - by_fallback,
        "fallback": by_fallback,
        "extractive": unaided,
        "incomplete": 0 * month.requests,
    }
    for kind, values in kinds.items():
        yield _counter(month, "chat_answers", f'kind="{kind}"', values, EVERY_MINUTE)
    slow = month.rng.binomial(month.requests.astype(int), month.slow_share).astype(float)
    for edge, values in {"2.5": (month.requests - slow) * 0.9, "5.0": month.requests - slow, "10.0": month.requests,
                         "+Inf": month.requests}.items():  # fmt: skip
        name = f'rag_query_duration_seconds_bucket{{{JOB},le="{edge}"}}'
        yield Series("rag_query_duration_seconds", "histogram", name, _counted(month, values), EVERY_MINUTE)
    count = f"rag_query_duration_seconds_count{{{JOB}}}"
    yield Series(
        "rag_query_duration_seconds", "histogram", count, _counted(month, month.requests), EVERY_MINUTE
    )


def _database(month: Month) -> Iterator[Series]:
    states = {
        "active": month.active,
        "idle in transaction": month.idle_in_transaction,
        "idle": 0 * month.active,
    }
    for state, values in states.items():
        name = f'pg_stat_activity_count{{{POSTGRES},datname="chatbot",state="{state}"}}'
        yield Series(
            "pg_stat_activity_count", "gauge", name, values, EVERY_STEP if state != "idle" else EVERY_MINUTE
        )
    for setting, value in (("max_connections", 103), ("superuser_reserved_connections", 3)):
        family = f"pg_settings_{setting}"
        yield Series(
            family, "gauge", f"{family}{{{POSTGRES}}}", np.full(month.steps, float(value)), EVERY_MINUTE
        )
    for state, values in (("in_use", month.pool_in_use), ("max", np.full(month.steps, 10.0))):
        name = f'db_pool_connections{{{JOB},state="{state}"}}'
        yield Series("db_pool_connections", "gauge", name, _seen(month, values), EVERY_MINUTE)
    waiting = f"db_pool_waiting_requests{{{JOB}}}"
    yield Series("db_pool_waiting_requests", "gauge", waiting, _seen(month, month.pool_waiting), EVERY_MINUTE)


def _seen(month: Month, values: Floats) -> Floats:
    return np.where(month.unseen, np.nan, values)


def _counter(month: Month, family: str, labels: str, increments: Floats, every: int) -> Series:
    return Series(family, "counter", f"{family}_total{{{JOB},{labels}}}", _counted(month, increments), every)


def _counted(month: Month, increments: Floats) -> Floats:
    """What a process counts: from zero after each restart, nothing while it is dead."""
    counted = np.cumsum(np.where(month.up > 0, increments, 0.0))
    for at in sorted(month.restarts):
        counted[at:] -= counted[at]
    return _seen(month, counted)


def write(month: Month, folder: Path) -> list[Path]:
    """A file for each day: each is read once for every block of two hours that it fills."""
    folder.mkdir(parents=True)
    found = series_of(month)
    return [_write_day(found, folder / f"{day:02}.om", day) for day in range(month.days)]


def _write_day(found: list[Series], path: Path, day: int) -> Path:
    with path.open("w", encoding="ascii") as file:
        family = ""
        for series in found:
            if series.family != family:
                family = series.family
                file.write(f"# TYPE {family} {series.kind}\n")
            steps = np.arange(day * DAY, (day + 1) * DAY, series.every)
            values = series.values[steps]
            file.writelines(
                f"{series.name} {value:g} {START + step * STEP}\n"
                if value < 1e6
                else f"{series.name} {value:.0f} {START + step * STEP}\n"
                for step, value in zip(
                    steps[~np.isnan(values)].tolist(), values[~np.isnan(values)].tolist(), strict=True
                )
            )
        file.write("# EOF\n")
    return path

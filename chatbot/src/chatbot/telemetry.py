"""Structured log and metrics. The metrics' names are a contract with the runbook and its rules."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from prometheus_client import Counter, Gauge, Histogram

# Edges at the runbook's thresholds (5 s, 10 s) and well beyond, so that a quantile can be told from its limit.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Counter("http_requests_total", "Requests of the product's routes.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds", "Until the answer began.", ["route"], buckets=SECONDS
)
BREAKER_FAILURES = Counter("circuit_breaker_failures_total", "Failures that a breaker counted.", ["breaker"])
BREAKER_STATE = Gauge("circuit_breaker_state", "1 for the state a breaker is in.", ["breaker", "state"])
AUTH_ATTEMPTS = Counter("auth_attempts_total", "Attempts to authenticate.", ["status", "tenant_id", "ip"])
ISOLATION_VIOLATIONS = Counter(
    "tenant_isolation_violations_total", "Data of one tenant met under another.", ["tenant_id", "source"]
)
VECTOR_SECONDS = Histogram("vector_search_duration_seconds", "Search for passages.", buckets=SECONDS)
LLM_SECONDS = Histogram(
    "llm_generation_duration_seconds", "A whole generation.", ["provider"], buckets=SECONDS
)
RAG_SECONDS = Histogram("rag_query_duration_seconds", "From question to the last token.", buckets=SECONDS)
CACHE_HITS = Counter("rag_cache_hits_total", "Answers given from the cache.")
CACHE_MISSES = Counter("rag_cache_misses_total", "Answers that were not in the cache.")
QUEUE_DEPTH = Gauge("queue_jobs", "Jobs in the queue, by state.", ["state"])
QUEUE_AGE = Gauge("queue_oldest_job_age_seconds", "Age of the oldest waiting job.")
POOL = Gauge("db_pool_connections", "Connections of the pool, by state.", ["state"])
CANARIES = Counter("queue_canaries_total", "Canary jobs that the worker did.")


def present_from_the_start(routes: list[tuple[str, str]]) -> None:
    """Series that rules count on exist at 0 before anything happens: a counter that first appears at 1 hides its first."""
    for method, route in routes:
        for status in ("200", "500", "502", "503"):
            REQUESTS.labels(method=method, route=route, status=status)
    for source in ("retrieval", "cache", "queue", "probe"):
        ISOLATION_VIOLATIONS.labels(tenant_id="none", source=source)
    for status in ("success", "failed"):
        AUTH_ATTEMPTS.labels(status=status, tenant_id="unknown", ip="other")


class LogFiles:
    """Writes every event to chatbot.log, and errors to error.log as well; both also to standard output."""

    def __init__(self, folder: Path | None) -> None:
        self._all: TextIO | None = None
        self._errors: TextIO | None = None
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            self._all = (folder / "chatbot.log").open("a", encoding="utf-8", buffering=1)
            self._errors = (folder / "error.log").open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        for file in (self._all, self._errors):
            if file:
                file.close()

    def __call__(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
        line = json.dumps(event, ensure_ascii=False, default=str)
        if self._all:
            self._all.write(line + "\n")
        if self._errors and event.get("level") in {"ERROR", "CRITICAL"}:
            self._errors.write(line + "\n")
        return line


def _upper_level(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # The runbook's step looks for "ERROR".
    event["level"] = name.upper().replace("EXCEPTION", "ERROR")
    return event


def configure_logging(folder: Path | None) -> LogFiles:
    """JSON lines: one event name and its fields. The files are closed by whoever called."""
    files = LogFiles(folder)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _upper_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            files,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    return files

"""Structured log and metrics. Names here are the whole list; the reference names each."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram

WEBHOOKS = Counter("responder_webhooks_total", "Deliveries of Alertmanager, by answer.", ["status"])
SECURITY_EVENTS = Counter(
    "responder_security_events_total", "Security events, by what became of them.", ["result"]
)
ALERTS = Counter("responder_alerts_total", "Alerts accepted that were new.")
DECISIONS = Counter("responder_decisions_total", "Decisions taken, by stage and reason.", ["stage", "reason"])
STAGE_RUNS = Counter(
    "responder_stage_runs_total", "Rows worked on, by stage and result.", ["stage", "result"]
)
STAGE_SECONDS = Histogram(
    "responder_stage_duration_seconds",
    "How long a row took, by stage.",
    ["stage"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
PAGES = Counter("responder_pages_total", "Pages, by channel and result.", ["channel", "result"])
PAGE_DWELL = Histogram(
    "responder_page_dwell_seconds",
    "From a page's being due to its being sent.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
HEARTBEAT = Gauge("responder_worker_heartbeat_timestamp_seconds", "When the worker's loop last went round.")


def configure_logging(*, level: str) -> None:
    """JSON lines on standard output: one event name and its fields."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )

"""Structured log and metrics. Names here are the whole list; the reference names each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from logging.handlers import WatchedFileHandler
from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from structlog.typing import EventDict, Processor

from chatbot.core.violation import Source

# A second series for each counter that no rule reads.
disable_created_metrics()

# Edges at 5, 10, 30 and 60 s, where the alerts look.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

HTTP_REQUESTS = Counter("http_requests", "Product requests answered.", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "http_request_duration_seconds",
    "From a product request's head to the end of its answer.",
    ["method", "route"],
    buckets=SECONDS,
)
ANSWERS = Counter("chat_answers", "Answers, by how they came about.", ["kind"])
RAG_SECONDS = Histogram(
    "rag_query_duration_seconds", "From question to the end of the answer.", buckets=SECONDS
)
SEARCH_SECONDS = Histogram(
    "vector_search_duration_seconds",
    "Finding and reading the passages that fit best, once the question has its vector.",
    buckets=SECONDS,
)
EMBED_SECONDS = Histogram("question_embedding_seconds", "From a question to its vector.", buckets=SECONDS)
INGEST_SECONDS = Histogram(
    "document_ingest_seconds",
    "From a worker's taking a document to its passages' answering.",
    buckets=SECONDS,
)
DOCUMENTS = Counter("documents_ingested", "Documents worked on, by how it ended.", ["result"])
LLM_SECONDS = Histogram(
    "llm_generation_duration_seconds", "From asking a model to the end of its answer.", buckets=SECONDS
)
FIRST_TOKEN_SECONDS = Histogram(
    "llm_first_token_seconds", "From asking a model to its first token.", ["provider"], buckets=SECONDS
)
RETRIES = Counter("llm_retries", "Calls of a model made again before its first token.", ["provider"])
TOKENS = Counter(
    "llm_tokens",
    "Tokens that answers cost, estimated where the provider does not say.",
    ["tenant_id", "kind"],
)
CACHE_HITS = Counter("rag_cache_hits", "Answers from the cache.")
CACHE_MISSES = Counter("rag_cache_misses", "Answers that the cache did not have.")
BREAKER_FAILURES = Counter("circuit_breaker_failures", "Failures that count against a provider.", ["breaker"])
BREAKER_STATE = Gauge(
    "circuit_breaker_state", "1 for the state that the breaker is in.", ["breaker", "state"]
)
AUTH_ATTEMPTS = Counter("auth_attempts", "Keys and tokens tried.", ["status", "tenant_id", "ip"])
PASSWORD_SECONDS = Histogram(
    "password_hash_seconds",
    "Hashing a password, by argon2id.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
ISOLATION_VIOLATIONS = Counter(
    "tenant_isolation_violations", "Foreign rows that were withheld.", ["tenant_id", "source"]
)
SECURITY_EVENTS = Counter(
    "security_events", "Tries to tell the responder of a violation, by result.", ["result"]
)
SECURITY_EVENTS_UNTOLD = Gauge(
    "security_events_untold", "Violations that the responder has not confirmed yet."
)
IP_BLOCKS = Gauge("ip_blocks", "Networks that are not answered.")
REFUSED = Counter("requests_refused", "Requests refused before anything was done for them.", ["reason"])
RATE_LIMITED = Counter("rate_limited", "Requests refused with 429, by the limit.", ["route", "who"])
RATE_LIMITS_LOCAL = Gauge("rate_limits_local", "1 while Redis is gone and each process counts for itself.")
ANSWER_PLACES = Gauge("answer_places", "Places to be answered in, and requests waiting for one.", ["state"])
ANSWER_WAIT = Histogram("answer_wait_seconds", "Waiting for a place to be answered in.", buckets=SECONDS)
SIGN_IN_DEMANDS = Counter(
    "sign_in_demands",
    "Attempts to sign in that had to wait, were given a challenge, or proved their work.",
    ["demand"],
)
ORDERS_OWED = Gauge("orders_owed", "Audit entries of flags and blocks that wait for PostgreSQL to come back.")
PROBES = Counter(
    "isolation_probes",
    "Rounds of the canary, by path: held, leaked, broken, unavailable.",
    ["path", "result"],
)
PROBED_AT = Gauge("isolation_probe_timestamp_seconds", "When the canary last went round every path.")
POOL = Gauge("db_pool_connections", "Connections of the database pool.", ["state"])
POOL_WAITING = Gauge("db_pool_waiting_requests", "Requests waiting for a database connection.")
QUEUE_DEPTH = Gauge("queue_depth", "Jobs, by state. NaN: Redis does not say.", ["queue", "state"])
QUEUE_AGE = Gauge(
    "queue_oldest_job_age_seconds", "Age of the job that has waited longest; 0 when none waits.", ["queue"]
)
CANARY_AGE = Gauge(
    "queue_canary_age_seconds", "Since the last canary job that a worker finished was sent.", ["queue"]
)
JOBS = Counter("queue_jobs", "Jobs that this worker finished.", ["queue", "name", "result"])
WORKER_HEARTBEAT = Gauge(
    "queue_worker_heartbeat_timestamp_seconds", "When this worker last finished a job.", ["queue"]
)

UNKNOWN_TENANT = "unknown"
OTHER_IP = "other"
VIOLATION_SOURCES = tuple(Source)
BREAKERS = ("groq", "openai")
BREAKER_STATES = ("closed", "open", "half_open", "forced_open")
AUTH_STATUSES = ("success", "failed")
STATUSES_FROM_THE_START = ("200", "500", "502")
REFUSALS = ("blocked", "wrong_host", "queue_full", "queue_timeout", "tenant_share")
ANSWER_KINDS = (
    "generated",
    "fallback",
    "extractive",
    "not_in_documents",
    "incomplete",
    "cancelled",
    "cached",
)

# A tenant's id is a label only for the first of them: the number of series stays bounded.
TENANT_LABELS = 200
_tenant_labels: set[str] = set()


def tenant_label(tenant_id: object) -> str:
    """The tenant's id, or 'other' once TENANT_LABELS of them have a series of their own."""
    label = str(tenant_id)
    if label in _tenant_labels:
        return label
    if len(_tenant_labels) >= TENANT_LABELS:
        return "other"
    _tenant_labels.add(label)
    return label


def show_tenants(tenants: Iterable[object]) -> None:
    """Makes the series of violations exist at 0 for each tenant that has a label of its own, and each source."""
    for tenant in tenants:
        label = UNKNOWN_TENANT if tenant == UNKNOWN_TENANT else tenant_label(tenant)
        for source in VIOLATION_SOURCES:
            ISOLATION_VIOLATIONS.labels(tenant_id=label, source=source)


class AddressLabels:
    """Which addresses have series of their own in `auth_attempts_total`, so that their number stays bounded."""

    # An address may try the tenants one by one: beyond so many pairs it is counted with the others.
    MOST_SERIES = 200

    def __init__(self) -> None:
        self._heavy: frozenset[str] = frozenset()
        self._pairs: set[tuple[str, str]] = set()

    def keep(self, heavy: frozenset[str]) -> None:
        """Removes the series of the addresses that are not among these."""
        for gone in {address for address, _ in self._pairs} - heavy:
            AUTH_ATTEMPTS.remove_by_labels({"ip": gone})
            self._pairs = {pair for pair in self._pairs if pair[0] != gone}
        self._heavy = heavy

    def take(self, address: str, tenant: str) -> bool:
        """Whether failures of the address at the tenant have a series of their own."""
        pair = (address, tenant)
        if address not in self._heavy or (pair not in self._pairs and len(self._pairs) >= self.MOST_SERIES):
            return False
        self._pairs.add(pair)
        return True


ADDRESS_LABELS = AddressLabels()


def initialise_series(*, product_routes: Iterable[tuple[str, str]], queue: str) -> None:
    """Makes the series that an alert reads exist at 0: a rate over a series that begins at 1 misses the first event."""
    for method, route in product_routes:
        HTTP_SECONDS.labels(method=method, route=route)
        for status in STATUSES_FROM_THE_START:
            HTTP_REQUESTS.labels(method=method, route=route, status=status)
    for kind in ANSWER_KINDS:
        ANSWERS.labels(kind=kind)
    show_tenants([UNKNOWN_TENANT])
    for result in ("told", "failed"):
        SECURITY_EVENTS.labels(result=result)
    for status in AUTH_STATUSES:
        AUTH_ATTEMPTS.labels(status=status, tenant_id=UNKNOWN_TENANT, ip=OTHER_IP)
    for demand in ("wait", "challenge", "proved"):
        SIGN_IN_DEMANDS.labels(demand=demand)
    for reason in REFUSALS:
        REFUSED.labels(reason=reason)
    for breaker in BREAKERS:
        BREAKER_FAILURES.labels(breaker=breaker)
        FIRST_TOKEN_SECONDS.labels(provider=breaker)
        RETRIES.labels(provider=breaker)
        show_breaker(breaker, "closed")
    for state in ("in_use", "idle", "max"):
        POOL.labels(state=state)
    QUEUE_AGE.labels(queue=queue)
    CANARY_AGE.labels(queue=queue).set(float("nan"))


_shown_breakers: dict[str, str] = {}


def show_breaker(breaker: str, state: str) -> None:
    """Sets the series of the breaker: 1 for `state`, 0 for the others. Called at every call, it has something to do at few."""
    if _shown_breakers.get(breaker) == state:
        return
    _shown_breakers[breaker] = state
    for each in BREAKER_STATES:
        BREAKER_STATE.labels(breaker=breaker, state=each).set(each == state)


def configure_logging(*, level: str, folder: Path | None) -> None:
    """JSON lines on standard output, and in `folder` as chatbot.log and, for errors only, error.log."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _upper_level,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Lines of other libraries (uvicorn, psycopg, bullmq) become JSON lines too.
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    for handler in _handlers(folder):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(level)


def _handlers(folder: Path | None) -> Iterable[logging.Handler]:
    yield logging.StreamHandler(sys.stdout)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Watched: whoever rotates the files may move them away.
    yield WatchedFileHandler(folder / "chatbot.log", encoding="utf-8")
    errors = WatchedFileHandler(folder / "error.log", encoding="utf-8")
    errors.setLevel(logging.ERROR)
    yield errors


def _upper_level(_: object, method: str, event: EventDict) -> EventDict:
    # Upper case, because the runbook's step is: grep "ERROR".
    record = event.get("_record")
    level = record.levelname if isinstance(record, logging.LogRecord) else method.upper()
    event["level"] = {"EXCEPTION": "ERROR", "WARN": "WARNING"}.get(level, level)
    return event

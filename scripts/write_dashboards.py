"""Writes deploy/grafana/dashboards/*.json: the service, a row for each alert with its threshold drawn, the objectives. `make docs`.

Panels 1 to 8 of the alerts' dashboard are where the rules' `dashboard` annotations lead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${source}"}
JOB = 'job="bitb-chatbot"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """`queries` are (expression, legend); `lines` are the thresholds to draw, with their colours."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    lines: tuple[tuple[float, str], ...] = ()
    says: str = ""
    kind: str = "timeseries"


def _quantile(name: str, by: str = "le") -> str:
    return f"histogram_quantile(0.95, sum by ({by}) (rate({name}_bucket{{{JOB}}}[5m])))"


SERVICE = (
    Panel(
        title="Requests",
        unit="reqps",
        queries=((f"sum by (status) (rate(http_requests_total{{{JOB}}}[5m]))", "{{status}}"),),
    ),
    Panel(
        title="Share that fails",
        unit="percentunit",
        queries=(
            ("job:http_requests_errors:ratio_rate5m", "5 minutes"),
            ("job:http_requests_errors:ratio_rate1h", "1 hour"),
        ),
    ),
    Panel(
        title="Time to an answer, p95",
        unit="s",
        queries=((_quantile("http_request_duration_seconds", "le, route"), "{{route}}"),),
    ),
    Panel(
        title="How answers come about",
        unit="ops",
        queries=((f"sum by (kind) (rate(chat_answers_total{{{JOB}}}[5m]))", "{{kind}}"),),
    ),
    Panel(
        title="Parts of an answer, p95",
        unit="s",
        queries=(
            (_quantile("vector_search_duration_seconds"), "search"),
            (_quantile("llm_generation_duration_seconds"), "model"),
        ),
    ),
    Panel(
        title="Health, from outside",
        unit="percentunit",
        queries=(('avg by (part) (avg_over_time(probe_success{job="health"}[2m]))', "{{part}}"),),
    ),
    Panel(
        title="Jobs waiting",
        queries=((f"max by (queue, state) (queue_depth{{{JOB}}})", "{{queue}} {{state}}"),),
    ),
    Panel(
        title="Age of the oldest job",
        unit="s",
        queries=((f"max by (queue) (queue_oldest_job_age_seconds{{{JOB}}})", "{{queue}}"),),
    ),
    Panel(
        title="Database pool",
        queries=(
            (f"sum by (state) (db_pool_connections{{{JOB}}})", "{{state}}"),
            (f"sum(db_pool_waiting_requests{{{JOB}}})", "waiting"),
        ),
    ),
    Panel(title="Processes that answer", queries=(('sum by (job) (up{job=~"bitb-.*"})', "{{job}}"),)),
)

RED, YELLOW = "red", "orange"
ALERTS = (
    Panel(
        title="HighErrorRate",
        unit="percentunit",
        lines=((0.05, YELLOW), (0.5, RED)),
        says="5% for 5 minutes; half within a minute",
        queries=(
            ("job:http_requests_errors:ratio_rate5m", "5 minutes"),
            ("job:http_requests_errors:ratio_rate1m", "1 minute"),
        ),
    ),
    Panel(
        title="ServiceDown",
        unit="percentunit",
        lines=((0.5, RED),),
        says="fires below the line: less than half of the probes of 2 minutes succeed",
        queries=(
            ('avg_over_time(probe_success{job="health"}[2m])', "{{instance}}"),
            ('max by (job) (up{job="bitb-chatbot"})', "process"),
        ),
    ),
    Panel(
        title="CircuitBreakerOpen",
        unit="percentunit",
        lines=((0.5, RED),),
        says="open for more than half of 5 minutes; P1 while the fallback works",
        queries=(
            ("breaker:circuit_breaker_open:avg5m", "{{breaker}} open"),
            ("job:chat_answers_unaided:ratio_rate5m", "answers without a model"),
        ),
    ),
    Panel(
        title="DatabaseConnectionPoolExhausted",
        unit="percentunit",
        lines=((0.9, RED),),
        says="90% of what the server gives, or of the pool while requests wait",
        queries=(
            ("server:pg_connections_busy:ratio", "busy"),
            ("server:pg_connections_taken:ratio", "taken"),
            ("job:db_pool_in_use:ratio2m", "pool"),
        ),
    ),
    Panel(
        title="SuspiciousAuthActivity",
        unit="ops",
        lines=((5, YELLOW), (50, RED)),
        says="5 failures a second for 5 minutes, 50 at once",
        queries=(
            ("job:auth_failures:rate5m", "failed, 5 minutes"),
            ("job:auth_failures:rate1m", "failed, 1 minute"),
        ),
    ),
    Panel(
        title="TenantIsolationViolation",
        lines=((1, RED),),
        says="none is allowed",
        queries=(
            (
                f"sum by (tenant_id, source) (increase(tenant_isolation_violations_total{{{JOB}}}[15m]))",
                "{{tenant_id}} {{source}}",
            ),
        ),
    ),
    Panel(
        title="HighRAGLatency",
        unit="s",
        lines=((5, YELLOW), (10, RED)),
        says="p95 above 5 s for 10 minutes; above 10 s for 20 minutes it is P0",
        queries=(("job:rag_query_duration_seconds:p95_5m", "p95"),),
    ),
    Panel(
        title="APIAvailabilityLow",
        unit="percentunit",
        lines=((0.001, YELLOW), (0.0144, RED)),
        says="14.4 times the allowed share over an hour, 6 times over six hours",
        queries=(
            ("job:http_requests_errors:ratio_rate5m", "5 minutes"),
            ("job:http_requests_errors:ratio_rate1h", "1 hour"),
            ("job:http_requests_errors:ratio_rate6h", "6 hours"),
            ("job:http_requests_errors:ratio_rate3d", "3 days"),
        ),
    ),
)

OBJECTIVES = (
    Panel(
        title="What is left of the month's budget",
        kind="stat",
        unit="percentunit",
        lines=((0, RED), (0.25, YELLOW)),
        queries=(("slo:error_budget_left:ratio", "{{slo}}"),),
    ),
    Panel(
        title="How fast it is spent",
        lines=((1, YELLOW), (14.4, RED)),
        says="1 spends the budget in just 30 days",
        queries=(("slo:burn:rate1h", "{{slo}}"),),
    ),
    Panel(
        title="Kept in 30 days",
        unit="percentunit",
        queries=(("1 - slo:bad:ratio_rate30d", "{{slo}}"), ("slo:objective:ratio", "{{slo}}, promised")),
    ),
    Panel(
        title="Left of the budget, over time",
        unit="percentunit",
        lines=((0, RED),),
        queries=(("slo:error_budget_left:ratio", "{{slo}}"),),
    ),
)


def dashboard(uid: str, title: str, panels: Sequence[Panel], *, rows: bool = False) -> dict[str, Any]:
    """A dashboard as Grafana reads it; with `rows`, each panel has a row of its own and its whole width."""
    shown: list[dict[str, Any]] = []
    top = 0
    for number, panel in enumerate(panels, start=1):
        if rows:
            shown.append({"id": 100 + number, "type": "row", "title": panel.title, "collapsed": False, "panels": [],
                          "gridPos": {"h": 1, "w": 24, "x": 0, "y": top}})  # fmt: skip
            place = {"h": 8, "w": 24, "x": 0, "y": top + 1}
            top += 9
        else:
            place = {"h": 8, "w": 12, "x": 12 * ((number - 1) % 2), "y": 8 * ((number - 1) // 2)}
        shown.append({"id": number, "gridPos": place, **_panel(panel)})
    return {
        "uid": uid,
        "title": title,
        "tags": ["bitb"],
        "timezone": "utc",
        "schemaVersion": 39,
        "version": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]},
        "panels": shown,
    }  # fmt: skip


def _panel(panel: Panel) -> dict[str, Any]:
    steps = [
        {"color": "green", "value": None},
        *({"color": colour, "value": at} for at, colour in panel.lines),
    ]
    custom = {"thresholdsStyle": {"mode": "line"}} if panel.lines else {}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + n), "expr": expr, "legendFormat": legend, "datasource": SOURCE}
            for n, (expr, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip


DASHBOARDS = {
    "service.json": dashboard("bitb-service", "bitb: the service", SERVICE),
    "alerts.json": dashboard("bitb-alerts", "bitb: the alerts", ALERTS, rows=True),
    "objectives.json": dashboard("bitb-objectives", "bitb: objectives and budget", OBJECTIVES),
}


def text_of(name: str) -> str:
    return json.dumps(DASHBOARDS[name], indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / name).write_text(text_of(name), encoding="utf-8")
        print(f"deploy/grafana/dashboards/{name}")


if __name__ == "__main__":
    main()

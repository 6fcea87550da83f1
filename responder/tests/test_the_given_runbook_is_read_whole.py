"""The team's own file, as it is: eight alerts and everything they say, checked by hand row by row."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from responder.core.effect import Role
from responder.core.runbook import Action, Runbook, Unit
from responder.runbooks.explain import explain_json
from responder.runbooks.reader import read_runbook

GIVEN = Path(__file__).parent / "runbook-as-given.md"
BOUND = frozenset({"your-domain.com", "DATABASE_URL", "REDIS_URL", "GROQ_API_KEY"})


@pytest.fixture(scope="module")
def given() -> Runbook:
    return read_runbook(GIVEN)


ALERTS = [
    # name, title, severity, line, value, unit, for
    ("HighErrorRate", "High Error Rate", "P0", 15, 5.0, Unit.PERCENT, 5),
    ("ServiceDown", "Service Down", "P0", 70, None, Unit.STATE, 2),
    ("CircuitBreakerOpen", "Circuit Breaker Open", "P0", 135, None, Unit.STATE, 5),
    ("DatabaseConnectionPoolExhausted", "Database Connection Issues", "P0", 192, 90.0, Unit.COUNT, 5),
    ("SuspiciousAuthActivity", "Auth Attack / Suspicious Activity", "P0", 255, 5.0, Unit.PER_SECOND, 5),
    ("TenantIsolationViolation", "Tenant Isolation Violation", "P0", 315, 0.0, Unit.COUNT, None),
    ("HighRAGLatency", "High RAG Latency", "P1", 381, 5.0, Unit.SECONDS, 10),
    ("APIAvailabilityLow", "Low Availability", "P0", 454, 99.9, Unit.PERCENT, 5),
]


@pytest.mark.parametrize(("name", "title", "severity", "line", "value", "unit", "minutes"), ALERTS)
def test_each_alert_with_its_severity_and_threshold(
    given: Runbook,
    name: str,
    title: str,
    severity: str,
    line: int,
    value: float | None,
    unit: Unit,
    minutes: int | None,
) -> None:
    """Eight alerts, found by name, with what the runbook says of each."""
    entry = given.entry_for(name, None)
    assert entry is not None
    assert (entry.title, entry.severity, entry.line) == (title, severity, line)
    assert entry.threshold is not None
    assert (entry.threshold.value, entry.threshold.unit) == (value, unit)
    assert entry.threshold.for_ == (timedelta(minutes=minutes) if minutes else None)


def test_nothing_is_lost(given: Runbook) -> None:
    """Every line found a place, so nothing is left for a person to read by themselves."""
    assert given.understood == 1.0
    assert given.unknown == ()
    assert given.problems == ()
    assert [len(entry.steps) for entry in given.alerts] == [4, 3, 4, 3, 3, 4, 4, 4]
    assert [len(entry.remediation) for entry in given.alerts] == [3, 4, 2, 3, 3, 3, 4, 3]
    assert [len(entry.escalation) for entry in given.alerts] == [2, 2, 2, 2, 2, 3, 2, 2]


# Every fence of the file, checked by hand against the rule of trust: the line of its first row, its language and kind, its
# section, what it does, whether it ends by itself, what it needs a value for, and what becomes of it when that has one.
FENCES = [
    (30, "promql", "promql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (45, "bash", "shell", "diagnosis", "read", False, (), "auto", "a read, bounded as: tail -n 500"),
    (
        84,
        "bash",
        "shell",
        "diagnosis",
        "read",
        True,
        ("your-domain.com",),
        "auto",
        "a bounded read in a diagnosis",
    ),
    (
        105,
        "bash",
        "shell",
        "remediation",
        "read",
        True,
        ("$DATABASE_URL",),
        "approval",
        "a remedy waits for a person",
    ),
    (
        114,
        "bash",
        "shell",
        "remediation",
        "read",
        True,
        ("$REDIS_URL",),
        "approval",
        "a remedy waits for a person",
    ),
    (153, "promql", "promql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (168, "typescript", "code", "remediation", "unknown", False, (), "never", "for people to read"),
    (207, "sql", "sql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (212, "sql", "sql", "diagnosis", "read", False, (), "auto", "a read, bounded as: SELECT pid"),
    (226, "sql", "sql", "remediation", "mutate", True, (), "approval", "a remedy waits for a person"),
    (
        244,
        "typescript",
        "code",
        "prevention",
        "unknown",
        False,
        (),
        "never",
        "a section of prevention is never run",
    ),
    (270, "promql", "promql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (280, "sql", "sql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (291, "typescript", "code", "remediation", "unknown", False, (), "never", "for people to read"),
    (332, "sql", "sql", "diagnosis", "read", False, (), "auto", "a read, bounded as: -- Export"),
    (367, "sql", "sql", "prevention", "mutate", True, (), "never", "a section of prevention is never run"),
    (396, "promql", "promql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (405, "sql", "sql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (418, "promql", "promql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (469, "promql", "promql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
    (474, "promql", "promql", "diagnosis", "read", True, (), "auto", "a bounded read in a diagnosis"),
]


def _fences(given: Runbook) -> dict[int, tuple[Action, Role]]:
    found: dict[int, tuple[Action, Role]] = {}
    for entry in given.alerts:
        parts = [(step.actions, Role.DIAGNOSIS) for step in entry.steps]
        parts += [(group.actions, Role.REMEDIATION) for group in entry.remediation]
        parts += [(entry.prevention, Role.PREVENTION)]
        for actions, role in parts:
            found |= {
                action.line: (action, role)
                for action in actions
                if action.language not in {"endpoint", "inline"}
            }
    return found


@pytest.mark.parametrize("row", FENCES, ids=lambda row: f"line {row[0]}")
def test_each_fence_and_what_becomes_of_it(given: Runbook, row: tuple[object, ...]) -> None:
    """Twenty-one fences of the alerts, each as `explain` tells it; the twenty-second holds the templates, and never runs."""
    line = row[0]
    assert isinstance(line, int)
    action, role = _fences(given)[line]
    told = explain_json([given], bound=BOUND)["runbooks"][0]
    rows = [found for alert in told["alerts"] for found in _told(alert) if found["line"] == line]
    assert len(rows) == 1
    found = rows[0]
    assert (
        line,
        found["language"],
        found["kind"],
        role,
        found["effect"],
        found["bounded"],
        tuple(found["placeholders"]),
        found["runs"],
    ) == row[:8]
    assert str(row[8]) in found["reason"]
    if row[6]:
        assert action.decision(role, bound=frozenset()).runs == "never"


def _told(alert: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [*alert["steps"], *alert["remediation"]]
    return [action for part in parts for action in part["actions"]] + alert["elsewhere"]


def test_no_fence_is_missing(given: Runbook) -> None:
    """The table above is all there is."""
    assert sorted(_fences(given)) == [row[0] for row in FENCES]
    assert GIVEN.read_text().count("```") == 2 * (len(FENCES) + 1)


def test_what_would_never_end_is_bounded(given: Runbook) -> None:
    """`tail -f` is read as its last 500 lines, without a shell."""
    action, _ = _fences(given)[45]
    assert action.log_read is not None
    assert (action.log_read.path, action.log_read.pattern, action.log_read.lines) == (
        "/var/log/bitb-chatbot/error.log",
        "ERROR",
        500,
    )


def test_two_queries_in_one_fence_are_two(given: Runbook) -> None:
    """Each with its own line, comments left out."""
    action, _ = _fences(given)[396]
    assert [statement.line for statement in action.statements] == [397, 400]
    assert all("histogram_quantile" in statement.text for statement in action.statements)


def test_a_select_that_kills_is_no_read(given: Runbook) -> None:
    """`SELECT pg_terminate_backend(pid)` changes the world, whatever its first word says."""
    action, _ = _fences(given)[226]
    assert action.statements[0].effect == "mutate"
    assert "pg_terminate_backend" in action.statements[0].reason


def test_an_unbound_placeholder_stops_a_step(given: Runbook) -> None:
    """`your-domain.com` is nobody's domain: without a value the step is shown, not run."""
    action, role = _fences(given)[84]
    decision = action.decision(role, bound=frozenset())
    assert decision.runs == "never"
    assert "your-domain.com" in decision.reason


def test_process_contacts_and_templates(given: Runbook) -> None:
    """The deadlines, the addresses and the words for the public."""
    assert [(stage.name, stage.limit, stage.applies_to) for stage in given.process] == [
        ("Acknowledge", timedelta(minutes=5), None),
        ("Assess", timedelta(minutes=15), None),
        ("Mitigate", timedelta(minutes=30), "P0"),
        ("Resolve", timedelta(hours=4), "P0"),
        ("Post-Mortem", timedelta(hours=48), None),
    ]
    assert [(c.role, c.kind) for c in given.contacts][:2] == [
        ("On-Call Engineer", "pagerduty"),
        ("Security Team", "email"),
    ]
    assert given.contacts[1].address == "security@bitb.ai"
    assert [t.state for t in given.templates] == ["Investigating", "Update", "Resolved"]
    assert "[issue description]" in given.templates[0].text


ESCALATIONS = [
    ("HighErrorRate", 0, "severity", ("on-call engineer",)),
    ("HighErrorRate", 1, "elapsed", ("engineering lead",)),
    ("DatabaseConnectionPoolExhausted", 0, "severity", ("database admin", "on-call engineer")),
    ("TenantIsolationViolation", 0, "severity", ("CTO", "Security Lead", "Legal")),
    ("TenantIsolationViolation", 1, "duty", ()),
    ("HighRAGLatency", 1, "condition", ()),
    ("ServiceDown", 1, "event", ("vendor support",)),
]


@pytest.mark.parametrize(("name", "index", "trigger", "targets"), ESCALATIONS)
def test_escalation_lines(
    given: Runbook, name: str, index: int, trigger: str, targets: tuple[str, ...]
) -> None:
    """Who is told, and when."""
    entry = given.entry_for(name, None)
    assert entry is not None
    assert (entry.escalation[index].trigger, entry.escalation[index].targets) == (trigger, targets)


def test_an_alert_is_found_by_its_link_before_its_name(given: Runbook) -> None:
    """GitHub's anchor, the double hyphen of a slash included."""
    by_link = given.entry_for("Renamed", "https://wiki.bitb.ai/runbook.md#auth-attack--suspicious-activity")
    assert by_link is not None
    assert by_link.names == ("SuspiciousAuthActivity",)
    assert given.entry_for("Unheard", "https://wiki.bitb.ai/runbook.md") is None

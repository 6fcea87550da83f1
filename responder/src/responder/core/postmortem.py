"""The post-mortem draft: all that was recorded, in order; what only people can know is left open and marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from responder.core.alert import Alert
from responder.core.evidence import Evidence, Outcome
from responder.core.finding import Finding
from responder.core.incident import Incident
from responder.core.page import Page, PageState
from responder.core.process import Milestone
from responder.core.remediation import Remediation, State
from responder.core.timeline import Entry, EntryKind

OPEN = "**To be written by people.**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that is known of an incident. `missed` are the milestones that came too late, with their limits."""

    incident: Incident
    alerts: Sequence[Alert]
    timeline: Sequence[Entry]
    evidence: Sequence[Evidence]
    findings: Sequence[Finding]
    remediations: Sequence[Remediation]
    pages: Sequence[Page]
    missed: Sequence[tuple[Milestone, timedelta]]


def draft(record: Record) -> str:
    """The draft as Markdown."""
    incident = record.incident
    parts = [
        f"# {incident.name}: {incident.title}",
        _facts(record),
        f"## Summary\n\n{OPEN}",
        f"## Impact\n\n{OPEN} Who could not do what, for how long?",
        "## Detection\n\n" + _detection(record),
        "## What was found\n\n" + _findings(record),
        f"## Root cause\n\n{OPEN} The findings above are measurements and conclusions from them, not the root cause.",
        f"## Trigger\n\n{OPEN}",
        "## What was done\n\n" + _actions(record),
        "## Process\n\n" + _process(record),
        f"## Lessons\n\n- What went well: {OPEN}\n- What went wrong: {OPEN}\n- Where we were lucky: {OPEN}",
        f"## Action items\n\n| action | kind (prevent, detect, mitigate, process) | owner | due |\n|---|---|---|---|\n"
        f"| {OPEN} | | | |",
        "## Timeline\n\n" + "\n".join(_timeline(record.timeline, since=incident.opened_at)),
        "## Evidence\n\n" + "\n\n".join(_evidence(record.evidence)),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(record: Record) -> str:
    incident = record.incident
    rows = [
        ("Severity", incident.severity),
        ("Service", incident.service),
        ("Opened", _moment(incident.opened_at)),
        ("Resolved", _moment(incident.resolved_at) if incident.resolved_at else "not yet"),
        ("Lasted", _span(incident.opened_at, incident.resolved_at)),
        ("Commander", (incident.commander or "nobody").capitalize()),
        (
            "Runbook",
            f"`{incident.runbook_sha256[:12]}`" if incident.runbook_sha256 else "no entry for this alert",
        ),
    ]
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _detection(record: Record) -> str:
    lines = [f"- {alert.name}: {alert.summary} (since {_moment(alert.starts_at)})" for alert in record.alerts]
    if record.alerts:
        waited = record.incident.opened_at - min(alert.starts_at for alert in record.alerts)
        lines.append(f"- From the alert's start to the incident: {waited.total_seconds():.1f} s")
    return "\n".join(lines) or "No alert."


def _findings(record: Record) -> str:
    by_id = {item.id: item for item in record.evidence}
    lines = [
        f"- {finding.claim} ({finding.confidence}; evidence: "
        + ", ".join(f"step {by_id[cite].step_number}" for cite in finding.cites if cite in by_id)
        + ")"
        for finding in record.findings
    ]
    return "\n".join(lines) or "Nothing was found."


def _actions(record: Record) -> str:
    done = [item for item in record.remediations if item.state not in {State.OFFERED, State.WITHDRAWN}]
    lines = [
        f"- {item.label} (runbook line {item.line}): {item.state}, approved by {item.approved_by or 'nobody'}"
        for item in done
    ]
    return "\n".join(lines) or "No remedy of the runbook was run from here."


def _process(record: Record) -> str:
    sent = [page for page in record.pages if page.state is PageState.SENT]
    lines = [f"- Pages sent: {len(sent)}"]
    answered = next((e for e in record.timeline if e.kind is EntryKind.ACKNOWLEDGED), None)
    if answered:
        lines.append(
            f"- Acknowledged after {_span(record.incident.opened_at, answered.at)} by {answered.actor}"
        )
    else:
        lines.append("- Never acknowledged")
    lines += [f"- Too late: {milestone} (limit {limit})" for milestone, limit in record.missed]
    if not record.missed:
        lines.append("- No deadline was missed")
    return "\n".join(lines)


def _timeline(entries: Sequence[Entry], *, since: datetime) -> Iterator[str]:
    yield "| time (UTC) | after | what | by |"
    yield "|---|---|---|---|"
    for entry in entries:
        after = (entry.at - since).total_seconds()
        text = entry.text.replace("|", "\\|").replace("\n", " ")
        yield f"| {entry.at.astimezone(UTC):%H:%M:%S} | {after:+.1f} s | {text} | {entry.actor} |"


def _evidence(evidence: Sequence[Evidence]) -> Iterator[str]:
    for item in evidence:
        head = f"### {item.step_number} {item.step_title} (runbook line {item.line})"
        if item.outcome is Outcome.NOT_RUN:
            yield f"{head}\n\nNot run: {item.reason}"
            continue
        body = f"{head}\n\n{item.verdict or item.outcome}"
        if item.output:
            indented = "\n".join(f"    {line}" for line in item.output.splitlines()[:20])
            body += f"\n\n{indented}"
        yield body


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(start: datetime, end: datetime | None) -> str:
    return f"{(end - start).total_seconds():.0f} s" if end else "still open"

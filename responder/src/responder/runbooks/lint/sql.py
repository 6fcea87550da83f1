"""Family 11: SQL that shows too much, counts the wrong thing, or guards nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from responder.core.defect import Defect, Weight
from responder.core.effect import Role
from responder.core.runbook import Kind
from responder.runbooks.lint.subject import Place, Subject

_POLICY = re.compile(r"\bcreate\s+policy\b", re.IGNORECASE)
_SETTING = re.compile(r"current_setting\s*\(", re.IGNORECASE)
_NULLIF = re.compile(r"nullif\s*\(\s*current_setting", re.IGNORECASE)
_FORCE = re.compile(r"force\s+row\s+level\s+security", re.IGNORECASE)
_STAR = re.compile(r"^\s*select\s+(?:\w+\.)?\*\s", re.IGNORECASE)
# What the server keeps about itself is short.
_CATALOG = re.compile(r"\bfrom\s+(?:pg_(?!stat_statements)\w+|information_schema\.\w+)", re.IGNORECASE)
_ACTIVE = re.compile(r"\bcount\s*\(.*\bpg_stat_activity\b.*\bstate\s*=\s*'active'", re.IGNORECASE | re.DOTALL)


def check(subject: Subject) -> Iterator[Defect]:
    for place in subject.places(Role.DIAGNOSIS, Role.REMEDIATION, Role.PREVENTION):
        if place.action.kind is Kind.SQL:
            for statement in place.action.statements:
                yield from _statement(place, statement.text, statement.line)


def _statement(place: Place, written: str, line: int) -> Iterator[Defect]:
    rows = [row.partition("--")[0] for row in written.splitlines()]
    text = "\n".join(rows)

    def defect(rule: str, weight: Weight, pattern: re.Pattern[str], message: str) -> Defect:
        at = next((n for n, row in enumerate(rows) if pattern.search(row)), 0)
        return Defect(
            rule=rule,
            weight=weight,
            file=place.runbook.path,
            line=line + at,
            message=message,
            runbook_says=rows[at].strip(),
        )

    if _POLICY.search(text) and _SETTING.search(text):
        if not _FORCE.search(place.runbook.text):
            yield defect(
                "sql/policy-owner", Weight.ERROR, _POLICY,
                "the table's owner passes by this policy. Add ALTER TABLE … FORCE ROW LEVEL SECURITY.",
            )  # fmt: skip
        if not _NULLIF.search(text):
            yield defect(
                "sql/policy-empty", Weight.ERROR, _SETTING,
                "after a transaction with SET LOCAL the setting is the empty string, which matches rows whose tenant is"
                " empty. Write nullif(current_setting('…', true), '').",
            )  # fmt: skip
    if (
        _STAR.match(text.lstrip())
        and not _CATALOG.search(text)
        and not re.search(r"\blimit\b|\bfetch\s+first\b", text, re.IGNORECASE)
    ):
        yield defect(
            "sql/select-star", Weight.WARNING, re.compile(r"\*"),
            "every column of every row: slow when the table is large, and secrets with it. Name the columns, add a LIMIT.",
        )  # fmt: skip
    if _ACTIVE.search(text) and "backend_type" not in text.lower():
        yield defect(
            "sql/active-only", Weight.WARNING, re.compile(r"'active'", re.IGNORECASE),
            "this misses sessions that are idle in a transaction, the usual leak, and counts replication. Count"
            " backend_type = 'client backend' by state, beside max_connections.",
        )  # fmt: skip

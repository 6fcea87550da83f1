"""What the linter found, for a person, a program, a code scanner, and the annotations of a pull request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from responder.core.defect import Comparison, Defect, Weight
from responder.runbooks.lint import Report
from responder.runbooks.lint.subject import Subject

QUOTE_LIMIT = 120
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def report_text(report: Report, subject: Subject) -> str:
    """One paragraph a finding, and a summary."""
    return "\n".join([*_text_lines(report), _summary_line(report, subject)]) + "\n"


def _text_lines(report: Report) -> Iterator[str]:
    for defect in report.defects:
        yield f"{defect.file}:{defect.line}: {defect.weight} {defect.rule}"
        yield f"    {defect.message}"
        if defect.runbook_says:
            yield f"    the runbook says: {_quote(defect.runbook_says)}"
        if defect.rule_says:
            yield f"    the rule says:    {_quote(defect.rule_says)}"
        yield ""
    for note in report.notes:
        yield f"note: {note}"


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUOTE_LIMIT else f"{line[: QUOTE_LIMIT - 1]}…"


def _summary_line(report: Report, subject: Subject) -> str:
    errors = sum(defect.weight is Weight.ERROR for defect in report.defects)
    warnings = len(report.defects) - errors
    found = f"{errors} errors, {warnings} warnings" if report.defects else "No findings"
    what = f"{len(subject.runbooks)} runbooks, {len(subject.entries)} entries, {len(subject.rules)} alerting rules"
    silenced = f"; {report.silenced} silenced" if report.silenced else ""
    words = ", ".join(f"{report.compared.get(answer, 0)} {answer}" for answer in Comparison)
    compared = f"; words against rules: {words}" if subject.files else ""
    return f"{found} in {what}{compared}{silenced}."


def report_json(report: Report, subject: Subject) -> str:
    """The findings and a summary as JSON."""
    errors = sum(defect.weight is Weight.ERROR for defect in report.defects)
    body = {
        "findings": [_finding(defect) for defect in report.defects],
        "summary": {
            "errors": errors,
            "warnings": len(report.defects) - errors,
            "silenced": report.silenced,
            "runbooks": len(subject.runbooks),
            "entries": len(subject.entries),
            "rules": len(subject.rules),
            "compared": {str(answer): report.compared.get(answer, 0) for answer in Comparison},
            "notes": list(report.notes),
        },
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def _finding(defect: Defect) -> dict[str, Any]:
    return {
        "rule": defect.rule,
        "severity": defect.weight,
        "file": defect.file,
        "line": defect.line,
        "message": defect.message,
        "runbook_says": defect.runbook_says,
        "rule_says": defect.rule_says,
    }


def report_sarif(report: Report, _: Subject) -> str:
    """SARIF 2.1.0, as code scanners read it."""
    rules = sorted({defect.rule for defect in report.defects})
    run = {
        "tool": {"driver": {"name": "responder check", "rules": [{"id": rule} for rule in rules]}},
        "results": [
            {
                "ruleId": defect.rule,
                "level": str(defect.weight),
                "message": {"text": defect.message},
                "locations": [
                    {
                        "physicalLocation": {
                            "artifactLocation": {"uri": defect.file},
                            "region": {"startLine": defect.line},
                        }
                    }
                ],
            }
            for defect in report.defects
        ],
    }
    return (
        json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)
        + "\n"
    )


def report_github(report: Report, subject: Subject) -> str:
    """Workflow commands, which become annotations on the lines of a pull request."""
    rows = [
        f"::{defect.weight} file={_escaped(defect.file, ':,')},line={defect.line},title={_escaped(defect.rule, ':,')}"
        f"::{_escaped(defect.message)}"
        for defect in report.defects
    ]
    return "\n".join([*rows, _summary_line(report, subject)]) + "\n"


def _escaped(text: str, also: str = "") -> str:
    for char in ("%", "\r", "\n", *also):
        text = text.replace(char, f"%{ord(char):02X}")
    return text


FORMATS: Mapping[str, Callable[[Report, Subject], str]] = {
    "text": report_text,
    "json": report_json,
    "sarif": report_sarif,
    "github": report_github,
}

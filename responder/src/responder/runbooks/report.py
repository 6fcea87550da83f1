"""What the linter found, for a program, a code scanner, and the annotations of a pull request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from responder.core.defect import Comparison, Defect, Weight
from responder.runbooks.lint import Report
from responder.runbooks.lint.catalogue import RULES
from responder.runbooks.lint.subject import Subject
from responder.runbooks.report_text import report_text, summary_line

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


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
    used = sorted({defect.rule for defect in report.defects})
    run = {
        "tool": {
            "driver": {
                "name": "responder check",
                "rules": [{"id": rule, "shortDescription": {"text": RULES[rule]}} for rule in used],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": n}} for n in report.notes
                ],
            }
        ],
        "results": [_result(defect, used.index(defect.rule)) for defect in report.defects],
    }
    body = {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def _result(defect: Defect, index: int) -> dict[str, Any]:
    where = {"artifactLocation": {"uri": _uri(defect.file)}, "region": {"startLine": max(1, defect.line)}}
    return {
        "ruleId": defect.rule,
        "ruleIndex": index,
        "level": str(defect.weight),
        "message": {"text": _with_both_sides(defect)},
        "locations": [{"physicalLocation": where}],
    }


def _uri(file: str) -> str:
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _with_both_sides(defect: Defect) -> str:
    sides = (("The runbook says: ", defect.runbook_says), ("The rule says: ", defect.rule_says))
    return "\n".join([defect.message, *(f"{side}{words}" for side, words in sides if words)])


def report_github(report: Report, subject: Subject) -> str:
    """Workflow commands, which become annotations on the lines of a pull request."""
    rows = [
        f"::{defect.weight} file={_escaped(defect.file, ':,')},line={defect.line},title={_escaped(defect.rule, ':,')}"
        f"::{_escaped(_with_both_sides(defect))}"
        for defect in report.defects
    ]
    notes = [f"::notice::{_escaped(note)}" for note in report.notes]
    return "\n".join([*rows, *notes, summary_line(report, subject)]) + "\n"


def _escaped(text: str, also: str = "") -> str:
    """As the runner reads it: a line for each command, and in its properties no signs of their own."""
    for char in ("%", "\r", "\n", *also):
        text = text.replace(char, f"%{ord(char):02X}")
    return text


FORMATS: Mapping[str, Callable[[Report, Subject], str]] = {
    "text": report_text,
    "json": report_json,
    "sarif": report_sarif,
    "github": report_github,
}

"""What the linter found, for a person at a terminal: by file and line, never wider than the terminal should be."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby

from responder.core.defect import Comparison, Defect, Weight
from responder.runbooks.lint import Report
from responder.runbooks.lint.subject import Subject

WIDTH = 100
_PAINT = {Weight.ERROR: "31", Weight.WARNING: "33"}
_BOLD, _DIM = "1", "2"


def report_text(report: Report, subject: Subject, *, colour: bool = False) -> str:
    """A paragraph a file, each finding with its line, both sides, and a summary."""
    summary = textwrap.wrap(summary_line(report, subject), WIDTH)
    return "\n".join([*_lines(report, _Pen(colour=colour)), *summary]) + "\n"


class _Pen:
    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, paint: str) -> str:
        return f"\x1b[{paint}m{text}\x1b[0m" if self._colour else text


def _lines(report: Report, pen: _Pen) -> Iterator[str]:
    for file, defects in groupby(report.defects, key=lambda defect: defect.file):
        yield pen(file, _BOLD)
        for defect in defects:
            yield from _defect(defect, pen)
        yield ""
    for note in report.notes:
        yield from textwrap.wrap(f"note: {note}", WIDTH, subsequent_indent="      ")


def _defect(defect: Defect, pen: _Pen) -> Iterator[str]:
    weight = pen(f"{defect.weight:7}", _PAINT[defect.weight])
    yield f"  {defect.line:>5}  {weight}  {defect.rule}"
    yield from _wrapped(defect.message)
    for side, words in (("runbook: ", defect.runbook_says), ("rule:    ", defect.rule_says)):
        if words:
            yield pen(_cut(f"           {side}{' '.join(words.split())}"), _DIM)


def _wrapped(text: str) -> list[str]:
    indent = " " * 9
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def summary_line(report: Report, subject: Subject) -> str:
    """How much was found, in what, and what the comparisons of words with rules gave."""
    errors = sum(defect.weight is Weight.ERROR for defect in report.defects)
    warnings = len(report.defects) - errors
    found = f"{_many(errors, 'error')}, {_many(warnings, 'warning')}" if report.defects else "No findings"
    what = (
        f"{_many(len(subject.runbooks), 'runbook')}, {_many(len(subject.entries), 'entry', 'entries')},"
        f" {_many(len(subject.rules), 'alerting rule')}"
    )
    silenced = f"; {report.silenced} silenced" if report.silenced else ""
    words = ", ".join(f"{report.compared.get(answer, 0)} {answer}" for answer in Comparison)
    compared = f"; words against rules: {words}" if subject.files else ""
    return f"{found} in {what}{compared}{silenced}."


def _many(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}"

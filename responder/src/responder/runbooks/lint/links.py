"""Family 4: links and anchors that do not resolve, inside the runbook and to files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from responder.core.defect import Defect, Weight
from responder.core.runbook import Link, Runbook
from responder.runbooks.lint.subject import Subject
from responder.runbooks.reader import read_anchors

_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//|/|\{|<|\$)", re.IGNORECASE)
# Suffixes of what is kept beside a runbook. A link without one is a route of the site that shows it.
_FILES = frozenset(
    {".md", ".markdown", ".txt", ".yml", ".yaml", ".json", ".sh", ".py", ".sql", ".png", ".svg", ".jpg"}
)


def check(subject: Subject) -> Iterator[Defect]:
    anchors: dict[Path, frozenset[str] | None] = {
        Path(book.path).resolve(): book.anchors for book in subject.runbooks
    }
    for runbook in subject.runbooks:
        for link in runbook.links:
            if problem := _problem(link, runbook, anchors):
                yield Defect(
                    rule=problem[0],
                    weight=Weight.ERROR,
                    file=runbook.path,
                    line=link.line,
                    message=problem[1],
                    runbook_says=f"[{link.text}]({link.target})",
                )
    yield from _runbook_urls(subject)


def _problem(
    link: Link, runbook: Runbook, anchors: dict[Path, frozenset[str] | None]
) -> tuple[str, str] | None:
    if _ELSEWHERE.match(link.target):
        return None
    page, _, anchor = link.target.partition("#")
    path = (Path(runbook.path).parent / unquote(page)).resolve() if page else Path(runbook.path).resolve()
    if page:
        if path.suffix.lower() not in _FILES:
            return None
        if not path.exists():
            return "link/file", f"'{page}' does not exist beside the runbook. Mend the link."
    if not anchor or path.suffix.lower() not in {".md", ".markdown"}:
        return None
    if path not in anchors:
        anchors[path] = read_anchors(path)
    known = anchors[path]
    if known is None or unquote(anchor).lower() in known:
        return None
    near = _nearest(unquote(anchor).lower(), known)
    return (
        "link/anchor",
        f"no heading here has the anchor '#{anchor}'{f'; did you mean #{near}?' if near else '.'}",
    )


def _nearest(anchor: str, known: frozenset[str]) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", anchor)
    return next((name for name in sorted(known) if re.sub(r"[^a-z0-9]", "", name) == plain), None)


def _runbook_urls(subject: Subject) -> Iterator[Defect]:
    """A page's link to a section that is not there leaves the person on call at the top of a long file."""
    by_name: Mapping[str, Runbook] = {Path(book.path).name.lower(): book for book in subject.runbooks}
    for rule in subject.rules:
        page, _, anchor = (rule.runbook_url or "").partition("#")
        runbook = by_name.get(Path(page).name.lower())
        if runbook is None or not anchor or "{{" in anchor:
            continue
        if anchor.lower() not in runbook.anchors:
            yield Defect(
                rule="link/runbook-url",
                weight=Weight.ERROR,
                file=rule.file,
                line=rule.line,
                message=f"the page of {rule.name} links to '#{anchor}', which is no heading of {runbook.path}.",
                rule_says=rule.runbook_url,
            )

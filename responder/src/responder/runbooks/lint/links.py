"""Family 4: links and anchors that do not resolve, inside the runbook and to files beside it. What lies elsewhere is not
followed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from responder.core.defect import Defect, Weight
from responder.core.runbook import Runbook
from responder.runbooks.lint.pages import PageLink, links_of
from responder.runbooks.lint.subject import Subject
from responder.runbooks.reader import read_anchors

_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//|/|\{|<|\$)", re.IGNORECASE)
# Suffixes of what is kept beside a runbook. A link without one is a route of the site that shows it.
_FILES = frozenset(
    {".md", ".markdown", ".txt", ".yml", ".yaml", ".json", ".sh", ".py", ".sql", ".png", ".svg", ".jpg"}
)
_PAGES = frozenset({".md", ".markdown"})
# Anchors that are no heading's: the top of every page, lines of a file, and words to be shown.
_BUILT_IN = re.compile(r"^(?:top|l\d+(?:-l?\d+)?|:~:.*)?$", re.IGNORECASE)

Anchors = dict[Path, frozenset[str] | None]


def check(subject: Subject) -> Iterator[Defect]:
    anchors: Anchors = {Path(book.path).resolve(): book.anchors for book in subject.runbooks}
    for runbook in subject.runbooks:
        for link in links_of(runbook.text):
            if problem := _problem(link, runbook, anchors):
                yield Defect(
                    rule=problem[0],
                    weight=Weight.ERROR,
                    file=runbook.path,
                    line=link.line,
                    message=problem[1],
                    runbook_says=unquote(link.target),
                )
    yield from _runbook_urls(subject)


def _problem(link: PageLink, runbook: Runbook, anchors: Anchors) -> tuple[str, str] | None:
    target = unquote(link.target)
    if _ELSEWHERE.match(target):
        return None
    address, _, anchor = target.partition("#")
    page = address.partition("?")[0]
    own = Path(runbook.path).resolve()
    path = (own.parent / page).resolve() if page else own
    if page and path.suffix.lower() not in _FILES:
        return None
    if page and not path.exists():
        # Sites that give each page a folder of its own count from there.
        path = (own.with_suffix("") / page).resolve()
    if page and not path.exists():
        return "link/file", f"'{page}' does not exist beside the runbook. Mend the link."
    if path.suffix.lower() not in _PAGES or _BUILT_IN.match(anchor):
        return None
    if path not in anchors:
        anchors[path] = read_anchors(path)
    known = anchors[path]
    if known is None or resolves(anchor, known):
        return None
    near = _nearest(anchor, known)
    where = f"'{page}' has no heading" if page else "no heading here has"
    wanted = f"with the anchor '#{anchor}'" if page else f"the anchor '#{anchor}'"
    return "link/anchor", f"{where} {wanted}{f'; did you mean #{near}?' if near else '. Mend the link.'}"


def resolves(anchor: str, known: frozenset[str]) -> bool:
    """By GitHub's rule or GitLab's, which writes several hyphens as one. Signs that change a letter's look do not count."""
    wanted = _plain(anchor)
    plain = {_plain(name) for name in known}
    return wanted in plain or wanted in {_joined(name) for name in plain}


def _plain(anchor: str) -> str:
    return re.sub("[\ufe0e\ufe0f\u200d]", "", anchor.lower()).removeprefix("user-content-")


def _joined(anchor: str) -> str:
    return re.sub(r"-{2,}", "-", anchor).strip("-")


def _nearest(anchor: str, known: frozenset[str]) -> str | None:
    plain = re.sub(r"[\W_]", "", anchor.lower())
    return next((name for name in sorted(known) if plain and re.sub(r"[\W_]", "", name) == plain), None)


def _runbook_urls(subject: Subject) -> Iterator[Defect]:
    """A page's link to a section that is not there leaves the person on call at the top of a long file."""
    for rule in subject.rules:
        anchor = unquote((rule.runbook_url or "").partition("#")[2])
        runbook = subject.page_of(rule)
        if runbook is None or "{{" in anchor or _BUILT_IN.match(anchor):
            continue
        if not resolves(anchor, runbook.anchors):
            yield Defect(
                rule="link/runbook-url",
                weight=Weight.ERROR,
                file=rule.file,
                line=rule.line,
                message=f"the page of {rule.name} links to '#{anchor}', which is no heading of {runbook.path}. Mend the link.",
                rule_says=rule.runbook_url,
            )

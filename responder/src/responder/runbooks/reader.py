"""Markdown → Runbook. Reads what any team wrote: nothing is dropped, and nothing is guessed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from responder.core.effect import Role
from responder.core.runbook import (
    Contact,
    Link,
    Meta,
    ProcessStage,
    Runbook,
    Template,
    Unknown,
)
from responder.errors import RunbookError
from responder.runbooks import entries
from responder.runbooks.conditions import duration
from responder.runbooks.outline import Block, Section, outline
from responder.runbooks.sections import Lexicon

SIZE_LIMIT = 10_000_000

_PLACED = frozenset(Role) - {Role.UNKNOWN}
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_SEVERITY = re.compile(r"\bfor\s+(P[0-4])\b")


def read_runbook(path: Path, lexicon: Lexicon | None = None) -> Runbook:
    """Reads one file, with a team's own headings if it has any.

    Raises RunbookError for what is no text, empty or too large, or cannot be opened.
    """
    try:
        size = path.stat().st_size
        if size > SIZE_LIMIT:
            message = f"the file has {size} bytes; the limit is {SIZE_LIMIT}. Split it by alert."
            raise RunbookError(message, path=str(path))
        raw = path.read_bytes()
    except OSError as error:
        raise RunbookError(f"cannot be read: {error.strerror}", path=str(path)) from error
    return parse_runbook(_decode(raw, path), path=str(path), lexicon=lexicon)


def _decode(raw: bytes, path: Path) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        message = f"not UTF-8: byte 0x{byte:02x} at offset {error.start}. Save the file as UTF-8."
        raise RunbookError(message, path=str(path), line=line) from error
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise RunbookError("not a text file: it holds a NUL byte", path=str(path), line=line)
    return text


def parse_runbook(text: str, *, path: str, lexicon: Lexicon | None = None) -> Runbook:
    """The runbook in a text. Raises RunbookError when there is nothing in it."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise RunbookError("the file is empty: a runbook has at least a heading", path=path)
    # Front matter keeps its lines, as blank ones, so that every line number stays true.
    front = _FRONT_MATTER.match(text)
    body = "\n" * front[0].count("\n") + text[front.end() :] if front else text
    root, problems = outline(body, lexicon)
    sections = list(entries.entry_sections(root, path=path))
    facts = _front_matter(front[0]) if front and len(sections) == 1 else {}
    found = [entries.entry(section, path=path, front=facts) for section in sections]
    covered = _covered(root, sections, front_lines=front[0].count("\n") if front else 0)
    return Runbook(
        path=path,
        title=_title(root, path),
        sha256=sha256,
        text=text,
        alerts=tuple(found),
        process=tuple(_process(root)),
        contacts=tuple(_contacts(root)),
        templates=tuple(_templates(root)),
        links=tuple(_links(root)),
        anchors=_anchors(root, text),
        unknown=tuple(_unknown(text, covered)),
        problems=tuple(sorted(problems, key=lambda problem: problem.line)),
        understood=_share(text, covered),
    )


def _title(root: Section, path: str) -> str:
    first = next((section for section in root.walk() if section.level == 1), None)
    return first.title if first else Path(path).stem


_HTML_ANCHOR = re.compile(r"<\w+[^>]*\s(?:id|name)=[\"']([^\"']+)[\"']")


def _anchors(root: Section, text: str) -> frozenset[str]:
    """Every anchor of a file, in lower case: headings by GitHub's rule, explicit ids, HTML anchors."""
    headings = {section.slug.lower() for section in root.walk() if section.slug}
    return frozenset(headings | {name.lower() for name in _HTML_ANCHOR.findall(text)})


def read_anchors(path: Path) -> frozenset[str] | None:
    """The anchors of a file that is linked to; None for one that cannot be read, which is no fault of the link."""
    try:
        return read_runbook(path).anchors
    except RunbookError:
        return None


_FACT = re.compile(
    r"^(title|alert|alertname|alert_name|severity|priority|threshold)\s*:\s*[\"']?(.+?)[\"']?\s*$"
)
_FACT_KEYS = {"alertname": "alert", "alert_name": "alert", "priority": "severity"}


def _front_matter(text: str) -> dict[str, Meta]:
    """The facts of the front matter that are plain lines; anything deeper is for other programs."""
    found: dict[str, Meta] = {}
    for number, row in enumerate(text.splitlines(), start=1):
        if fact := _FACT.match(row):
            key = _FACT_KEYS.get(fact[1], fact[1])
            found.setdefault(key, Meta(key=key, value=fact[2], line=number, source="front matter"))
    return found


def _sections(root: Section, role: Role) -> Iterator[Section]:
    return (section for section in root.walk() if section.role is role)


def _process(root: Section) -> Iterator[ProcessStage]:
    for section in _sections(root, Role.PROCESS):
        for number, stage in enumerate(section.sections, start=1):
            written = re.match(r"^(\d+)[.)]\s*", stage.title)
            title = stage.title[written.end() :] if written else stage.title
            name, _, box = title.partition("(")
            severity = _SEVERITY.search(box)
            yield ProcessStage(
                number=int(written[1]) if written else number,
                name=name.strip(),
                limit=duration(box),
                applies_to=severity[1] if severity else None,
                items=tuple(block.text for block in stage.blocks if block.kind == "item"),
                line=stage.line,
            )


_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+|https?://\S+")


def _contacts(root: Section) -> Iterator[Contact]:
    for section in _sections(root, Role.CONTACTS):
        for block in (b for b in section.all_blocks() if b.kind == "item"):
            role, colon, rest = block.text.replace("**", "").partition(":")
            if colon:
                found = _ADDRESS.search(rest)
                address = found[0] if found else rest.strip()
                yield Contact(
                    role=role.strip(), address=address, kind=_contact_kind(address), line=block.line
                )


def _contact_kind(address: str) -> str:
    lowered = address.lower()
    for word in ("pagerduty", "slack"):
        if word in lowered:
            return word
    if "@" in address:
        return "email"
    return "url" if "://" in address else "text"


_TEMPLATE = re.compile(r"^\s*(?:[-*]\s+)?\[(?P<state>[A-Z][A-Za-z ]+)\]\s*(?P<text>.+)$")


def _templates(root: Section) -> Iterator[Template]:
    for section in _sections(root, Role.TEMPLATES):
        for block in (inner for b in section.all_blocks() for inner in b.walk() if inner.kind == "fence"):
            for line, row in enumerate(block.text.splitlines(), start=block.line + 1):
                if found := _TEMPLATE.match(row):
                    yield Template(state=found["state"], text=found["text"].strip(), line=line)


_INLINE_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)[^)]*\)")


def _links(root: Section) -> Iterator[Link]:
    for block in (
        inner for b in root.all_blocks() for inner in b.walk() if inner.kind in {"item", "paragraph", "table"}
    ):
        for found in _INLINE_LINK.finditer(block.text):
            line = block.line + block.text.count("\n", 0, found.start())
            yield Link(text=found[1], target=found[2], line=line)


def _covered(root: Section, found: Sequence[Section], *, front_lines: int) -> set[int]:
    """The lines that found a place: headings, and the blocks of sections whose role is known."""
    covered = set(range(1, front_lines + 1))
    about_alerts = {id(section) for section in found}

    def mark(section: Section, *, role: Role) -> None:
        role = section.role if section.role is not Role.UNKNOWN else role
        if id(section) in about_alerts:
            role = Role.META
        covered.update(range(section.line, section.heading_end + 1) if section.level else ())
        for block in section.blocks:
            if block.kind == "rule" or role in _PLACED or (section.level == 1 and _is_intro(block)):
                covered.update(range(block.line, block.end_line + 1))
        for child in section.sections:
            mark(child, role=Role.UNKNOWN if role is Role.META else role)

    mark(root, role=Role.UNKNOWN)
    return covered


def _is_intro(block: Block) -> bool:
    return block.kind == "paragraph"


def _share(text: str, covered: set[int]) -> float:
    lines = [number for number, row in enumerate(text.split("\n"), start=1) if row.strip()]
    return round(sum(number in covered for number in lines) / len(lines), 4)


def _unknown(text: str, covered: set[int]) -> Iterator[Unknown]:
    rows = text.split("\n")
    start = None
    for number, row in enumerate([*rows, ""], start=1):
        missing = bool(row.strip()) and number not in covered
        if missing and start is None:
            start = number
        elif not missing and start is not None and (row.strip() or number > len(rows)):
            end = number - 1
            while not rows[end - 1].strip():
                end -= 1
            yield Unknown(line=start, end_line=end, text="\n".join(rows[start - 1 : end]))
            start = None

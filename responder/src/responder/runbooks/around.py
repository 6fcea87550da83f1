"""What a runbook says around its alerts: the process, the contacts, the words for the status page, the links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from responder.core.effect import Role
from responder.core.runbook import Contact, Link, ProcessStage, Template
from responder.runbooks.conditions import duration
from responder.runbooks.outline import Block, Section

_SEVERITY = re.compile(r"\bfor\s+(P[0-5]|SEV-?[0-5])\b", re.IGNORECASE)
_WRITTEN = re.compile(r"^\W*(?:(?:step|phase|stage)\s+)?(\d+)\s*[.):\u2013\u2014-]?\s+(?=\S)", re.IGNORECASE)


def _sections(root: Section, role: Role) -> Iterator[Section]:
    return (section for section in root.walk() if section.role is role)


def process_of(root: Section) -> Iterator[ProcessStage]:
    """The stages of each process: its headings, else the rows of its table, else its numbered items."""
    for section in _sections(root, Role.PROCESS):
        if section.sections:
            for number, stage in enumerate(section.sections, start=1):
                items = (block.text for block in stage.blocks if block.kind == "item")
                yield _stage(stage.title, number, tuple(items), stage.line)
            continue
        tables = [block for block in section.blocks if block.kind == "table"]
        for table in tables:
            yield from _table_stages(table)
        if not tables:
            numbered = [block for block in section.blocks if block.kind == "item" and block.number]
            for block in numbered:
                items = tuple(child.text for child in block.children if child.kind == "item")
                yield _stage(f"{block.number}. {block.text}", int(block.number), items, block.line)


def _stage(title: str, number: int, items: tuple[str, ...], line: int) -> ProcessStage:
    """`1. Acknowledge (< 5 min)`, `Acknowledge within 5 minutes: …`."""
    written = _WRITTEN.match(title)
    words = (title[written.end() :] if written else title).replace("**", "").split("\n")[0]
    name = re.split(r"\s*[(:]|\s+[\u2013\u2014-]\s|\s+(?:within|in under|in less than)\s", words)[0]
    severity = _SEVERITY.search(words)
    return ProcessStage(
        number=int(written[1]) if written and len(written[1]) < _DIGITS else number,
        name=name.strip(" ."),
        limit=_limit(words[len(name) :]),
        applies_to=severity[1].upper() if severity else None,
        items=items,
        line=line,
    )


_DIGITS = 6
_TO = re.compile(r"\d+\s*(?:min\w*|m|h\w*)?\s*(?:-|\u2013|to)\s*(?=\d)")


def _limit(words: str) -> timedelta | None:
    return duration(_TO.sub("", words))


def _table_stages(table: Block) -> Iterator[ProcessStage]:
    rows = [
        [cell.strip(" *`") for cell in row.strip().strip("|").split("|")] for row in table.text.split("\n")
    ]
    for number, row in enumerate(rows[2:], start=1):
        timed = next((cell for cell in row[1:] if duration(cell)), "")
        if row[0]:
            items = tuple(cell for cell in row[1:] if cell and cell != timed)
            yield _stage(f"{row[0]} ({timed})" if timed else row[0], number, items, table.line + 1 + number)


_ADDRESS = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]*\w|https?://[^\s)>\]]+|(?<![\w/])[#@][a-z][\w-]+|\+\d[\d ()-]{6,}\d"
)
_ON_CALL = re.compile(r"pager\s?duty|opsgenie|victorops|rotation", re.IGNORECASE)


def contacts_of(root: Section) -> Iterator[Contact]:
    """Bullets and lines `Role: address`, and rows of tables whose first column is the role."""
    for section in root.walk():
        if section.role is Role.CONTACTS or (
            section.role is Role.ESCALATION and "contact" in section.title.lower()
        ):
            for block in section.own_blocks():
                yield from _contacts(block)


def _contacts(block: Block) -> Iterator[Contact]:
    if block.kind == "table":
        for line, row in enumerate(block.text.split("\n")[2:], start=block.line + 2):
            role, *rest = [cell.strip(" *`") for cell in row.strip().strip("|").split("|")]
            if role and any(rest):
                yield _contact(
                    role, " ".join(cell for cell in rest if cell), line, first=next(c for c in rest if c)
                )
    elif block.kind in {"item", "paragraph"}:
        for line, row in enumerate(block.text.split("\n"), start=block.line):
            role, colon, rest = row.replace("**", "").replace("`", "").partition(":")
            if not colon:
                role, colon, rest = _dashed(row.replace("**", ""))
            if colon and rest.strip() and "//" not in role:
                yield _contact(role, rest, line, first=rest.strip())
        for child in block.children:
            yield from _contacts(child)


def _dashed(row: str) -> tuple[str, str, str]:
    found = re.match(r"^(.{1,60}?)\s+[\u2013\u2014-]\s+(.+)$", row)
    return (found[1], "-", found[2]) if found and _ADDRESS.search(found[2]) else (row, "", "")


def _contact(role: str, words: str, line: int, *, first: str) -> Contact:
    found = _ADDRESS.search(words)
    address = found[0].rstrip(".,;") if found else first
    return Contact(role=role.strip(), address=address, kind=_contact_kind(address, words), line=line)


def _contact_kind(address: str, words: str) -> str:
    if _ON_CALL.search(address):
        return "pagerduty"
    if "slack" in address.lower() or address.startswith("#"):
        return "slack"
    if "://" in address:
        return "url"
    if address.startswith("@"):
        return "slack" if "slack" in words.lower() else "text"
    if "@" in address:
        return "email"
    return "phone" if re.fullmatch(r"\+?[\d ()-]{7,}", address) else "text"


_STATES = (
    r"investigating|identified|update|monitoring|resolved|scheduled|in progress|completed|acknowledged|degraded|initial"
    r"|mitigated"
)
_TEMPLATE = re.compile(r"^\s*(?:[-*]\s+)?\[(?P<state>[A-Z][A-Za-z ]+)\]\s*:?\s*(?P<text>\S.+)$")
_LABELLED = re.compile(
    rf"^\s*(?:[-*>]\s+)?\**(?P<state>{_STATES})\**\s*:\s*\**\s*(?P<text>\S.+)$", re.IGNORECASE
)
_STATE = re.compile(rf"^\W*(?P<state>{_STATES})\b", re.IGNORECASE)


def templates_of(root: Section) -> Iterator[Template]:
    """What a status page says: lines `[State] words` or `State: words`, or a quote or fence under a state's heading."""
    for section in _sections(root, Role.TEMPLATES):
        yield from _templates(section, None)


def _templates(section: Section, state: str | None) -> Iterator[Template]:
    for block in section.blocks:
        for inner in block.walk():
            lines = list(_template_lines(inner))
            yield from lines
            if not lines and state and inner.kind in {"fence", "quote"} and inner.text.strip():
                words = " ".join(inner.text.split())
                yield Template(state=state, text=words, line=inner.line + (inner.kind == "fence"))
    for child in section.own_sections():
        named = _STATE.match(child.title)
        if child.role is not Role.TEMPLATES:
            yield from _templates(child, named["state"].capitalize() if named else state)


def _template_lines(block: Block) -> Iterator[Template]:
    if block.kind not in {"fence", "item", "paragraph"}:
        return
    first = block.line + (block.kind == "fence")
    for line, row in enumerate(block.text.splitlines(), start=first):
        if found := _TEMPLATE.match(row) or _LABELLED.match(row):
            state = found["state"] if found["state"][0].isupper() else found["state"].capitalize()
            yield Template(state=state, text=found["text"].strip(), line=line)


_INLINE_LINK = re.compile(r"\[([^\[\]]{1,300})\]\(([^()\s]{1,2000})[^()]{0,300}\)")


def links_of(root: Section) -> Iterator[Link]:
    """Every inline link of the text."""
    for block in (
        inner for b in root.all_blocks() for inner in b.walk() if inner.kind in {"item", "paragraph", "table"}
    ):
        for found in _INLINE_LINK.finditer(block.text):
            line = block.line + block.text.count("\n", 0, found.start())
            yield Link(text=found[1], target=found[2], line=line)

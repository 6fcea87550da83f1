"""Markdown → Runbook. Reads what any team wrote: nothing is dropped, and nothing is guessed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from responder.core.effect import Role
from responder.core.runbook import Runbook, Unknown
from responder.errors import RunbookError
from responder.runbooks import around, entries
from responder.runbooks.front_matter import facts_of
from responder.runbooks.outline import Block, Section, outline
from responder.runbooks.sections import Lexicon

SIZE_LIMIT = 10_000_000
# Ten times the longest runbook that was met: what is longer is another kind of file, and would be read for minutes.
LINES_LIMIT = 20_000
CELLS_LIMIT = 100_000

_PLACED = frozenset(Role) - {Role.UNKNOWN}
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


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
    _refuse_the_endless(text, path)
    # Front matter keeps its lines, as blank ones, so that every line number stays true.
    front = _FRONT_MATTER.match(text)
    body = "\n" * front[0].count("\n") + text[front.end() :] if front else text
    root, problems = outline(body, lexicon)
    sections = list(entries.entry_sections(root, path=path))
    facts = facts_of(front[0]) if front else {}
    if not sections and "alert" in facts:
        sections = [next((section for section in root.walk() if section.level == 1), root)]
    facts = facts if len(sections) == 1 else {}
    found = [entries.entry(section, path=path, front=facts) for section in sections]
    covered = _covered(root, sections, front_lines=front[0].count("\n") if front else 0)
    return Runbook(
        path=path,
        title=_title(root, path),
        sha256=sha256,
        text=text,
        alerts=tuple(found),
        process=tuple(around.process_of(root)),
        contacts=tuple(around.contacts_of(root)),
        templates=tuple(around.templates_of(root)),
        links=tuple(around.links_of(root)),
        anchors=_anchors(root, text),
        unknown=tuple(_unknown(text, covered)),
        problems=tuple(sorted(problems, key=lambda problem: problem.line)),
        understood=_share(text, covered),
    )


def _refuse_the_endless(text: str, path: str) -> None:
    lines, cells = text.count("\n") + 1, text.count("|")
    if lines > LINES_LIMIT:
        message = f"the file has {lines} lines; the limit is {LINES_LIMIT}. Split it by alert."
        raise RunbookError(message, path=path, line=LINES_LIMIT)
    if cells > CELLS_LIMIT:
        message = (
            f"the file has {cells} table cells; the limit is {CELLS_LIMIT}. Keep data in a file of its own."
        )
        raise RunbookError(message, path=path)


def _title(root: Section, path: str) -> str:
    first = next((section for section in root.walk() if section.level == 1), None)
    return first.title if first else Path(path).stem


_HTML_ANCHOR = re.compile(r"<\w{1,20}\b[^<>]{0,300}?\s(?:id|name)=[\"']([^\"']+)[\"']")


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


def _covered(root: Section, found: Sequence[Section], *, front_lines: int) -> set[int]:
    """The lines that found a place: headings, and the blocks of sections whose role is known."""
    covered = set(range(1, front_lines + 1))
    about_alerts = {id(section) for section in found}

    def mark(section: Section, *, role: Role, inside: bool) -> None:
        role = section.role if section.role is not Role.UNKNOWN else role
        about = id(section) in about_alerts
        # What is to be run belongs to an alert, or is not understood; the words for a status page may stand in a fence.
        kept = inside or role is Role.TEMPLATES
        covered.update(range(section.line, section.heading_end + 1) if section.level else ())
        for block in section.blocks:
            placed = not about and role in _PLACED and (kept or _is_description(block))
            if placed or block.kind == "rule" or ((about or section.level <= 1) and _is_description(block)):
                covered.update(range(block.line, block.end_line + 1))
        for child in section.sections:
            mark(child, role=Role.UNKNOWN if about else role, inside=inside or about)

    mark(root, role=Role.UNKNOWN, inside=False)
    return covered


def _is_description(block: Block) -> bool:
    """What an alert's own section or a file's title says before its parts: words, but nothing that could be run."""
    return all(inner.kind not in {"fence", "code_block"} for inner in block.walk())


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

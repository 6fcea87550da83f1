"""Documents cut into passages: along headings and paragraphs, never in the middle of a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from chatbot.core.tenancy import TenantId

# About 256 tokens of English: what a small embedding model reads. The tokenizer itself comes with embeddings.
LONGEST = 1000
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A passage before it is stored. `heading` is the path of headings above it: 'Refunds › Deadlines'."""

    heading: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stored passage. Carries its tenant so that whoever is handed one can check it."""

    tenant_id: TenantId
    passage_id: UUID
    document_id: UUID
    title: str
    heading: str
    text: str


def split(document: str) -> list[Piece]:
    """The passages of a Markdown or plain-text document, in order, each at most LONGEST characters."""
    pieces: list[Piece] = []
    for heading, body in _sections(document):
        held = ""
        for part in _parts(body):
            if held and len(held) + 2 + len(part) > LONGEST:
                pieces.append(Piece(heading=heading, text=held))
                held = part
            else:
                held = f"{held}\n\n{part}" if held else part
        if held:
            pieces.append(Piece(heading=heading, text=held))
    return pieces


def _sections(document: str) -> Iterator[tuple[str, str]]:
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fenced = False
    for line in document.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        match = None if fenced else _HEADING.match(line)
        if match is None:
            lines.append(line)
            continue
        yield " › ".join(title for _, title in path), "\n".join(lines)
        level = len(match[1])
        path = [*((above, title) for above, title in path if above < level), (level, match[2])]
        lines = []
    yield " › ".join(title for _, title in path), "\n".join(lines)


def _parts(body: str) -> Iterator[str]:
    for paragraph in re.split(r"\n[ \t]*\n", body):
        rest = paragraph.strip()
        while len(rest) > LONGEST:
            cut = _cut(rest)
            yield rest[:cut].rstrip()
            rest = rest[cut:].lstrip()
        if rest:
            yield rest


def _cut(text: str) -> int:
    """Where to end a piece of an overlong paragraph: after a sentence, else at a space, else at the limit."""
    sentence = max(text.rfind(mark, LONGEST // 2, LONGEST) for mark in (". ", "! ", "? ", "\n"))
    if sentence > 0:
        return sentence + 1
    space = text.rfind(" ", 1, LONGEST)
    return space if space > 0 else LONGEST

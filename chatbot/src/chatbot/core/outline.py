"""A document as its headings and paragraphs, whatever it was written in: what a parser gives and a cutter takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A heading (`level` 1 to 6) or text beneath it (`level` 0, paragraphs apart by an empty line)."""

    level: int
    text: str
    page: int | None = None


def outline_of_markdown(document: str) -> list[Block]:
    """Headings of both kinds; everything else as it was written, code fences with it."""
    blocks: list[Block] = []
    held: list[str] = []
    fence = ""
    for line in document.splitlines():
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1][:3]
        heading = None if fence or mark else _heading(line, held)
        if heading is None:
            held.append(line)
        else:
            blocks += _text(held)
            blocks.append(heading)
            held = []
    return [*blocks, *_text(held)]


def outline_of_text(document: str) -> list[Block]:
    """Plain text has no headings."""
    return list(_text(document.splitlines()))


def _heading(line: str, held: list[str]) -> Block | None:
    """The heading that ends with this line; an underlined one takes its text back from `held`."""
    if match := _HEADING.match(line):
        return Block(level=len(match[1]), text=match[2])
    underline = _UNDERLINE.match(line)
    if underline and held and held[-1].strip() and (len(held) == 1 or not held[-2].strip()):
        return Block(level=1 if underline[1][0] == "=" else 2, text=held.pop().strip())
    return None


def _text(lines: list[str]) -> Iterator[Block]:
    text = "\n".join(lines).strip()
    if text:
        yield Block(level=0, text=text)

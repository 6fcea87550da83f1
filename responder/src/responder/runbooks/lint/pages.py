"""The links of a page, as Markdown has them: inline, by reference, images, in tables; not what stands in code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it.token import Token

from responder.runbooks.outline import tokens_of

_HAS_LINKS = re.compile(r"\]\(|\]:|<a\s|<img\s", re.IGNORECASE)
_HTML = re.compile(r"<(?:a|img)\b[^>]*?\s(?:href|src)=[\"']([^\"']+)[\"']", re.IGNORECASE)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLink:
    """`target` as written, decoded; `line` counts from 1."""

    target: str
    line: int


def links_of(text: str) -> Iterator[PageLink]:
    """In order of the page."""
    if not _HAS_LINKS.search(text):
        return
    front = _FRONT_MATTER.match(text)
    body = "\n" * front[0].count("\n") + text[front.end() :] if front else text
    for token in tokens_of(body):
        line = (token.map or (0, 0))[0] + 1
        if token.type == "html_block":
            yield from _of_html(token.content, line)
        elif token.type == "inline":
            yield from _of_inline(token, line)


def _of_inline(token: Token, line: int) -> Iterator[PageLink]:
    for child in token.children or ():
        if child.type in {"softbreak", "hardbreak"}:
            line += 1
        elif child.type == "link_open":
            yield PageLink(target=str(child.attrGet("href") or ""), line=line)
        elif child.type == "image":
            yield PageLink(target=str(child.attrGet("src") or ""), line=line)
        elif child.type == "html_inline":
            yield from _of_html(child.content, line)


def _of_html(text: str, line: int) -> Iterator[PageLink]:
    for found in _HTML.finditer(text):
        yield PageLink(target=found[1], line=line + text.count("\n", 0, found.start()))

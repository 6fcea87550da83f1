"""Markdown as an outline: headings nest sections, sections hold blocks, every block knows its lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

from responder.core.effect import Role
from responder.core.runbook import Problem
from responder.runbooks.sections import role_of, slug

# Deeper nesting than this is no runbook; the parser stops there, so that its time and stack are bounded.
NESTING_LIMIT = 40


@dataclass(slots=True, kw_only=True)
class Block:
    """A paragraph, fence, list item, table or quote. `line` and `end_line` count from 1, both inside."""

    kind: str
    text: str
    line: int
    end_line: int
    info: str = ""
    number: str = ""
    depth: int = 0
    children: list[Block] = field(default_factory=list["Block"])
    inline: Sequence[Token] = ()

    def walk(self) -> Iterator[Block]:
        """The block and everything below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(slots=True, kw_only=True)
class Section:
    """A heading and what stands under it. The root has level 0."""

    level: int
    title: str
    slug: str
    line: int
    end_line: int
    role: Role
    blocks: list[Block] = field(default_factory=list[Block])
    sections: list[Section] = field(default_factory=list["Section"])

    def walk(self) -> Iterator[Section]:
        """The section and everything below it, in order."""
        yield self
        for section in self.sections:
            yield from section.walk()

    def all_blocks(self) -> Iterator[Block]:
        """The blocks here and below, in order."""
        for section in self.walk():
            yield from section.blocks


_markdown = MarkdownIt("commonmark", {"maxNesting": NESTING_LIMIT}).enable("table")


def outline(text: str) -> tuple[Section, list[Problem]]:
    """The outline of a file, and what is wrong with its Markdown."""
    lines = text.split("\n")
    tokens = _markdown.parse(text)
    root = Section(level=0, title="", slug="", line=1, end_line=len(lines), role=Role.UNKNOWN)
    stack = [root]
    seen: dict[str, int] = {}
    problems: list[Problem] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.type == "heading_open":
            title = tokens[position + 1].content
            _open_section(stack, token, title=title, seen=seen)
            position += 3
            continue
        end = _closing(tokens, position)
        stack[-1].blocks += _blocks(tokens[position : end + 1], depth=0, lines=lines, problems=problems)
        position = end + 1
    _set_ends(root, last=len(lines))
    return root, problems


def _open_section(stack: list[Section], token: Token, *, title: str, seen: dict[str, int]) -> None:
    level = int(token.tag[1])
    line = (token.map or [0, 0])[0] + 1
    while stack[-1].level >= level:
        stack.pop()
    section = Section(
        level=level, title=title, slug=slug(title, seen), line=line, end_line=line, role=role_of(title)
    )
    stack[-1].sections.append(section)
    stack.append(section)


def _set_ends(section: Section, *, last: int) -> None:
    section.end_line = last
    ends = [*(following.line - 1 for following in section.sections[1:]), last]
    for child, end in zip(section.sections, ends, strict=False):
        _set_ends(child, last=end)


def _closing(tokens: Sequence[Token], position: int) -> int:
    depth = 0
    for at in range(position, len(tokens)):
        depth += tokens[at].nesting
        if depth == 0:
            return at
    return len(tokens) - 1


def _blocks(
    tokens: Sequence[Token], *, depth: int, lines: Sequence[str], problems: list[Problem]
) -> list[Block]:
    """Blocks of a run of tokens at one level."""
    found: list[Block] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        end = _closing(tokens, position)
        inner = tokens[position + 1 : end]
        start, stop = token.map or (0, 0)
        if token.type == "fence":
            found.append(_fence(token, lines, problems))
        elif token.type in {"code_block", "html_block"}:
            found.append(
                Block(kind=token.type, text=token.content, line=start + 1, end_line=stop, depth=depth)
            )
        elif token.type == "paragraph_open":
            found.append(_leaf("paragraph", inner[0], start, stop, depth))
        elif token.type in {"bullet_list_open", "ordered_list_open"}:
            found += _items(token, inner, depth=depth, lines=lines, problems=problems)
        elif token.type == "table_open":
            text = "\n".join(lines[start:stop])
            found.append(Block(kind="table", text=text, line=start + 1, end_line=stop, depth=depth))
        elif token.type == "blockquote_open":
            children = _blocks(inner, depth=depth + 1, lines=lines, problems=problems)
            text = "\n".join(child.text for child in children)
            found.append(
                Block(kind="quote", text=text, line=start + 1, end_line=stop, depth=depth, children=children)
            )
        elif token.type == "hr":
            found.append(Block(kind="rule", text="", line=start + 1, end_line=stop, depth=depth))
        position = end + 1
    return found


def _leaf(kind: str, token: Token, start: int, stop: int, depth: int) -> Block:
    return Block(
        kind=kind, text=token.content, line=start + 1, end_line=stop, depth=depth, inline=token.children or ()
    )


def _items(
    opening: Token, tokens: Sequence[Token], *, depth: int, lines: Sequence[str], problems: list[Problem]
) -> Iterator[Block]:
    ordered = opening.type == "ordered_list_open"
    first = int(opening.attrGet("start") or 1) if ordered else 0
    position = 0
    count = 0
    while position < len(tokens):
        end = _closing(tokens, position)
        token = tokens[position]
        children = _blocks(tokens[position + 1 : end], depth=depth + 1, lines=lines, problems=problems)
        head = children[0] if children and children[0].kind == "paragraph" else None
        start, stop = token.map or (0, 0)
        while stop > start + 1 and not lines[stop - 1].strip():
            stop -= 1
        yield Block(
            kind="item",
            text=head.text if head else "",
            line=start + 1,
            end_line=stop,
            number=str(first + count) if ordered else "",
            depth=depth,
            children=children[1:] if head else children,
            inline=head.inline if head else (),
        )
        count += 1
        position = end + 1


def _fence(token: Token, lines: Sequence[str], problems: list[Problem]) -> Block:
    start, stop = token.map or (0, 0)
    closing = lines[stop - 1].strip() if stop - 1 > start and stop <= len(lines) else ""
    if not closing.startswith(token.markup) or closing.strip(token.markup[0]):
        message = f"this fence is never closed; put {token.markup} on a line of its own where it ends"
        problems.append(Problem(line=start + 1, message=message))
    return Block(kind="fence", text=token.content, line=start + 1, end_line=stop, info=token.info)

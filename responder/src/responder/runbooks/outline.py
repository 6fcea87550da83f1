"""Markdown as an outline: headings nest sections, sections hold blocks, every block knows its lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from responder.core.effect import Role
from responder.core.runbook import Problem
from responder.runbooks.sections import Lexicon, bare_title, looks, proves, slug

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
    closed: bool = True
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
    """A heading, which ends on `heading_end`, and what stands under it. The root has level 0."""

    level: int
    title: str
    slug: str
    line: int
    heading_end: int
    end_line: int
    role: Role = Role.UNKNOWN
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

    def own_sections(self) -> Iterator[Section]:
        """The sections right below that have no role of their own: they are part of this one."""
        return (below for below in self.sections if below.role is Role.UNKNOWN)

    def own_blocks(self) -> Iterator[Block]:
        """The blocks here and below, but for sections of another role."""
        yield from self.blocks
        for below in self.own_sections():
            yield from below.own_blocks()


# A paragraph longer than this, or with brackets nested deeper, is kept as plain words: finding links in such takes a time
# that grows with its square.
INLINE_LIMIT = 20_000
BRACKETS_LIMIT = 20


def _inline_rule(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = token.children or []
        if len(token.content) > INLINE_LIMIT or _brackets(token.content) > BRACKETS_LIMIT:
            token.children.append(Token("text", "", 0, content=token.content))
        else:
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _brackets(text: str) -> int:
    """How deep square brackets are nested, those that are never closed included."""
    depth = deepest = 0
    for sign in _BRACKET.findall(text):
        depth = depth + 1 if sign == "[" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


_BRACKET = re.compile(r"[\[\]]")
_markdown = MarkdownIt("commonmark", {"maxNesting": NESTING_LIMIT}).enable("table")
_markdown.core.ruler.at("inline", _inline_rule)


def tokens_of(text: str) -> list[Token]:
    """The text as markdown-it has it, in bounded time."""
    return _markdown.parse(text)


# A heading that is only bold words has no level; it ends at the next of its kind, or at any real heading.
BOLD_LEVEL = 7
_HEADINGS = 6

# Parts of an alert's section: two of them among its headings make it one.
PARTS = frozenset({Role.MEANING, Role.IMPACT, Role.SYMPTOMS, Role.DIAGNOSIS, Role.REMEDIATION})
# Roles under which a heading only changes the role if the lexicon holds it as it stands.
_FIRM = frozenset(Role) - {Role.UNKNOWN, Role.META, Role.DIAGNOSIS}
_OUT_OF_DIAGNOSIS = frozenset({Role.REMEDIATION, Role.PREVENTION, Role.ESCALATION})
# Labels that inside of a diagnosis or a remedy are about that step, and part of it.
_OF_A_PART = frozenset(
    {Role.META, Role.MEANING, Role.IMPACT, Role.SYMPTOMS, Role.RESOURCES, Role.CONTENTS, Role.PROCESS}
)
# Bold words that are no heading: those of no role, and those of metadata, as in `**Severity:** P1`.
_NO_LABEL = frozenset({Role.UNKNOWN, Role.META})


def outline(text: str, lexicon: Lexicon | None = None) -> tuple[Section, list[Problem]]:
    """The outline of a file, and what is wrong with its Markdown."""
    lexicon = lexicon or Lexicon()
    lines = text.split("\n")
    tokens = _markdown.parse(text)
    root = Section(level=0, title="", slug="", line=1, heading_end=1, end_line=len(lines))
    stack = [root]
    seen: dict[str, int] = {}
    problems: list[Problem] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.type == "heading_open":
            _open_section(stack, token, tokens[position + 1], seen=seen)
            position += 3
            continue
        if (label := _bold_label(tokens, position)) and lexicon.exact(label.title) not in _NO_LABEL:
            _push(stack, token, title=label.title, anchor="", level=BOLD_LEVEL)
            stack[-1].heading_end = stack[-1].line
            stack[-1].blocks += label.rest
            position += 3
            continue
        end = _closing(tokens, position)
        stack[-1].blocks += _blocks(tokens[position : end + 1], depth=0, lines=lines, problems=problems)
        position = end + 1
    _set_ends(root, last=len(lines))
    _set_roles(root, lexicon, within=Role.UNKNOWN)
    return root, problems


def _open_section(stack: list[Section], token: Token, inline: Token, *, seen: dict[str, int]) -> None:
    written = "".join(child.content for child in inline.children or () if child.type in _TEXTS)
    title, explicit = bare_title(written)
    anchor = slug(title, seen)
    _push(stack, token, title=title, anchor=explicit or anchor, level=int(token.tag[1]))


_TEXTS = frozenset({"text", "code_inline"})


def _push(stack: list[Section], token: Token, *, title: str, anchor: str, level: int) -> None:
    while stack[-1].level >= level:
        stack.pop()
    start, stop = token.map or (0, 1)
    section = Section(level=level, title=title, slug=anchor, line=start + 1, heading_end=stop, end_line=stop)
    stack[-1].sections.append(section)
    stack.append(section)


@dataclass(frozen=True, slots=True)
class _Label:
    title: str
    rest: Sequence[Block]


def _bold_label(tokens: Sequence[Token], position: int) -> _Label | None:
    """A paragraph that is bold words, or begins with bold words and a colon: many write their headings so.

    A paragraph of several such lines holds metadata, and is none.
    """
    if tokens[position].type != "paragraph_open" or tokens[position].level:
        return None
    children = tokens[position + 1].children or []
    kinds = [child.type for child in children]
    if "strong_open" not in kinds or (kinds.count("strong_open") > 1 and "softbreak" in kinds):
        return None
    opening, closing = kinds.index("strong_open"), kinds.index("strong_close")
    if any(child.content.strip() for child in children[:opening]):
        return None
    inside = "".join(child.content for child in children[opening:closing])
    after = children[closing + 1 :]
    written = "".join(child.content for child in after).lstrip()
    if written.strip(": ") and not (inside.rstrip().endswith(":") or written.startswith(":")):
        return None
    return _Label(inside.strip().rstrip(":").strip(), _rest_of(tokens, position, after))


def _rest_of(tokens: Sequence[Token], position: int, after: Sequence[Token]) -> list[Block]:
    """What follows the label in its paragraph, as a paragraph of its own."""
    start, stop = tokens[position].map or (0, 0)
    text = tokens[position + 1].content.partition("**:" if "**:" in tokens[position + 1].content else "**")[2]
    text = text.partition("**")[2] if "**" in text else text
    text = text.lstrip(" :\n")
    if not text.strip():
        return []
    return [Block(kind="paragraph", text=text, line=start + 1, end_line=stop, inline=after)]


def _set_roles(section: Section, lexicon: Lexicon, *, within: Role) -> None:
    """A section's role is its heading's; where the heading only hints, the role it stands in has to allow it."""
    section.role = _role(section, lexicon, within) if section.level else Role.UNKNOWN
    inner = section.role if section.role is not Role.UNKNOWN else within
    mended = inner is Role.REMEDIATION
    for below in section.sections:
        _set_roles(below, lexicon, within=inner)
        if mended and below.role is Role.DIAGNOSIS and proves(below.title):
            _become(below, Role.REMEDIATION)
        mended = mended or below.role is Role.REMEDIATION
    if any(below.role is Role.DIAGNOSIS and below.level <= _HEADINGS for below in section.sections):
        for below in section.sections:
            if below.role is Role.UNKNOWN and below.level <= _HEADINGS and looks(below.title):
                _become(below, Role.DIAGNOSIS)


def _become(section: Section, role: Role) -> None:
    """Gives the section another role. What has that role below becomes a piece of it, as if it had been so from the start."""
    section.role = role
    pieces = list(section.sections)
    while pieces:
        piece = pieces.pop()
        if piece.role in {role, Role.UNKNOWN}:
            piece.role = Role.UNKNOWN
            pieces += piece.sections


def _role(section: Section, lexicon: Lexicon, within: Role) -> Role:
    exact = lexicon.exact(section.title)
    parts = {lexicon.exact(below.title) for below in section.sections if below.level <= _HEADINGS} & PARTS
    if len(parts) > 1 and (section.level == 1 or exact in _NO_LABEL):
        return Role.UNKNOWN
    if exact is within and exact is not Role.UNKNOWN:
        return Role.UNKNOWN
    if within in _FIRM:
        # What stands under a remedy is never run by itself, whatever its heading says; its labels stay with it.
        return Role.UNKNOWN if exact is Role.DIAGNOSIS or exact in _OF_A_PART else exact
    if within is Role.DIAGNOSIS and exact in _OF_A_PART:
        return Role.UNKNOWN
    if exact is not Role.UNKNOWN:
        return exact
    if section.level == 1 or len(parts) > 1:
        return Role.UNKNOWN
    likely = lexicon.likely(section.title)
    return likely if within is not Role.DIAGNOSIS or likely in _OUT_OF_DIAGNOSIS else Role.UNKNOWN


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
    closing = lines[stop - 1].strip("> \t") if stop - 1 > start and stop <= len(lines) else ""
    closed = closing.startswith(token.markup) and not closing.strip(token.markup[0])
    if not closed:
        message = f"this fence is never closed; put {token.markup} on a line of its own where it ends"
        problems.append(Problem(line=start + 1, message=message))
    return Block(
        kind="fence", text=token.content, line=start + 1, end_line=stop, info=token.info, closed=closed
    )

"""Sections → the steps of an investigation and the groups of remedies, each with its actions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from responder.core.effect import Role
from responder.core.runbook import Action, RemediationGroup, Step
from responder.runbooks import fences
from responder.runbooks.conditions import duration
from responder.runbooks.outline import BOLD_LEVEL, Block, Section

_LABEL = re.compile(r"^\*\*([^*]+?):?\*\*:?\s*(?:\([^)]*\)\s*:?)?\s*$")
_NUMBERED = re.compile(
    r"^\W*(?:(?:step|phase)\s+)?(\d+(?:\.\d+)*)\s*[.):\u2013\u2014-]\s*(?=\S)", re.IGNORECASE
)
_TIMED = re.compile(
    r"^\W*(?:immediate(?:ly)?|short[- ]?term|medium[- ]?term|mid[- ]?term|long[- ]?term|within|first|next|temporary"
    r"|permanent|urgent"
    r"|(?:<|\u2264|under)?\s*\d+\s*(?:[-\u2013]\s*\d+\s*)?\+?\s*(?:min|hour|hr|h\b|m\b|day))",
    re.IGNORECASE,
)
_PROCEDURE = re.compile(
    r"^\W*(?:\d+[.):]\s*)?(?:(?:step|option|method|procedure|approach|strategy|plan|phase|manual|how to|emergency)\b"
    r"|(?:restart|roll ?back|scale|reset|increase|decrease|reduce|enable|disable|clear|switch|fail ?over|revert|redeploy|kill|drain"
    r"|delete|remove|add|apply|block|rotate|restore|renew|free|clean|reboot|stop|start|flush|rebuild|check|verify|optimi[sz]e|contact"
    r"|remediation|mitigation|resolution|recovery|rollback|workaround|fix(?:es)?|actions?|solutions?)\b)",
    re.IGNORECASE,
)


def steps_of(part: Section) -> Iterator[Step]:
    """The steps of an investigation: numbered items where there are any, else headings, else each block by itself."""
    yield from _loose_steps(part)
    for child in part.own_sections():
        blocks = list(child.own_blocks())
        written = _NUMBERED.match(child.title)
        yield _step(
            child.title[written.end() :] if written else child.title,
            written[1] if written else "",
            blocks,
            line=child.line,
            end=child.end_line,
        )


def _loose_steps(part: Section) -> Iterator[Step]:
    numbered = [block for block in part.blocks if block.kind == "item" and block.number]
    if not numbered:
        yield from _each_block(part)
        return
    loose: list[Block] = []
    pending: Block | None = None
    for block in part.blocks:
        if block not in numbered:
            loose.append(block)
            continue
        yield from _numbered_step(part, pending, loose)
        pending, loose = block, []
    yield from _numbered_step(part, pending, loose)


def _numbered_step(part: Section, item: Block | None, after: Sequence[Block]) -> Iterator[Step]:
    """A numbered item, and with it what stands after it at the margin: many do not indent a step's fence."""
    after = [block for block in after if block.kind != "rule"]
    if item is None:
        if any(inner.kind in {"fence", "code_block", "item"} for block in after for inner in block.walk()):
            yield _step(_first_words(after, part), "", after)
        return
    blocks = [_itself(item), *item.children, *after]
    yield _step(
        item.text, item.number, blocks, line=item.line, end=max(item.end_line, *(b.end_line for b in blocks))
    )


def _each_block(part: Section) -> Iterator[Step]:
    loose: list[Block] = []
    for block in part.blocks:
        if block.kind == "rule":
            continue
        loose.append(block)
        if block.kind in {"fence", "code_block", "item"}:
            yield _step(_first_words(loose, part), "", loose)
            loose = []
    if loose:
        yield _step(_first_words(loose, part), "", loose)


def _first_words(blocks: Sequence[Block], part: Section) -> str:
    """What a step without a number is called: its first words, or the heading that it stands under."""
    first = blocks[0]
    return first.text if first.kind in {"paragraph", "item"} and first.text.strip() else part.title


def _itself(block: Block) -> Block:
    lines = block.text.count("\n")
    return Block(
        kind="paragraph", text=block.text, line=block.line, end_line=block.line + lines, inline=block.inline
    )


def _step(title: str, number: str, blocks: Sequence[Block], *, line: int = 0, end: int = 0) -> Step:
    return Step(
        number=number,
        title=_first_sentence(plain(title)),
        line=line or blocks[0].line,
        end_line=end or blocks[-1].end_line,
        points=tuple(point.text for point in _points(blocks)),
        actions=tuple(actions_of(blocks, role=Role.DIAGNOSIS)),
    )


def plain(text: str) -> str:
    """Words without the signs of Markdown."""
    return re.sub(r"\*\*|`|^\[[ xX]\]\s*", "", text).strip().rstrip(":")


def _first_sentence(words: str) -> str:
    """A title of one line: a sentence that is wrapped goes on; one that is long is cut at a word."""
    whole = re.split(r"(?<=[.:!?])\s+(?=[A-Z`(*])", " ".join(words.split()), maxsplit=1)[0].rstrip(":")
    return whole if len(whole) <= _TITLE else f"{whole[:_TITLE].rsplit(' ', 1)[0]} \u2026"


_TITLE = 120


def _points(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        for inner in block.walk():
            if inner.kind in {"item", "paragraph"} and inner.text:
                yield inner


def actions_of(blocks: Sequence[Block], *, role: Role) -> Iterator[Action]:
    """Every fence, and every inline endpoint or command, in order. Keys are given when the whole entry is known."""
    for block in blocks:
        for inner in block.walk():
            if inner.kind == "fence":
                end = inner.end_line - 1 if inner.closed else inner.end_line
                yield fences.fence(
                    key="",
                    info=inner.info,
                    text=inner.text,
                    line=inner.line + 1,
                    end_line=max(end, inner.line + 1),
                )
            elif inner.kind == "code_block":
                yield fences.fence(key="", info="", text=inner.text, line=inner.line, end_line=inner.end_line)
            else:
                yield from _inline(inner, role)


def _inline(block: Block, role: Role) -> Iterator[Action]:
    line = block.line
    for token in block.inline:
        if token.type in {"softbreak", "hardbreak"}:
            line += 1
        elif token.type == "code_inline":
            queries = role is Role.DIAGNOSIS
            if action := fences.inline(key="", text=token.content, line=line, queries=queries):
                yield action


def groups_of(part: Section) -> Iterator[RemediationGroup]:
    """Remedies: each under a bold label or a heading of its own; what stands before the first is a group without one."""
    for group in _labelled(part.title, part.line, part.blocks):
        # What stands under the part's own heading is for no cause in particular.
        whole = group.axis == "cause" and group.line == part.line
        yield replace(group, axis="procedure") if whole else group
    for child in part.own_sections():
        blocks = list(child.own_blocks())
        if child.level == BOLD_LEVEL:
            yield from _labelled(child.title, child.line, blocks)
        else:
            yield _group(child.title, child.line, blocks)


def _labelled(label: str, line: int, blocks: Sequence[Block]) -> Iterator[RemediationGroup]:
    inner: list[Block] = []
    for block in blocks:
        if block.kind == "paragraph" and _LABEL.match(block.text.strip()):
            if inner:
                yield _group(label, line, inner)
            label, line, inner = plain(block.text), block.line, []
        elif block.kind != "rule":
            inner.append(block)
    if inner:
        yield _group(label, line, inner)


def _group(label: str, line: int, blocks: Sequence[Block]) -> RemediationGroup:
    timed = _TIMED.match(label)
    limit = (
        duration(label)
        if timed or re.search(r"[(<]\s*(?:<|within|first|under|up to|\d+\s*[-\u2013]\s*\d)", label)
        else None
    )
    return RemediationGroup(
        label=label,
        axis="time" if timed or limit else "procedure" if _PROCEDURE.match(label) else "cause",
        limit=limit,
        line=line,
        end_line=blocks[-1].end_line if blocks else line,
        points=tuple(point.text for point in _points(blocks)),
        point_lines=tuple(point.line for point in _points(blocks)),
        actions=tuple(actions_of(blocks, role=Role.REMEDIATION)),
    )


def keyed_steps(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps with their numbers and the keys of their actions."""
    for position, step in enumerate(steps, start=1):
        actions = _with_keys(step.actions, f"step-{position}")
        yield replace(step, number=step.number or str(position), actions=actions)


def keyed_groups(groups: Sequence[RemediationGroup]) -> Iterator[RemediationGroup]:
    """The groups with the keys of their actions."""
    for position, group in enumerate(groups, start=1):
        yield replace(group, actions=_with_keys(group.actions, f"remedy-{position}"))


def _with_keys(actions: Sequence[Action], prefix: str) -> tuple[Action, ...]:
    return tuple(replace(action, key=f"{prefix}.{n}") for n, action in enumerate(actions, start=1))

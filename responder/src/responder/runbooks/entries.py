"""One alert's section → AlertEntry: its metadata, steps, remedies, escalation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from responder.core.effect import Role
from responder.core.runbook import Action, AlertEntry, Condition, EscalationRule, RemediationGroup, Step
from responder.runbooks import fences
from responder.runbooks.conditions import condition, duration, escalation
from responder.runbooks.outline import Block, Section

_META = re.compile(
    r"^\s*(?:[-*]\s+)?\**\s*(alert|alerts|alert name|severity|threshold|condition)\s*:?\s*\**\s*:?\s*(.+?)\s*$",
    re.IGNORECASE,
)
_ALERT_NAME = re.compile(r"`?\b([A-Z][A-Za-z0-9]*(?:[A-Z_][A-Za-z0-9]*)+)\b`?")
_PARTS = frozenset({Role.MEANING, Role.IMPACT, Role.SYMPTOMS, Role.DIAGNOSIS, Role.REMEDIATION})
_SEVERITY = re.compile(r"\b(P[0-4]|SEV-?[0-5]|S[1-4]|critical|warning|info|page|ticket)\b", re.IGNORECASE)
_LABEL = re.compile(r"^\*\*(.+?):?\*\*:?\s*$")


def is_entry(section: Section) -> bool:
    """Whether the section is about an alert: a metadata line names one, or its own headings are an alert's parts."""
    if section.role is not Role.UNKNOWN:
        return False
    if any(key == "alert" for key, _, _ in _metadata(section)):
        return True
    return len({child.role for child in section.sections} & _PARTS) >= 2


def entry(section: Section, *, path: str) -> AlertEntry:
    meta = {key: (value, line) for key, value, line in _metadata(section)}
    threshold = meta.get("threshold") or meta.get("condition")
    severity = _SEVERITY.findall(meta["severity"][0]) if "severity" in meta else []
    steps = [step for part in _parts(section, Role.DIAGNOSIS) for step in _steps(part)]
    groups = [group for part in _parts(section, Role.REMEDIATION) for group in _groups(part)]
    return AlertEntry(
        names=_names(section, meta, path=path),
        title=section.title.strip("` "),
        slug=section.slug,
        severity=_best(severity),
        threshold=_threshold(threshold[0]) if threshold else None,
        line=section.line,
        end_line=section.end_line,
        symptoms=tuple(b.text for part in _parts(section, Role.SYMPTOMS) for b in part.all_blocks()),
        steps=tuple(_keyed_steps(steps)),
        remediation=tuple(_keyed_groups(groups)),
        prevention=tuple(
            a for part in _parts(section, Role.PREVENTION) for a in _actions(list(part.all_blocks()))
        ),
        escalation=tuple(_escalation(section)),
    )


def _best(found: Sequence[str]) -> str | None:
    """ "Critical (P0)" says P0: the number is exact, the word is not."""
    numbered = [word for word in found if any(char.isdigit() for char in word)]
    chosen = next(iter([*numbered, *found]), None)
    return chosen.upper() if chosen and any(c.isdigit() for c in chosen) else chosen


def _threshold(text: str) -> Condition:
    return condition(text)


def _metadata(section: Section) -> Iterator[tuple[str, str, int]]:
    """Lines such as `**Severity:** Critical (P0)`, as a paragraph, as bullets or as rows of a table."""
    for block in section.blocks:
        rows = block.text.split("\n")
        if block.kind == "table":
            rows = [row.strip().strip("|").replace("|", ":", 1) for row in rows]
        elif block.kind not in {"paragraph", "item"}:
            continue
        for offset, row in enumerate(rows):
            if found := _META.match(row):
                key = (
                    found[1].lower().rstrip("s") if found[1].lower().startswith("alert") else found[1].lower()
                )
                yield key.removesuffix(" name"), found[2].strip(), block.line + offset


def _names(section: Section, meta: dict[str, tuple[str, int]], *, path: str) -> tuple[str, ...]:
    if "alert" in meta:
        value = meta["alert"][0]
        return tuple(dict.fromkeys(_ALERT_NAME.findall(value))) or (value.strip("` "),)
    if found := _ALERT_NAME.findall(section.title):
        return tuple(dict.fromkeys(found))
    stem = PurePath(path).stem
    return (stem,) if section.level == 1 and _ALERT_NAME.fullmatch(stem) else ()


def _parts(section: Section, role: Role) -> Iterator[Section]:
    return (child for child in section.walk() if child.role is role)


def _steps(part: Section) -> Iterator[Step]:
    """The steps of an investigation: numbered items where there are any, else headings, else each block by itself."""
    numbered = [block for block in part.blocks if block.kind == "item" and block.number]
    loose: list[Block] = []
    for block in part.blocks:
        if block in numbered:
            if loose and any(b.kind == "fence" for b in loose):
                yield _step(loose[0].text, "", loose)
            loose = []
            yield _step(
                block.text,
                block.number,
                [*_itself(block), *block.children],
                line=block.line,
                end=block.end_line,
            )
        elif numbered:
            loose.append(block)
        elif block.kind != "rule":
            loose.append(block)
            if block.kind in {"fence", "item"}:
                yield _step(loose[0].text if loose[0].kind != "fence" else part.title, "", loose)
                loose = []
    if loose and any(b.kind != "rule" for b in loose):
        yield _step(loose[0].text, "", loose)
    for child in part.sections:
        blocks = list(child.all_blocks())
        yield _step(child.title, "", blocks, line=child.line, end=child.end_line)


def _itself(block: Block) -> list[Block]:
    return [
        Block(kind="paragraph", text=block.text, line=block.line, end_line=block.line, inline=block.inline)
    ]


def _step(title: str, number: str, blocks: Sequence[Block], *, line: int = 0, end: int = 0) -> Step:
    return Step(
        number=number,
        title=_plain(title.split("\n", maxsplit=1)[0]),
        line=line or blocks[0].line,
        end_line=end or blocks[-1].end_line,
        points=tuple(point.text for point in _points(blocks)),
        actions=tuple(_actions(blocks)),
    )


def _plain(text: str) -> str:
    return re.sub(r"\*\*|`", "", text).strip().rstrip(":")


def _points(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        for inner in block.walk():
            if inner.kind in {"item", "paragraph"} and inner.text:
                yield inner


def _actions(blocks: Sequence[Block]) -> Iterator[Action]:
    """Every fence, and every inline endpoint or command, in order. Keys are given when the whole entry is known."""
    for block in blocks:
        for inner in block.walk():
            if inner.kind == "fence":
                yield fences.fence(
                    key="", info=inner.info, text=inner.text, line=inner.line + 1, end_line=inner.end_line - 1
                )
            elif inner.kind == "code_block":
                yield fences.fence(key="", info="", text=inner.text, line=inner.line, end_line=inner.end_line)
            else:
                yield from _inline(inner)


def _inline(block: Block) -> Iterator[Action]:
    line = block.line
    for token in block.inline:
        if token.type in {"softbreak", "hardbreak"}:
            line += 1
        elif token.type == "code_inline" and (action := fences.inline(key="", text=token.content, line=line)):
            yield action


def _keyed_steps(steps: Sequence[Step]) -> Iterator[Step]:
    for position, step in enumerate(steps, start=1):
        actions = _with_keys(step.actions, f"step-{position}")
        yield replace(step, number=step.number or str(position), actions=actions)


def _keyed_groups(groups: Sequence[RemediationGroup]) -> Iterator[RemediationGroup]:
    for position, group in enumerate(groups, start=1):
        yield replace(group, actions=_with_keys(group.actions, f"remedy-{position}"))


def _with_keys(actions: Sequence[Action], prefix: str) -> tuple[Action, ...]:
    return tuple(replace(action, key=f"{prefix}.{n}") for n, action in enumerate(actions, start=1))


def _groups(part: Section) -> Iterator[RemediationGroup]:
    """Remedies: each under a bold label or a heading of its own; what stands before the first is a group without one."""
    label, line, blocks = part.title, part.line, list[Block]()
    for block in part.blocks:
        found = _LABEL.match(block.text.strip()) if block.kind == "paragraph" else None
        if found:
            if blocks:
                yield _group(label, line, blocks)
            label, line, blocks = found[1].rstrip(":"), block.line, []
        elif block.kind != "rule":
            blocks.append(block)
    if blocks:
        yield _group(label, line, blocks)
    for child in part.sections:
        yield _group(child.title, child.line, list(child.all_blocks()))


def _group(label: str, line: int, blocks: Sequence[Block]) -> RemediationGroup:
    lowered = label.lower()
    timed = re.match(r"^(immediate|short[- ]term|long[- ]term|within)\b", lowered)
    axis = "time" if timed else "procedure" if "(" in lowered or "manual" in lowered else "cause"
    return RemediationGroup(
        label=label,
        axis=axis,
        limit=duration(label) if timed else None,
        line=line,
        end_line=blocks[-1].end_line if blocks else line,
        points=tuple(point.text for point in _points(blocks)),
        point_lines=tuple(point.line for point in _points(blocks)),
        actions=tuple(_actions(blocks)),
    )


def _escalation(section: Section) -> Iterator[EscalationRule]:
    for part in _parts(section, Role.ESCALATION):
        for block in part.all_blocks():
            if block.kind in {"item", "paragraph"} and block.text:
                yield escalation(block.text, line=block.line)

"""One alert's section → AlertEntry: its metadata, steps, remedies, escalation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from responder.core.effect import Role
from responder.core.runbook import (
    Action,
    AlertEntry,
    Condition,
    EscalationRule,
    Meta,
    RemediationGroup,
    Step,
    squash,
)
from responder.runbooks import fences
from responder.runbooks.conditions import condition, duration, escalation
from responder.runbooks.outline import PARTS, Block, Section

_META = re.compile(
    r"^\s*(?:[-*]\s+)?\**\s*(alert(?:s|[ _]?name)?|severity|priority|threshold|condition|fires when|trigger)"
    r"\s*:?\s*\**\s*:?\s*(.+?)\s*$",
    re.IGNORECASE,
)
_KEYS = {"alerts": "alert", "alertname": "alert", "condition": "threshold", "fires when": "threshold",
         "trigger": "threshold", "priority": "severity"}  # fmt: skip
_CAMEL = r"[A-Za-z][A-Za-z0-9]*(?:[a-z0-9][A-Z]|_)[A-Za-z0-9_]*"
_ALERT_NAME = re.compile(rf"(?<![\w-])({_CAMEL})(?![\w-])")
# A heading that is a name, or several, and what teams put around it.
_DECORATION = re.compile(r"\[[^\]]*\]|\([^)]*\)|`|\*|^\s*\d+[.)]\s|\balerts?\b:?", re.IGNORECASE)
_TITLE_NAMES = re.compile(
    rf"^\s*{_CAMEL}(?:\s*(?:,|/|\||&|\band\b|\bor\b)\s*{_CAMEL})*\s*(?:[:\u2013\u2014-]\s.*)?$"
)
_SEVERITY = re.compile(
    r"\b(P[0-5]|SEV-?[0-5]|S[1-4]|critical|major|warning|minor|info|page|ticket|none)\b", re.IGNORECASE
)
_LABEL = re.compile(r"^\*\*(.+?):?\*\*:?\s*$")


def entry_sections(section: Section, *, path: str) -> Iterator[Section]:
    """The sections that are about an alert, the deepest that are one; what stands under an alert's part is none."""
    if _says_so(section, path=path):
        yield section
        return
    below = [
        found
        for child in section.sections
        if child.role is Role.UNKNOWN or _names_an_alert(child)
        for found in entry_sections(child, path=path)
    ]
    if below:
        yield from below
    elif len(_parts_of(section)) > 1 and section.role is Role.UNKNOWN:
        yield section


def _says_so(section: Section, *, path: str) -> bool:
    """By a line that names an alert; by a heading that is an alert's name over one of its parts, or the file's own name."""
    if _names_an_alert(section):
        return True
    if section.role is not Role.UNKNOWN or not (names := _title_names(section.title)):
        return False
    return bool(_parts_of(section)) or (
        section.level == 1 and squash(names[0]) == squash(PurePath(path).stem)
    )


def _names_an_alert(section: Section) -> bool:
    return any(meta.key == "alert" for meta in _metadata(section))


def _parts_of(section: Section) -> set[Role]:
    return {child.role for child in section.sections} & PARTS


def entry(section: Section, *, path: str, front: Mapping[str, Meta]) -> AlertEntry:
    """What the section says of its alert; `front` are the facts of the front matter, for a file about one alert."""
    metas = [
        *_metadata(section),
        *(meta for meta in front.values() if meta.key in {"alert", "severity", "threshold"}),
    ]
    meta = {m.key: m for m in reversed(metas)}
    steps = [step for part in _parts(section, Role.DIAGNOSIS) for step in _steps(part)]
    groups = [group for part in _parts(section, Role.REMEDIATION) for group in _groups(part)]
    title = section.title or (front["title"].value if "title" in front else _first_title(section))
    threshold = condition(meta["threshold"].value) if "threshold" in meta else None
    return AlertEntry(
        names=_names(section, title, meta.get("alert"), path=path),
        aliases=_aliases(section, title, path=path),
        meta=tuple(metas),
        meaning=tuple(_words(section, Role.MEANING)),
        impact=tuple(_words(section, Role.IMPACT)),
        title=title,
        slug=section.slug,
        severity=_best(_SEVERITY.findall(meta["severity"].value)) if "severity" in meta else None,
        threshold=threshold,
        line=section.line,
        end_line=section.end_line,
        symptoms=tuple(_words(section, Role.SYMPTOMS)),
        steps=tuple(_keyed_steps(steps)),
        remediation=tuple(_keyed_groups(groups)),
        prevention=tuple(
            a for part in _parts(section, Role.PREVENTION) for a in _actions(list(part.own_blocks()))
        ),
        escalation=tuple(_escalation(section, threshold)),
    )


def _first_title(section: Section) -> str:
    """For a file whose headings are all of one level: the first of them that is no part."""
    return next((child.title for child in section.sections if child.role is Role.UNKNOWN), "")


def _words(section: Section, role: Role) -> Iterator[str]:
    return (
        block.text for part in _parts(section, role) for block in part.own_blocks() if block.kind != "fence"
    )


def _best(found: Sequence[str]) -> str | None:
    """ "Critical (P0)" says P0: the number is exact, the word is not."""
    numbered = [word for word in found if any(char.isdigit() for char in word)]
    chosen = next(iter([*numbered, *found]), None)
    return chosen.upper() if chosen and any(c.isdigit() for c in chosen) else chosen


def _metadata(section: Section) -> Iterator[Meta]:
    """Lines such as `**Severity:** Critical (P0)`, as a paragraph, as bullets or as rows of a table."""
    for block in section.blocks:
        rows = list(enumerate(block.text.split("\n"), start=block.line))
        if block.kind == "table":
            rows = list(_table_rows(rows))
        elif block.kind not in {"paragraph", "item"}:
            continue
        for line, row in rows:
            if (found := _META.match(row)) and re.match(r"[^:]{0,40}:", row):
                written = found[1].lower().replace("_", "").replace(" name", "name")
                key, value = _KEYS.get(written, written), found[2].strip().strip("*").strip()
                if key != "alert" or _alert_names(value):
                    yield Meta(key=key, value=value, line=line, source="metadata")


def _table_rows(rows: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Rows `| Severity | P1 |` as `Severity: P1`; of a table with its keys on top, each cell under its key."""
    cells = [(line, [cell.strip(" `*") for cell in row.strip().strip("|").split("|")]) for line, row in rows]
    if len(cells) == 3 and len(cells[0][1]) > 2:
        line, values = cells[2]
        yield from (
            (line, f"{key}: {value}") for key, value in zip(cells[0][1], values, strict=False) if value
        )
        return
    for line, row in cells:
        yield line, f"{row[0]}: {' '.join(row[1:])}"


_QUOTED_NAME = re.compile(r"`([A-Za-z_][\w:.-]*)`")


def _alert_names(value: str) -> tuple[str, ...]:
    """The names in what follows `Alert:`: quoted ones, or nothing but names; a sentence or an address names none."""
    if quoted := _QUOTED_NAME.findall(value):
        return tuple(dict.fromkeys(quoted))
    return _title_names(value) or ((value,) if re.fullmatch(r"[A-Za-z_][\w:-]*", value) else ())


def _title_names(title: str) -> tuple[str, ...]:
    bare = _DECORATION.sub(" ", title).strip()
    if _TITLE_NAMES.match(bare):
        head = re.split(r"(?:^|\s)[:\u2013\u2014-]\s|:\s", bare)[0]
        return tuple(dict.fromkeys(_ALERT_NAME.findall(head)))
    return ()


def _names(section: Section, title: str, meta: Meta | None, *, path: str) -> tuple[str, ...]:
    if meta is not None:
        return _alert_names(meta.value)
    if found := _title_names(title):
        return found
    stem = PurePath(path).stem
    if section.level > 1:
        return ()
    # A single word is only a name where the file bears it too, and then it is the file's spelling that counts.
    single = _DECORATION.sub(" ", title).strip()
    camel = _ALERT_NAME.fullmatch(stem) and not stem.islower()
    return (stem,) if camel or (single and single == stem) else ()


def _aliases(section: Section, title: str, *, path: str) -> frozenset[str]:
    words = [title, PurePath(path).stem] if section.level <= 1 else [title]
    return frozenset(squash(word) for word in words) - {""}


def _parts(section: Section, role: Role, within: Role = Role.UNKNOWN) -> Iterator[Section]:
    """The sections below of a role, each once: what stands in one of the same role is a piece of it."""
    for child in section.sections:
        if child.role is role and within is not role:
            yield child
        yield from _parts(child, role, within if child.role is Role.UNKNOWN else child.role)


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
    for child in part.own_sections():
        blocks = list(child.own_blocks())
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
    for child in part.own_sections():
        yield _group(child.title, child.line, list(child.own_blocks()))


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


def _escalation(section: Section, threshold: Condition | None) -> Iterator[EscalationRule]:
    for part in _parts(section, Role.ESCALATION):
        for block in part.own_blocks():
            if block.kind in {"item", "paragraph"} and block.text:
                yield escalation(block.text, line=block.line, threshold=threshold)

"""Which sections are about an alert, and one such section → AlertEntry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

from responder.core.effect import Role
from responder.core.runbook import AlertEntry, Aside, Condition, EscalationRule, Meta, squash
from responder.runbooks import facts, names, procedures
from responder.runbooks.escalations import rules_of
from responder.runbooks.outline import PARTS, Block, Section

_DOING = frozenset({Role.DIAGNOSIS, Role.REMEDIATION})
# Parts whose fences are for people to read; a diagnosis and a remedy have theirs in steps and groups.
_ASIDE = frozenset({
    Role.MEANING, Role.IMPACT, Role.SYMPTOMS, Role.PREVENTION, Role.ESCALATION, Role.META, Role.RESOURCES, Role.TEMPLATES,
    Role.CONTACTS,
})  # fmt: skip


def entry_sections(section: Section, *, path: str) -> Iterator[Section]:
    """The sections that are about an alert, the deepest that are one; what stands under an alert's part is none."""
    parts = parts_of(section)
    named = facts.own_names(section)
    entitled = bool(names.title_names(section.title))
    if parts and (named or (entitled and section.role in {Role.UNKNOWN, Role.META})):
        yield section
        return
    below = [found for child in section.sections for found in _below(child, path=path)]
    if below:
        yield from below
    elif (
        named
        or names.says_alert(section.title)
        or _is_unnamed(section, parts)
        or (entitled and any(meta.key == "severity" for meta in facts.metadata(section)))
        or (section.level == 1 and entitled and _bears_the_name(section, path))
    ):
        yield section


def _is_unnamed(section: Section, parts: set[Role]) -> bool:
    """Something that is seen and something to do about it make a section one, although nothing names it.

    An overview beside one other part does not: most how-tos and decision records have that.
    """
    if section.role is not Role.UNKNOWN or len(parts) < 2:
        return False
    seen_or_done = parts - {Role.MEANING}
    return (len(seen_or_done) > 1 and bool(parts & _DOING)) or _speaks_of_an_alert(section)


def _speaks_of_an_alert(section: Section) -> bool:
    titles = [section.title, *(child.title for child in section.sections if child.role in PARTS)]
    return any(re.search(r"\balert\b(?!ing)", title, re.IGNORECASE) for title in titles)


def _bears_the_name(section: Section, path: str) -> bool:
    return squash(names.title_names(section.title)[0]) == squash(PurePath(path).stem)


def _below(child: Section, *, path: str) -> Iterator[Section]:
    """Under a part, only what bears an alert's name and has parts of its own is about an alert."""
    for found in entry_sections(child, path=path):
        if child.role is Role.UNKNOWN or (parts_of(found) and (found is not child or _is_about_one(found))):
            yield found


def _is_about_one(section: Section) -> bool:
    return bool(names.title_names(section.title)) or facts.own_names(section)


def parts_of(section: Section) -> set[Role]:
    """The roles of an alert's parts that stand right below the section."""
    return {child.role for child in section.sections} & PARTS


def entry(section: Section, *, path: str, front: Mapping[str, Meta]) -> AlertEntry:
    """What the section says of its alert; `front` are the facts of the front matter, for a file about one alert."""
    metas = [
        *facts.metadata(section),
        *(meta for meta in front.values() if meta.key in {"alert", "severity", "threshold"}),
    ]
    steps = [step for part in _parts(section, Role.DIAGNOSIS) for step in procedures.steps_of(part)]
    groups = [group for part in _parts(section, Role.REMEDIATION) for group in procedures.groups_of(part)]
    title = section.title or (front["title"].value if "title" in front else _first_title(section))
    threshold = facts.threshold(section, metas)
    asides = _asides(section)
    return AlertEntry(
        names=_names(section, title, metas, path=path),
        aliases=names.aliases(title, path if section.level <= 1 else None),
        meta=tuple(metas),
        meaning=tuple(_words(section, Role.MEANING)),
        impact=tuple(_words(section, Role.IMPACT)),
        title=title,
        slug=section.slug,
        severity=_severity(title, metas),
        threshold=threshold,
        line=section.line,
        end_line=section.end_line,
        symptoms=tuple(_words(section, Role.SYMPTOMS)),
        steps=tuple(procedures.keyed_steps(steps)),
        remediation=tuple(procedures.keyed_groups(groups)),
        prevention=tuple(aside.action for aside in asides if aside.role is Role.PREVENTION),
        asides=tuple(aside for aside in asides if aside.role is not Role.PREVENTION),
        escalation=tuple(_escalation(section, threshold)),
    )


def _severity(title: str, metas: list[Meta]) -> str | None:
    written = (facts.severity(meta.value) for meta in metas if meta.key == "severity")
    return next((found for found in written if found), None) or facts.severity_in_title(title)


def _names(section: Section, title: str, metas: list[Meta], *, path: str) -> tuple[str, ...]:
    said = [name for meta in metas if meta.key == "alert" for name in names.alert_names(meta.value)]
    found = tuple(dict.fromkeys(said)) or names.title_names(title)
    if not found and section.level <= 1:
        found = names.names_of_file(title, path)
    return found or facts.names_in_words(section)


def _first_title(section: Section) -> str:
    """For a file whose headings are all of one level: the first of them that is no part."""
    return next((child.title for child in section.sections if child.role is Role.UNKNOWN), "")


def _words(section: Section, role: Role) -> Iterator[str]:
    return (
        block.text for part in _parts(section, role) for block in part.own_blocks() if block.kind != "fence"
    )


def _parts(section: Section, role: Role, within: Role = Role.UNKNOWN) -> Iterator[Section]:
    """The sections below of a role, each once: what stands in one of the same role is a piece of it."""
    for child in section.sections:
        if child.role is role and within is not role:
            yield child
        yield from _parts(child, role, within if child.role is Role.UNKNOWN else child.role)


def _asides(section: Section) -> list[Aside]:
    """The fences that stand where nothing is run, and those in front of the parts, in order."""
    found = [_aside(block, Role.UNKNOWN) for block in _fences(section.blocks)]
    for child in section.sections:
        if child.role is Role.UNKNOWN and not parts_of(child):
            found += [_aside(block, Role.UNKNOWN) for block in _fences(child.own_blocks())]
    for role in _ASIDE:
        for part in _parts(section, role):
            found += [_aside(block, role) for block in _fences(part.own_blocks())]
    return sorted(found, key=lambda aside: aside.action.line)


def _fences(blocks: Iterable[Block]) -> Iterator[Block]:
    return (inner for block in blocks for inner in block.walk() if inner.kind in {"fence", "code_block"})


def _aside(block: Block, role: Role) -> Aside:
    (action,) = procedures.actions_of([block], role=role)
    return Aside(role=role, action=action)


def _escalation(section: Section, threshold: Condition | None) -> Iterator[EscalationRule]:
    for part in _parts(section, Role.ESCALATION):
        yield from rules_of(_blocks_of(part), threshold=threshold)


def _blocks_of(part: Section) -> Iterator[Block]:
    """The blocks of a part; a heading below it, as "Level 1: the person on call", is a line of it too."""
    yield from part.blocks
    for child in part.own_sections():
        if child.level:
            yield Block(kind="heading", text=child.title, line=child.line, end_line=child.line)
        yield from _blocks_of(child)

"""What is said of an alert in metadata of any dress: bold lines, bullets, tables, quotes, headings, a rule in YAML, prose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from responder.core.effect import Role
from responder.core.runbook import Condition, Meta
from responder.runbooks.conditions import condition
from responder.runbooks.names import alert_names, mentioned_names
from responder.runbooks.outline import BOLD_LEVEL, Block, Section

_KEYS = {
    **dict.fromkeys(
        ("alert", "alerts", "alertname", "alert name", "alert names", "alert name(s)", "alert(s)", "alerting rule",
         "prometheus alert", "prometheus alerts", "alert rule", "alertnames", "alert id", "firing alert"),
        "alert",
    ),
    **dict.fromkeys(
        ("severity", "severity level", "priority", "alert severity", "default severity", "incident severity", "sev",
         "severity/priority", "urgency", "severity classification"),
        "severity",
    ),
    **dict.fromkeys(
        ("threshold", "thresholds", "alert threshold", "condition", "alert condition", "trigger", "trigger condition",
         "fires when", "triggers when", "triggered when", "firing condition", "fires if", "alert trigger", "alert fires when"),
        "threshold",
    ),
}  # fmt: skip
# Under a heading "Severity" a line may only say its level.
_LEVELS = frozenset({"level", "default", "rating", "value", "classification"})
_ROW = re.compile(r"^(?P<key>[A-Za-z][\w /()-]{1,30}?)\s*(?::|=(?!=)|\s[\u2013\u2014-]\s)\s*(?P<value>\S.*)$")
_BULLET = re.compile(r"^\s*(?:>\s*)*(?:[-*+]\s+)?(?:\[[ xX]\]\s+)?")
_EMPHASIS = re.compile(r"\*\*|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])|(?<!\w)_(?=\S)|(?<=\S)_(?!\w)")
_SEVERAL = re.compile(r"\s+[|\u00b7\u2022]\s+")
# Parts whose words may name the alert, but say nothing else of it in the form of metadata.
_NAMING = frozenset({Role.SYMPTOMS, Role.MEANING})
# Labels in bold that hold something to do: what stands under them is no metadata.
_DOING = frozenset(
    {Role.DIAGNOSIS, Role.REMEDIATION, Role.PREVENTION, Role.TEMPLATES, Role.RESOURCES, Role.CONTACTS}
)


def metadata(section: Section) -> list[Meta]:
    """The facts of a section: its own, and those under headings that only hold facts, such as "Alert Details"."""
    found = list(_rows_of(section.blocks))
    for child in section.sections:
        found += _in_a_heading(child)
        if child.role is Role.META:
            found += _under_a_key(child)
        elif child.level == BOLD_LEVEL and child.role not in _DOING:
            found += _rows_of(child.blocks)
        elif child.role in _NAMING:
            found += (meta for meta in _rows_of(child.blocks) if meta.key == "alert")
        if child.role is Role.IMPACT and child.level < BOLD_LEVEL:
            found += (meta for meta in _in_an_impact(child) if meta.key == "severity")
    return found


def _in_an_impact(child: Section) -> Iterator[Meta]:
    """An impact often begins with `**Severity:** Warning`."""
    yield from _rows_of(child.blocks)
    for label in child.sections:
        if label.role is Role.META:
            yield from _under_a_key(label)


def _in_a_heading(child: Section) -> Iterator[Meta]:
    """`## Severity: P1`. A heading that names an alert is the alert's own section."""
    heading = _ROW.match(_EMPHASIS.sub("", child.title)) if child.level < BOLD_LEVEL else None
    key = _KEYS.get(_key(heading["key"])) if heading else None
    if heading and key and key != "alert":
        yield _meta(key, heading["value"], child.line)


def own_names(section: Section) -> bool:
    """Whether the section itself names an alert, or a heading below that only holds facts."""
    return any(meta.key == "alert" for meta in metadata(section))


def _under_a_key(child: Section) -> list[Meta]:
    """A heading that is a key itself, as "Severity", has its value below; any other holds lines of facts."""
    blocks = list(child.all_blocks())
    found = list(_rows_of(blocks))
    key = _KEYS.get(_key(child.title))
    # A label whose words follow it on the same line is on the heading's own line.
    first = next((block for block in blocks if block.text.strip()), None)
    if key is None or first is None or any(meta.key == key for meta in found):
        return found
    if key == "severity":
        levels = [(line, row) for line, row in _plain_rows(blocks) if _key(row.partition(":")[0]) in _LEVELS]
        for line, row in levels[:1]:
            return [*found, _meta(key, row.partition(":")[2], line)]
    line, text = next(iter(_plain_rows([first])), (first.line, ""))
    if key == "alert" and not alert_names(text):
        return found
    return [*found, _meta(key, text, line)] if text else found


def _key(words: str) -> str:
    return " ".join(re.sub(r"[^\w ()/-]", " ", words.replace("_", " ")).lower().split())


def _meta(key: str, value: str, line: int) -> Meta:
    return Meta(key=key, value=_EMPHASIS.sub("", value).strip(" |:"), line=line, source="metadata")


def _rows_of(blocks: Sequence[Block]) -> Iterator[Meta]:
    for line, row in _plain_rows(blocks):
        pieces = _SEVERAL.split(row)
        for piece in pieces if all(_ROW.match(piece) for piece in pieces) else [row]:
            found = _ROW.match(piece)
            key = _KEYS.get(_key(found["key"])) if found else None
            if found and key and (key != "alert" or alert_names(found["value"])):
                yield _meta(key, found["value"], line)


# A longer line is no fact.
_LONGEST_ROW = 2_000


def _plain_rows(blocks: Sequence[Block]) -> Iterator[tuple[int, str]]:
    """The lines of text, without bullets and emphasis; rows of a table as `key: value`; a rule in YAML, its own lines."""
    for block in blocks:
        rows = list(enumerate(block.text.split("\n"), start=block.line))
        if block.kind == "table":
            rows = list(_table_rows(rows))
        elif block.kind == "quote":
            yield from _plain_rows(block.children)
            continue
        elif block.kind == "fence":
            rows = _rule_rows(block)
        elif block.kind not in {"paragraph", "item"}:
            continue
        for line, row in rows:
            if len(row) > _LONGEST_ROW:
                continue
            if plain := _EMPHASIS.sub("", _BULLET.sub("", row)).strip():
                yield line, plain
        if block.kind == "item":
            yield from _plain_rows([child for child in block.children if child.kind == "item"])


_RULE_LINE = re.compile(r"^\s*(?:-\s+)?(alert|severity)\s*:\s*[\"']?([\w:.-]+)[\"']?\s*(?:#.*)?$")


def _rule_rows(block: Block) -> list[tuple[int, str]]:
    if block.info.split()[:1] not in (["yaml"], ["yml"]):
        return []
    rows = enumerate(block.text.split("\n"), start=block.line + 1)
    return [(line, f"{found[1]}: {found[2]}") for line, row in rows if (found := _RULE_LINE.match(row))]


def _table_rows(rows: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Rows `| Severity | P1 |` as `Severity: P1`; of a table with its keys on top and one row, each cell under its key."""
    cells = [(line, [cell.strip(" `*") for cell in row.strip().strip("|").split("|")]) for line, row in rows]
    if (
        len(cells) == 3
        and any(_key(cell) in _KEYS for cell in cells[0][1])
        and _key(cells[2][1][0]) not in _KEYS
    ):
        line, values = cells[2]
        pairs = zip(cells[0][1], values, strict=False)
        yield from ((line, f"{key}: {value}") for key, value in pairs if value)
        return
    # What stands on top is a fact too, where the rows below are: in a list of alerts it is not.
    facts = any(_key(row[0]) in _KEYS for _, row in cells[2:])
    for line, row in cells if facts else cells[1:]:
        yield line, f"{row[0]}: {' '.join(row[1:])}"


_SEVERITY = re.compile(
    r"\b(P[0-5]|SEV(?:ERITY)?[- ]?[0-5]|S[0-4]|critical|major|warning|minor|info(?:rmational)?|page|ticket|none|high|medium|low"
    r"|error|emergency|urgent|notice)\b",
    re.IGNORECASE,
)
_CHOICE = re.compile(r"^\W*[\w-]+(?:\s*[/|]\s*[\w-]+)+\W*$")


def severity(value: str) -> str | None:
    """ "Critical (P0)" says P0: the number is exact, the word is not. A choice of several, as in "P1/P2", says none."""
    found = _SEVERITY.findall(value)
    if _CHOICE.match(value) and len({word.lower() for word in found}) > 1:
        return None
    numbered = [word for word in found if any(char.isdigit() for char in word)]
    chosen = next(iter([*numbered, *found]), None)
    return chosen.upper() if chosen and any(c.isdigit() for c in chosen) else chosen


_IN_TITLE = re.compile(
    r"[\[(]\s*(P[0-5]|SEV-?[0-5]|S[0-4]|critical|warning|info|page|ticket)\s*[\])]", re.IGNORECASE
)


def severity_in_title(title: str) -> str | None:
    """A severity in brackets: `DiskFull (critical)`."""
    found = _IN_TITLE.search(title)
    return severity(found[1]) if found else None


_IS_FIRED = r"fired|triggered|raised|sent|activated|issued|generated|emitted"
_FIRES = re.compile(
    rf"\balerts?\b[^.:;]{{0,40}}?\b(?:fires?|triggers?|goes off|activates?|occurs?|has fired|(?:is|are|gets?) (?:{_IS_FIRED})"
    rf"|will (?:fire|trigger|occur|be (?:{_IS_FIRED})))\s+(?:when|if|once|after|because|whenever|as soon as)\s+(?P<clause>.+)$"
    r"|\b(?:fires?|triggers?|triggered|fired|firing|raised)\s+(?:when|if|once|whenever|as soon as)\s+(?P<bare>.+)$"
    r"|^alerts?\s+(?:when|if|once|whenever|as soon as)\s+(?P<told>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_ASIDE = re.compile(
    r",\s+(?=indicating|which|suggesting|meaning|causing|this|it|and\b)|\s+\((?!\d)", re.IGNORECASE
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+(?=[A-Z`*\[])|\n\s*\n")


def threshold(section: Section, metas: Sequence[Meta]) -> Condition | None:
    """The threshold as metadata has it, else beside the alert's name, else in a sentence that says when the alert fires."""
    written = next((meta.value for meta in metas if meta.key == "threshold"), None)
    if written is not None:
        return condition(written)
    beside = [read for meta in metas if meta.key == "alert" and (read := _beside(meta.value)) is not None]
    if beside:
        # Of several alerts with a limit each, none is that of all.
        return beside[0] if len({(read.op, read.value) for read in beside}) == 1 else None
    fires = [read for text in _prose(section) for read in _fires_when(text)]
    # An alert that the words let fire at two limits has none that could be told.
    return fires[0] if len({(read.op, read.value) for read in fires}) == 1 else None


def _fires_when(text: str) -> Iterator[Condition]:
    for sentence in _SENTENCE.split(text):
        if found := _FIRES.search(" ".join(sentence.split())):
            clause = _ASIDE.split(found["clause"] or found["bare"] or found["told"])[0]
            read = condition(clause.strip(" ."))
            if read.value is not None:
                yield read


def _beside(value: str) -> Condition | None:
    """`HighLatency` (p95 > 2s), `DiskFull` \u2014 disk above 90% for 5 minutes."""
    rest = re.sub(r"^\W*[\w:.-]+`?\s*(?:[(\u2013\u2014:-]|\bfires when\b|\bwhen\b)\s*", "", value).strip(
        " )`."
    )
    if rest == value.strip(" )`.") or not rest:
        return None
    read = condition(rest.replace("`", "") if rest.count("`") % 2 else rest)
    return read if read.value is not None else None


_LONGEST_PROSE = 10_000


def _prose(section: Section) -> Iterator[str]:
    own = [
        block.text
        for block in section.blocks
        if block.kind == "paragraph" and len(block.text) < _LONGEST_PROSE
    ]
    yield from own
    for child in section.sections:
        if child.role in {Role.MEANING, Role.META, Role.SYMPTOMS}:
            blocks = (block for block in child.own_blocks() if block.kind in {"paragraph", "item"})
            yield from (block.text for block in blocks if len(block.text) < _LONGEST_PROSE)


def names_in_words(section: Section) -> tuple[str, ...]:
    """Names that the words mention as alerts: "the alert `DiskFull` fires"."""
    return tuple(dict.fromkeys(name for text in _prose(section) for name in mentioned_names(text)))

"""Lines and tables of an escalation section: who is told, and when. What cannot be typed stays the words that it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from responder.core.runbook import Condition, EscalationRule
from responder.runbooks.conditions import condition, duration
from responder.runbooks.outline import Block

_VERBS = (
    r"page|notify|contact|escalate (?:directly )?to|engage|call|alert|inform|reach out to|ping|loop in|involve|bring in"
    r"|wake(?: up)?|hand (?:it )?(?:over|off) to|message|email|assign to|get|tag"
)
_ROLES = re.compile(rf"(?<![\w-])(?:{_VERBS})\s+(?P<who>[^:;.(]+)", re.IGNORECASE)
_SEVERITY = re.compile(r"\b(P[0-5]|SEV-?[0-5])\b", re.IGNORECASE)
_RAISE = re.compile(
    r"\b(?:escalate|raise|upgrade|promote|bump)(?: it| this| the incident| severity)? to (P[0-5]|SEV-?[0-5])\b",
    re.IGNORECASE,
)
_ELAPSED = re.compile(
    r"\b(?:after|within|for (?:more|longer) than|longer than|exceeds?|past|in|at)\b|\bno (?:improvement|progress|response|ack)"
    r"|\b(?:not|un)\s*(?:resolved|acknowledged|mitigated)|\belapsed\b|\bfor\s+\d",
    re.IGNORECASE,
)
_ONLY_TIME = re.compile(
    r"^\W*(?:T\s*\+\s*)?(?:>|\u2265|<|\+)?\s*\d+(?:\.\d+)?\s*(?:[-\u2013]\s*\d+)?\s*\+?\s*(?:s|sec|m|min|h|hr|d)\w*\s*\+?\W*$",
    re.IGNORECASE,
)
_EFFECTS = (
    ("report", r"\bfile\b|\breport\b"),
    ("page", r"(?<![\w-])(?:page|call)\b|\bwake\b|\bpagerduty\b"),
    ("page", r"\bescalate (?:directly )?to\b"),
    ("contact", r"\bcontact\b|\bengage\b|\breach out\b|\binvolve\b|\bloop in\b|\bbring in\b"),
    ("notify", r"\bnotify\b|\bnotification\b|\binform\b|\bping\b|\balert\b|\bmessage\b|\bemail\b|\btag\b"),
)
_CLAUSE = re.compile(
    r"^(?P<lead>(?:if|when|once|after|should|in case(?: of)?|unless|whenever|where)\b[^,]+),\s*(?:then\s+)?(?P<rest>.+)$"
    r"|^(?P<first>.+?)\s+(?P<tail>(?:if|when|once|after|unless|whenever|in case of)\b.+)$",
    re.IGNORECASE | re.DOTALL,
)
_FIRST = re.compile(
    r"^\W*(?:(?:level|tier|l|t)\s*-?\s*1|primary|first|immediate(?:ly)?|initial|always)\b", re.IGNORECASE
)
_RANK = re.compile(
    r"^\W*(?:(?:level|tier|l|t)\s*-?\s*\d|primary|secondary|tertiary|backup|first|second|third|final)\b",
    re.IGNORECASE,
)


def rules_of(blocks: Iterable[Block], *, threshold: Condition | None = None) -> Iterator[EscalationRule]:
    """A rule for each line; below a line that ends with a colon, such as "Escalate if:", its bullets share its words."""
    lead = ""
    for block in blocks:
        if block.kind == "table":
            yield from _of_table(block, threshold)
        elif block.kind == "item":
            yield from _of_item(block, lead, threshold)
        elif block.kind == "heading":
            lead = (
                "Escalate if"
                if _CRITERIA.search(block.text)
                else block.text
                if _RANK.match(block.text)
                else ""
            )
        elif block.kind == "paragraph" and block.text:
            if block.text.rstrip("* ").endswith(":") and "\n" not in block.text:
                lead = block.text
            else:
                yield from _of_lines(block, threshold)


_CRITERIA = re.compile(r"\bwhen to\b|\bcriteria\b|\bescalate (?:if|when)\b", re.IGNORECASE)


def _of_lines(block: Block, threshold: Condition | None) -> Iterator[EscalationRule]:
    rows = block.text.split("\n")
    apart = len(rows) > 1 and all(row.lstrip().startswith("**") for row in rows)
    for line, text in enumerate(rows, start=block.line) if apart else [(block.line, block.text)]:
        yield escalation(text, line=line, threshold=threshold)


def _of_item(block: Block, lead: str, threshold: Condition | None) -> Iterator[EscalationRule]:
    inner = [child for child in block.children if child.kind == "item"]
    opens = bool(inner) and block.text.rstrip("* ").endswith(":")
    if not opens:
        yield escalation(block.text, line=block.line, lead=lead, threshold=threshold)
    for child in inner:
        yield from _of_item(child, block.text if opens else "", threshold)


_TIME_COLUMN = re.compile(
    r"\b(?:time|after|elapsed|duration|timeframe|wait|within|minutes?|response|sla|deadline)\b", re.IGNORECASE
)
_WHEN_COLUMN = re.compile(
    r"\b(?:when|if|condition|trigger|situation|criteria|scenario|severity|priority|issue|reason)\b",
    re.IGNORECASE,
)
_WHO_COLUMN = re.compile(
    r"\b(?:who|contacts?|escalate to|role|team|person|notify|owner|name|page|responsible|target|on-?call)\b",
    re.IGNORECASE,
)


def _of_table(block: Block, threshold: Condition | None) -> Iterator[EscalationRule]:
    """Rows of a table: a column of times or conditions, and one of roles or actions."""
    rows = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in block.text.split("\n")]
    header = rows[0]
    times = [n for n, cell in enumerate(header) if _TIME_COLUMN.search(cell)]
    whens = [n for n, cell in enumerate(header) if n not in times and _WHEN_COLUMN.search(cell)]
    whos = [n for n, cell in enumerate(header) if n not in (*times, *whens) and _WHO_COLUMN.search(cell)]
    for line, row in enumerate(rows[2:], start=block.line + 2):
        if not any(row):
            continue
        if not whens and not times and len(row) > 1:
            whens = [0]
        head = next((row[n] for n in (*whens, *times) if n < len(row) and row[n]), "")
        timed = next((row[n] for n in times if n < len(row) and duration(row[n])), None)
        rest = " ".join(cell for n, cell in enumerate(row) if n not in (*whens, *times) and cell)
        found = escalation(f"{timed or head}: {rest}" if head else rest, line=line, threshold=threshold)
        who = [row[n] for n in whos[:1] if n < len(row)]
        yield replace(
            found,
            raw=" | ".join(cell for cell in row if cell),
            targets=found.targets or tuple(name for cell in who for name in _names(cell)),
        )


def escalation(raw: str, *, line: int, lead: str = "", threshold: Condition | None = None) -> EscalationRule:
    """One line of an escalation section, and the words that lead to it, if it stands below such a line.

    A bare measure, as in `Persistent >10s`, is of the entry's own `threshold`.
    """
    words = _plain(raw)
    if len(words) > _LONGEST:
        return EscalationRule(raw=words, trigger="text", targets=(), line=line)
    before = _plain(lead).rstrip(": ")
    joint = " " if re.search(r"\b(?:if|when|after|once)$", before, re.IGNORECASE) else ": "
    head, tail = _parted(f"{before}{joint}{words}" if before else words)
    raised = _RAISE.search(words)
    trigger = _trigger(head, tail)
    severity = raised or (_SEVERITY.search(head or tail) if trigger == "severity" else None)
    targets, effect = _targets(tail, bare=not before and bool(_RANK.match(head))), _effect(tail)
    if trigger in {"event", "always"} and not (targets or effect or raised or _means_escalating(tail)):
        trigger = "text"
    return EscalationRule(
        raw=words,
        trigger=trigger,
        targets=targets,
        line=line,
        effect="raise_severity" if raised else effect,
        severity=severity[1].upper() if severity else None,
        after=duration(head or tail) if trigger == "elapsed" else None,
        condition=_measure(head, threshold) if trigger == "condition" else None,
    )


# A longer line is prose, for people to read.
_LONGEST = 600


def _plain(text: str) -> str:
    return " ".join(re.sub(r"\*\*|`|^\[[ xX]\]\s*", "", text).split())


def _means_escalating(tail: str) -> bool:
    return bool(re.match(r"escalate\b", tail, re.IGNORECASE))


def _parted(words: str) -> tuple[str, str]:
    """The condition and the act: before and after a colon, or a clause that begins with "if" or "after"."""
    head, colon, tail = re.sub(r"(?<=\d):(?=\d)|:(?=//)", "\0", words).partition(":")
    if colon and tail.strip():
        head, tail = head.replace("\0", ":"), tail.replace("\0", ":").strip()
        inner = _CLAUSE.match(tail)
        if _RANK.match(head) and (inner or duration(tail)):
            return (
                (f"{head} {inner['lead'] or inner['tail']}", inner["rest"] or inner["first"])
                if inner
                else (f"{head} after {tail}", tail)
            )
        return head, tail
    if found := _CLAUSE.match(words):
        return found["lead"] or found["tail"], found["rest"] or found["first"]
    return "", words


def _measure(head: str, threshold: Condition | None) -> Condition:
    found = condition(_BARE.sub("", head))
    if threshold is None or found.metric or found.unit is not threshold.unit:
        return found
    # "Persistent" gives no time: the entry's own is the only one that its author can have meant.
    return replace(
        found, metric=threshold.metric, quantile=threshold.quantile, for_=found.for_ or threshold.for_
    )


_BARE = re.compile(r"^\s*(?:(?:if|when|once|after)\s+)?(?:persist\w*\s*)?", re.IGNORECASE)


def _effect(words: str) -> str | None:
    return next((effect for effect, pattern in _EFFECTS if re.search(pattern, words, re.IGNORECASE)), None)


def _trigger(head: str, tail: str) -> str:
    lowered = head.lower()
    if lowered.startswith(("required", "mandatory", "always must")):
        return "duty"
    if duration(head) and (
        _ONLY_TIME.match(head) or (_ELAPSED.search(head) and condition(_BARE.sub("", head)).value is None)
    ):
        return "elapsed"
    measured = condition(_BARE.sub("", head))
    if measured.op != "state":
        return "elapsed" if _ELAPSED.search(head) and _is_wait(measured) else "condition"
    if _SEVERITY.search(head) or (not head and _SEVERITY.search(tail) and not _RAISE.search(tail)):
        return "severity"
    if not head or _FIRST.match(head):
        return "always"
    return "event"


def _is_wait(measured: Condition) -> bool:
    """Whether a comparison is about how long people have tried, as "unresolved > 30 min", not about a measure."""
    return measured.unit == "seconds" and bool(
        re.search(
            r"resolv|acknowledg|respon|progress|improve|mitigat|persist|outage|incident|elapsed|continu",
            measured.metric,
            re.IGNORECASE,
        )
    )


# What follows the names: when, how, through what, and what else to do.
_TRAILING = re.compile(
    r"\s*\b(?:immediately|at once|right away|asap|again|directly|first"
    r"|(?:as soon as|with|via|by|if|when|for|through|using|after|within|to|about|who|that|unless|while|once|until) .*"
    r"|on slack.*|in slack.*|in (?:the )?[#@].*|on [#@].*|at #.*"
    r"|and (?:open|create|start|post|update|declare|begin|file|prepare|consider|follow)\b.*)$",
    re.IGNORECASE,
)


def _targets(words: str, *, bare: bool) -> tuple[str, ...]:
    """The roles after a verb such as "page"; after a rank, as in `Secondary: Backend lead`, the words themselves."""
    found = _ROLES.search(words)
    if found is not None:
        return _names(found["who"])
    name = re.split(r"\s+[\u2013\u2014-]\s+|[(;.]", words)[0].strip()
    return _names(name) if bare and len(name.split()) <= _NAME_WORDS else ()


_NAME_WORDS = 4


def _names(who: str) -> tuple[str, ...]:
    plain = re.sub(r"\*\*|`", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", who)).strip()
    for _ in range(3):
        plain = _TRAILING.sub("", plain)
    parts = (
        re.sub(r"^(the|a|an|your|our|also)\s+", "", part.strip(), flags=re.IGNORECASE).rstrip(".")
        for part in re.split(r",|\band\b|/|&|\+", plain)
    )
    return tuple(
        name
        for name in parts
        if name and not _SEVERITY.fullmatch(name) and not name.lower().startswith(("or ", "then "))
    )

"""A runbook as values. Every node keeps its lines; what was not understood is kept as Unknown, never dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from responder.core.effect import Decision, Role, Statement, decide
from responder.core.remediation import Request


class Kind(StrEnum):
    """The language of an action, as the responder handles it."""

    PROMQL = "promql"
    LOGQL = "logql"
    SQL = "sql"
    SHELL = "shell"
    HTTP = "http"
    CODE = "code"
    TEXT = "text"


RUNNABLE = frozenset({Kind.PROMQL, Kind.LOGQL, Kind.SQL, Kind.SHELL, Kind.HTTP})


class Unit(StrEnum):
    PERCENT = "percent"
    SECONDS = "seconds"
    BYTES = "bytes"
    COUNT = "count"
    PER_SECOND = "per_second"
    STATE = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A threshold in words, typed: `>5% error rate for 5 minutes`. `value` is in `unit`; a state has none."""

    raw: str
    metric: str
    op: str
    value: float | None
    unit: Unit
    quantile: float | None
    for_: timedelta | None

    def holds(self, measured: float) -> bool | None:
        """Whether the condition is met by a measured value: a ratio for percent, seconds, a count. None for a state."""
        if self.value is None:
            return None
        limit = self.value / 100 if self.unit is Unit.PERCENT else self.value
        match self.op:
            case ">":
                return measured > limit
            case ">=":
                return measured >= limit
            case "<":
                return measured < limit
            case "<=":
                return measured <= limit
            case _:
                return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """`name` as bindings know it, `raw` as the text has it."""

    name: str
    raw: str

    @property
    def can_be_asked(self) -> bool:
        """An answer is put in where `{{name}}` stands, and in no other form."""
        return self.raw.startswith("{{") and "." not in self.raw


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """A command that reads the end of a log file and may filter it, so that no shell is needed for it."""

    path: str
    pattern: str | None
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A fence or an inline command. `key` is stable within its entry: `step-1.2`, `remedy-1.1`."""

    key: str
    kind: Kind
    language: str
    line: int
    end_line: int
    text: str
    statements: tuple[Statement, ...]
    placeholders: tuple[Placeholder, ...]
    requests: tuple[Request, ...] = ()
    log_read: LogRead | None = None
    guessed: bool = False

    def decision(self, role: Role, *, bound: frozenset[str], asked: frozenset[str] = frozenset()) -> Decision:
        """What becomes of the action in a section of `role`, given the names that have a value or are asked of a person."""
        ask = [p for p in self.placeholders if p.name in asked and p.can_be_asked]
        return decide(
            role,
            self.statements,
            runnable=self.kind in RUNNABLE,
            guessed=self.guessed,
            unbound=[p.raw for p in self.placeholders if p.name not in bound and p not in ask],
            asked=[p.name for p in ask],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of an investigation. `points` are its bullets and sentences, for people."""

    number: str
    title: str
    line: int
    end_line: int
    points: tuple[str, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationGroup:
    """`axis` is time, cause or procedure; `limit` is the time box of an axis of time.

    `points` are its bullets and sentences, for people, each with its line in `point_lines`.
    """

    label: str
    axis: str
    limit: timedelta | None
    line: int
    end_line: int
    points: tuple[str, ...]
    point_lines: tuple[int, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationRule:
    """`trigger` is always, severity, elapsed, condition, event, duty, or text for words that say none of them; `targets`
    the roles it names.

    `effect` is page, notify, contact, raise_severity or report, None where the words say none of them; `severity` the one
    that it speaks of or raises to; `after` the time without improvement; `condition` the measure that triggers it.
    """

    raw: str
    trigger: str
    targets: tuple[str, ...]
    line: int
    effect: str | None = None
    severity: str | None = None
    after: timedelta | None = None
    condition: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A fence that stands in a part of an entry where nothing is run, such as its meaning."""

    role: Role
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStage:
    """`limit` counts from the opening, `applies_to` a severity; both None where the words say none."""

    number: int
    name: str
    limit: timedelta | None
    applies_to: str | None
    items: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    role: str
    address: str
    kind: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What the status page says in a state; slots stay as written: `[issue description]`."""

    state: str
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    text: str
    target: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Lines that were not understood, for a person to read."""

    line: int
    end_line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with the Markdown itself, such as a fence that is never closed."""

    line: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """A fact about an alert as it is written, such as its severity: `source` is metadata or front matter."""

    key: str
    value: str
    line: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEntry:
    """What the runbook says about one alert, or about several that one section serves.

    `names` are alert names as Prometheus knows them; `aliases` are the words of the heading and of the file's name, by
    which an entry without a name can be found. `meta` are the facts as written; `meaning` and `impact` are for people.
    """

    names: tuple[str, ...]
    aliases: frozenset[str]
    meta: tuple[Meta, ...]
    meaning: tuple[str, ...]
    impact: tuple[str, ...]
    title: str
    slug: str
    severity: str | None
    threshold: Condition | None
    line: int
    end_line: int
    symptoms: tuple[str, ...]
    steps: tuple[Step, ...]
    remediation: tuple[RemediationGroup, ...]
    prevention: tuple[Action, ...]
    escalation: tuple[EscalationRule, ...]
    asides: tuple[Aside, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """`understood` is the share of non-blank lines that found a place, from 0 to 1; `anchors` what a link may mean."""

    path: str
    title: str
    sha256: str
    text: str
    alerts: tuple[AlertEntry, ...]
    process: tuple[ProcessStage, ...]
    contacts: tuple[Contact, ...]
    templates: tuple[Template, ...]
    links: tuple[Link, ...]
    anchors: frozenset[str]
    unknown: tuple[Unknown, ...]
    problems: tuple[Problem, ...]
    understood: float

    def entry_for(self, alertname: str, runbook_url: str | None) -> AlertEntry | None:
        """The entry that an alert means: by its `runbook_url`'s anchor, then by name, then by a heading's words."""
        anchor = (runbook_url or "").partition("#")[2].lower()
        squashed = squash(alertname)
        return (
            (_first(self.alerts, lambda entry: entry.slug.lower() == anchor) if anchor else None)
            or _first(self.alerts, lambda entry: squashed in {squash(name) for name in entry.names})
            or _first(self.alerts, lambda entry: not entry.names and squashed in entry.aliases)
        )


def squash(words: str) -> str:
    """A name as it is compared: without case, spaces and punctuation."""
    return "".join(filter(str.isalnum, words)).lower()


def _first(entries: Sequence[AlertEntry], wanted: Callable[[AlertEntry], bool]) -> AlertEntry | None:
    return next(filter(wanted, entries), None)

"""What is checked: runbooks and rules together, and which entry is about which rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from responder.core.effect import Role
from responder.core.rule import AlertRule, RuleFile
from responder.core.runbook import Action, AlertEntry, Runbook, squash
from responder.runbooks.expressions import Node, expanded, parsed


@dataclass(frozen=True, kw_only=True)
class Place:
    """An action where it stands: in which entry, under which role, with the words that lead to it."""

    runbook: Runbook
    entry: AlertEntry
    role: Role
    action: Action
    words: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """`bound` are the placeholders that have a value, `asked` those that a person is asked for; `people` the roles and
    names that policies give an address.
    """

    runbooks: tuple[Runbook, ...]
    files: tuple[RuleFile, ...] = ()
    bound: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    people: frozenset[str] = field(default_factory=frozenset[str])

    @cached_property
    def rules(self) -> tuple[AlertRule, ...]:
        return tuple(rule for file in self.files for rule in file.alerts)

    @cached_property
    def records(self) -> Mapping[str, str]:
        return {name: expr for file in self.files for name, expr in file.records.items()}

    @cached_property
    def entries(self) -> tuple[tuple[Runbook, AlertEntry], ...]:
        return tuple((runbook, entry) for runbook in self.runbooks for entry in runbook.alerts)

    @cached_property
    def pairs(self) -> tuple[tuple[AlertRule, Runbook, AlertEntry], ...]:
        """Each rule with the entry that it means."""
        found: list[tuple[AlertRule, Runbook, AlertEntry]] = []
        for rule in self.rules:
            if pair := self.entry_of(rule):
                found.append((rule, *pair))
        return tuple(found)

    def tree_of(self, rule: AlertRule) -> Node | None:
        """The rule's expression with its recording rules written out; None for what does not parse."""
        key = id(rule)
        if key not in self._trees:
            self._trees[key] = parsed(expanded(rule.expr, self.records))
        return self._trees[key]

    @cached_property
    def _trees(self) -> dict[int, Node | None]:
        return {}

    def entry_of(self, rule: AlertRule) -> tuple[Runbook, AlertEntry] | None:
        """By the link to a file and its anchor, then by name, then by the words of a heading."""
        runbook = self.page_of(rule)
        if runbook is not None and (entry := runbook.entry_for(rule.name, rule.runbook_url)):
            return runbook, entry
        name = squash(rule.name)
        return self._by_name.get(name) or self._by_alias.get(name)

    def page_of(self, rule: AlertRule) -> Runbook | None:
        """The runbook that a rule links to: by the name of its file, and by its folders where several share a name."""
        route = (rule.runbook_url or "").partition("#")[0].partition("?")[0].lower().rstrip("/").split("/")
        if route[-1] == "":
            return None
        for name in (route[-1], f"{route[-1]}.md"):
            found = [(_in_common([*route[:-1], name], book), book) for book in self._by_page.get(name, ())]
            best = max((common for common, _ in found), default=0)
            # The name of a page such as README.md says nothing without its folder.
            if best > 1 or (best == 1 and name not in _GENERIC and len(found) == 1):
                return next(book for common, book in found if common == best)
        return None

    @cached_property
    def _by_page(self) -> Mapping[str, list[Runbook]]:
        found: dict[str, list[Runbook]] = {}
        for book in self.runbooks:
            found.setdefault(Path(book.path).name.lower(), []).append(book)
        return found

    @cached_property
    def _by_name(self) -> Mapping[str, tuple[Runbook, AlertEntry]]:
        pairs = reversed(self.entries)
        return {squash(name): (book, entry) for book, entry in pairs for name in entry.names}

    @cached_property
    def _by_alias(self) -> Mapping[str, tuple[Runbook, AlertEntry]]:
        pairs = ((book, entry) for book, entry in reversed(self.entries) if not entry.names)
        return {alias: (book, entry) for book, entry in pairs for alias in entry.aliases}

    def rules_of(self, entry: AlertEntry) -> list[AlertRule]:
        return self._rules_by_entry.get(id(entry), [])

    @cached_property
    def _rules_by_entry(self) -> Mapping[int, list[AlertRule]]:
        found: dict[int, list[AlertRule]] = {}
        for rule, _, entry in self.pairs:
            found.setdefault(id(entry), []).append(rule)
        return found

    def places(self, *roles: Role) -> Iterator[Place]:
        """Every action of the entries, in order, of the roles that are asked for."""
        for runbook, entry in self.entries:
            for step in entry.steps if Role.DIAGNOSIS in roles else ():
                for action in step.actions:
                    yield Place(
                        runbook=runbook, entry=entry, role=Role.DIAGNOSIS, action=action, words=step.title
                    )
            for group in entry.remediation if Role.REMEDIATION in roles else ():
                words = " ".join((group.label, *group.points))
                for action in group.actions:
                    yield Place(
                        runbook=runbook, entry=entry, role=Role.REMEDIATION, action=action, words=words
                    )
            for action in entry.prevention if Role.PREVENTION in roles else ():
                yield Place(runbook=runbook, entry=entry, role=Role.PREVENTION, action=action, words="")


_GENERIC = frozenset(
    {"readme.md", "index.md", "_index.md", "runbook.md", "runbooks.md", "playbook.md", "playbooks.md"}
)


def _in_common(route: Sequence[str], book: Runbook) -> int:
    """How many parts of the address, from its end, are those of the file's path."""
    parts = [part.lower() for part in Path(book.path).resolve().parts]
    return next(
        (
            n
            for n, (one, other) in enumerate(zip(reversed(route), reversed(parts), strict=False))
            if one != other
        ),
        len(route),
    )

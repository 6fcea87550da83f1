"""Bindings: the values of a runbook's placeholders. Put in at the last moment, never pasted into a command's text.

Policies bind what the team knows beforehand, the labels of the incident's alert what it brings, and the person who approves a
remedy answers what it asks. Whoever can send a request to the service can have a say in a label, and a person can paste
anything: such a value is quoted for the place where it is put in, and overrules no policy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from responder.core.ask import Ask
from responder.errors import SourceRefused

REDACTED = "[redacted]"
# `{{name}}`, and as templates of alerts write a label: `{{ $labels.name }}`.
_BRACES = re.compile(r"\{\{\s*\$?([A-Za-z_][\w.-]*)\s*\}\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IN_QUOTES = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_TOLD = 60


def _leads_up(address: str) -> bool:
    return not {".", ".."}.isdisjoint(address.partition("?")[0].split("/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """`value` is None when the variable that should hold it is not set: then steps that need it do not run.

    `foreign` is a value that no policy gave, but an alert or a person.
    """

    name: str
    value: str | None
    secret: bool
    foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """`hosts` are the example hosts of a runbook (`your-domain.com`) and the base URL that each stands for.

    `asks` are the names whose values a person gives, by name.
    """

    by_name: Mapping[str, Binding]
    hosts: Mapping[str, str]
    asks: Mapping[str, Ask] = field(default_factory=dict[str, Ask])

    def bound(self) -> frozenset[str]:
        """The names that have a value, and the example hosts that stand for a real one."""
        return frozenset(n for n, b in self.by_name.items() if b.value is not None) | frozenset(self.hosts)

    def declared(self) -> frozenset[str]:
        """Every name that a policy binds, whether its variable is set here or not."""
        return frozenset(self.by_name) | frozenset(self.hosts)

    def asked(self) -> frozenset[str]:
        """The names whose values a person gives."""
        return frozenset(self.asks)

    def for_alert(self, labels: Mapping[str, str]) -> Bindings:
        """With the labels of an alert, as `{{name}}` and `{{ $labels.name }}`. What a policy names stays the policy's, also
        where it names an ask: no alert answers for the person.
        """
        found = {
            name: Binding(name=name, value=value, secret=False, foreign=True)
            for label, value in labels.items()
            for name in (label, f"labels.{label}")
            if name not in self.asks
        }
        return replace(self, by_name={**found, **self.by_name})

    def asked_in(self, texts: Sequence[str]) -> tuple[Ask, ...]:
        """What a person must be asked before `texts` can be sent, in the order of the policies."""
        names = {name for text in texts for name in _BRACES.findall(text)}
        return tuple(ask for name, ask in self.asks.items() if name in names)

    def with_answers(self, answers: Mapping[str, str]) -> Bindings:
        """With what a person answered. An answer that nobody asks for is left out."""
        found = {
            name: Binding(name=name, value=value, secret=False, foreign=True)
            for name, value in answers.items()
            if name in self.asks
        }
        return replace(self, by_name={**self.by_name, **found})

    def hidden(self) -> Bindings:
        """The same for people's eyes: in place of each secret stands that it is one."""
        shown = {
            n: replace(b, value=b.value and REDACTED) if b.secret else b for n, b in self.by_name.items()
        }
        return replace(self, by_name=shown)

    def url(self, text: str) -> str:
        """An address with its values. Raises SourceRefused for a name that has none, as do the others.

        A value stays one part of the path: one of dots, which would lead to another path, is refused.
        """
        address = self._fill(text, lambda value, _: quote(value, safe=""))
        if _leads_up(address) and not _leads_up(text):
            raise SourceRefused(
                f"a value of '{text}' is only dots, which leads to another path; give another one."
            )
        return address

    def body(self, text: str, *, media_type: str = "") -> str:
        """A body with its values, by what it is: a form, plain text, or, without another word, JSON."""
        match media_type.partition(";")[0].strip().lower():
            case "application/x-www-form-urlencoded":
                return self._fill(text, lambda value, _: quote(value, safe=""))
            case "text/plain":
                return self.header(text)
            case _:
                return self._json(text)

    def _json(self, text: str) -> str:
        """In quotes a value of an alert or a person stays inside; elsewhere only what is one value by itself is put in."""
        quotes = [found.span() for found in _IN_QUOTES.finditer(text)]

        def quoted(value: str, place: int) -> str:
            if any(start < place < end for start, end in quotes):
                return json.dumps(value)[1:-1]
            if _SCALAR.fullmatch(value):
                return value
            raise SourceRefused(
                f"{value[:_TOLD]!a} would stand in the body without quotes, where only a number, true, false or null"
                " can: put quotes around the placeholder in the runbook."
            )

        return self._fill(text, quoted)

    def header(self, text: str) -> str:
        """A header's value with its values: no line can be begun in it."""
        return self._fill(text, lambda value, _: _CONTROL.sub("", value))

    def promql(self, text: str) -> str:
        """A query with its values, which stay inside of the text in quotes where they are put."""
        return self._fill(text, lambda value, _: json.dumps(value, ensure_ascii=False)[1:-1].replace("`", ""))

    def _fill(self, text: str, quoted: Callable[[str, int], str]) -> str:
        """`quoted` is given a value that no policy gave, and where in `text` it will stand."""

        def put_in(found: re.Match[str]) -> str:
            value = self._value(found[1])
            return quoted(value, found.start()) if self.by_name[found[1]].foreign else value

        return _BRACES.sub(put_in, text)

    def parameters(self, text: str) -> tuple[str, dict[str, str]]:
        """SQL with `%(name)s` for each `{{name}}`, and the values, which never enter the text. Raises SourceRefused."""
        values = {name: self._value(name) for name in _BRACES.findall(text)}
        if not values:
            return text, {}
        return _BRACES.sub(r"%(\1)s", text.replace("%", "%%")), values

    def statement(self, text: str) -> str:
        """SQL for people: each value as the literal that its parameter stands for. Raises SourceRefused."""
        return _BRACES.sub(lambda found: "'" + self._value(found[1]).replace("'", "''") + "'", text)

    def show(self, text: str) -> str:
        """A text of the runbook with its values, for people: secrets stay hidden, what is unbound stays as written."""

        def shown(found: re.Match[str]) -> str:
            binding = self.by_name.get(found[1])
            if binding is None or binding.value is None:
                return found[0]
            return REDACTED if binding.secret else binding.value

        return _BRACES.sub(shown, text)

    def redact(self, text: str) -> str:
        """`text` without the value of any secret. Everything from outside passes here before it is stored."""
        for binding in self.by_name.values():
            if binding.secret and binding.value:
                text = text.replace(binding.value, REDACTED)
        return text

    def _value(self, name: str) -> str:
        binding = self.by_name.get(name)
        if binding is None or binding.value is None:
            raise SourceRefused(f"'{{{{{name}}}}}' has no value: bind it in policies/bindings.toml.")
        return binding.value

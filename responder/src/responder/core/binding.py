"""Bindings: the values of a runbook's placeholders. Put in at the last moment, never pasted into a command's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from responder.errors import SourceRefused

REDACTED = "[redacted]"
_BRACES = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """`value` is None when the variable that should hold it is not set: then steps that need it do not run."""

    name: str
    value: str | None
    secret: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """`hosts` are the example hosts of a runbook (`your-domain.com`) and the base URL that each stands for."""

    by_name: Mapping[str, Binding]
    hosts: Mapping[str, str]

    def bound(self) -> frozenset[str]:
        """The names that have a value, and the example hosts that stand for a real one."""
        return frozenset(n for n, b in self.by_name.items() if b.value is not None) | frozenset(self.hosts)

    def declared(self) -> frozenset[str]:
        """Every name that a policy binds, whether its variable is set here or not."""
        return frozenset(self.by_name) | frozenset(self.hosts)

    def fill(self, text: str) -> str:
        """`{{name}}` replaced by its value. Raises SourceRefused for a name that has none."""
        return _BRACES.sub(lambda found: self._value(found[1]), text)

    def parameters(self, text: str) -> tuple[str, dict[str, str]]:
        """SQL with `%(name)s` for each `{{name}}`, and the values, which never enter the text. Raises SourceRefused."""
        values = {name: self._value(name) for name in _BRACES.findall(text)}
        if not values:
            return text, {}
        return _BRACES.sub(r"%(\1)s", text.replace("%", "%%")), values

    def show(self, text: str) -> str:
        """As `fill`, for people: secrets stay hidden, what is unbound stays as written."""

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

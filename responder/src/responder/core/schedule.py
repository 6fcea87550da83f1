"""People, and which of them a role means now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from responder.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`name` is how policies and links name the person. An address that is None cannot be used for paging."""

    name: str
    email: str | None
    webhook: str | None

    def address(self, channel: str) -> str | None:
        return {"email": self.email, "webhook": self.webhook}.get(channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCall:
    """`roles` maps a role ("primary", "engineering lead") to a person's name."""

    people: Mapping[str, Person]
    roles: Mapping[str, str]

    def who(self, role_or_name: str) -> Person:
        """The person that a role or a name means. Raises NotFound."""
        wanted = role_or_name.strip().lower()
        name = self.roles.get(wanted, wanted)
        if name not in self.people:
            known = ", ".join([*self.roles, *self.people])
            raise NotFound(f"Nobody is called '{role_or_name}'. Known roles and people: {known}.")
        return self.people[name]

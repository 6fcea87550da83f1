"""Who is asking, proved by which kind of credential, and what that kind may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from chatbot.core.tenancy import Tenant
from chatbot.errors import Forbidden


class CallerKind(StrEnum):
    API_KEY = "api_key"  # a tenant's server
    MEMBER = "member"  # a person who signed in
    WIDGET_SESSION = "widget_session"  # a visitor of a page that embeds the widget
    ADMIN = "admin"  # an operator, acting for the tenant that the path names


class Role(StrEnum):
    """What a member is in the tenant."""

    ADMIN = "admin"
    MEMBER = "member"


class Right(StrEnum):
    ASK = "ask questions"
    READ_DOCUMENTS = "see the documents"
    CHANGE_DOCUMENTS = "change the documents"
    ADMINISTER = "administer the tenant"


RIGHTS: dict[tuple[CallerKind, Role | None], frozenset[Right]] = {
    (CallerKind.API_KEY, None): frozenset({Right.ASK, Right.READ_DOCUMENTS, Right.CHANGE_DOCUMENTS}),
    (CallerKind.MEMBER, Role.MEMBER): frozenset({Right.ASK, Right.READ_DOCUMENTS}),
    (CallerKind.MEMBER, Role.ADMIN): frozenset(Right),
    (CallerKind.WIDGET_SESSION, None): frozenset({Right.ASK}),
    (CallerKind.ADMIN, None): frozenset(Right),
}
_REMEDIES = {
    Right.ASK: "Ask with an API key, as a member, or through the widget.",
    Right.READ_DOCUMENTS: "Use an API key of the tenant, or sign in.",
    Right.CHANGE_DOCUMENTS: "Use an API key of the tenant, or sign in as one of its admins.",
    Right.ADMINISTER: "Sign in as an admin of the tenant.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose credential it was. `actor` is what the audit log says of it; it holds no personal data.

    `session_id` is a member's or a widget's session; `origin` is the page that a widget's session is bound to.
    """

    tenant: Tenant
    actor: str
    kind: CallerKind
    role: Role | None = None
    member_id: UUID | None = None
    session_id: UUID | None = None
    origin: str | None = None

    def may(self, right: Right) -> bool:
        """Whether this kind of caller has the right."""
        return right in RIGHTS[self.kind, self.role]

    def require(self, right: Right) -> Caller:
        """The caller itself. Raises Forbidden without the right."""
        if not self.may(right):
            role = f" with the role '{self.role}'" if self.role else ""
            raise Forbidden(
                f"A caller of the kind '{self.kind}'{role} may not {right}.", remedy=_REMEDIES[right]
            )
        return self

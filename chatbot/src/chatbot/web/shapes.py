"""What the product's routes answer, field by field: the OpenAPI document shows these, and every answer is held to them.

Times and ids are written as text by whoever answers; here they only say which kind of text. Every field is always there.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from chatbot.core.answers import Kind
from chatbot.core.caller import CallerKind, Role
from chatbot.core.documents import Source, Status
from chatbot.core.health import Condition
from chatbot.core.quotas import Quota

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class Shape(BaseModel):
    """An answer, or a part of one. A field that is not named here is a fault."""

    model_config = ConfigDict(extra="forbid")


class Undo(Shape):
    """The request that takes a change back."""

    method: str
    path: str
    body: dict[str, Any] | None


class Document(Shape):
    """A document. `status` and `reason` are the newest revision's; `live_revision` answers."""

    id: Id
    title: str
    source: Source
    url: str | None
    status: Status
    reason: str | None
    revision: int
    live_revision: int | None
    passages: int
    media_type: str | None
    bytes: int | None
    attempt: int
    created_at: Time
    revised_at: Time
    finished_at: Time | None


class Documents(Shape):
    """Documents that were queued, in the order in which they were named."""

    documents: list[Document]


class PageOfDocuments(Shape):
    """Documents by title. `next` is the `after` of the next page."""

    documents: list[Document]
    next: str | None


class ListedConversation(Shape):
    """A conversation; its first question stands for it."""

    id: Id
    created_at: Time
    question: str | None


class Conversations(Shape):
    """The newest first."""

    conversations: list[ListedConversation]


class Cited(Shape):
    """What an answer could cite, as it is now: of a passage that was deleted its number and id are left."""

    number: int
    id: Id
    document_id: Id | None
    title: str | None
    heading: str | None


class Message(Shape):
    """A question, or an answer with its kind."""

    role: str
    content: str
    kind: Kind | None
    created_at: Time
    sources: list[Cited]


class Conversation(Shape):
    """Its messages in their order."""

    id: Id
    messages: list[Message]


class Deleted(Shape):
    """How many there were."""

    deleted: int


class SignedIn(Shape):
    """A session: the access token is short-lived, the refresh token works once."""

    tenant: str
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


class WidgetSession(Shape):
    """A session of the widget, good from its origin only."""

    session_id: Id
    token: str
    token_type: str
    expires_in: int


class Joined(Shape):
    """A member who has chosen a password."""

    tenant: str
    member_id: Id
    email: str
    role: Role


class Me(Shape):
    """Whom the credential proves."""

    tenant: str
    kind: CallerKind
    role: Role | None
    member_id: Id | None
    session_id: Id | None
    origin: str | None


class UsageOfDay(Shape):
    """What was used on a day (UTC)."""

    day: Day
    requests: int
    tokens: int


class TenantOverview(Shape):
    """A tenant with its quotas and its use of the last days, the latest first."""

    name: str
    tenant_id: Id
    created_at: Time
    suspended_at: Time | None
    suspended_reason: str | None
    members: int
    quotas: dict[Quota, int]
    usage: list[UsageOfDay]


class Member(Shape):
    """A member; `invited` as long as no password was chosen."""

    id: Id
    email: str
    role: Role
    invited: bool
    created_at: Time
    last_sign_in_at: Time | None


class Members(Shape):
    """By address."""

    members: list[Member]


class Invited(Shape):
    """The invitation's text and the link with it are shown once."""

    member_id: Id
    email: str
    role: Role
    invitation: str | None
    link: str


class RoleChanged(Shape):
    """A member's role, and the one before."""

    member_id: Id
    role: Role
    previous: Role
    undo: Undo


class Key(Shape):
    """An API key by its prefix."""

    prefix: str
    name: str
    created_by: str
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class Keys(Shape):
    """By prefix."""

    keys: list[Key]


class NewKey(Shape):
    """The text of the key is in this answer and nowhere else."""

    prefix: str
    api_key: str
    undo: Undo


class WidgetKey(Shape):
    """A publishable key with the origins from which it may be used."""

    id: Id
    key: str
    name: str
    origins: list[str]
    created_by: str
    created_at: Time
    revoked_at: Time | None


class WidgetKeys(Shape):
    """Every publishable key."""

    widget_keys: list[WidgetKey]


class NewWidgetKey(Shape):
    """A publishable key."""

    key: str
    undo: Undo


class OriginsChanged(Shape):
    """The origins before."""

    key: str
    previous: list[str]
    undo: Undo


class Readiness(Shape):
    """Ready, and nothing else."""

    status: str


class Unready(Shape):
    """Why not: it drains, with so many streams running, or it has just started."""

    status: str
    running: int | None = None
    reason: str | None = None


class ComponentHealth(Shape):
    """A component's health; the latency in milliseconds."""

    status: Condition
    component: str
    reason: str
    latency_ms: float


class Health(Shape):
    """Everything together, and each component by name."""

    status: Condition
    draining: bool
    checks: dict[str, ComponentHealth]

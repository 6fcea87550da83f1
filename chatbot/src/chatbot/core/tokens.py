"""What a signed token says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from chatbot.core.tenancy import TenantId


class Audience(StrEnum):
    """For whom a token is meant. A token for one is nothing to the other."""

    MEMBER = "bitb-chatbot/member"
    WIDGET = "bitb-chatbot/widget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """`subject` is the member, or the widget key; `origin` is the page that a widget's session is bound to.

    Times are in whole seconds since the epoch.
    """

    audience: Audience
    tenant_id: TenantId
    subject: UUID
    session_id: UUID
    issued_at: int
    expires_at: int
    origin: str | None = None

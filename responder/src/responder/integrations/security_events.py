"""A security event on the wire: what a call says, checked before anything of it is stored."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from responder.core.security_event import SecurityEvent
from responder.errors import BadPayload

DETAIL_LIMIT = 4_000

_Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]


class _Body(BaseModel):
    # Strict: a misspelt field of the most serious call there is should be noticed by who sends it.
    model_config = ConfigDict(extra="forbid")

    id: _Word
    event: _Word
    tenant_id: _Word
    source: _Word
    occurred_at: AwareDatetime
    detail: dict[str, Any] | str = Field(default_factory=dict[str, Any])


def read_event(body: bytes) -> SecurityEvent:
    """The event of a call. Raises BadPayload that says where the body is wrong and what was expected."""
    try:
        read = _Body.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadPayload(
            f"Not a security event: {where}: {first['msg']}. Nothing was stored."
            " docs/reference/security-events.md has the form."
        ) from error
    detail = json.dumps(read.detail, sort_keys=True, ensure_ascii=True)
    if len(detail) > DETAIL_LIMIT:
        raise BadPayload(
            f"detail has {len(detail)} characters, {DETAIL_LIMIT} are allowed. Nothing was stored."
            " Send identifiers and counts; the whole belongs in the audit log."
        )
    return SecurityEvent(
        id=read.id,
        event=read.event,
        tenant_id=read.tenant_id,
        source=read.source,
        occurred_at=read.occurred_at,
        # JSON writes NUL as an escape, which PostgreSQL's text refuses as well.
        detail=detail.replace("\\u0000", ""),
    )

"""The product: a question in, an answer streamed out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from chatbot.core.answers import Broken, Done, Part, Sources, Token
from chatbot.core.caller import Right
from chatbot.core.flags import MAINTENANCE
from chatbot.core.limits import Route
from chatbot.errors import Maintenance
from chatbot.stages.answer import Question, abandon, prepare, stream
from chatbot.stages.authenticate import authenticate
from chatbot.stages.limit import limit_here, whom
from chatbot.stages.ports import Outside
from chatbot.web.described import WITH_KEY
from chatbot.web.event_stream import EventStream
from chatbot.web.places import take_place
from chatbot.web.state import client_ip, drain_of, outside_of, shown_by

LONGEST_QUESTION = 4000
router = APIRouter()


class ChatBody(BaseModel):
    """A question. `tenant` is only compared with the key's: the key decides."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: Annotated[
        str, Field(min_length=1, max_length=LONGEST_QUESTION, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")
    ]
    tenant: Annotated[str, Field(max_length=80, pattern=r"^[^\x00]*$")] | None = None
    conversation_id: Annotated[UUID, Field(strict=False)] | None = None


_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["sources", "token", "done", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
_STREAM = {
    "description": "The events `sources`, `token`, `done` or `error`, each with a JSON object as its data.",
    "content": {"text/event-stream": {"schema": _EVENT}},
}


# The credentials are no parameter: that would take 0.07 ms of every question.
@router.post(
    "/api/chat", response_class=Response, responses={200: _STREAM}, openapi_extra={"security": WITH_KEY}
)
async def chat(request: Request, body: ChatBody) -> Response:
    """Streams `sources`, then `token`s, then `done` as server-sent events."""
    outside = outside_of(request)
    if outside.flags.enabled(MAINTENANCE):
        message = outside.flags.all()[MAINTENANCE].message
        raise Maintenance(message or "The service is closed for maintenance.")
    drain_of(request).refuse_new()
    caller = await authenticate(outside, shown_by(request), ip=client_ip(request), claimed=body.tenant)
    caller.require(Right.ASK)
    structlog.contextvars.bind_contextvars(tenant_id=str(caller.tenant.tenant_id))
    limit_here(outside, Route.CHAT, whom(caller))
    await take_place(request, caller.tenant.tenant_id)
    question = await prepare(outside, caller, body.message, conversation_id=body.conversation_id)
    return EventStream(
        _events(outside, question),
        drain_of(request),
        caller.tenant.tenant_id,
        unread=partial(abandon, outside, question),
    )


async def _events(outside: Outside, question: Question) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    async with aclosing(stream(outside, question)) as parts:
        async for part in parts:
            yield _event(part)


def _event(part: Part) -> tuple[str, dict[str, Any]]:
    match part:
        case Sources(shown=shown):
            return "sources", {"sources": shown}
        case Token(text=text):
            return "token", {"text": text}
        case Broken(reason=reason):
            return "error", {"title": "The answer is incomplete", "detail": reason, "remedy": "Ask again."}
        case Done():
            return "done", {
                "kind": part.kind,
                "provider": part.provider,
                "model": part.model,
                "usage": part.usage,
                "cached": part.cached,
                "conversation_id": str(part.conversation_id) if part.conversation_id else None,
            }

"""Conversations of the caller: the visitor's session, the member or the key that began them, and nobody else's."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Path, Request

from chatbot.core.caller import Caller, Right
from chatbot.stages.authenticate import authenticate
from chatbot.stages.recall import forget_conversations, list_conversations, read_conversation
from chatbot.web import shapes
from chatbot.web.state import Shown, client_ip, outside_of

router = APIRouter(prefix="/api/conversations")


async def asker(request: Request, shown: Shown) -> Caller:
    """Whoever may ask questions. Raises Unauthenticated, Forbidden."""
    caller = await authenticate(outside_of(request), shown, ip=client_ip(request))
    structlog.contextvars.bind_contextvars(tenant_id=str(caller.tenant.tenant_id))
    return caller.require(Right.ASK)


Asker = Annotated[Caller, Depends(asker)]
Id = Annotated[UUID, Path()]


@router.get("", response_model=shapes.Conversations)
async def list_mine(request: Request, caller: Asker) -> dict[str, Any]:
    """The caller's conversations, the newest first, 50 at most; each with its first question."""
    listed = await list_conversations(outside_of(request), caller)
    return {
        "conversations": [
            {
                "id": str(each.conversation_id),
                "created_at": each.created_at.isoformat(),
                "question": each.question,
            }
            for each in listed
        ]
    }


@router.get("/{conversation_id}", response_model=shapes.Conversation)
async def read_mine(request: Request, caller: Asker, conversation_id: Id) -> dict[str, Any]:
    """One conversation with its messages and what each could cite. Raises NotFound for somebody else's."""
    messages = await read_conversation(outside_of(request), caller, conversation_id)
    return {
        "id": str(conversation_id),
        "messages": [{**message, "created_at": message["created_at"].isoformat()} for message in messages],
    }


@router.delete("/{conversation_id}", response_model=shapes.Deleted)
async def delete_mine(request: Request, caller: Asker, conversation_id: Id) -> dict[str, Any]:
    """Deletes one conversation for good. Raises NotFound for somebody else's."""
    return {"deleted": await forget_conversations(outside_of(request), caller, conversation_id)}


@router.delete("", response_model=shapes.Deleted)
async def delete_all_mine(request: Request, caller: Asker) -> dict[str, Any]:
    """Deletes every conversation of the caller for good."""
    return {"deleted": await forget_conversations(outside_of(request), caller, None)}

"""The chat: a question in, an answer streamed out, its sources first."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, StringConstraints

from chatbot.core.passage import Passage, keep_known_citations
from chatbot.errors import Maintenance, NotAllowed
from chatbot.stages import answer
from chatbot.store import audit, tenants
from chatbot.store.tenants import Tenant
from chatbot.telemetry import AUTH_ATTEMPTS, CACHE_MISSES, RAG_SECONDS
from chatbot.web.state import Here, Web

router = APIRouter()

QUESTION_LIMIT = 2_000


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=QUESTION_LIMIT)]


async def tenant_asking(request: Request, here: Web) -> Tenant:
    """The tenant of the key. Not a dependency of the route: those would hold on for as long as the stream lasts."""
    key = request.headers.get("x-api-key", "")
    ip = request.client.host if request.client else None
    async with here.house.parts.database.transaction() as conn:
        tenant = await tenants.of_key(conn, key) if key else None
        if tenant is None:
            await audit.write(conn, "auth_failure", actor="unknown", ip=ip, detail={"prefix": key[:8]})
    if tenant is None:
        AUTH_ATTEMPTS.labels(status="failed", tenant_id="unknown", ip="other").inc()
        raise NotAllowed("The header X-Api-Key is missing or names no active key.")
    AUTH_ATTEMPTS.labels(status="success", tenant_id=str(tenant.id), ip="other").inc()
    return tenant


@router.post("/api/chat")
async def chat(question: Question, request: Request, here: Here) -> StreamingResponse:
    """Server-sent events: `sources`, then `token`s, then `done`."""
    if here.house.parts.flags.get_boolean_value("maintenance", False):
        raise Maintenance("Closed for maintenance. Try again in a few minutes.")
    began = time.monotonic()
    tenant = await tenant_asking(request, here)
    passages = await answer.find(here.house.parts, tenant.id, question.message)
    CACHE_MISSES.inc()
    return StreamingResponse(
        _events(here, question.message, passages, began=began),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(here: Web, question: str, passages: list[Passage], *, began: float) -> AsyncGenerator[str]:
    sources = [
        {"n": n, "id": str(p.id), "document": p.document, "heading": p.heading, "text": p.text}
        for n, p in enumerate(passages, start=1)
    ]
    yield _event("sources", sources)
    by, count = "", 0
    async with aclosing(answer.speak(here.house.parts, question, passages)) as pieces:
        async for piece in pieces:
            by, count = piece.by, count + 1
            text = keep_known_citations(piece.text, len(passages))
            yield _event("token", {"text": text, "restart": piece.restart})
    RAG_SECONDS.observe(time.monotonic() - began)
    yield _event("done", {"by": by, "usage": {"pieces": count}})


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"

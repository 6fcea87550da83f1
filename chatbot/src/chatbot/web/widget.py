"""What a page that embeds the widget asks first: a session, for its publishable key and its origin."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from chatbot.stages.embed import LONGEST_WIDGET_KEY, open_widget_session
from chatbot.web import shapes
from chatbot.web.state import client_ip, outside_of

router = APIRouter(prefix="/api/widget")


class SessionBody(BaseModel):
    """The publishable key, as it stands in the page."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: Annotated[str, Field(min_length=1, max_length=LONGEST_WIDGET_KEY, pattern=r"^[^\x00]*$")]


@router.post("/sessions", status_code=201, response_model=shapes.WidgetSession)
async def post_session(
    request: Request, body: SessionBody, origin: Annotated[str | None, Header()] = None
) -> dict[str, Any]:
    """A token for `POST /api/chat`, good from this origin only. The browser sets the header Origin, not the page."""
    session = await open_widget_session(outside_of(request), body.key, origin=origin, ip=client_ip(request))
    return {
        "session_id": str(session.session_id),
        "token": session.token,
        "token_type": "Bearer",
        "expires_in": session.expires_in,
    }

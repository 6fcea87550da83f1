"""What the routes are handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from responder.config import Settings
from responder.integrations.links import Signer
from responder.stages.ports import Outside
from responder.web.live import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    settings: Settings
    outside: Outside
    signer: Signer
    live: Live


def web(request: Request) -> Web:
    return cast(Web, request.app.state.web)

"""What the routes are handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from chatbot.bootstrap import House
from chatbot.config import Settings
from chatbot.web.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    settings: Settings
    house: House
    watch: Watch


def web(request: Request) -> Web:
    return cast(Web, request.app.state.web)


Here = Annotated[Web, Depends(web)]

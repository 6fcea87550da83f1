"""Errors as answers: RFC 9457 problem documents, each with what to do."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from chatbot.errors import (
    BadRequest,
    ChatbotError,
    Maintenance,
    NotAllowed,
    NotFound,
    RerankFailed,
    StoreUnavailable,
)

_STATUS: tuple[tuple[type[ChatbotError], int, str], ...] = (
    (NotAllowed, 401, "Not allowed"),
    (NotFound, 404, "Not found"),
    (BadRequest, 400, "Not understood"),
    (Maintenance, 503, "Closed for maintenance"),
    (StoreUnavailable, 503, "The documents cannot be read"),
    (RerankFailed, 502, "The passages could not be ordered"),
)
# What a stranger is told of an inner failure: the reason is in the log, under the request's id.
_PUBLIC: dict[type[ChatbotError], str] = {
    StoreUnavailable: "The documents cannot be read now, so nothing is answered. Try again in a few seconds.",
    RerankFailed: "The service that orders the passages failed. Try again in a few seconds.",
}


def problem(status: int, title: str, detail: str) -> JSONResponse:
    headers = {"Retry-After": "5"} if status == 503 else None
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, headers=headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    @app.exception_handler(ChatbotError)
    async def _known(_: Request, error: ChatbotError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        for kind, status, title in _STATUS:
            if isinstance(error, kind):
                return problem(status, title, _PUBLIC.get(kind, str(error)))
        return problem(500, "Failed", "An error of this service; its log says more.")

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem(422, "Not understood", f"{where}: {first['msg']}")

"""Errors as answers: RFC 9457 problem documents, each with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from chatbot.errors import (
    BadRequest,
    Blocked,
    BodyTooLarge,
    BudgetSpent,
    CacheUnavailable,
    ChallengeRequired,
    ChatbotError,
    ClientLeft,
    Conflict,
    Draining,
    Forbidden,
    IllegalTransition,
    Maintenance,
    NotFound,
    Overloaded,
    QueueUnavailable,
    QuotaReached,
    RateLimited,
    RerankFailed,
    SignInDelayed,
    StoreUnavailable,
    TenantIsolationViolation,
    TenantSuspended,
    Unauthenticated,
    WrongHost,
)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

_STATUS: tuple[tuple[type[ChatbotError], int, str], ...] = (
    (Unauthenticated, 401, "Not signed in"),
    (TenantSuspended, 403, "Suspended"),  # before its parent
    (Forbidden, 403, "Not allowed"),
    (QuotaReached, 403, "Quota reached"),
    (BudgetSpent, 429, "Budget of the day spent"),
    (WrongHost, 421, "Another server"),
    (Blocked, 403, "Blocked"),
    (SignInDelayed, 429, "Too many failures"),
    (ChallengeRequired, 403, "Proof of work needed"),
    (RateLimited, 429, "Too many requests"),
    (NotFound, 404, "Not found"),
    (BadRequest, 400, "Not understood"),
    (BodyTooLarge, 413, "Too large"),
    (Conflict, 409, "Taken"),
    (IllegalTransition, 409, "Not possible now"),
    (Overloaded, 503, "Too busy"),
    (ClientLeft, 499, "Client left"),
    (Maintenance, 503, "Closed for maintenance"),
    (Draining, 503, "Stopping"),
    (StoreUnavailable, 503, "The database does not answer"),
    (QueueUnavailable, 503, "The queue does not answer"),
    (CacheUnavailable, 503, "The cache does not answer"),
    (RerankFailed, 502, "The reranker failed"),
    (TenantIsolationViolation, 500, "Withheld"),
)
_REMEDIES = {
    404: "The paths are listed at /openapi.json.",
    405: "The methods of each path are listed at /openapi.json.",
    408: "Send the whole body at once.",
    413: BodyTooLarge.remedy,
}


def problem(
    *,
    kind: str,
    status: int,
    title: str,
    detail: str,
    remedy: str,
    retry_after: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """A problem document. `kind` is a stable name that a program can compare. `retry_after` is in seconds."""
    headers = {"WWW-Authenticate": 'ApiKey realm="bitb-chatbot"'} if status == 401 else {}
    if retry_after is not None or status == 503:
        headers["Retry-After"] = str(retry_after or RETRY_SECONDS)
    body: dict[str, Any] = {
        "type": f"urn:bitb-chatbot:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "remedy": remedy,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        **(more or {}),
    }
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def of_error(error: ChatbotError) -> Response:
    """The document of an error that is raised on purpose."""
    for kind, status, title in _STATUS:
        if isinstance(error, kind):
            answer = problem(
                kind=_name(kind),
                status=status,
                title=title,
                detail=str(error),
                remedy=error.remedy,
                retry_after=error.retry_after,
                more={"challenge": error.challenge} if isinstance(error, ChallengeRequired) else None,
            )
            if isinstance(error, RateLimited):
                # The fields of draft-ietf-httpapi-ratelimit-headers.
                answer.headers["RateLimit-Policy"] = f'"{error.policy}";q={error.amount};w={error.seconds}'
                answer.headers["RateLimit"] = f'"{error.policy}";r=0;t={error.retry_after}'
            return answer
    return of_fault()


def of_fault() -> Response:
    """The document of an error that nobody raised on purpose: without its text."""
    detail = "An error of this program. Its log says more under the request id."
    return problem(
        kind="internal_error", status=500, title="Failed", detail=detail, remedy=ChatbotError.remedy
    )


def install(app: FastAPI) -> None:
    """Every refusal becomes a problem document."""

    @app.exception_handler(ChatbotError)
    async def _known(_: Request, error: ChatbotError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return of_error(error)

    @app.exception_handler(Exception)
    async def _fault(_: Request, __: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]
        return of_fault()

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        phrase = HTTPStatus(error.status_code).phrase
        answer = problem(
            kind=phrase.lower().replace(" ", "_"),
            status=error.status_code,
            title=phrase,
            detail=str(error.detail),
            remedy=_REMEDIES.get(error.status_code, BadRequest.remedy),
        )
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()[:5]
        ]
        return of_error(BadRequest("; ".join(faults) + "."))


def _name(kind: type[ChatbotError]) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip(
        "_"
    )

"""Errors as answers: RFC 9457 problem documents for programs, the same words on a page for people."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from responder.errors import (
    BadPayload,
    Conflict,
    IllegalTransition,
    InvalidToken,
    NotConfigured,
    NotFound,
    ResponderError,
    StoreUnavailable,
)
from responder.web.pages import page, wants_html
from responder.web.sessions import CrossSite, SignInNeeded

_STATUS: tuple[tuple[type[ResponderError], int, str], ...] = (
    (CrossSite, 403, "Refused"),
    (SignInNeeded, 401, "Sign in"),
    (InvalidToken, 401, "Not allowed"),
    (NotFound, 404, "Not found"),
    (BadPayload, 400, "Not understood"),
    (IllegalTransition, 409, "Not possible now"),
    (Conflict, 409, "Changed meanwhile"),
    (NotConfigured, 503, "Not configured"),
    (StoreUnavailable, 503, "The database does not answer"),
)


_SAID = {
    404: "There is no such page. The incidents are listed at the front; programs find every path at /api/openapi.json.",
    405: "This address does not take that method; /api/openapi.json lists those of each path.",
}


def problem(request: Request, status: int, title: str, detail: str) -> Response:
    headers = {"Retry-After": "2"} if status == 503 else {}
    if wants_html(request):
        return page("problem.html", status=status, headers=headers, title=title, detail=detail, person=None)
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, media_type="application/problem+json", headers=headers)


def install(app: FastAPI) -> None:
    """Every error that is raised on purpose becomes an answer; others are a 500 without their text."""

    @app.exception_handler(ResponderError)
    async def _known(request: Request, error: ResponderError) -> Response:  # pyright: ignore[reportUnusedFunction]
        if isinstance(error, SignInNeeded) and wants_html(request) and request.method == "GET":
            return RedirectResponse("/sign-in", status_code=303)
        for kind, status, title in _STATUS:
            if isinstance(error, kind):
                return problem(request, status, title, str(error))
        return problem(request, 500, "Failed", "An error of this program; its log says more.")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        answer = problem(
            request,
            error.status_code,
            HTTPStatus(error.status_code).phrase,
            _SAID.get(error.status_code, str(error.detail)),
        )
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem(request, 422, "Not understood", f"{where}: {first['msg']}")

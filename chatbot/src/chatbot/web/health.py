"""Health by component, liveness, and the metrics."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from chatbot.core.health import Condition, Health, together
from chatbot.errors import NotFound
from chatbot.stages.watch import show_pool
from chatbot.web import shapes
from chatbot.web.state import checks_of, drain_of, outside_of

router = APIRouter()


@router.get("/livez", response_class=PlainTextResponse)
async def livez() -> str:
    """Whether the process answers. Depends on nothing outside, so that an outage is no reason to restart it."""
    return "ok\n"


@router.get("/readyz", responses={200: {"model": shapes.Readiness}, 503: {"model": shapes.Unready}})
async def readyz(request: Request) -> JSONResponse:
    """Whether to send questions here: 503 while this process drains, or has not verified the database yet."""
    if drain_of(request).draining:
        return JSONResponse({"status": "draining", "running": drain_of(request).running}, status_code=503)
    if not outside_of(request).database.verified:
        reason = "PostgreSQL has not passed the boot check yet."
        return JSONResponse({"status": "starting", "reason": reason}, status_code=503)
    return JSONResponse({"status": "ready"})


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Prometheus's text format."""
    show_pool(outside_of(request))
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/health", responses={200: {"model": shapes.Health}, 503: {"model": shapes.Health}})
async def health(request: Request) -> JSONResponse:
    """Everything together: 503 only when the product cannot answer."""
    checks = await checks_of(request).check_all()
    status = together(checks)
    draining = drain_of(request).draining
    if draining and status is Condition.OK:
        status = Condition.DEGRADED
    body = {
        "status": status,
        "draining": draining,
        "checks": {check.component: _shown(check) for check in checks},
    }
    return JSONResponse(body, status_code=503 if status is Condition.DOWN else 200)


@router.get(
    "/api/health/{component}",
    responses={200: {"model": shapes.ComponentHealth}, 503: {"model": shapes.ComponentHealth}},
)
async def component_health(request: Request, component: str) -> JSONResponse:
    """One component: 200 `ok` or `degraded`, 503 `down`, with the reason and the latency in milliseconds."""
    checks = checks_of(request)
    if component not in checks.components:
        known = ", ".join(checks.components)
        raise NotFound(f"There is no component '{component[:80]}'.", remedy=f"The components are: {known}.")
    check = await checks.check(component)
    return JSONResponse(_shown(check), status_code=503 if check.condition is Condition.DOWN else 200)


def _shown(check: Health) -> dict[str, object]:
    shown = asdict(check)
    return {"status": shown.pop("condition"), **shown}

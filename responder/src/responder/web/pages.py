"""HTML pages from templates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_templates = Environment(
    loader=PackageLoader("responder.web", "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}"


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def since(at: datetime, began: datetime) -> str:
    """As `+2.5 s`. The alert was received a moment before its incident was opened: that is +0.0 too."""
    return f"+{max(0.0, (at - began).total_seconds()):.1f} s"


_templates.filters["moment"] = _moment
_templates.filters["day"] = _day


def page(
    template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    return HTMLResponse(
        _templates.get_template(template).render(**values), status_code=status, headers=dict(headers or {})
    )


def part(template: str, **values: Any) -> str:
    """A piece of a page, for live updates."""
    return _templates.get_template(template).render(**values)


def wants_html(request: Request) -> bool:
    """Whether a browser is asking for a page, rather than a program for data."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")

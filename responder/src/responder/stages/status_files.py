"""The status page as files: HTML that needs no script, the same as JSON; switched to whole, served by anything."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from responder.core.incident import incident_name
from responder.core.status_page import StatusPage, StatusUpdate, UpdateState

# Older versions are kept so that a reader in the middle of a download is not cut off.
KEPT_VERSIONS = 3

_templates = Environment(
    loader=PackageLoader("responder.stages", "status_templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(page: StatusPage, updates: Sequence[StatusUpdate], *, now: datetime) -> dict[str, str]:
    """File name → text. `updates` are newest first, those of one incident together."""
    incidents = [list(group) for _, group in groupby(updates, key=lambda update: update.incident_id)]
    open_incidents = [group for group in incidents if group[0].state is not UpdateState.RESOLVED]
    affected = {group[0].component for group in open_incidents}
    html = _templates.get_template("status.html").render(
        page=page,
        now=now,
        open_incidents=open_incidents,
        past=[group for group in incidents if group[0].state is UpdateState.RESOLVED],
        affected=affected,
        incident_name=incident_name,
    )
    return {"index.html": html, "status.json": _json(page, incidents, affected, now=now)}


def _json(
    page: StatusPage, incidents: Sequence[Sequence[StatusUpdate]], affected: set[str], *, now: datetime
) -> str:
    body = {
        "page": {"name": page.name, "updated_at": now.isoformat()},
        "components": [
            {"name": c.name, "status": "partial_outage" if c.name in affected else "operational"}
            for c in page.components
        ],
        "incidents": [
            {
                "name": incident_name(group[0].incident_id),
                "status": group[0].state,
                "component": group[0].component,
                "updates": [
                    {"status": u.state, "body": u.body, "created_at": u.created_at.isoformat()} for u in group
                ],
            }
            for group in incidents
        ],
    }
    return json.dumps(body, indent=1) + "\n"


def switch(directory: Path, files: Mapping[str, str], *, now: datetime) -> None:
    """Writes a new version beside the old and moves the link `current` to it: no reader sees a half-made page."""
    version = directory / f"v{now.strftime('%Y%m%dT%H%M%S%f')}"
    version.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (version / name).write_text(text, encoding="utf-8")
    link = directory / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(version.name)
    os.replace(link, directory / "current")
    for old in sorted(directory.glob("v*"))[:-KEPT_VERSIONS]:
        shutil.rmtree(old, ignore_errors=True)

"""The admin API of the settings of answers, for everybody or for `?tenant=NAME`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from chatbot.core.answer_settings import LARGEST_MAX_TOKENS, LARGEST_TOP_K, AnswerSettings, Layer
from chatbot.errors import BadRequest
from chatbot.stages.tune import settings_of, tune
from chatbot.web import admin_shapes
from chatbot.web.admin import By, admin_only
from chatbot.web.controls import OfTenant
from chatbot.web.state import outside_of

router = APIRouter(prefix="/api/admin", dependencies=[Depends(admin_only)])

BOUNDS = {"similarity_top_k": [1, LARGEST_TOP_K], "max_tokens": [1, LARGEST_MAX_TOKENS]}
_Name = Annotated[str, Field(max_length=120)]


class SettingsBody(BaseModel):
    """What to change. Left out: stays. Null: back to the layer below (the global one, then the environment)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    similarity_top_k: int | None = None
    max_tokens: int | None = None
    providers: Annotated[list[_Name], Field(max_length=10)] | None = None
    models: Annotated[dict[_Name, _Name | None], Field(max_length=10)] | None = None


@router.get("/settings", response_model=admin_shapes.Settings)
async def read_settings(request: Request, tenant: OfTenant) -> dict[str, Any]:
    """What is set for everybody or the tenant, and what is in force with it."""
    outside = outside_of(request)
    if tenant is None:
        return _shown(outside.settings.layer, outside.settings.settings(), tenant=None)
    layer, in_force = await settings_of(outside, tenant)
    return _shown(layer, in_force, tenant=tenant.name)


@router.put("/settings", response_model=admin_shapes.SettingsChanged)
async def change_settings(request: Request, body: SettingsBody, by: By, tenant: OfTenant) -> dict[str, Any]:
    """Changes what is named, for everybody or the tenant. In force here at once, elsewhere within a second."""
    change = {name: getattr(body, name) for name in body.model_fields_set}
    if not change:
        raise BadRequest(
            "The body names no setting.", remedy=f"Name one of: {', '.join(BOUNDS)}, providers, models."
        )
    tuned = await tune(outside_of(request), tenant, change, operator=by)
    path = f"/api/admin/settings?tenant={tenant.name}" if tenant else "/api/admin/settings"
    return {
        **_shown(tuned.layer, tuned.in_force, tenant=tenant.name if tenant else None),
        "undo": {"method": "PUT", "path": path, "body": tuned.undo},
    }


def _shown(layer: Layer, in_force: AnswerSettings, *, tenant: str | None) -> dict[str, Any]:
    return {"tenant": tenant, "set": layer.stored(), "in_force": asdict(in_force), "bounds": BOUNDS}

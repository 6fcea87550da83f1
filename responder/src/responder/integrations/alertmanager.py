"""Alertmanager's webhook, version 4: what a delivery says, checked before anything of it is stored.

Does not know custom payloads. What Alertmanager cut off (`truncatedAlerts`) comes again with the group's next delivery.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from responder.core.alert import Alert, AlertStatus
from responder.errors import BadPayload

LABEL_LIMIT = 4_000
ALERTS_LIMIT = 10_000

_Text = Annotated[str, StringConstraints(max_length=LABEL_LIMIT)]


class _Alert(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)

    status: Literal["firing", "resolved"]
    labels: dict[_Text, _Text]
    annotations: dict[_Text, str] = Field(default_factory=dict)
    starts_at: AwareDatetime
    ends_at: AwareDatetime | None = None
    generator_url: str = Field(default="", alias="generatorURL")
    fingerprint: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Delivery(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    alerts: Annotated[list[_Alert], Field(max_length=ALERTS_LIMIT)]


def read_delivery(body: bytes) -> list[Alert]:
    """The alerts of a delivery. Raises BadPayload that says where the body is wrong and what was expected."""
    try:
        delivery = _Delivery.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadPayload(
            f"Not a delivery of Alertmanager's webhook, version 4: {where}: {first['msg']}. Nothing was stored."
        ) from error
    return [_alert(item, position) for position, item in enumerate(delivery.alerts)]


def _alert(item: _Alert, position: int) -> Alert:
    if not item.labels.get("alertname"):
        raise BadPayload(f"alerts.{position}.labels: 'alertname' is missing. Nothing was stored.")
    status = AlertStatus(item.status)
    return Alert(
        fingerprint=item.fingerprint,
        status=status,
        labels=_clean(item.labels),
        annotations=_clean(item.annotations),
        starts_at=item.starts_at,
        ends_at=_end(item.ends_at, status, item.starts_at),
        generator_url=item.generator_url.replace("\x00", ""),
    )


def _end(ends_at: datetime | None, status: AlertStatus, starts_at: datetime) -> datetime | None:
    # While an alert fires, Alertmanager sends the year 1.
    if status is AlertStatus.FIRING:
        return None
    return ends_at if ends_at and ends_at.year > 1 else starts_at


def _clean(texts: dict[str, str]) -> dict[str, str]:
    # PostgreSQL's text holds no NUL.
    return {name.replace("\x00", ""): text.replace("\x00", "") for name, text in texts.items()}

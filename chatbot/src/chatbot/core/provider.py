"""A model's provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A service that speaks OpenAI's wire format. `base_url` ends in its version, without a slash."""

    name: str
    base_url: str
    api_key: str | None
    model: str

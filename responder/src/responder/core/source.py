"""What something outside gave back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def fields_of(body: Any) -> dict[str, Any]:
    """The fields of a JSON object; of anything else none."""
    return body if isinstance(body, dict) else {}  # pyright: ignore[reportUnknownVariableType]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer. `body` is the parsed JSON, or None; `text` at most the limit of the caller."""

    status: int
    text: str
    body: Any
    seconds: float

"""Feature flags for OpenFeature: from memory, kept true by PostgreSQL's notifications, with a file for when it is down."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata


class FlagSnapshot(AbstractProvider):
    """Reads never wait for anything. `file`, if given, is what is believed until the database has spoken."""

    def __init__(self, file: Path | None) -> None:
        super().__init__()
        self._file = file
        self._flags: dict[str, bool] = self._remembered()

    def get_metadata(self) -> Metadata:
        return Metadata(name="chatbot flags")

    def update(self, flags: Mapping[str, bool]) -> None:
        """Replaces the snapshot, and remembers it."""
        self._flags = dict(flags)
        if self._file:
            half = self._file.with_suffix(".new")
            half.write_text(json.dumps(self._flags), encoding="utf-8")
            os.replace(half, self._file)

    def _remembered(self) -> dict[str, bool]:
        if self._file is None or not self._file.exists():
            return {}
        found: Any = json.loads(self._file.read_text(encoding="utf-8"))
        return {str(name): bool(enabled) for name, enabled in found.items()}

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        if flag_key in self._flags:
            return FlagResolutionDetails(value=self._flags[flag_key], reason=Reason.STATIC)
        return FlagResolutionDetails(value=default_value, reason=Reason.DEFAULT)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return FlagResolutionDetails(value=default_value, reason=Reason.DEFAULT)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return FlagResolutionDetails(value=default_value, reason=Reason.DEFAULT)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        return FlagResolutionDetails(value=default_value, reason=Reason.DEFAULT)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[Any] | Mapping[str, Any],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Any]:
        return FlagResolutionDetails(value=default_value, reason=Reason.DEFAULT)

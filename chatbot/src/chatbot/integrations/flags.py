"""Feature flags through OpenFeature, from a copy in memory, so that they work with PostgreSQL and Redis down.

The copy is replaced by `stages.switch`. A file beside it survives a restart during an outage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import orjson
import structlog
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from chatbot.core.flags import KNOWN, Flag, later, with_defaults

log = structlog.get_logger()


class FlagProvider(AbstractProvider):
    """OpenFeature's provider over the copy."""

    def __init__(self) -> None:
        super().__init__()
        self.copy: Mapping[str, Flag] = with_defaults({})

    def get_metadata(self) -> Metadata:
        return Metadata(name="bitb-chatbot")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        flag = self.copy.get(flag_key)
        if flag is None:
            raise FlagNotFoundError(f"there is no flag '{flag_key}'")
        reason = Reason.DEFAULT if flag.updated_at is None else Reason.STATIC
        return FlagResolutionDetails(value=flag.enabled, reason=reason)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        raise _only_boolean(flag_key)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        raise _only_boolean(flag_key)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        raise _only_boolean(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        raise _only_boolean(flag_key)


def _only_boolean(flag_key: str) -> TypeMismatchError:
    return TypeMismatchError(f"flag '{flag_key}' is on or off; it has no other value")


class Flags:
    """The flags of this process. `path` is the file of the copy; None keeps none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._provider = FlagProvider()
        # OpenFeature keeps one provider a domain for the whole process; a domain of our own keeps two servers apart.
        domain = f"chatbot-{uuid4().hex}"
        api.set_provider_and_wait(self._provider, domain)
        self._client = api.get_client(domain)
        self._provider.copy = with_defaults(self._read())

    def enabled(self, name: str) -> bool:
        """Whether the flag is on."""
        return self._client.get_boolean_value(name, KNOWN[name][0])

    def all(self) -> Mapping[str, Flag]:
        """Every known flag, by name."""
        return self._provider.copy

    def replace(self, stored: dict[str, Flag]) -> None:
        """Takes over what is stored, and writes the file where something changed.

        What was read before a change must not undo it here: of two, the one changed later stays.
        """
        held = self._provider.copy
        copy = {name: later(held[name], flag) for name, flag in with_defaults(stored).items()}
        if copy == held:
            return
        self._provider.copy = copy
        log.info("flags_changed", enabled=sorted(name for name, flag in copy.items() if flag.enabled))
        self._write(copy)

    def _read(self) -> dict[str, Flag]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            rows = orjson.loads(self._path.read_bytes())
            return {
                row["name"]: Flag(
                    name=row["name"],
                    enabled=bool(row["enabled"]),
                    updated_at=datetime.fromisoformat(row["updated_at"]) if row["updated_at"] else None,
                    updated_by=row["updated_by"],
                )
                for row in rows
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("flags_file_not_understood", path=str(self._path), error=str(error))
            return {}

    def _write(self, copy: Mapping[str, Flag]) -> None:
        if self._path is None:
            return
        try:
            draft = self._path.with_suffix(".draft")
            draft.write_bytes(orjson.dumps([asdict(flag) for flag in copy.values()]))
            draft.replace(self._path)
        except OSError as error:
            log.error("flags_file_not_written", path=str(self._path), error=str(error))

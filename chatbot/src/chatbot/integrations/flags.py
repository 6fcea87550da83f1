"""Feature flags through OpenFeature, from a copy in memory, so that they work with PostgreSQL and Redis down.

`integrations.orders` replaces the copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

import structlog
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from chatbot.core.flags import KNOWN, Flag, with_defaults

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
    """The flags of this process."""

    def __init__(self) -> None:
        self._provider = FlagProvider()
        # OpenFeature keeps one provider a domain for the whole process; a domain of our own keeps two servers apart.
        domain = f"chatbot-{uuid4().hex}"
        api.set_provider_and_wait(self._provider, domain)
        self._client = api.get_client(domain)
        self._enabled = self._evaluated()

    def enabled(self, name: str) -> bool:
        """Whether the flag is on."""
        return self._enabled[name]

    def all(self) -> Mapping[str, Flag]:
        """Every known flag, by name."""
        return self._provider.copy

    def replace(self, stored: Mapping[str, Flag]) -> None:
        """Takes over what is stored."""
        copy = with_defaults(stored)
        if copy != self._provider.copy:
            self._provider.copy = copy
            self._enabled = self._evaluated()
            log.info("flags_changed", enabled=sorted(name for name, flag in copy.items() if flag.enabled))

    def _evaluated(self) -> Mapping[str, bool]:
        """No flag depends on who asks: evaluated once for each change, and not several times for every answer."""
        return {name: self._client.get_boolean_value(name, default) for name, (default, _) in KNOWN.items()}

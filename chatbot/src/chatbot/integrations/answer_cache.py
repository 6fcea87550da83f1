"""Whole answers in Redis, by tenant. What is found is only ever a copy: it may be lost, and a mark says that it is out of date.

A value carries its tenant and the stamp of what it was made from, which the reader compares, and two marks: the one of
all answers and the one of its tenant's.
`clear` sets another mark, so that what was kept before it, or is being made during it, is never given out again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio import Redis

from chatbot.core.answers import Kind
from chatbot.core.cached import CachedAnswer, Marks
from chatbot.core.tenancy import TenantId
from chatbot.errors import CacheUnavailable
from chatbot.integrations.redis import answering

# A cache that is slower than this is slower than no cache.
SECONDS = 0.25
_PREFIX = "chatbot:answer"
_MARK = "chatbot:answers:mark"
_PAGE = 500


class AnswerCache:
    """Answers by tenant and digest of the question."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def find(
        self, tenant_id: TenantId, digests: Sequence[str]
    ) -> list[tuple[CachedAnswer | None, Marks]]:
        """Each answer, if there is one under the marks of now; and those marks, for `keep`. Raises CacheUnavailable."""
        keys = [_key(tenant_id, digest) for digest in digests]
        async with _answering():
            everybody, own, *values = await self._client.mget(_MARK, f"{_MARK}:{tenant_id}", *keys)
        marks = Marks(everybody=everybody or "", tenant=own or "")
        return [(_read(value, marks) if value else None, marks) for value in values]

    async def keep(
        self, tenant_id: TenantId, digest: str, answer: CachedAnswer, *, marks: Marks, lasts: timedelta
    ) -> None:
        """Keeps the answer under the marks that were read before it was made. Raises CacheUnavailable."""
        value = orjson.dumps(
            {
                "tenant_id": str(answer.tenant_id),
                "stamp": answer.stamp,
                "marks": [marks.everybody, marks.tenant],
                "text": answer.text,
                "kind": answer.kind,
                "provider": answer.provider,
                "model": answer.model,
                "sources": answer.sources,
                "tokens": [answer.prompt_tokens, answer.completion_tokens],
            }
        )
        async with _answering():
            await self._client.set(_key(tenant_id, digest), value, ex=lasts)

    async def drop(self, tenant_id: TenantId, digest: str) -> None:
        """Forgets one answer. Raises CacheUnavailable."""
        async with _answering():
            await self._client.unlink(_key(tenant_id, digest))

    async def clear(self, tenant_id: TenantId | None) -> int:
        """Forgets the tenant's answers, or everybody's: how many there were. Raises CacheUnavailable."""
        mark = _MARK if tenant_id is None else f"{_MARK}:{tenant_id}"
        pattern = f"{_PREFIX}:*" if tenant_id is None else f"{_PREFIX}:{tenant_id}:*"
        async with _answering():
            await self._client.set(mark, secrets.token_hex(8))
        found, cursor = 0, None
        while cursor != 0:
            async with _answering():
                page: Any = self._client.scan(  # pyright: ignore[reportUnknownMemberType]
                    cursor or 0, match=pattern, count=_PAGE
                )
                cursor, keys = await page
                found += await self._client.unlink(*keys) if keys else 0
        return found


def _answering() -> AbstractAsyncContextManager[None]:
    return answering(SECONDS, otherwise=CacheUnavailable)


def _key(tenant_id: TenantId, digest: str) -> str:
    return f"{_PREFIX}:{tenant_id}:{digest}"


def _read(value: str, marks: Marks) -> CachedAnswer | None:
    """The answer; None when it was kept under other marks, or is not one of this version's."""
    try:
        found: dict[str, Any] = orjson.loads(value)
        if found["marks"] != [marks.everybody, marks.tenant]:
            return None
        prompt_tokens, completion_tokens = found["tokens"]
        return CachedAnswer(
            tenant_id=TenantId(UUID(found["tenant_id"])),
            stamp=str(found["stamp"]),
            text=str(found["text"]),
            kind=Kind(found["kind"]),
            provider=found["provider"],
            model=found["model"],
            sources=tuple(found["sources"]),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
        )
    except (ValueError, KeyError, TypeError):
        return None

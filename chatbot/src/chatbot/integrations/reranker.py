"""The reranker: orders texts by how well they fit a query. Wire format of Cohere and Jina."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import aiohttp
import orjson

from chatbot.errors import RerankFailed

TIMEOUT = timedelta(seconds=3)
_LARGEST = 1_000_000


class Reranker:
    """`url` is None where no reranker is configured: every call fails."""

    def __init__(self, session: aiohttp.ClientSession, url: str | None) -> None:
        self._session = session
        self._url = url

    async def order(self, query: str, texts: Sequence[str]) -> list[int]:
        """The indexes of the texts, the best first. Raises RerankFailed."""
        if self._url is None:
            raise RerankFailed("No reranker is configured: CHATBOT_RERANK_URL is not set.")
        try:
            async with (
                asyncio.timeout(TIMEOUT.total_seconds()),
                self._session.post(
                    self._url,
                    data=orjson.dumps({"query": query, "documents": list(texts)}),
                    headers={"Content-Type": "application/json"},
                    allow_redirects=False,
                ) as response,
            ):
                if response.status != 200:
                    raise RerankFailed(f"The reranker answered {response.status}.")
                body = await response.content.read(_LARGEST)
        except TimeoutError as error:
            raise RerankFailed(
                f"The reranker did not answer within {TIMEOUT.total_seconds():g} s."
            ) from error
        except aiohttp.ClientError as error:
            raise RerankFailed(f"The reranker cannot be reached: {error}") from error
        return _order(body, count=len(texts))


def _order(body: bytes, *, count: int) -> list[int]:
    try:
        results: list[dict[str, Any]] = orjson.loads(body)["results"]
        ranked = sorted(results, key=lambda result: -float(result["relevance_score"]))
        indexes = [int(result["index"]) for result in ranked]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise RerankFailed(f"The reranker's answer is not understood: {body[:200]!r}") from error
    if len(set(indexes)) != len(indexes) or not all(0 <= index < count for index in indexes):
        raise RerankFailed(f"The reranker ordered texts that it was not given: {indexes[:20]} of {count}.")
    return indexes

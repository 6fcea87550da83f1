"""A reranker: which of the passages answer the question best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiohttp

from chatbot.core.passage import Passage
from chatbot.errors import RerankFailed

LIMIT_SECONDS = 2.0


class Reranker:
    """`url` takes `{query, documents}` and gives `{results: [{index, relevance_score}]}`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def order(self, question: str, passages: Sequence[Passage]) -> list[Passage]:
        """The passages, best first. Raises RerankFailed."""
        body = {"query": question, "documents": [passage.text for passage in passages]}
        limits = aiohttp.ClientTimeout(total=LIMIT_SECONDS)
        try:
            async with self._session.post(self._url, json=body, timeout=limits) as response:
                if response.status != 200:
                    raise RerankFailed(f"the reranker answers {response.status}")
                answer: Any = await response.json()
            results = sorted(answer["results"], key=lambda row: row["relevance_score"], reverse=True)
            return [passages[row["index"]] for row in results]
        except TimeoutError as error:
            raise RerankFailed(f"the reranker gave no answer within {LIMIT_SECONDS:.0f} s") from error
        except aiohttp.ClientError as error:
            raise RerankFailed(f"the reranker cannot be reached: {type(error).__name__}") from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise RerankFailed("the reranker's answer is not of its form") from error

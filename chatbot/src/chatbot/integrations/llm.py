"""Models that speak OpenAI's chat-completions format (Groq and OpenAI share it): streamed, with three time limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import aiohttp

from chatbot.core.provider import Provider
from chatbot.errors import ProviderFailed

CONNECT_SECONDS = 2.0
FIRST_TOKEN_SECONDS = 8.0
TOTAL_SECONDS = 60.0


class RequestRefused(ProviderFailed):
    """The provider says that the request itself is wrong: no sign of its health."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    messages: list[dict[str, str]]
    max_tokens: int


class Model:
    """One provider's model."""

    def __init__(self, session: aiohttp.ClientSession, provider: Provider) -> None:
        self._session = session
        self._provider = provider
        self.name = provider.name

    async def stream(self, ask: Ask) -> AsyncGenerator[str]:
        """The tokens. Raises ProviderFailed; closing the generator ends the request at the provider as well."""
        body = {
            "model": self._provider.model,
            "messages": ask.messages,
            "max_tokens": ask.max_tokens,
            "stream": True,
        }
        headers = {"Authorization": f"Bearer {self._provider.api_key}"}
        limits = aiohttp.ClientTimeout(total=TOTAL_SECONDS, connect=CONNECT_SECONDS)
        url = f"{self._provider.base_url}/chat/completions"
        try:
            async with self._session.post(url, json=body, headers=headers, timeout=limits) as response:
                await self._accept(response)
                async with aclosing(self._tokens(response)) as tokens:
                    async for token in tokens:
                        yield token
        except TimeoutError as error:
            raise ProviderFailed(f"{self.name} gave no answer in time") from error
        except aiohttp.ClientError as error:
            raise ProviderFailed(f"{self.name} cannot be reached: {type(error).__name__}") from error

    async def _accept(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            return
        if response.status >= 500 or response.status in {401, 403, 408, 429, 498}:
            raise ProviderFailed(f"{self.name} answers {response.status}")
        raise RequestRefused(f"{self.name} refuses the request with {response.status}")

    async def _tokens(self, response: aiohttp.ClientResponse) -> AsyncGenerator[str]:
        first = True
        finished = False
        while True:
            async with asyncio.timeout(FIRST_TOKEN_SECONDS if first else TOTAL_SECONDS):
                line = await response.content.readline()
            if not line:
                break
            text = line.decode().strip()
            if not text.startswith("data:"):
                continue
            data = text.removeprefix("data:").strip()
            if data == "[DONE]":
                finished = True
                break
            if token := self._token(data):
                first = False
                yield token
        if not finished:
            raise ProviderFailed(f"{self.name} broke off in the middle")

    def _token(self, data: str) -> str:
        try:
            event = json.loads(data)
            if "error" in event:
                raise ProviderFailed(f"{self.name} reports an error in the stream")
            choices = event["choices"]
            return (choices[0]["delta"].get("content") or "") if choices else ""
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ProviderFailed(f"{self.name} sent what is no event: {data[:80]}") from error

    async def probe(self) -> None:
        """A rare and cheap question, for the health check. Raises ProviderFailed."""
        headers = {"Authorization": f"Bearer {self._provider.api_key}"}
        limits = aiohttp.ClientTimeout(total=CONNECT_SECONDS)
        try:
            async with self._session.get(
                f"{self._provider.base_url}/models", headers=headers, timeout=limits
            ) as response:
                await self._accept(response)
        except TimeoutError as error:
            raise ProviderFailed(f"{self.name} gave no answer in time") from error
        except aiohttp.ClientError as error:
            raise ProviderFailed(f"{self.name} cannot be reached: {type(error).__name__}") from error

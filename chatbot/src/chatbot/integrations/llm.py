"""Language models that speak the chat-completions wire format: Groq, OpenAI, and whatever else does.

Three clocks run on a call: connecting, the first token, the whole. A fourth bounds the silence between two tokens.
An error can come in the middle of a stream that began with status 200; it is told apart from the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import orjson

from chatbot.core.answers import Message
from chatbot.errors import ProviderRefused, ProviderUnavailable

# These say that the request is at fault; every other error says that the provider, or our account there, is.
_REFUSED = frozenset({400, 413, 422})
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a call may take to connect, to its first token, between two tokens, and in all."""

    connect: timedelta = timedelta(seconds=2)
    first_token: timedelta = timedelta(seconds=8)
    silence: timedelta = timedelta(seconds=10)
    total: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a provider is. The key is never shown by `repr`."""

    name: str
    base_url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Endpoint(name={self.name!r}, base_url={self.base_url!r}, ...)"


class ChatModel:
    """One provider's models."""

    def __init__(
        self, session: aiohttp.ClientSession, endpoint: Endpoint, timeouts: Timeouts | None = None
    ) -> None:
        self.name = endpoint.name
        self._session = session
        self._base_url = endpoint.base_url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {endpoint.api_key}",
            "Content-Type": "application/json",
        }
        self._timeouts = timeouts or Timeouts()

    async def stream(
        self, messages: Sequence[Message], *, model: str, max_tokens: int
    ) -> AsyncGenerator[str]:
        """The answer's text in pieces. Raises ProviderUnavailable or ProviderRefused, also in the middle."""
        began = asyncio.get_running_loop().time()
        end = began + self._timeouts.total.total_seconds()
        first = min(end, began + self._timeouts.first_token.total_seconds())
        body = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": max_tokens,
            "stream": True,
        }
        response = await self._ask("/chat/completions", body, until=first)
        try:
            async with aclosing(self._texts(response, first=first, end=end)) as texts:
                async for text in texts:
                    yield text
        finally:
            # Closes the connection unless the answer was read to its end: whoever gives up costs nothing more.
            response.close()

    async def probe(self) -> None:
        """Asks for the list of models: costs nothing. Raises ProviderUnavailable or ProviderRefused."""
        until = asyncio.get_running_loop().time() + self._timeouts.connect.total_seconds() * 2
        response = await self._ask("/models", None, until=until)
        response.close()

    async def _ask(self, path: str, body: dict[str, Any] | None, *, until: float) -> aiohttp.ClientResponse:
        connect = self._timeouts.connect.total_seconds()
        try:
            async with asyncio.timeout_at(until):
                response = await self._session.request(
                    "GET" if body is None else "POST",
                    self._base_url + path,
                    data=None if body is None else orjson.dumps(body),
                    headers=self._headers,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect),
                    allow_redirects=False,
                )
                if response.status != 200:
                    raise await self._refusal(response)
        except TimeoutError as error:
            raise ProviderUnavailable(f"{self.name} did not begin to answer in time.") from error
        except aiohttp.ClientError as error:
            raise ProviderUnavailable(f"{self.name} cannot be reached: {error}") from error
        return response

    async def _refusal(self, response: aiohttp.ClientResponse) -> ProviderUnavailable | ProviderRefused:
        try:
            said = (await response.content.read(_SHOWN)).decode(errors="replace")
        finally:
            response.close()
        kind = ProviderRefused if response.status in _REFUSED else ProviderUnavailable
        return kind(f"{self.name} answered {response.status}: {said}")

    async def _texts(
        self, response: aiohttp.ClientResponse, *, first: float, end: float
    ) -> AsyncGenerator[str]:
        loop = asyncio.get_running_loop()
        deadline = first
        held = b""
        began = False
        while True:
            chunk = await self._read(response, until=deadline)
            if not chunk:
                raise ProviderUnavailable(f"{self.name} broke off before the end of its answer.")
            *lines, held = (held + chunk).split(b"\n")
            for line in lines:
                data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
                if data == b"[DONE]":
                    if not began:
                        raise ProviderUnavailable(f"{self.name} gave an empty answer.")
                    return
                if data and (text := self._text(data)):
                    began = True
                    yield text
            if began:
                deadline = min(end, loop.time() + self._timeouts.silence.total_seconds())

    async def _read(self, response: aiohttp.ClientResponse, *, until: float) -> bytes:
        try:
            async with asyncio.timeout_at(until):
                return await response.content.readany()
        except TimeoutError as error:
            raise ProviderUnavailable(f"{self.name} fell silent.") from error
        except aiohttp.ClientError as error:
            raise ProviderUnavailable(f"{self.name} broke off: {error}") from error

    def _text(self, data: bytes) -> str:
        try:
            event = orjson.loads(data)
            if "error" in event:
                raise ProviderUnavailable(
                    f"{self.name} sent an error in its stream: {str(event['error'])[:_SHOWN]}"
                )
            choices = event["choices"]
            return (choices[0]["delta"].get("content") or "") if choices else ""
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ProviderUnavailable(
                f"{self.name} sent what is not a chat completion: {data[:_SHOWN]!r}"
            ) from error

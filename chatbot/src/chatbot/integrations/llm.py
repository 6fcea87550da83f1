"""Language models that speak the chat-completions wire format: Groq, OpenAI, and whatever else does.

Three clocks run on a call: connecting, the first token, the whole. A fourth bounds the silence between two tokens.
An error can come in the middle of a stream that began with status 200; it is told apart from the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import orjson

from chatbot.core.answers import Accepted, Message, Usage
from chatbot.errors import ProviderRefused, ProviderUnavailable

# These say that the request is at fault; every other error says that the provider, or our account there, is.
_REFUSED = frozenset({400, 413, 422})
_SHOWN = 200
# Seconds that the end of a connection's answer is waited for after the end of its text.
_LAST_BYTE = 0.05


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

    @property
    def patience(self) -> float:
        """Seconds that a question waits for its first token, all attempts together."""
        return self._timeouts.first_token.total_seconds()

    async def stream(
        self, messages: Sequence[Message], *, model: str, max_tokens: int, patience: float
    ) -> AsyncGenerator[str | Usage | Accepted]:
        """Accepted, the answer's text in pieces, and what it cost where the provider says.

        The first token within `patience` seconds. Raises ProviderUnavailable or ProviderRefused, also in the middle.
        """
        began = asyncio.get_running_loop().time()
        end = began + self._timeouts.total.total_seconds()
        first = min(end, began + patience)
        body = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        response = await self._ask("/chat/completions", body, until=first)
        try:
            yield Accepted()
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
            raise ProviderUnavailable(f"{self.name} cannot be reached: {error}", again=True) from error
        return response

    async def _refusal(self, response: aiohttp.ClientResponse) -> ProviderUnavailable | ProviderRefused:
        try:
            said = (await response.content.read(_SHOWN)).decode(errors="replace")
        finally:
            response.close()
        told = f"{self.name} answered {response.status}: {said}"
        if response.status in _REFUSED:
            return ProviderRefused(told)
        after = seconds_in(response.headers.get("Retry-After"))
        # Too many requests: at once would be one more of them, unless we are told when.
        again = response.status >= 500 or after is not None
        return ProviderUnavailable(told, again=again, after=after)

    async def _texts(
        self, response: aiohttp.ClientResponse, *, first: float, end: float
    ) -> AsyncGenerator[str | Usage]:
        loop = asyncio.get_running_loop()
        deadline = first
        held = b""
        began = False
        while True:
            chunk = await self._read(response, until=deadline)
            if not chunk:
                raise ProviderUnavailable(f"{self.name} broke off before the end of its answer.", again=True)
            *lines, held = (held + chunk).split(b"\n")
            for line in lines:
                data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
                if data == b"[DONE]":
                    if not began:
                        raise ProviderUnavailable(f"{self.name} gave an empty answer.", again=True)
                    await _read_out(response)
                    return
                for piece in self._pieces(data) if data else ():
                    began = began or isinstance(piece, str)
                    yield piece
            if began:
                deadline = min(end, loop.time() + self._timeouts.silence.total_seconds())

    async def _read(self, response: aiohttp.ClientResponse, *, until: float) -> bytes:
        try:
            async with asyncio.timeout_at(until):
                return await response.content.readany()
        except TimeoutError as error:
            raise ProviderUnavailable(f"{self.name} fell silent.") from error
        except aiohttp.ClientError as error:
            raise ProviderUnavailable(f"{self.name} broke off: {error}", again=True) from error

    def _pieces(self, data: bytes) -> Iterator[str | Usage]:
        try:
            event = orjson.loads(data)
            if "error" in event:
                raise ProviderUnavailable(
                    f"{self.name} sent an error in its stream: {str(event['error'])[:_SHOWN]}", again=True
                )
            choices = event["choices"]
            if choices and (text := choices[0]["delta"].get("content")):
                yield str(text).replace("\x00", "")  # PostgreSQL could not keep it
            # Groq has it under a name of its own as well.
            if used := event.get("usage") or event.get("x_groq", {}).get("usage"):
                yield Usage(
                    prompt_tokens=int(used["prompt_tokens"]),
                    completion_tokens=int(used["completion_tokens"]),
                    estimated=False,
                )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ProviderUnavailable(
                f"{self.name} sent what is not a chat completion: {data[:_SHOWN]!r}"
            ) from error


async def _read_out(response: aiohttp.ClientResponse) -> None:
    """To the last byte, if it comes soon: then the connection serves the next question too, which saves making one."""
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(_LAST_BYTE):
            while await response.content.readany():
                pass


def seconds_in(header: str | None) -> float | None:
    """Retry-After in seconds. Its other form, a date, is not sent by these providers and counts as none."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None

"""Pages from outside, and nothing from inside: every name is resolved once, checked, and connected to as it was checked.

No redirect is followed by the library: each is a new address, checked anew. Nothing of ours is sent along.
"""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from chatbot.core.addresses import Target, is_allowed, is_public, target_of
from chatbot.core.documents import LARGEST_DOCUMENT, Fetched, MediaType
from chatbot.errors import DocumentRefused, FetchFailed

TIME_LIMIT = timedelta(seconds=30)
MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_READ = {str(each) for each in MediaType} | {"application/xhtml+xml", "text/x-markdown"}
_HEADERS = {
    "User-Agent": "bitb-chatbot",
    "Accept": "text/html, application/pdf, text/markdown, text/plain",
    # What is compressed could unfold to any size.
    "Accept-Encoding": "identity",
}


class SafeFetcher:
    """`allowed`: HOST:PORT that may be inside, as operators name them for tests and intranets."""

    def __init__(self, allowed: frozenset[str] = frozenset(), time_limit: timedelta = TIME_LIMIT) -> None:
        self._allowed = allowed
        self._time_limit = time_limit

    async def fetch(self, url: str) -> Fetched:
        """The page. Raises DocumentRefused for good, FetchFailed for what may pass."""
        try:
            async with asyncio.timeout(self._time_limit.total_seconds()):
                for _ in range(MOST_REDIRECTS + 1):
                    found = await self._ask(target_of(url, allowed=self._allowed))
                    if isinstance(found, Fetched):
                        return found
                    url = urljoin(url, found)
        except TimeoutError as error:
            raise FetchFailed(
                f"The page did not come within {self._time_limit.total_seconds():g} s."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise FetchFailed(f"The page cannot be fetched: {error}") from error
        raise DocumentRefused(f"The page redirects more than {MOST_REDIRECTS} times.")

    async def _ask(self, target: Target) -> Fetched | str:
        """The page, or where it redirects to."""
        # As the client understands it, so that it cannot understand another host than the one that is checked.
        url = URL(target.url)
        address = await self._resolve(target, url.raw_host or "")
        connector = aiohttp.TCPConnector(resolver=_Pinned(address), force_close=True, limit=1)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            ) as session,
            session.get(url, headers=_HEADERS, allow_redirects=False) as response,
        ):
            if response.status in _REDIRECTS and (there := response.headers.get("Location")):
                return there
            return await _page(response)

    async def _resolve(self, target: Target, host: str) -> str:
        """The one address that is connected to. Every address of the name has to be public."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise FetchFailed(f"The host '{host[:100]}' is not found.") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not is_allowed(target, self._allowed):
            for address in addresses:
                if not is_public(address):
                    raise DocumentRefused(
                        f"The host '{host[:100]}' is not on the public internet; only pages that are can be fetched."
                    )
        return addresses[0]


class _Pinned(AbstractResolver):
    """Answers every name with the address that was checked, so that a second answer of the DNS cannot be another."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        kind = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        return [
            ResolveResult(
                hostname=host, host=self._address, port=port, family=kind, proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
        ]  # fmt: skip

    async def close(self) -> None:
        """Holds nothing."""


async def _page(response: aiohttp.ClientResponse) -> Fetched:
    if response.status in _PASSING:
        raise FetchFailed(f"The page answered {response.status}.")
    if response.status != 200:
        raise DocumentRefused(f"The page answered {response.status}; it has to be readable by anyone.")
    kind = response.content_type
    if kind not in _READ:
        raise DocumentRefused(f"The page is '{kind[:80]}'; PDF, HTML, Markdown and text are read.")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise DocumentRefused("The page comes compressed although it was asked for as it is.")
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(1024 * 1024):
        size += len(part)
        if size > LARGEST_DOCUMENT:
            raise DocumentRefused(f"The page has more than {LARGEST_DOCUMENT} bytes.")
        parts.append(part)
    return Fetched(parts=parts, media_type=_plain(kind))


def _plain(kind: str) -> str:
    return {"application/xhtml+xml": MediaType.HTML, "text/x-markdown": MediaType.MARKDOWN}.get(kind, kind)

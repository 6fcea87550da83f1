"""One HTTP session for every integration: bounded, no redirects, failures turned into SourceError."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp

from responder.core.source import Answer
from responder.errors import SourceRefused, SourceUnavailable

# An answer longer than this is cut: evidence is for reading, and memory is bounded.
BODY_LIMIT = 1_000_000
CONNECT_LIMIT = timedelta(seconds=3)


def new_session() -> aiohttp.ClientSession:
    """A session without cookies; at most 32 connections, 8 to one host."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=32, limit_per_host=8),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "bitb-responder"},
    )


async def request(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    timeout: timedelta,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    params: Mapping[str, str] | None = None,
    what: str,
) -> Answer:
    """One request. Any status is an answer. Raises SourceUnavailable when there is none, in words that name `what`."""
    limits = aiohttp.ClientTimeout(total=timeout.total_seconds(), connect=CONNECT_LIMIT.total_seconds())
    started = time.monotonic()
    try:
        async with session.request(
            method, url, headers=headers, data=body, params=params, timeout=limits, allow_redirects=False
        ) as response:
            raw = await response.content.read(BODY_LIMIT)
            text = raw.decode("utf-8", errors="replace")
            return Answer(
                status=response.status, text=text, body=_json(text), seconds=time.monotonic() - started
            )
    except TimeoutError as error:
        raise SourceUnavailable(f"{what} gave no answer within {timeout.total_seconds():.0f} s") from error
    except aiohttp.InvalidURL as error:
        raise SourceRefused(f"'{url}' is not an address") from error
    except aiohttp.ClientError as error:
        raise SourceUnavailable(f"{what} cannot be reached: {type(error).__name__}") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None

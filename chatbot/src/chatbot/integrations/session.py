"""The one HTTP session that every integration shares."""

from __future__ import annotations

import aiohttp

# Upstream connections at once: above it a call waits and its own timeout decides.
CONNECTIONS = 256


def new_session() -> aiohttp.ClientSession:
    """A session that follows nothing from the environment and keeps no cookies. Each call sets its own timeouts."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    )

"""HTTP endpoints that the runbook names: only origins that the policy allows, no redirects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urljoin, urlsplit

import aiohttp

from responder.core.policies import HttpPolicy
from responder.core.source import Answer
from responder.errors import SourceRefused
from responder.integrations.session import request


class HttpEndpoints:
    def __init__(
        self, session: aiohttp.ClientSession, policy: HttpPolicy, *, methods: frozenset[str]
    ) -> None:
        self._session = session
        self._policy = policy
        self._methods = methods

    async def read(self, url: str, *, headers: Mapping[str, str], timeout: timedelta) -> Answer:
        """GET. Raises SourceRefused for an origin that is not allowed."""
        return await self._request("GET", url, headers=headers, body=None, timeout=timeout)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: str | None, timeout: timedelta
    ) -> Answer:
        """A request that may change things. Raises SourceRefused for a method or an origin that is not allowed."""
        if method not in self._methods:
            allowed = ", ".join(sorted(self._methods))
            raise SourceRefused(f"{method} is not allowed here (policies/remediation.toml allows {allowed})")
        return await self._request(method, url, headers=headers, body=body, timeout=timeout)

    async def _request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: str | None, timeout: timedelta
    ) -> Answer:
        whole = self.resolve(url)
        origin = _origin(whole)
        return await request(
            self._session,
            method,
            whole,
            headers=headers,
            body=body.encode() if body is not None else None,
            timeout=timeout,
            what=origin,
        )

    def resolve(self, url: str) -> str:
        """The whole address of a URL of the runbook. Raises SourceRefused when it may not be called."""
        if not urlsplit(url).scheme:
            if self._policy.base_url is None:
                raise SourceRefused(
                    f"'{url}' is relative, and policies/bindings.toml gives no [http] base_url"
                )
            url = urljoin(self._policy.base_url + "/", url.lstrip("/"))
        origin = _origin(url)
        if origin not in self._policy.allow:
            raise SourceRefused(f"{origin} is not allowed: add it to [http] allow in policies/bindings.toml")
        return url


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

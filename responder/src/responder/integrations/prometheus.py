"""Prometheus: instant queries. Does not know range queries, nor any other API of it."""

from __future__ import annotations

import math
from datetime import timedelta
from urllib.parse import urlencode

import aiohttp

from responder.core.source import Sample
from responder.errors import SourceRefused, SourceUnavailable
from responder.integrations.session import request


class Prometheus:
    """`base_url` without a slash at its end."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url

    async def query(self, promql: str, *, timeout: timedelta) -> list[Sample]:
        """The instant value of an expression; NaN is left out. Raises SourceError."""
        answer = await request(
            self._session,
            "POST",
            f"{self._base_url}/api/v1/query",
            body=urlencode({"query": promql, "timeout": f"{timeout.total_seconds():.0f}s"}).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=timeout,
            what="Prometheus",
        )
        if answer.status >= 500 or answer.body is None:
            raise SourceUnavailable(f"Prometheus answers {answer.status}")
        if answer.status >= 400:
            raise SourceRefused(f"Prometheus refuses the query: {answer.body.get('error', answer.status)}")
        data = answer.body["data"]
        match data["resultType"]:
            case "vector":
                samples = [Sample(labels=s["metric"], value=float(s["value"][1])) for s in data["result"]]
            case "scalar":
                samples = [Sample(labels={}, value=float(data["result"][1]))]
            case kind:
                raise SourceRefused(f"the query gives a {kind}; an instant vector or a number is needed")
        return [sample for sample in samples if not math.isnan(sample.value)]

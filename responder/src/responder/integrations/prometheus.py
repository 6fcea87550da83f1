"""Prometheus: instant queries, and what it knows of a metric. Does not know range queries."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any
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

    async def running_since(self, *, timeout: timedelta) -> datetime:
        """When it was started. Raises SourceError."""
        answer = await self._get("/api/v1/status/runtimeinfo", timeout=timeout)
        try:
            return datetime.fromisoformat(answer["startTime"])
        except (KeyError, TypeError, ValueError) as error:
            raise SourceRefused("Prometheus does not say when it was started") from error

    async def labels_of(self, metric: str, *, timeout: timedelta) -> frozenset[str]:
        """The names of the labels that a metric has had as far back as Prometheus remembers; none if it never had it."""
        return frozenset(await self._names("/api/v1/labels", metric, timeout=timeout))

    async def edges_of(self, metric: str, *, timeout: timedelta) -> tuple[float, ...]:
        """The upper edges of a histogram's buckets, infinity included. Raises SourceError."""
        values = await self._names("/api/v1/label/le/values", metric, timeout=timeout)
        return tuple(sorted(float(value) for value in values))

    async def _names(self, path: str, metric: str, *, timeout: timedelta) -> list[str]:
        query = urlencode({"match[]": f'{{__name__="{metric}"}}'})
        names: list[Any] = await self._get(f"{path}?{query}", timeout=timeout)
        return [str(name) for name in names]

    async def _get(self, path: str, *, timeout: timedelta) -> Any:
        answer = await request(
            self._session,
            "GET",
            self._base_url + path,
            body=None,
            headers={},
            timeout=timeout,
            what="Prometheus",
        )
        if answer.status != 200 or answer.body is None:
            raise SourceUnavailable(f"Prometheus answers {answer.status} to {path.partition('?')[0]}")
        return answer.body["data"]

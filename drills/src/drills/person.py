"""Plays the person on call, by the ways that person has: the page's link, the console's API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from drills.errors import DrillError, NotReady
from drills.sink import Sink

# A person reads before pressing; a drill does not make them wait for more than that.
READING_SECONDS = 1.0
_POLL_SECONDS = 0.1


class Person:
    """`name` as policies/people.toml has it; `token` is theirs for the console."""

    def __init__(self, session: aiohttp.ClientSession, responder: str, *, name: str, token: str) -> None:
        self._session = session
        self._responder = responder
        self._name = name
        self._headers = {"Authorization": f"Bearer {token}"}

    async def read_page(self, sink: Sink, incident: str, *, seconds: float) -> Mapping[str, Any]:
        """The first page to this person that is about `incident`. Raises NotReady when none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    for delivery in sink.deliveries:
                        mine = delivery["channel"] == "webhook" and delivery["to"] == self._name
                        if mine and delivery["body"]["incident"] == incident:
                            return delivery["body"]
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise NotReady(f"no page reached {self._name} within {seconds:.0f} s") from error

    async def acknowledge(self, page: Mapping[str, Any]) -> None:
        """Presses the button behind the page's link."""
        await asyncio.sleep(READING_SECONDS)
        async with self._session.post(page["ack_url"], headers={"Accept": "application/json"}) as response:
            await _accept(response, "the acknowledgement")

    async def apply_remedy(self, incident: str, *, seconds: float) -> None:
        """Looks what the first remedy that can be run, and asks nothing, would do, then approves exactly that."""
        remedies = (await self.incident(incident))["remediations"]
        remedy = next((r for r in remedies if r["runnable"] and not r["asks"]), None)
        if remedy is None:
            raise DrillError(f"{incident} offers no remedy that can be run unasked")
        path = f"/api/incidents/{incident}/remediations/{remedy['id']}"
        await self._post(f"{path}/preview", None)
        seen = await self._wait_for_preview(incident, remedy["id"], seconds=seconds)
        await asyncio.sleep(READING_SECONDS)
        await self._post(f"{path}/approve", {"digest": seen["digest"]})

    async def _wait_for_preview(self, incident: str, remedy: int, *, seconds: float) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    remedies = (await self.incident(incident))["remediations"]
                    item = next(r for r in remedies if r["id"] == remedy)
                    if item["state"] == "previewed":
                        return item
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise NotReady(f"no preview came within {seconds:.0f} s") from error

    async def incident(self, name: str) -> Mapping[str, Any]:
        async with self._session.get(
            f"{self._responder}/api/incidents/{name}", headers=self._headers
        ) as response:
            return await _accept(response, f"the incident {name}")

    async def incidents(self) -> list[Mapping[str, Any]]:
        async with self._session.get(f"{self._responder}/api/incidents", headers=self._headers) as response:
            return await _accept(response, "the list of incidents")

    def follow(self, incident: str) -> Any:
        """The stream of the incident's timeline: an aiohttp request to be entered."""
        limit = aiohttp.ClientTimeout(total=None, sock_read=60)
        url = f"{self._responder}/api/incidents/{incident}/stream"
        return self._session.get(url, headers=self._headers, timeout=limit)

    async def _post(self, path: str, body: Mapping[str, Any] | None) -> None:
        async with self._session.post(self._responder + path, json=body, headers=self._headers) as response:
            await _accept(response, path)


async def _accept(response: aiohttp.ClientResponse, what: str) -> Any:
    if response.status >= 400:
        raise DrillError(f"{what} was refused with {response.status}: {(await response.text())[:300]}")
    return await response.json()

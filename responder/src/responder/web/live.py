"""New timeline entries, told to whoever is watching. One listening connection serves every open page."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from responder.core.incident import IncidentId
from responder.store.db import Database

if TYPE_CHECKING:
    from collections.abc import Generator

# Sent when nothing happens, so that a dead connection is noticed by both sides.
KEEP_ALIVE_SECONDS = 15.0


class Live:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: defaultdict[IncidentId, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listens until cancelled."""
        async for payload in self._database.listen("timeline", on_ready=self._wake_all):
            for event in self._watchers.get(IncidentId(int(payload)), ()):
                event.set()

    async def changes(self, incident_id: IncidentId) -> AsyncGenerator[bool]:
        """True after something happened, False when nothing did for a while. The first comes at once."""
        with self._watch(incident_id) as event:
            yield True
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await event.wait()
                except TimeoutError:
                    yield False
                else:
                    event.clear()
                    yield True

    def _wake_all(self) -> None:
        # What happened while there was no connection was not told.
        for events in self._watchers.values():
            for event in events:
                event.set()

    @contextmanager
    def _watch(self, incident_id: IncidentId) -> Generator[asyncio.Event]:
        event = asyncio.Event()
        self._watchers[incident_id].add(event)
        try:
            yield event
        finally:
            self._watchers[incident_id].discard(event)
            if not self._watchers[incident_id]:
                del self._watchers[incident_id]

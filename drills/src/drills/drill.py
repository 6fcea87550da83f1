"""One drill: a fault in a running chatbot, and all that follows, told line by line as it happens."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from drills.errors import DrillError, NotReady
from drills.person import Person
from drills.stack import Stack
from drills.upstream import Behaviour

PERSON = "alice"
WARM_SECONDS = 25.0
FIRE_SECONDS = 40.0
WHOLE_SECONDS = 120.0
_POLL_SECONDS = 0.1

# What must have happened, in the words that the timeline prints.
EXPECTED = {
    "fault": "the fault",
    "alert_firing": "the alert firing in Prometheus",
    "alert_received": "the webhook accepted",
    "incident_opened": "the incident opened",
    "evidence_recorded": "evidence",
    "finding_recorded": "a finding",
    "page_sent": "the page sent",
    "acknowledged": "the acknowledgement",
    "remediation_previewed": "the preview of the remedy",
    "remediation_approved": "its approval",
    "remediation_run": "its run",
    "remediation_verified": "its verification",
    "alert_resolved": "the alert quiet",
    "incident_resolved": "the incident resolved",
    "status_published": "the status page updated",
    "postmortem_written": "the post-mortem written",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How a fault is made for an alert. `says` is what the timeline calls it."""

    alert: str
    says: str
    begin: Callable[[Stack], Awaitable[None]]


async def _break_reranker(stack: Stack) -> None:
    stack.groq.rerank = Behaviour.FAIL


SCENARIOS = {
    "HighErrorRate": Scenario(
        alert="HighErrorRate",
        says="the service that orders passages fails, and the flag 'rerank' makes every answer depend on it",
        begin=_break_reranker,
    )
}


@dataclass(slots=True)
class Teller:
    """Prints a line for each event with the seconds since the fault, and keeps what was seen."""

    began: float = field(default_factory=time.time)
    seen: set[str] = field(default_factory=set[str])
    last: float = 0.0

    def tell(self, kind: str, text: str, *, at: float) -> None:
        self.seen.add(kind)
        self.last = max(self.last, at - self.began)
        word = kind.replace("_", " ")
        if sys.stdout.isatty():
            colour = _COLOURS.get(kind, "")
            print(f"\033[2m{at - self.began:7.1f} s\033[0m  {colour}{word:22}\033[0m  {text}", flush=True)
        else:
            print(f"{at - self.began:7.1f} s  {word:22}  {text}", flush=True)

    def missing(self) -> list[str]:
        return [words for kind, words in EXPECTED.items() if kind not in self.seen]


_RED, _GREEN, _BLUE = "\033[31m", "\033[32m", "\033[34m"
_COLOURS = {
    "fault": _RED, "alert_firing": _RED, "incident_opened": _RED, "page_sent": _BLUE, "acknowledged": _BLUE,
    "remediation_approved": _BLUE, "remediation_verified": _GREEN, "incident_resolved": _GREEN, "alert_resolved": _GREEN,
}  # fmt: skip


async def run(stack: Stack, scenario: Scenario) -> Teller:
    """Runs a drill on a running stack and tells of it. Raises DrillError when something fails outright."""
    async with aiohttp.ClientSession() as session:
        token = (await stack.console_token(PERSON))["token"]
        responder = stack.url(stack.plan.ports.responder)
        person = Person(session, responder, name=PERSON, token=token)
        watcher = _Prometheus(session, stack.url(stack.plan.ports.prometheus))
        await watcher.wait_until_healthy()
        teller = Teller()
        await scenario.begin(stack)
        teller.tell("fault", scenario.says, at=time.time())
        async with asyncio.timeout(WHOLE_SECONDS):
            await _follow(stack, scenario, person, watcher, teller)
        return teller


async def _follow(
    stack: Stack, scenario: Scenario, person: Person, watcher: _Prometheus, teller: Teller
) -> None:
    fired_at = await watcher.wait_until_firing(scenario.alert, since=teller.began)
    teller.tell("alert_firing", f"{scenario.alert} in Prometheus", at=fired_at)
    incident = await _incident_since(person, scenario.alert, teller.began)
    acting = asyncio.create_task(_act(stack, person, incident))
    telling = asyncio.create_task(_tell_timeline(person, incident, teller))
    done, _ = await asyncio.wait({acting, telling}, return_when=asyncio.FIRST_EXCEPTION)
    for task in (acting, telling):
        if task not in done:
            task.cancel()
    for task in done:
        task.result()


async def _act(stack: Stack, person: Person, incident: str) -> None:
    page = await person.read_page(stack.sink, incident, seconds=FIRE_SECONDS)
    await person.acknowledge(page)
    await person.apply_remedy(incident, seconds=FIRE_SECONDS)


async def _incident_since(person: Person, alert: str, began: float) -> str:
    async with asyncio.timeout(FIRE_SECONDS):
        while True:
            for incident in await person.incidents():
                opened = datetime.fromisoformat(incident["opened_at"]).timestamp()
                if incident["alertname"] == alert and opened >= began:
                    return incident["name"]
            await asyncio.sleep(_POLL_SECONDS)


async def _tell_timeline(person: Person, incident: str, teller: Teller) -> None:
    """Tells each entry of the incident's timeline as the stream brings it, until the post-mortem and the page are out."""
    resolved_published = False
    async with person.follow(incident) as response:
        async for entry in _entries(response):
            at = datetime.fromisoformat(entry["at"]).astimezone(UTC).timestamp()
            teller.tell(entry["kind"], entry["text"], at=at)
            if entry["kind"] == "status_published" and entry["data"]["state"] == "resolved":
                resolved_published = True
            if resolved_published and "postmortem_written" in teller.seen:
                return


async def _entries(response: aiohttp.ClientResponse) -> AsyncGenerator[Mapping[str, Any]]:
    async for line in response.content:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))
    raise DrillError("the responder ended the stream of the timeline")


class _Prometheus:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def wait_until_healthy(self) -> None:
        """Until Prometheus has seen answers, and none that failed: a drill begins on a well service."""
        try:
            async with asyncio.timeout(WARM_SECONDS):
                while await self._value("job:http_requests_errors:ratio_rate1m") != 0 or await self.firing():
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise NotReady(f"the chatbot did not answer without errors for {WARM_SECONDS:.0f} s") from error

    async def wait_until_firing(self, alert: str, *, since: float) -> float:
        """Waits; the time of the evaluation that made it fire, as Prometheus recorded it."""
        query = f'ALERTS{{alertname="{alert}",alertstate="firing"}}[10m]'
        try:
            async with asyncio.timeout(FIRE_SECONDS):
                while True:
                    recorded = [float(at) for row in await self._result(query) for at, _ in row["values"]]
                    if fired := [at for at in recorded if at >= since]:
                        return min(fired)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise NotReady(f"{alert} did not fire within {FIRE_SECONDS:.0f} s of the fault") from error

    async def firing(self) -> set[str]:
        """Names of the alerts that fire, but for the watchdog."""
        async with self._session.get(f"{self._url}/api/v1/alerts") as response:
            alerts = (await response.json())["data"]["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"} - {"Watchdog"}

    async def _value(self, query: str) -> float | None:
        result = await self._result(query)
        return float(result[0]["value"][1]) if result else None

    async def _result(self, query: str) -> list[Any]:
        async with self._session.get(f"{self._url}/api/v1/query", params={"query": query}) as response:
            return (await response.json())["data"]["result"]

"""Failed sign-ins, known places and used challenges: in Redis for all processes, and in memory for when it is gone."""

# redis-py's types of commands are half of a union with the synchronous client.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from chatbot.core.defence import (
    ADDRESS_WINDOW_SECONDS,
    EVERYBODY_WINDOW_SECONDS,
    FORGOTTEN_SECONDS,
    KNOWN_SECONDS,
    Attempt,
    Tallies,
    Tally,
)
from chatbot.integrations.redis import answering

_PREFIX = "chatbot:defence"
MOST = 50_000


class SharedFailures:
    """What all processes know. Every method raises QueueUnavailable."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def take(self, attempt: Attempt, now: float) -> Tallies:
        """Counts the attempt as a failure, and says what was known before, at one instant for all processes."""
        keys = _keys(attempt, now)
        commands: list[tuple[str, tuple[Any, ...]]] = [("hgetall", (key,)) for key in keys]
        commands.append(("exists", (_known(attempt.place),)))
        for key in keys:
            commands += [("hincrby", (key, "failures", 1)), ("hset", (key, "last_at", repr(now)))]
            commands.append(("expire", (key, int(FORGOTTEN_SECONDS))))
        found = await self._all(commands)
        place, account, address, everybody = (_tally(each) for each in found[:4])
        return Tallies(
            place=place, account=account, address=address, everybody=everybody, known=bool(found[4])
        )

    async def give_back(self, attempt: Attempt, now: float, before: Tallies) -> None:
        """It was no failure."""
        commands: list[tuple[str, tuple[Any, ...]]] = []
        for key, tally in zip(_keys(attempt, now), before.all(), strict=True):
            commands += [("hincrby", (key, "failures", -1)), ("hset", (key, "last_at", repr(tally.last_at)))]
            commands.append(("expire", (key, int(FORGOTTEN_SECONDS))))
        await self._all(commands)

    async def forgive(self, account: str) -> None:
        await self._all([("delete", (_key("account", account),))])

    async def welcome(self, attempt: Attempt) -> None:
        await self._all(
            [
                ("delete", (_key("account", attempt.account), _key("place", attempt.place))),
                ("set", (_known(attempt.place), "1", KNOWN_SECONDS)),
            ]
        )

    async def use(self, nonce: str, seconds: int) -> bool:
        """Whether it was not used before."""
        async with answering():
            return bool(
                await cast(
                    "Awaitable[Any]", self._client.set(f"{_PREFIX}:used:{nonce}", "1", ex=seconds, nx=True)
                )
            )

    async def _all(self, commands: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        async with answering(), self._client.pipeline(transaction=True) as pipe:
            for name, arguments in commands:
                getattr(pipe, name)(*arguments)
            return await pipe.execute()


class LocalFailures:
    """What this process knows itself. Bounded."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[str, Tally] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()
        self._used: OrderedDict[str, float] = OrderedDict()

    def take(self, attempt: Attempt, now: float) -> Tallies:
        place, account, address, everybody = (self._tallies.get(key, Tally()) for key in _keys(attempt, now))
        known = self._known.get(attempt.place, 0.0) > now
        for key, tally in zip(_keys(attempt, now), (place, account, address, everybody), strict=True):
            _put(self._tallies, key, Tally(failures=tally.at(now) + 1, last_at=now))
        return Tallies(place=place, account=account, address=address, everybody=everybody, known=known)

    def give_back(self, attempt: Attempt, now: float, before: Tallies) -> None:
        for key, tally in zip(_keys(attempt, now), before.all(), strict=True):
            held = self._tallies.get(key, Tally())
            _put(self._tallies, key, Tally(failures=max(0, held.failures - 1), last_at=tally.last_at))

    def forgive(self, account: str) -> None:
        self._tallies.pop(_key("account", account), None)

    def welcome(self, attempt: Attempt, now: float) -> None:
        self.forgive(attempt.account)
        self._tallies.pop(_key("place", attempt.place), None)
        _put(self._known, attempt.place, now + KNOWN_SECONDS)

    def use(self, nonce: str, expires_at: float) -> bool:
        if nonce in self._used:
            return False
        _put(self._used, nonce, expires_at)
        return True


def _put(kept: OrderedDict[str, Any], key: str, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MOST:
        kept.popitem(last=False)


def _key(kind: str, name: str) -> str:
    return f"{_PREFIX}:{kind}:{name}"


def _known(place: str) -> str:
    return _key("known", place)


def _keys(attempt: Attempt, now: float) -> tuple[str, str, str, str]:
    """Of the place, the account, the address and everybody. The last two begin anew with each window: with many people
    behind them there is always somebody who mistypes.
    """
    return (
        _key("place", attempt.place),
        _key("account", attempt.account),
        _key("address", f"{attempt.address}:{now // ADDRESS_WINDOW_SECONDS:.0f}"),
        _key("everybody", f"{now // EVERYBODY_WINDOW_SECONDS:.0f}"),
    )


def _tally(found: Mapping[str, str]) -> Tally:
    return Tally(failures=max(0, int(found.get("failures", 0))), last_at=float(found.get("last_at", 0.0)))

"""How often may be asked: limits by kind of route and by who asks, a local count, and when not to ask Redis.

A local count is a bucket: full it holds `amount`, and it fills again within `seconds`. It never refuses what a sliding
window would let through, so it can be asked first: a flood costs no way to Redis.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chatbot.errors import ConfigError


class Route(StrEnum):
    """Kinds of routes that have limits of their own."""

    CHAT = "chat"
    UPLOAD = "upload"  # changes of documents
    SIGN_IN = "sign_in"  # tries a password or asks for a session
    ADMIN = "admin"
    READ = "read"  # everything else


class Who(StrEnum):
    """Whose requests are counted together."""

    IP = "ip"
    KEY = "key"
    TENANT = "tenant"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `amount` requests in any `seconds`."""

    route: Route
    who: Who
    amount: int
    seconds: int

    @property
    def name(self) -> str:
        return f"{self.route}.{self.who}"


SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
MOST = 1_000_000
# Wide for an address, behind which may be a tenant's server or a whole office; narrow for one visitor.
DEFAULTS = (
    "chat.ip=3000/minute chat.key=1800/minute chat.tenant=3000/minute chat.session=20/minute"
    " upload.ip=300/minute upload.key=120/minute upload.tenant=240/minute upload.session=60/minute"
    " sign_in.ip=30/minute admin.ip=600/minute read.ip=3000/minute"
)
_TERM = re.compile(r"([a-z_]+)\.([a-z]+)=(?:(\d{1,7})/(second|minute|hour|day)|(off))")

Limits = Mapping[tuple[Route, Who], Limit]


def parse_limits(text: str) -> Limits:
    """The limits in `text`, over the defaults; 'off' for none at all. Raises ConfigError with the first fault."""
    if text.strip() == "off":
        return {}
    found: dict[tuple[Route, Who], Limit] = {}
    for term in f"{DEFAULTS} {text}".replace(",", " ").split():
        match = _TERM.fullmatch(term)
        if match is None or match[1] not in {*Route} or match[2] not in {*Who}:
            raise ConfigError(
                f"CHATBOT_LIMITS names '{term[:60]}'; write for example chat.session=20/minute or chat.ip=off."
                f" The kinds of routes are {', '.join(Route)}; who: {', '.join(Who)}."
            )
        route, who = Route(match[1]), Who(match[2])
        if match[5]:
            found.pop((route, who), None)
            continue
        amount = int(match[3])
        if not 0 < amount <= MOST:
            raise ConfigError(f"CHATBOT_LIMITS names '{term}'; the number must be from 1 to {MOST}.")
        found[route, who] = Limit(route=route, who=who, amount=amount, seconds=SECONDS[match[4]])
    return found


def route_of(method: str, path: str) -> Route:
    """The kind of route that a request goes to, as far as its head tells."""
    if path == "/api/chat":
        return Route.CHAT
    if path.startswith("/api/admin"):
        return Route.ADMIN
    if path.startswith("/api/documents") and method not in {"GET", "HEAD"}:
        return Route.UPLOAD
    if method == "POST" and path.startswith(SIGN_IN_PATHS):
        return Route.SIGN_IN
    return Route.READ


# What tries a secret, or makes something that one can ask with.
SIGN_IN_PATHS = ("/api/sign-in", "/api/invitations", "/api/widget/sessions")


class LocalCounts:
    """What this process counts itself. Bounded: beyond `most` names the one that was asked for longest ago is forgotten."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, limit: Limit, name: str, now: float) -> float:
        """0 when there was room; else the seconds until there is. `now`: seconds of a monotonic clock."""
        key = (limit.name, name)
        rate = limit.amount / limit.seconds
        left, at = self._buckets.get(key, (float(limit.amount), now))
        left = min(float(limit.amount), left + max(0.0, now - at) * rate)
        # A little less than one is one: what flows in small parts does not add up exactly.
        wait = 0.0 if left > 1 - 1e-6 else (1 - left) / rate
        self._buckets[key] = (left if wait else left - 1, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait

    def __len__(self) -> int:
        return len(self._buckets)


class Detour:
    """Whether to go around something that failed: after a failure for `seconds`, then one at a time may try it again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None

    @property
    def around(self) -> bool:
        return self._until is not None

    def may_try(self, now: float) -> bool:
        if self._until is None:
            return True
        if now < self._until:
            return False
        self._until = now + self._seconds  # the others keep away while this one tries
        return True

    def failed(self, now: float) -> None:
        self._until = now + self._seconds

    def worked(self) -> None:
        self._until = None


def whole_seconds(wait: float) -> int:
    """For Retry-After: never less than there is to wait."""
    return max(1, math.ceil(wait))

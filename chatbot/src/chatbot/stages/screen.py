"""Request's head → let in, or refused before anything is done for it."""

from __future__ import annotations

from chatbot.core.client_address import Address
from chatbot.errors import Blocked, WrongHost
from chatbot.stages.agree import now_of
from chatbot.stages.ports import Outside
from chatbot.telemetry import REFUSED


def turn_away_blocked(outside: Outside, address: Address) -> None:
    """Raises Blocked. Asks nothing but memory."""
    now = now_of(outside)
    block = outside.orders.blocklist.covering(address, now)
    if block is not None:
        REFUSED.labels(reason="blocked").inc()
        # Without the reason: it is for operators.
        raise Blocked(
            f"Requests from {address} are not answered until {block.expires_at:%Y-%m-%d %H:%M} UTC.",
            retry_after=max(1, block.seconds_left(now)),
        )


# Probes ask by whatever address they find the process at.
ANY_HOST = ("/livez", "/readyz", "/metrics", "/api/health")


def check_host(host: str, path: str, allowed: frozenset[str]) -> None:
    """Raises WrongHost for a Host header that is not one of ours. Nothing is checked where none are named."""
    if not allowed or path.startswith(ANY_HOST):
        return
    name = host.lower().rsplit(":", 1)[0] if not host.endswith("]") else host.lower()
    if name not in allowed:
        REFUSED.labels(reason="wrong_host").inc()
        raise WrongHost(f"There is no host '{host[:80]}' here.")

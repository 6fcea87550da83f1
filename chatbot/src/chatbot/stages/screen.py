"""Request's head → let in, or refused before anything is done for it."""

from __future__ import annotations

from chatbot.core.client_address import Address
from chatbot.errors import Blocked
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

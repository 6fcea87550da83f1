"""What the server does without being asked: keeps its flags, blocks and settings fresh, ends the streams of tenants that were
closed, sends canaries and tells the responder of violations.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from chatbot.stages.agree import agree
from chatbot.stages.check import CANARY_EVERY
from chatbot.stages.ports import Outside
from chatbot.stages.probe import probe_isolation
from chatbot.stages.repeat import every
from chatbot.stages.tell import tell_for_ever
from chatbot.stages.tune import refresh_settings
from chatbot.stages.watch import watch_queue, watch_tenants
from chatbot.web.drain import Drain, cut_closed_tenants

ORDERS_EVERY = timedelta(seconds=1)
SETTINGS_EVERY = timedelta(seconds=0.5)
# The canary asks for its secret as somebody else.
PROBE_EVERY = timedelta(minutes=1)
# With the time for the question, within a second.
CLOSED_EVERY = timedelta(seconds=0.5)
TENANTS_EVERY = timedelta(seconds=30)


async def keep_orders(outside: Outside) -> None:
    """For ever, also while PostgreSQL has not passed the boot check: orders hold and arrive without it."""
    await every(ORDERS_EVERY, "agree", lambda: agree(outside))


async def run_loops(outside: Outside, drain: Drain) -> None:
    """For ever: each loop on its own, so that one that waits for Redis does not hold up the others."""
    async with asyncio.TaskGroup() as group:
        group.create_task(every(CLOSED_EVERY, "cut_closed", lambda: cut_closed_tenants(outside, drain)))
        group.create_task(every(SETTINGS_EVERY, "refresh_settings", lambda: refresh_settings(outside)))
        group.create_task(every(CANARY_EVERY, "watch_queue", lambda: watch_queue(outside)))
        group.create_task(every(TENANTS_EVERY, "watch_tenants", lambda: watch_tenants(outside)))
        group.create_task(every(PROBE_EVERY, "probe_isolation", lambda: probe_isolation(outside)))
        group.create_task(tell_for_ever(outside))

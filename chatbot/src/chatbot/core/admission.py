"""So many answers at once, so many waiting, and no tenant takes all the places of either."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from typing import Generic, TypeVar

from chatbot.errors import Overloaded

Ticket = TypeVar("Ticket")

# Of the places, and of the places to wait, one tenant may have this share: there is always room for another.
TENANT_SHARE = 0.75


class Admission(Generic[Ticket]):
    """Who answers and who waits. Pure: a ticket is whatever the caller recognises its request by.

    A place that becomes free goes to the waiting tenant that has the fewest answers under way, and among equals to the
    one that was served longest ago; within a tenant, to whoever came first.
    """

    def __init__(self, *, places: int, waiting: int) -> None:
        self.places = places
        self._room = waiting
        self._most_places = max(1, math.ceil(places * TENANT_SHARE))
        self._most_waiting = max(1, math.ceil(waiting * TENANT_SHARE))
        self._answering: Counter[str] = Counter()
        self._queues: OrderedDict[str, deque[Ticket]] = OrderedDict()

    @property
    def answering(self) -> int:
        return self._answering.total()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    def has_room(self, tenant: str) -> bool:
        """Whether `enter` would let it answer at once."""
        return tenant not in self._queues and self._may_answer(tenant)

    def enter(self, tenant: str, ticket: Ticket) -> bool:
        """Whether it may answer at once; False: it waits. Raises Overloaded when there is no place to wait either."""
        if self.has_room(tenant):
            self._answering[tenant] += 1
            return True
        if self.waiting >= self._room:
            raise Overloaded(
                f"{self.places} answers are under way and {self._room} requests wait.", reason="queue_full"
            )
        queue = self._queues.setdefault(tenant, deque())
        if len(queue) >= self._most_waiting:
            raise Overloaded(
                f"{len(queue)} requests of this tenant wait already, the most that one may have.",
                reason="tenant_share",
            )
        queue.append(ticket)
        return False

    def leave(self, tenant: str) -> list[Ticket]:
        """An answer has ended. The tickets that may answer now."""
        self._answering[tenant] -= 1
        if not self._answering[tenant]:
            del self._answering[tenant]
        admitted: list[Ticket] = []
        while (next_tenant := self._next()) is not None:
            queue = self._queues[next_tenant]
            admitted.append(queue.popleft())
            self._answering[next_tenant] += 1
            self._queues.move_to_end(next_tenant)
            if not queue:
                del self._queues[next_tenant]
        return admitted

    def give_up(self, tenant: str, ticket: Ticket) -> None:
        """A request waits no longer. It must be waiting."""
        queue = self._queues[tenant]
        queue.remove(ticket)
        if not queue:
            del self._queues[tenant]

    def _may_answer(self, tenant: str) -> bool:
        return self.answering < self.places and self._answering[tenant] < self._most_places

    def _next(self) -> str | None:
        able = [tenant for tenant in self._queues if self._may_answer(tenant)]
        return min(able, key=lambda tenant: self._answering[tenant], default=None)

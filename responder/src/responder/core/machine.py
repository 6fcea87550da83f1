"""A state machine as a table: state → event → next state. An event that the table does not hold raises."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from responder.errors import IllegalTransition

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

Table = Mapping[S, Mapping[E, S]]


def next_state(table: Table[S, E], state: S, event: E, *, thing: str) -> S:
    """The state after `event`. Raises IllegalTransition, naming what is possible instead."""
    row = table[state]
    if event not in row:
        raise IllegalTransition(thing=thing, state=state, event=event, allowed=tuple(row))
    return row[event]


def mermaid(table: Table[S, E]) -> str:
    """The diagram of the table, for the documentation."""
    arrows = [
        f"    {state} --> {after}: {event}" for state, row in table.items() for event, after in row.items()
    ]
    return "\n".join(["stateDiagram-v2", *arrows])

"""Escalation: who is paged, when, until someone answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from responder.core.incident import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationStep:
    """`after` counts from the moment paging began. `notify` names people or roles, `channels` how they are reached."""

    after: timedelta
    notify: tuple[str, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationPolicy:
    """Steps in the order of `after`. After the last one the whole begins again, `repeat` times, `repeat_after` later.

    `wait_for_evidence` is how long the first page may wait so that it can carry what the investigation found.
    With `restricted` it is for incidents of a restricted kind only, and goes before the others there.
    """

    name: str
    severities: frozenset[Severity]
    restricted: bool
    wait_for_evidence: timedelta
    steps: tuple[EscalationStep, ...]
    repeat: int
    repeat_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where an escalation stands: the round, and the step in it that is due next."""

    round: int
    step: int
    due_at: datetime


def position_after(
    policy: EscalationPolicy, *, started_at: datetime, round_: int, step: int
) -> Position | None:
    """What is due after (`round_`, `step`) fired, or None when the policy is at its end.

    `started_at` is when the round's paging began: lateness of one step never delays the next.
    """
    if step + 1 < len(policy.steps):
        return Position(round=round_, step=step + 1, due_at=started_at + policy.steps[step + 1].after)
    if round_ < policy.repeat:
        begins = started_at + policy.steps[-1].after + policy.repeat_after
        return Position(round=round_ + 1, step=0, due_at=begins + policy.steps[0].after)
    return None


def policy_to_json(policy: EscalationPolicy) -> dict[str, Any]:
    """The policy as it is stamped onto an incident; durations in seconds."""
    return {
        "name": policy.name,
        "severities": sorted(policy.severities),
        "restricted": policy.restricted,
        "wait_for_evidence": policy.wait_for_evidence.total_seconds(),
        "steps": [
            {
                "after": step.after.total_seconds(),
                "notify": list(step.notify),
                "channels": list(step.channels),
            }
            for step in policy.steps
        ],
        "repeat": policy.repeat,
        "repeat_after": policy.repeat_after.total_seconds(),
    }


def policy_from_json(body: Mapping[str, Any]) -> EscalationPolicy:
    """What `policy_to_json` wrote."""
    return EscalationPolicy(
        name=body["name"],
        severities=frozenset(Severity(severity) for severity in body["severities"]),
        restricted=body["restricted"],
        wait_for_evidence=timedelta(seconds=body["wait_for_evidence"]),
        steps=tuple(
            EscalationStep(
                after=timedelta(seconds=step["after"]),
                notify=tuple(step["notify"]),
                channels=tuple(step["channels"]),
            )
            for step in body["steps"]
        ),
        repeat=body["repeat"],
        repeat_after=timedelta(seconds=body["repeat_after"]),
    )

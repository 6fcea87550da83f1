"""The two programs share no code: what the one signs and says, the other must take."""

from __future__ import annotations

import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from chatbot.core.tenancy import TenantId
from chatbot.core.violation import EVENT, Source, Violation
from chatbot.integrations.security_hook import HEADER, signature
from chatbot.store.security_outbox import message_of
from responder.errors import InvalidToken
from responder.integrations.security_events import read_event
from responder.integrations.signatures import verify
from responder.web import security_events

KEY = b"a-key-of-thirty-two-characters-or-more"
POLICY = Path(__file__).parents[2] / "policies" / "security_events.toml"


@pytest.mark.parametrize("source", Source)
def test_what_the_chatbot_tells_is_taken(source: Source) -> None:
    """Every kind of violation is signed, formed and named as the responder's door wants it, also at its largest."""
    violation = Violation(
        event_id=UUID(int=7), tenant_id=TenantId(UUID(int=1)),
        foreign=tuple(TenantId(UUID(int=number)) for number in range(2, 300)), rows=298, source=source,
        actor="widget session " + "x" * 60, occurred_at=datetime.now(UTC), request_id="r" * 64, path="conversation",
    )  # fmt: skip
    body, now = message_of(violation), int(time.time())
    header = signature(KEY, timestamp=now, body=body)
    verify(header, body, keys=[KEY], now=datetime.now(UTC))
    event = read_event(body)
    assert (event.event, event.source, event.tenant_id) == (EVENT, source, str(UUID(int=2)))
    assert event.event in tomllib.loads(POLICY.read_text())["events"]
    assert security_events.HEADER == HEADER


def test_a_changed_body_is_not_taken() -> None:
    """One byte more, and the signature does not fit."""
    header = signature(KEY, timestamp=int(time.time()), body=b"{}")
    with pytest.raises(InvalidToken):
        verify(header, b"{} ", keys=[KEY], now=datetime.now(UTC))

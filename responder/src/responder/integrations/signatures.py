"""Signed calls, in both directions: HMAC-SHA256 over `timestamp.body`, written `t=<unix seconds>,v1=<hex>`.

The timestamp is signed with the body, so a recorded call is worth nothing five minutes later. What is repeated within
that time is told apart by its id, where the call has its effect.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from responder.errors import InvalidToken

TOLERANCE = timedelta(seconds=300)
_FORM = re.compile(r"t=(?P<t>\d{1,12})(?P<macs>(?:,v1=[0-9a-f]{64}){1,4})")


def signature(key: bytes, *, timestamp: int, body: bytes) -> str:
    """The value of the signature header."""
    return f"t={timestamp},v1={_mac(key, timestamp=timestamp, body=body)}"


def verify(header: str, body: bytes, *, keys: Sequence[bytes], now: datetime) -> None:
    """Raises InvalidToken unless one of the keys signed exactly this body, at most five minutes from `now`.

    Any key of `keys` will do, and any signature of the header: that is how a key is changed without a gap.
    """
    found = _FORM.fullmatch(header.strip())
    if found is None:
        raise InvalidToken(
            "The signature is missing or has another form; it is t=<unix seconds>,v1=<hex of HMAC-SHA256>."
        )
    timestamp = int(found["t"])
    macs = found["macs"].split(",v1=")[1:]
    # Every pair is compared, so that the time taken tells nothing.
    fits = [
        hmac.compare_digest(_mac(key, timestamp=timestamp, body=body), mac) for key in keys for mac in macs
    ]
    if not any(fits):
        raise InvalidToken("The signature does not fit the body: another key, or a body that was changed.")
    off = now - datetime.fromtimestamp(timestamp, tz=UTC)
    if abs(off) > TOLERANCE:
        raise InvalidToken(
            f"The call was signed {off.total_seconds():.0f} s from now; {TOLERANCE.total_seconds():.0f} s are allowed."
            " Sign each try anew, and compare the clocks of both machines."
        )


def _mac(key: bytes, *, timestamp: int, body: bytes) -> str:
    return hmac.new(key, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()

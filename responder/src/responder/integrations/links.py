"""Signed addresses: who may do what, for how long, without a row in the database. HMAC-SHA256, keys apart by purpose."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from responder.core.clock import Clock
from responder.errors import InvalidToken

ACKNOWLEDGE_LASTS = timedelta(hours=24)
TOKEN_LIMIT = 1_024


class Purpose(StrEnum):
    """What a token is good for; one for another purpose is refused."""

    ACKNOWLEDGE = "acknowledge"
    SIGN_IN = "sign-in"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`subject` is the incident for an acknowledgement, empty for a session."""

    purpose: Purpose
    person: str
    subject: str
    expires_at: datetime


class Signer:
    def __init__(self, secret_key: str, clock: Clock) -> None:
        self._secret = secret_key.encode()
        self._clock = clock

    def key(self, purpose: str) -> bytes:
        """A key of its own for each purpose."""
        return hmac.new(self._secret, f"responder/{purpose}".encode(), hashlib.sha256).digest()

    def sign(self, purpose: Purpose, *, person: str, subject: str = "", lasts: timedelta) -> str:
        """A token, safe in a URL."""
        expires = int((self._clock.now() + lasts).timestamp())
        body = json.dumps([person, subject, expires], separators=(",", ":")).encode()
        return f"{_encode(body)}.{_encode(self._mac(purpose, body))}"

    def read(self, token: str, purpose: Purpose) -> Token:
        """What a token says. Raises InvalidToken when it is forged, expired or for another purpose."""
        try:
            body, mac = (_decode(part) for part in token[:TOKEN_LIMIT].split("."))
            if not hmac.compare_digest(mac, self._mac(purpose, body)):
                raise ValueError("the signature does not fit")
            person, subject, expires = json.loads(body)
        except ValueError as error:
            raise InvalidToken(
                "This link is not genuine, or not whole. Copy it again, or ask for a new one."
            ) from error
        now = self._clock.now()
        expires_at = datetime.fromtimestamp(expires, tz=now.tzinfo)
        if expires_at <= now:
            raise InvalidToken(f"This link ran out at {expires_at:%Y-%m-%d %H:%M} UTC. Ask for a new one.")
        return Token(purpose=purpose, person=person, subject=subject, expires_at=expires_at)

    def _mac(self, purpose: Purpose, body: bytes) -> bytes:
        return hmac.new(self.key(purpose), body, hashlib.sha256).digest()


class Links:
    """The addresses that pages carry."""

    def __init__(self, signer: Signer, public_url: str) -> None:
        self._signer = signer
        self._public_url = public_url

    def acknowledge(self, incident: str, person: str) -> str:
        token = self._signer.sign(
            Purpose.ACKNOWLEDGE, person=person, subject=incident, lasts=ACKNOWLEDGE_LASTS
        )
        return f"{self._public_url}/ack/{token}"

    def incident(self, incident: str) -> str:
        return f"{self._public_url}/incidents/{incident}"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

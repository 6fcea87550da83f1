"""Guessing passwords, made slow and costly: what failures so far ask of the next attempt. Pure: `now` is seconds since the epoch.

Failures are counted for the place (this account from this address), for the account, for the address, and for everybody.
Only the place and the address are made to wait: nobody can make another person wait. What is suspicious for the account or
for everybody asks for a proof of work, and a place from where the account has signed in before is spared it: so nobody
can lock another person out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from chatbot.core.client_address import Address, limited_as

# Without a failure for so long, all is forgotten.
FORGOTTEN_SECONDS = 900.0
# The windows in which the failures of an address, and of everybody, are counted.
ADDRESS_WINDOW_SECONDS = 900
EVERYBODY_WINDOW_SECONDS = 300
# A place from which the account signed in is known for so long.
KNOWN_SECONDS = 30 * 86400

FREE_FAILURES = 3  # typing errors
LONGEST_WAIT = 60.0
ADDRESS_FREE_FAILURES = 20  # an office behind one address
ADDRESS_LONGEST_WAIT = 300.0
ACCOUNT_CHALLENGED = 5
ADDRESS_CHALLENGED = 10
ACCOUNT_LOCKED = 20  # softly: a harder proof opens it
EVERYBODY_CHALLENGED = 200


class Proof(IntEnum):
    """The proof of work that an attempt must bring; a higher one serves for a lower."""

    NONE = 0
    USUAL = 1
    HARD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Failures, and when the last one was, in seconds since the epoch."""

    failures: int = 0
    last_at: float = 0.0

    def at(self, now: float) -> int:
        return 0 if now - self.last_at >= FORGOTTEN_SECONDS else self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Who is tried from where, as names that tell nothing: only hashes are kept."""

    account: str
    address: str

    @property
    def place(self) -> str:
        return _digest(self.account, self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """All that is known of an attempt before it is made. `known`: the account has signed in from this address."""

    place: Tally
    account: Tally
    address: Tally
    everybody: Tally
    known: bool

    def all(self) -> tuple[Tally, Tally, Tally, Tally]:
        return self.place, self.account, self.address, self.everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an attempt must bring: so many seconds of patience, and a proof."""

    wait: float
    proof: Proof


def attempt(*, tenant: str, email: str, address: Address | None) -> Attempt:
    """The same for a tenant or member that there is and for one that there is not."""
    where = limited_as(address) if address else "unknown"
    return Attempt(account=account_of(tenant=tenant, email=email), address=_digest("address", where))


def account_of(*, tenant: str, email: str) -> str:
    """An account's name here."""
    return _digest(tenant, email.strip().lower())


def demand(tallies: Tallies, now: float) -> Demand:
    """What the failures so far ask of the next attempt."""
    wait = max(
        _wait(tallies.place, now, free=FREE_FAILURES, longest=LONGEST_WAIT),
        _wait(tallies.address, now, free=ADDRESS_FREE_FAILURES, longest=ADDRESS_LONGEST_WAIT),
    )
    return Demand(wait=wait, proof=Proof.NONE if tallies.known else _proof(tallies, now))


def _proof(tallies: Tallies, now: float) -> Proof:
    account = tallies.account.at(now)
    if account >= ACCOUNT_LOCKED:
        return Proof.HARD
    if (
        account >= ACCOUNT_CHALLENGED
        or tallies.address.at(now) >= ADDRESS_CHALLENGED
        or tallies.everybody.at(now) >= EVERYBODY_CHALLENGED
    ):
        return Proof.USUAL
    return Proof.NONE


def _wait(tally: Tally, now: float, *, free: int, longest: float) -> float:
    """One second after the free failures, and twice as long after each more."""
    over = tally.at(now) - free
    if over < 0:
        return 0.0
    return max(0.0, tally.last_at + min(longest, 2.0 ** min(over, 20)) - now)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]

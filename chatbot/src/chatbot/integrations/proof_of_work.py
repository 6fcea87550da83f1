"""Proof-of-work challenges by altcha: signed, of one algorithm, short-lived. Whether one was used is kept elsewhere."""

# altcha types its dictionaries as dict.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Any

from altcha import Payload, create_challenge, verify_solution

from chatbot.core.defence import Proof

ALGORITHM = "PBKDF2/SHA-256"
# What a solver tries on average is 256 and 4096 derivations; checking costs one, less than a millisecond.
COST = 1000
PREFIXES = {Proof.USUAL: "00", Proof.HARD: "000"}
LASTS_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A right solution of a challenge of ours: which one, how hard it was, until when it could be used."""

    nonce: str
    proof: Proof
    expires_at: int


class ProofOfWork:
    """Makes and checks challenges. `secret` must be the same in every process."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.new(secret, b"chatbot proof of work", hashlib.sha256).hexdigest()

    def challenge(self, proof: Proof, *, now: float) -> dict[str, Any]:
        """A challenge, as the altcha widget understands it."""
        made = create_challenge(
            ALGORITHM,
            COST,
            key_prefix=PREFIXES[proof],
            expires_at=int(now) + LASTS_SECONDS,
            data={"proof": int(proof)},
            hmac_secret=self._secret,
        )
        return made.to_dict()

    def check(self, text: str, *, now: float) -> Solved | None:
        """What was solved; None for a wrong, foreign, changed or expired one."""
        try:
            payload = Payload.from_base64(text)
            parameters = payload.challenge.parameters
            right = verify_solution(payload, self._secret).verified
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, struct.error):
            return None
        # All of these are signed; they are compared all the same, in case one day something else signs with the secret.
        data, expires_at = parameters.data, parameters.expires_at
        if (
            not right
            or parameters.algorithm != ALGORITHM
            or parameters.cost < COST
            or not isinstance(expires_at, int)
            or not now < expires_at <= now + LASTS_SECONDS
            or not isinstance(data, dict)
        ):
            return None
        proof = Proof(data.get("proof", 0))
        if proof is Proof.NONE or parameters.key_prefix != PREFIXES[proof]:
            return None
        return Solved(nonce=str(parameters.nonce), proof=proof, expires_at=expires_at)

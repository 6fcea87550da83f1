"""Signed tokens (JWS, HS256) by joserfc. The algorithm is pinned; issuer, audience and expiry are always checked.

Two keys rotate without a gap: the first signs, every one is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet, OctKey

from chatbot.core.tenancy import TenantId
from chatbot.core.tokens import Audience, Grant
from chatbot.errors import Unauthenticated

ISSUER = "bitb-chatbot"
ALGORITHM = "HS256"
LONGEST_TOKEN = 2_000
_REMEDY = "Sign in again, or ask for a new session of the widget."


class TokenSigner:
    """Issues tokens and reads them. `keys` are texts of 32 characters or more; the first signs."""

    def __init__(self, keys: Sequence[str]) -> None:
        made = [OctKey.import_key(key, {"kid": _key_id(key), "alg": ALGORITHM, "use": "sig"}) for key in keys]
        self._signing = made[0]
        self._signing_id = _key_id(keys[0])
        self._believed = KeySet([*made])

    def issue(self, grant: Grant) -> str:
        """The token."""
        header = {"alg": ALGORITHM, "kid": self._signing_id}
        claims = {
            "iss": ISSUER,
            "aud": grant.audience.value,
            "sub": str(grant.subject),
            "tid": str(grant.tenant_id),
            "sid": str(grant.session_id),
            "iat": grant.issued_at,
            "exp": grant.expires_at,
            **({"org": grant.origin} if grant.origin is not None else {}),
        }
        return jwt.encode(header, claims, self._signing, algorithms=[ALGORITHM])

    def read(self, text: str, *, now: float) -> Grant:
        """What the token grants. Raises Unauthenticated for one that is forged, expired, or meant for somebody else."""
        if len(text) > LONGEST_TOKEN:
            raise Unauthenticated("The token is longer than any of ours.", remedy=_REMEDY)
        try:
            claims = jwt.decode(text, self._believed, algorithms=[ALGORITHM]).claims
            _checks(int(now)).validate(claims)
            return Grant(
                audience=Audience(claims["aud"]),
                tenant_id=TenantId(UUID(claims["tid"])),
                subject=UUID(claims["sub"]),
                session_id=UUID(claims["sid"]),
                issued_at=claims["iat"],
                expires_at=claims["exp"],
                origin=claims.get("org"),
            )
        except ExpiredTokenError as error:
            raise Unauthenticated("The token has expired.", remedy=_REMEDY) from error
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise Unauthenticated(
                "The token is not one of ours, or not meant for this.", remedy=_REMEDY
            ) from error


def _checks(now: int) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=now,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "values": [audience.value for audience in Audience]},
        sub={"essential": True},
        tid={"essential": True},
        sid={"essential": True},
        iat={"essential": True},
        exp={"essential": True},
    )


def _key_id(key: str) -> str:
    """A name for the key that does not tell it."""
    return hashlib.sha256(b"key id of " + key.encode()).hexdigest()[:12]

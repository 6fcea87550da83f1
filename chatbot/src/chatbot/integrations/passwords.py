"""Password hashes: argon2id by argon2-cffi, in threads, a bounded number at a time.

Whether there is such a member must not show: an unknown one costs the same hash.
"""

from __future__ import annotations

import asyncio
import base64
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chatbot.telemetry import PASSWORD_SECONDS

# OWASP's password storage cheat sheet, the second of its equal choices: 19 MiB, two passes, one lane.
MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
# Each takes a core for some 40 ms and MEMORY_KIB: a flood of sign-ins must not take all of both.
AT_ONCE = 2


class Passwords:
    """Hashes and verifies. The parameters are those of new hashes; old ones name their own."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES, lanes: int = LANES) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._free = asyncio.Semaphore(AT_ONCE)
        salt, digest = (_base64(secrets.token_bytes(size)) for size in (16, 32))
        # The hash of no password, with the parameters of every other: as costly to verify, and never right.
        self._nobodys = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${digest}"

    async def hash(self, password: str) -> str:
        """The hash, with its salt and parameters."""
        async with self._free:
            with PASSWORD_SECONDS.time():
                return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, *, kept: str | None) -> bool:
        """Whether the password is the one of the hash. `kept` is None where there is no member, or no password yet."""
        async with self._free:
            with PASSWORD_SECONDS.time():
                right = await asyncio.to_thread(self._verify, kept or self._nobodys, password)
        return right and kept is not None

    def outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).rstrip(b"=").decode()

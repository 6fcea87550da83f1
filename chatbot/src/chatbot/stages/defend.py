"""Attempt to sign in → let through, or told to wait, or asked for a proof of work. Before the password is hashed.

Counted before the attempt, and taken back when it succeeds: a thousand at once are a thousand. No connection is held
while somebody waits: the wait is told. Everything is the same for members that there are and those that there are not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import structlog

from chatbot.core.defence import Attempt, Proof, Tallies, demand
from chatbot.core.limits import whole_seconds
from chatbot.errors import ChallengeRequired, QueueUnavailable, SignInDelayed, Unauthenticated
from chatbot.stages.ports import Outside
from chatbot.telemetry import SIGN_IN_DEMANDS

log = structlog.get_logger()


@asynccontextmanager
async def defended(outside: Outside, attempt: Attempt, *, proof: str | None) -> AsyncGenerator[None]:
    """Around an attempt. Raises SignInDelayed and ChallengeRequired before it; an Unauthenticated from within is a failure."""
    now = outside.clocks.wall()
    here = outside.local_failures.take(attempt, now)
    everywhere = await _take(outside, attempt, now)
    try:
        await _demand(outside, everywhere or here, proof, now)
        yield
    except Unauthenticated:
        raise
    except BaseException:
        await _give_back(outside, attempt, now, here, everywhere)  # nothing was guessed
        raise
    await _give_back(outside, attempt, now, here, everywhere)
    outside.local_failures.welcome(attempt, now)
    with suppress(QueueUnavailable):
        await outside.failures.welcome(attempt)


async def forgive(outside: Outside, account: str) -> bool:
    """Opens a softly locked account again: after its password was set by a link, or by an operator.

    False when Redis is gone: then only this process knows.
    """
    outside.local_failures.forgive(account)
    try:
        await outside.failures.forgive(account)
    except QueueUnavailable as error:
        log.warning("sign_in_not_shared", error=str(error))
        return False
    return True


async def _demand(outside: Outside, tallies: Tallies, proof: str | None, now: float) -> None:
    asked = demand(tallies, now)
    if asked.wait > 0:
        SIGN_IN_DEMANDS.labels(demand="wait").inc()
        raise SignInDelayed(
            f"After failed attempts the next one is taken in {whole_seconds(asked.wait)} s.",
            retry_after=whole_seconds(asked.wait),
        )
    if asked.proof is Proof.NONE:
        return
    if proof is not None and await _proved(outside, proof, asked.proof, now):
        SIGN_IN_DEMANDS.labels(demand="proved").inc()
        return
    SIGN_IN_DEMANDS.labels(demand="challenge").inc()
    wrong = " The proof that was sent is wrong, too easy, used or expired." if proof is not None else ""
    raise ChallengeRequired(
        f"After failed attempts a proof of work is needed.{wrong}",
        challenge=outside.proof_of_work.challenge(asked.proof, now=now),
    )


async def _proved(outside: Outside, text: str, wanted: Proof, now: float) -> bool:
    solved = outside.proof_of_work.check(text, now=now)
    if solved is None or solved.proof < wanted:
        return False
    if not outside.local_failures.use(solved.nonce, solved.expires_at):
        return False
    try:
        return await outside.failures.use(solved.nonce, max(1, int(solved.expires_at - now) + 1))
    except QueueUnavailable:
        return True  # this process has not seen it used


async def _take(outside: Outside, attempt: Attempt, now: float) -> Tallies | None:
    try:
        return await outside.failures.take(attempt, now)
    except QueueUnavailable as error:
        log.warning("sign_in_not_shared", error=str(error))
        return None


async def _give_back(
    outside: Outside, attempt: Attempt, now: float, here: Tallies, everywhere: Tallies | None
) -> None:
    outside.local_failures.give_back(attempt, now, here)
    if everywhere is not None:
        with suppress(QueueUnavailable):
            await outside.failures.give_back(attempt, now, everywhere)

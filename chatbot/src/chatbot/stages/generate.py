"""Passages → text: by the first provider that answers, else by quoting the passages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from chatbot.core.answers import Broken, Kind, Message, Token, extract, prompt
from chatbot.core.breaker import Outcome, Permit
from chatbot.core.flags import GROQ
from chatbot.core.passages import Passage
from chatbot.errors import ProviderError, ProviderUnavailable
from chatbot.stages.ports import Outside, Provider
from chatbot.telemetry import BREAKER_FAILURES, FIRST_TOKEN_SECONDS, LLM_SECONDS, show_breaker

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the text came about. `provider` is None where no model wrote it."""

    kind: Kind
    provider: str | None


async def generate(
    outside: Outside, question: str, passages: Sequence[Passage]
) -> AsyncGenerator[Token | Broken | Ending]:
    """The text in pieces, then its Ending. Another provider is asked only while nothing was given out yet."""
    messages = prompt(question, passages)
    for position, provider in enumerate(outside.providers):
        if provider.model.name == GROQ and not outside.flags.enabled(GROQ):
            continue
        permit = provider.breaker.admit(outside.clocks.monotonic())
        _show(provider)
        if permit is None:
            continue
        given_out = False
        try:
            async with aclosing(_ask(outside, provider, permit, messages)) as texts:
                async for text in texts:
                    given_out = True
                    yield Token(text=text)
        except ProviderError as error:
            log.warning(
                "provider_failed", provider=provider.model.name, reason=str(error), given_out=given_out
            )
            if given_out:
                yield Broken(reason=f"The answer broke off: {provider.model.name} failed in the middle.")
                yield Ending(kind=Kind.INCOMPLETE, provider=provider.model.name)
                return
            continue
        yield Ending(kind=Kind.FALLBACK if position else Kind.GENERATED, provider=provider.model.name)
        return
    yield Token(text=extract(question, passages))
    yield Ending(kind=Kind.EXTRACTIVE, provider=None)


async def _ask(
    outside: Outside, provider: Provider, permit: Permit, messages: Sequence[Message]
) -> AsyncGenerator[str]:
    """The provider's text. Whatever happens, the breaker is told exactly once."""
    name = provider.model.name
    clock = outside.clocks.monotonic
    began = clock()
    waiting = True
    # What ends otherwise (a closed browser tab, a request the provider rightly refused) says nothing of its health.
    outcome = Outcome.IGNORED
    try:
        async with aclosing(provider.model.stream(messages, max_tokens=outside.max_tokens)) as texts:
            async for text in texts:
                if waiting:
                    FIRST_TOKEN_SECONDS.labels(provider=name).observe(clock() - began)
                    waiting = False
                yield text
        outcome = Outcome.SUCCESS
    except ProviderUnavailable:
        outcome = Outcome.FAILURE
        BREAKER_FAILURES.labels(breaker=name).inc()
        raise
    finally:
        provider.breaker.record(permit, outcome, clock())
        _show(provider)
        if outcome is not Outcome.IGNORED:
            LLM_SECONDS.observe(clock() - began)


def _show(provider: Provider) -> None:
    show_breaker(provider.breaker.name, provider.breaker.state)

"""Passages → text: by the first provider that answers, else by quoting the passages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.answers import Broken, Kind, Message, Token, extract, prompt
from chatbot.core.breaker import Breaker, Outcome, Permit
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one model, with the leave to make it."""

    provider: Provider
    model: str
    breaker: Breaker
    permit: Permit


async def generate(
    outside: Outside, question: str, passages: Sequence[Passage], *, settings: AnswerSettings
) -> AsyncGenerator[Token | Broken | Ending]:
    """The text in pieces, then its Ending. Another provider is asked only while nothing was given out yet."""
    messages = prompt(question, passages)
    by_name = {provider.name: provider for provider in outside.providers}
    for position, name in enumerate(settings.providers):
        if name == GROQ and not outside.flags.enabled(GROQ):
            continue
        now = outside.clocks.monotonic()
        provider, model = by_name[name], settings.models[name]
        breaker = provider.breakers.of(model, now)
        permit = breaker.admit(now)
        show_breaker(breaker.name, breaker.state)
        if permit is None:
            continue
        call = Call(provider=provider, model=model, breaker=breaker, permit=permit)
        given_out = False
        try:
            async with aclosing(_ask(outside, call, messages, max_tokens=settings.max_tokens)) as texts:
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
    outside: Outside, call: Call, messages: Sequence[Message], *, max_tokens: int
) -> AsyncGenerator[str]:
    """The provider's text. Whatever happens, the breaker is told exactly once."""
    name = call.provider.name
    clock = outside.clocks.monotonic
    began = clock()
    waited: float | None = None
    # What ends otherwise (a closed browser tab, a request the provider rightly refused) says nothing of its health.
    outcome = Outcome.IGNORED
    try:
        async with aclosing(
            call.provider.model.stream(messages, model=call.model, max_tokens=max_tokens)
        ) as texts:
            async for text in texts:
                if waited is None:
                    waited = clock() - began
                    FIRST_TOKEN_SECONDS.labels(provider=name).observe(waited)
                yield text
        outcome = Outcome.SUCCESS
    except ProviderUnavailable:
        outcome = Outcome.FAILURE
        BREAKER_FAILURES.labels(breaker=call.breaker.name).inc()
        raise
    finally:
        call.breaker.record(
            call.permit, outcome, clock(), waited=clock() - began if waited is None else waited
        )
        show_breaker(call.breaker.name, call.breaker.state)
        if outcome is not Outcome.IGNORED:
            LLM_SECONDS.observe(clock() - began)

"""Messages → text of one model, behind its breaker; asked again only before its first token."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import stamina
from opentelemetry.trace import Span

from chatbot.core.answers import NO_USAGE, Accepted, Message, Usage
from chatbot.core.breaker import Breaker, Outcome, Permit
from chatbot.core.history import tokens_of
from chatbot.errors import ProviderUnavailable
from chatbot.stages.ports import Outside, Provider
from chatbot.stages.trace import span
from chatbot.telemetry import BREAKER_FAILURES, FIRST_TOKEN_SECONDS, LLM_SECONDS, RETRIES, show_breaker

ATTEMPTS = 2
# Another provider, or the passages themselves, can be had for less than a longer wait.
LONGEST_WAIT = 2.0
_WAIT, _JITTER = 0.05, 0.1


class NotAdmitted(Exception):
    """The breaker is open: the model was not asked."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One model that is asked, and what it has cost so far, all attempts together."""

    provider: Provider
    model: str
    breaker: Breaker
    messages: Sequence[Message]
    max_tokens: int
    parent: Span
    usage: Usage = NO_USAGE

    @classmethod
    def of(
        cls,
        provider: Provider,
        model: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        parent: Span,
        now: float,
    ) -> Call:
        """The call of a model that has not been made yet."""
        breaker = provider.breakers.of(model, now)
        return cls(
            provider=provider,
            model=model,
            breaker=breaker,
            messages=messages,
            max_tokens=max_tokens,
            parent=parent,
        )


async def call_model(outside: Outside, call: Call) -> AsyncGenerator[str]:
    """The model's text. All attempts together have the provider's patience for the first token.

    Raises ProviderError, and NotAdmitted when the breaker is open.
    """
    clock = outside.clocks.monotonic
    deadline = clock() + call.provider.model.patience

    def again(error: Exception) -> bool | float:
        if not isinstance(error, ProviderUnavailable) or not error.again:
            return False
        left = deadline - clock()
        if error.after is None:
            return left > _WAIT + _JITTER
        return error.after if error.after <= min(left, LONGEST_WAIT) else False

    texts: AsyncGenerator[str] | None = None
    first = ""
    async for attempt in stamina.retry_context(
        on=again, attempts=ATTEMPTS, timeout=None, wait_initial=_WAIT, wait_jitter=_JITTER
    ):
        with attempt:
            if attempt.num > 1:
                RETRIES.labels(provider=call.provider.name).inc()
            texts = _attempt(outside, call, _admitted(call, clock()), deadline=deadline)
            first = await anext(texts)
    if texts is None:
        raise RuntimeError("no attempt was made")
    async with aclosing(texts):
        yield first
        async for text in texts:
            yield text


def _admitted(call: Call, now: float) -> Permit:
    permit = call.breaker.admit(now)
    show_breaker(call.breaker.name, call.breaker.state)
    if permit is None:
        raise NotAdmitted
    return permit


async def _attempt(outside: Outside, call: Call, permit: Permit, *, deadline: float) -> AsyncGenerator[str]:
    """One request. Whatever happens, the breaker is told exactly once, and what it cost is known."""
    name = call.provider.name
    clock = outside.clocks.monotonic
    began = clock()
    waited: float | None = None
    said: list[str] = []
    usage: Usage | None = None
    accepted = False
    # What ends otherwise (a closed browser tab, a request the provider rightly refused) says nothing of its health.
    outcome = Outcome.IGNORED
    stream = call.provider.model.stream(
        call.messages, model=call.model, max_tokens=call.max_tokens, patience=max(0.0, deadline - began)
    )
    with span(
        outside, "generate", call.parent, **{"gen_ai.provider.name": name, "gen_ai.request.model": call.model}
    ) as traced:
        try:
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Accepted):
                        accepted = True
                        continue
                    if isinstance(piece, Usage):
                        usage = piece
                        continue
                    if waited is None:
                        waited = clock() - began
                        FIRST_TOKEN_SECONDS.labels(provider=name).observe(waited)
                        traced.set_attribute("chatbot.first_token_seconds", waited)
                    said.append(piece)
                    yield piece
            outcome = Outcome.SUCCESS
        except ProviderUnavailable:
            outcome = Outcome.FAILURE
            BREAKER_FAILURES.labels(breaker=call.breaker.name).inc()
            raise
        finally:
            now = clock()
            call.breaker.record(permit, outcome, now, waited=now - began if waited is None else waited)
            show_breaker(call.breaker.name, call.breaker.state)
            # Without a word said, a failure is the provider's and is not billed; a reader who left has had the prompt read.
            if said or (accepted and outcome is Outcome.IGNORED):
                call.usage = usage or _estimated(call, said)
                traced.set_attribute("gen_ai.usage.input_tokens", call.usage.prompt_tokens)
                traced.set_attribute("gen_ai.usage.output_tokens", call.usage.completion_tokens)
            traced.set_attribute("chatbot.outcome", outcome.value)
            if outcome is not Outcome.IGNORED:
                LLM_SECONDS.observe(now - began)


def _estimated(call: Call, said: Sequence[str]) -> Usage:
    """What was sent and what came back, where the provider has not said: it was cut off, or it never does."""
    return Usage(
        prompt_tokens=sum(tokens_of(message.content) for message in call.messages),
        completion_tokens=tokens_of("".join(said)),
        estimated=True,
    )

"""Passages → text: by the first provider that answers, else by quoting the passages."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from opentelemetry.trace import Span

from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.answers import NO_USAGE, Broken, Kind, Token, Usage, extract, prompt
from chatbot.core.flags import GROQ
from chatbot.core.history import Turn
from chatbot.core.passages import Passage
from chatbot.core.tenancy import TenantId
from chatbot.errors import ProviderError
from chatbot.stages.call import Call, NotAdmitted, call_model
from chatbot.stages.ports import Outside, Provider
from chatbot.telemetry import TOKENS, tenant_label

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a text is made from."""

    tenant_id: TenantId
    question: str
    turns: tuple[Turn, ...]
    passages: tuple[Passage, ...]
    settings: AnswerSettings
    parent: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the text came about. `provider` is None where no model wrote it."""

    kind: Kind
    provider: str | None
    model: str | None = None


@dataclass(slots=True, kw_only=True)
class Spent:
    """What an answer has cost so far."""

    usage: Usage = NO_USAGE


async def generate(outside: Outside, ask: Ask, spent: Spent) -> AsyncGenerator[Token | Broken | Ending]:
    """The text in pieces, then its Ending. Another provider is asked only while nothing was given out yet.

    `spent` tells what it cost, also when the reader leaves in the middle.
    """
    messages = prompt(ask.question, ask.passages, turns=ask.turns, mark=new_mark())
    for provider, first in _in_order(outside, ask.settings.providers):
        model = ask.settings.models[provider.name]
        call = Call.of(
            provider,
            model,
            messages,
            max_tokens=ask.settings.max_tokens,
            parent=ask.parent,
            now=outside.clocks.monotonic(),
        )
        given_out = False
        try:
            async with aclosing(call_model(outside, call)) as texts:
                async for text in texts:
                    given_out = True
                    yield Token(text=text)
        except NotAdmitted:
            continue
        except ProviderError as error:
            log.warning("provider_failed", provider=provider.name, reason=str(error), given_out=given_out)
            if given_out:
                yield Broken(reason=f"The answer broke off: {provider.name} failed in the middle.")
                yield Ending(kind=Kind.INCOMPLETE, provider=provider.name, model=model)
                return
            continue
        finally:
            spent.usage = call.usage
            _count(ask.tenant_id, call.usage)
        kind = Kind.GENERATED if first else Kind.FALLBACK
        yield Ending(kind=kind, provider=provider.name, model=model)
        return
    yield Token(text=extract(ask.question, ask.passages))
    yield Ending(kind=Kind.EXTRACTIVE, provider=None)


def new_mark() -> str:
    """What stands round the passages of one question, so that none of them can know it."""
    return secrets.token_hex(6)


def _in_order(outside: Outside, names: Sequence[str]) -> Iterator[tuple[Provider, bool]]:
    """The providers that may be asked, and whether each is the first of the order."""
    by_name = {provider.name: provider for provider in outside.providers}
    for position, name in enumerate(names):
        if name != GROQ or outside.flags.enabled(GROQ):
            yield by_name[name], position == 0


def _count(tenant_id: TenantId, usage: Usage) -> None:
    label = tenant_label(tenant_id)
    TOKENS.labels(tenant_id=label, kind="prompt").inc(usage.prompt_tokens)
    TOKENS.labels(tenant_id=label, kind="completion").inc(usage.completion_tokens)

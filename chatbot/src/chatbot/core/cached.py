"""An answer that is given again: what is kept of it, under which key, and for how long."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chatbot.core.answer_settings import AnswerSettings
from chatbot.core.answers import Kind
from chatbot.core.tenancy import TenantId

# How long an answer may be given again while the documents stay as they are. What is not here is never kept: an
# answer that broke off, or that an outage made. The fallback's and the refusal's are kept for a moment only: Groq
# comes back, and a refusal is what people try again with other words.
LASTS: Mapping[Kind, timedelta] = {
    Kind.GENERATED: timedelta(days=1),  # at most: CHATBOT_CACHE_SECONDS says how long
    Kind.FALLBACK: timedelta(minutes=1),
    Kind.NOT_IN_DOCUMENTS: timedelta(minutes=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What `clear` changes: an answer that was begun under another mark is out of date."""

    everybody: str
    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """The answer as it was streamed. `sources` are as they were shown; `stamp` is that of what it was made from."""

    tenant_id: TenantId
    stamp: str
    text: str
    kind: Kind
    provider: str | None
    model: str | None
    sources: tuple[Mapping[str, Any], ...]
    prompt_tokens: int
    completion_tokens: int


def normalised(question: str) -> str:
    """The question without what makes no difference to its meaning: width of letters, case, runs of spaces, a last mark."""
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split()).rstrip(" ?!.")


def digest(question: str) -> str:
    """The question, in 64 hexadecimal digits: with its tenant it is where an answer is kept."""
    return _hashed(normalised(question))


def stamp_of(*, revision: int, settings: AnswerSettings, rerank: bool) -> str:
    """What an answer depends on beside its tenant and its question, in 64 hexadecimal digits."""
    return _hashed(
        (
            revision,
            settings.similarity_top_k,
            settings.max_tokens,
            settings.providers,
            sorted(settings.models.items()),
            rerank,
        )
    )


def _hashed(what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()

"""The conversation that a question is asked in, within a budget of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import normalize

from chatbot.core.tenancy import TenantId

# What of a conversation is sent to a model again with each question.
BUDGET_TOKENS = 1500
# So many of the newest turns are read at all.
LONGEST_TURNS = 20
_BYTES_A_TOKEN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """Turns as they were read, and the tenants that their rows name, for the detector."""

    turns: tuple[Turn, ...]
    owners: tuple[TenantId, ...]


def tokens_of(text: str) -> int:
    """An estimate that is rather too high: three bytes of UTF-8 a token. English has about four, Chinese about three."""
    return -(-len(text.encode()) // _BYTES_A_TOKEN)


def within(turns: Sequence[Turn], *, budget: int = BUDGET_TOKENS) -> tuple[Turn, ...]:
    """The newest turns that fit, oldest first. A turn is kept whole or dropped whole, and nothing before a dropped one stays."""
    kept: list[Turn] = []
    left = budget
    for turn in reversed(turns):
        left -= tokens_of(turn.question) + tokens_of(turn.answer)
        if left < 0:
            break
        kept.append(turn)
    return tuple(reversed(kept))


def searched_for(question: str, turns: Sequence[Turn]) -> str:
    """What is looked up: a question that goes on with another ("and for shoes?") together with that other.

    In the usual width: documents do not write 'ｒefund'.
    """
    return normalize("NFKC", f"{turns[-1].question}\n{question}" if turns else question)

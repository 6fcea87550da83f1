"""Questions with and without an answer in the documents, asked of the real model and the real search; what a rule makes of them.

The documents are in `evidence/TRADE/`, the questions in `evidence/PART.toml`. Small, written by hand, in English but for a page:
it shows that a rule is much better or worse than another, not what share of a real tenant's questions it gets right.
"""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatbot.core.history import Turn, searched_for
from chatbot.core.passages import Passage
from chatbot.core.tenancy import KEY_BYTES, Tenant, api_key
from chatbot.stages.ports import Outside
from chatbot.store.corpora import NOTHING
from chatbot.store.passages import Search, best_passages, passages_with_words
from chatbot.store.tenants import create_tenant
from chatbot_house import add_document

FOLDER = Path(__file__).parent / "evidence"
TOP_K = 6
# The model reads English: what is asked in one language and written in another is counted apart.
APART = "other language"

Rule = Callable[[Passage], bool]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question with what the search gave. `holds` is a piece of the passage that answers it; None where none does."""

    kind: str
    text: str
    holds: str | None
    passages: tuple[Passage, ...]

    @property
    def answering(self) -> list[Passage]:
        """The passages found that answer it."""
        return [each for each in self.passages if self.holds and self.holds in " ".join(each.text.split())]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a rule does. `lost`: a passage that answers was found, and the rule lets none such through."""

    answerable: int
    refused: list[Asked]
    lost: list[Asked]
    unanswerable: int
    let_through: list[Asked]


async def asked_of(parts: Outside, part: str) -> list[Asked]:
    """Every question of the part, searched for in its trade's documents."""
    found: list[Asked] = []
    for trade, questions in tomllib.loads((FOLDER / f"{part}.toml").read_text()).items():
        key = api_key(secrets.token_bytes(KEY_BYTES))
        tenant = await create_tenant(parts.database, f"{trade}-of-{part}", key)
        for path in sorted((FOLDER / trade).glob("*.md")):
            await add_document(parts, tenant, path.name, path.read_bytes())
        found += [await _asked(parts, tenant, question) for question in questions]
    return found


async def _asked(parts: Outside, tenant: Tenant, question: dict[str, Any]) -> Asked:
    turns = (Turn(question=question["after"], answer=""),) if "after" in question else ()
    text = searched_for(question["ask"], turns)
    (vector,) = await parts.embedder.embed([text])
    search = Search(
        vector=vector,
        worded=await passages_with_words(parts.database, tenant.tenant_id, text),
        telling=parts.embedder.telling(text),
        model=parts.embedder.name,
        corpus=NOTHING,
        limit=TOP_K,
    )
    passages = await best_passages(parts.database, tenant.tenant_id, search)
    holds = question.get("holds")
    return Asked(kind=question["kind"], text=question["ask"], holds=holds, passages=tuple(passages))


def figures(asked: Sequence[Asked], rule: Rule) -> Figures:
    """What the rule does with the questions, those in another language left out."""
    counted = [each for each in asked if each.kind != APART]
    answerable = [each for each in counted if each.holds]
    unanswerable = [each for each in counted if not each.holds]
    return Figures(
        answerable=len(answerable),
        refused=[each for each in answerable if not any(map(rule, each.passages))],
        lost=[each for each in answerable if each.answering and not any(map(rule, each.answering))],
        unanswerable=len(unanswerable),
        let_through=[each for each in unanswerable if any(map(rule, each.passages))],
    )

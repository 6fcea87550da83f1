"""Passages found by their vector and by their words.

By vector: a corpus without a shelf is read whole, which is exact; one with a shelf through its index. The index gives
candidates, which are ordered again by the true distance; where it gives fewer than were asked for, the corpus is read
whole after all. `best_passages` in the database does it, together with the reading of those that fit best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import DictRow

from chatbot.core.answer_settings import LARGEST_TOP_K
from chatbot.core.passages import Passage, Vector
from chatbot.core.tenancy import TenantId
from chatbot.store.corpora import Corpus
from chatbot.store.db import Asked, Database
from chatbot.store.documents import vector_text

# Candidates that each search hands to the fusion: so many, or as many as are wanted where that is more. The words are looked
# up before it is known how many that is.
CANDIDATES = 40
MOST_CANDIDATES = max(CANDIDATES, LARGEST_TOP_K)
# How much of the graph a search of the index visits: recall against time, measured in bench/vector_search.py.
EF_SEARCH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for: a text by its vector, if there is one, and by its words; at most `limit` passages.

    `worded` are the passages that hold some of its words, best first; `telling` those of its words that are rare in the
    language, none of which holds a quotation mark. `model` made the vector: with a passage of another one it has no similarity.
    """

    vector: Vector | None
    worded: Sequence[UUID] = ()
    telling: Sequence[str] = ()
    model: str = ""
    corpus: Corpus
    limit: int


# LOCAL: for this transaction.
BY_INDEX = """
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %(ef_search)s, true)
"""
# The tenant is that of the transaction.
WORDS = "SELECT id FROM passages_with_words(%(question)s, %(limit)s)"
BEST = """
SELECT tenant_id, id, document_id, title, heading, text, page, similarity, shares_words, shares_telling
  FROM best_passages(%(tenant_id)s, %(vector)s::halfvec, %(worded)s::uuid[], %(shelf)s, %(candidates)s, %(limit)s,
                     %(model)s, %(telling)s)
"""


def with_words(question: str) -> Asked:
    """The statement that gives the `id` of each passage with words of the question, best first: MOST_CANDIDATES at most."""
    return WORDS, {"question": question, "limit": MOST_CANDIDATES}


async def passages_with_words(database: Database, tenant_id: TenantId, question: str) -> list[UUID]:
    """The passages with words of the question, best first: MOST_CANDIDATES at most. Raises StoreUnavailable."""
    (found,) = await database.at_once(tenant_id, with_words(question))
    return [row["id"] for row in found]


async def best_passages(database: Database, tenant_id: TenantId, search: Search) -> list[Passage]:
    """The passages that fit best: those near the vector and those found by words. Raises StoreUnavailable."""
    *_, found = await database.at_once(tenant_id, *searching(tenant_id, search))
    return [passage_of(row) for row in found]


def searching(tenant_id: TenantId, search: Search) -> list[Asked]:
    """The statements of `best_passages`; the last gives the rows."""
    corpus, candidates = search.corpus, max(CANDIDATES, search.limit)
    values = {
        "tenant_id": tenant_id,
        "vector": vector_text(search.vector) if search.vector else None,
        "worded": _uuids_text(search.worded[:candidates]),
        "shelf": corpus.shelf if corpus.shelved else None,
        "candidates": candidates,
        "limit": search.limit,
        "model": search.model,
        # Quoted, so that the parts of a code such as RT-2201 are found beside each other only.
        "telling": " or ".join(f'"{word}"' for word in search.telling),
        "ef_search": str(max(EF_SEARCH, candidates)),
    }
    return [(BY_INDEX, values), (BEST, values)] if corpus.shelved else [(BEST, values)]


def _uuids_text(ids: Sequence[UUID]) -> str:
    """As PostgreSQL reads an array of them; written so, forty cost a third of the time."""
    return "{" + ",".join([f"{each.int:032x}" for each in ids]) + "}"


def passage_of(row: DictRow) -> Passage:
    """The passage of a row of `best_passages`."""
    return Passage(
        tenant_id=TenantId(row["tenant_id"]),
        passage_id=row["id"],
        document_id=row["document_id"],
        title=row["title"],
        heading=row["heading"],
        text=row["text"],
        page=row["page"],
        similarity=row["similarity"],
        shares_words=row["shares_words"],
        shares_telling=row["shares_telling"],
    )

"""Passages found by their vector and by their words.

By vector: a corpus without a shelf is read whole, which is exact; one with a shelf through its index. The index gives
candidates, which are ordered again by the true distance; where it gives fewer than were asked for, the corpus is read
whole after all. `best_passages` in the database does it, together with the reading of those that fit best.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from psycopg.rows import DictRow

from chatbot.core.passages import Passage, Vector
from chatbot.core.tenancy import TenantId
from chatbot.store.corpora import Corpus
from chatbot.store.db import Asked, Database
from chatbot.store.documents import vector_text

# Candidates that each search hands to the fusion.
CANDIDATES = 40
# How much of the graph a search of the index visits: recall against time, measured in bench/vector_search.py.
EF_SEARCH = 120

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


def with_words(question: str, *, limit: int) -> Asked:
    """The statement that gives the `id` of each passage with words of the question, best first: CANDIDATES or `limit`."""
    return WORDS, {"question": question, "limit": max(CANDIDATES, limit)}


async def passages_with_words(
    database: Database, tenant_id: TenantId, question: str, *, limit: int
) -> list[UUID]:
    """The passages with words of the question, best first: CANDIDATES or `limit`. Raises StoreUnavailable."""
    (found,) = await database.at_once(tenant_id, with_words(question, limit=limit))
    return [row["id"] for row in found]


async def best_passages(
    database: Database,
    tenant_id: TenantId,
    vector: Vector | None,
    *,
    worded: Sequence[UUID],
    corpus: Corpus,
    telling: Sequence[str] = (),
    model: str = "",
    limit: int,
) -> list[Passage]:
    """The passages that fit best: those near the vector and those found by words. Raises StoreUnavailable.

    `telling` are the words of the question that are rare in the language; none of them holds a quotation mark. `model` made
    the vector: with a passage of another one it has no similarity.
    """
    candidates = max(CANDIDATES, limit)
    values = {
        "tenant_id": tenant_id,
        "vector": vector_text(vector) if vector else None,
        "worded": list(worded),
        "shelf": corpus.shelf if corpus.shelved else None,
        "candidates": candidates,
        "limit": limit,
        "model": model,
        # Quoted, so that the parts of a code such as RT-2201 are found beside each other only.
        "telling": " or ".join(f'"{word}"' for word in telling),
        "ef_search": str(max(EF_SEARCH, candidates)),
    }
    settings: tuple[Asked, ...] = ((BY_INDEX, values),) if corpus.shelved else ()
    *_, found = await database.at_once(tenant_id, *settings, (BEST, values))
    return [_passage(row) for row in found]


def _passage(row: DictRow) -> Passage:
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

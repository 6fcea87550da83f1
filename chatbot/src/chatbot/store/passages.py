"""Passages found by their vector and by their words.

By vector: a corpus without a shelf is read whole, which is exact; one with a shelf through its index. The index gives
candidates, which are ordered again by the true distance; where it gives fewer than were asked for, the corpus is read
whole after all. The literal tenant_id is for the planner: a policy alone hides the tenant from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import DictRow

from chatbot.core.passages import Passage, Vector, fuse
from chatbot.core.tenancy import TenantId
from chatbot.store.corpora import NOTHING, Corpus
from chatbot.store.db import Asked, Database
from chatbot.store.documents import vector_text

# Candidates that each search hands to the fusion.
CANDIDATES = 40
# How much of the graph a search of the index visits: recall against time, measured in bench/vector_search.py.
EF_SEARCH = 120

# It does not name the shelf, so that no index can answer it.
EXACT = """
SELECT id FROM passages WHERE tenant_id = %(tenant_id)s
 ORDER BY embedding <#> %(vector)s::halfvec LIMIT %(limit)s
"""
SHELVED = """
WITH near AS MATERIALIZED (
    SELECT id, embedding <#> %(vector)s::halfvec AS distance FROM passages
     WHERE tenant_id = %(tenant_id)s AND shelf = %(shelf)s
     ORDER BY embedding <#> %(vector)s::halfvec LIMIT %(limit)s
)
SELECT id FROM near ORDER BY distance + 0
"""
# LOCAL: for this transaction.
BY_INDEX = """
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %(ef_search)s, true)
"""
# The tenant is that of the transaction.
WORDS = "SELECT id FROM passages_with_words(%(question)s, %(limit)s)"
PASSAGES = """
SELECT p.tenant_id, p.id, p.document_id, d.title, p.heading, p.text, p.page,
       CASE WHEN p.model = %(model)s THEN -(p.embedding <#> %(vector)s::halfvec) END AS similarity,
       p.words @@ websearch_to_tsquery('english', %(telling)s) AS shares_telling
  FROM passages p JOIN documents d ON d.tenant_id = p.tenant_id AND d.id = p.document_id
 WHERE p.tenant_id = %(tenant_id)s AND d.tenant_id = %(tenant_id)s AND p.id = ANY (%(ids)s::uuid[])
"""


async def search_passages(
    database: Database,
    tenant_id: TenantId,
    question: str,
    vector: Vector | None,
    *,
    corpus: Corpus,
    telling: Sequence[str] = (),
    model: str = "",
    limit: int,
) -> list[Passage]:
    """The passages that fit best, by both searches. Without a vector, by words alone. Raises StoreUnavailable.

    `telling` are the words of the question that are rare in the language; none of them holds a quotation mark. `model` made
    the vector: with a passage of another one it has no similarity.
    """
    wanted = max(CANDIDATES, limit)
    words: Asked = (WORDS, {"question": question, "limit": wanted})
    nearest = _nearest(tenant_id, corpus, vector, limit=wanted) if vector else ()
    by_words, *rest = await database.at_once(tenant_id, words, *nearest)
    by_vector = rest[-1] if rest else []
    if vector and corpus.shelved and len(by_vector) < wanted:
        (by_vector,) = await database.at_once(tenant_id, *_nearest(tenant_id, NOTHING, vector, limit=wanted))
    worded = [row["id"] for row in by_words]
    best = fuse([row["id"] for row in by_vector], worded)[:limit]
    if not best:
        return []
    asked = {
        "tenant_id": tenant_id,
        "ids": best,
        "vector": vector_text(vector) if vector else None,
        "model": model,
        # Quoted, so that the parts of a code such as RT-2201 are found beside each other only.
        "telling": " or ".join(f'"{word}"' for word in telling),
    }
    (found,) = await database.at_once(tenant_id, (PASSAGES, asked))
    rows = {row["id"]: row for row in found}
    return [_passage(rows[each], worded=each in worded) for each in best if each in rows]


def _nearest(tenant_id: TenantId, corpus: Corpus, vector: Vector, *, limit: int) -> tuple[Asked, ...]:
    """The statements of the search by vector, of which the last gives the ids, nearest first."""
    values = {
        "tenant_id": tenant_id,
        "vector": vector_text(vector),
        "limit": limit,
        "shelf": corpus.shelf,
        "ef_search": str(max(EF_SEARCH, limit)),
    }
    return ((BY_INDEX, values), (SHELVED, values)) if corpus.shelved else ((EXACT, values),)


def _passage(row: DictRow, *, worded: bool) -> Passage:
    return Passage(
        tenant_id=TenantId(row["tenant_id"]),
        passage_id=row["id"],
        document_id=row["document_id"],
        title=row["title"],
        heading=row["heading"],
        text=row["text"],
        page=row["page"],
        similarity=row["similarity"],
        shares_words=worded,
        shares_telling=row["shares_telling"],
    )

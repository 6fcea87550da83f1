"""Passages found by their vector and by their words.

By vector: a corpus without a shelf is read whole, which is exact; one with a shelf through its index. The index gives
candidates, which are ordered again by the true distance; where it gives fewer than were asked for, the corpus is read
whole after all. `best_passages` in the database does it, together with the reading of those that fit best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NewType

from psycopg.rows import DictRow

from chatbot.core.answer_settings import LARGEST_TOP_K
from chatbot.core.passages import Passage, Vector
from chatbot.core.tenancy import TenantId
from chatbot.store.corpora import Corpus
from chatbot.store.db import Asked, Database
from chatbot.store.documents import vector_text

# Candidates that each search hands to the fusion: never fewer than are wanted.
CANDIDATES = LARGEST_TOP_K
# How much of the graph a search of the index visits: recall against time, measured in bench/vector_search.py.
EF_SEARCH = 120

# Ids of passages as PostgreSQL writes an array of them: they are only handed back to it.
Ids = NewType("Ids", str)
NO_IDS = Ids("{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for: a text by its vector, if there is one, and by its words; at most `limit` passages.

    `worded` are the passages that hold some of its words, best first; `telling` those of its words that are rare in the
    language, none of which holds a quotation mark. `model` made the vector: with a passage of another one it has no similarity.
    """

    vector: Vector | None
    worded: Ids = NO_IDS
    telling: Sequence[str] = ()
    model: str = ""
    corpus: Corpus
    limit: int


# LOCAL: for this transaction.
BY_INDEX = """
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %(ef_search)s, true)
"""
# The tenant is that of the transaction.
WORDS = "SELECT ARRAY(SELECT id FROM passages_with_words(%(question)s, %(candidates)s))::text AS worded"
BEST = """
SELECT tenant_id, id, document_id, title, heading, text, page, similarity, shares_words, shares_telling
  FROM best_passages(%(tenant_id)s, %(vector)s::halfvec, %(worded)s::uuid[], %(shelf)s, %(candidates)s, %(limit)s,
                     %(model)s, %(telling)s)
"""


async def passages_with_words(database: Database, tenant_id: TenantId, question: str) -> Ids:
    """The passages with words of the question, best first: CANDIDATES at most. Raises StoreUnavailable."""
    ((row,),) = await database.at_once(tenant_id, (WORDS, words_values(question)))
    return Ids(row["worded"])


def words_values(question: str) -> dict[str, Any]:
    """What `passages_with_words` is asked with in the database."""
    return {"question": question, "candidates": CANDIDATES}


async def best_passages(database: Database, tenant_id: TenantId, search: Search) -> list[Passage]:
    """The passages that fit best: those near the vector and those found by words. Raises StoreUnavailable."""
    *_, found = await database.at_once(tenant_id, *searching(tenant_id, search))
    return [passage_of(row) for row in found]


def searching(tenant_id: TenantId, search: Search) -> list[Asked]:
    """The statements of `best_passages`; the last gives the rows."""
    corpus = search.corpus
    values = {
        "tenant_id": tenant_id,
        "vector": vector_text(search.vector) if search.vector else None,
        "worded": search.worded,
        "shelf": corpus.shelf if corpus.shelved else None,
        "candidates": CANDIDATES,
        "limit": search.limit,
        "model": search.model,
        # Quoted, so that the parts of a code such as RT-2201 are found beside each other only.
        "telling": " or ".join(f'"{word}"' for word in search.telling),
        "ef_search": str(EF_SEARCH),
    }
    return [(BY_INDEX, values), (BEST, values)] if corpus.shelved else [(BEST, values)]


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

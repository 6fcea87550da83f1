"""Vector search through row-level security: tenants of 200, 2,000, 20,000 and 200,000 passages in a table of 1,000,000.

The vectors are synthetic and lie as embeddings do: topics, documents within them, passages within those. A question lies
near a passage of the tenant. Beside each search, in the same run: the raw statement as somebody whom no policy binds, without
the transaction around it. Recall is against that exact answer.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from bench.statistics_of import milliseconds
from chatbot.core.passages import DIMENSIONS, Vector
from chatbot.core.tenancy import TenantId
from chatbot.store.corpora import SHELVE_AT, corpus_of
from chatbot.store.db import Database
from chatbot.store.migrate import migrate
from chatbot.store.passages import Search, best_passages, passages_with_words
from drills.postgres import Cluster

ROWS = 1_000_000
SIZES = (200, 2_000, 20_000, 200_000)
# The rest of the table belongs to tenants of this size.
OTHERS = 3_000
QUESTIONS = 200
K = 10
_TOPICS, _DOCUMENT = 2_000, 20
_CHUNK = 20_000
_WORDS = 5_000
SETTINGS = {
    "fsync": "off", "synchronous_commit": "off", "shared_buffers": "2GB", "maintenance_work_mem": "1500MB",
    "max_wal_size": "8GB", "max_parallel_maintenance_workers": "2",
}  # fmt: skip
EXACT = "SELECT id FROM passages WHERE tenant_id = %s ORDER BY embedding <#> %s::halfvec LIMIT %s"
INDEXES = (
    "SELECT indexname AS name, indexdef AS made FROM pg_indexes WHERE tablename = 'passages'"
    " AND (indexdef LIKE '%USING hnsw%' OR indexdef LIKE '%USING gin%') ORDER BY 1"
)

Rows = NDArray[np.float32]


async def measure(rows: int = ROWS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bitb-bench-") as name:
        folder = Path(name)
        await asyncio.to_thread(folder.chmod, 0o711)
        cluster = Cluster(
            directory=folder / "pg", port=_port(), password=secrets.token_urlsafe(12), settings=SETTINGS
        )
        with cluster.running():
            app = cluster.url(user="chatbot", password="a-password-of-the-bench")  # noqa: S106
            migrate(migration_url=cluster.url(), app_url=app)
            began = time.perf_counter()
            questions = _fill(cluster.url(), rows)
            filled = time.perf_counter() - began
            async with Database(app, size=1, application="bench") as db:
                await db.verify()
                found = {
                    str(size): await _tenant(db, cluster.url(), size, questions[size])
                    for size in SIZES
                    if size in questions
                }
    return {
        "targets": {
            "k": "always 10 rows", "recall_at_10": ">= 0.95 at every size", "p95": "<= 10 ms alone, by vector, the passages read",
        },
        "rows": rows, "seconds_to_fill_and_index": round(filled), "by_size": found,
    }  # fmt: skip


async def _tenant(db: Database, superuser: str, size: int, questions: Rows) -> dict[str, Any]:
    tenant = _tenant_id(size)
    near, hybrid, raw, recalls, fewest = list[float](), list[float](), list[float](), list[float](), K
    async with db.tenant(tenant) as there:
        corpus = await corpus_of(there, tenant)
    with psycopg.connect(superuser, autocommit=True) as conn:
        for number, question in enumerate(questions):
            vector: Vector = tuple(question.tolist())
            text = "[" + ",".join(f"{x:.5g}" for x in vector) + "]"
            began = time.perf_counter()
            exact = {row[0] for row in conn.execute(EXACT, (tenant, text, K))}
            raw.append(time.perf_counter() - began)
            began = time.perf_counter()
            found = await best_passages(db, tenant, Search(vector=vector, corpus=corpus, limit=K))
            near.append(time.perf_counter() - began)
            words = f"w{number * 17 % _WORDS:07d} w{number * 31 % _WORDS:07d}"
            began = time.perf_counter()
            worded = await passages_with_words(db, tenant, words)
            await best_passages(db, tenant, Search(vector=vector, worded=worded, corpus=corpus, limit=K))
            hybrid.append(time.perf_counter() - began)
            fewest = min(fewest, len(found))
            recalls.append(len(exact & {passage.passage_id for passage in found}) / K)
    return {
        "fewest_rows": fewest,
        "recall_at_10": round(sum(recalls) / len(recalls), 4),
        "by_vector": milliseconds(near[WARM:]),
        "by_vector_and_words": milliseconds(hybrid[WARM:]),
        "raw_exact_without_policies": milliseconds(raw[WARM:]),
    }


WARM = 20


def _fill(url: str, rows: int) -> dict[int, Rows]:
    """Fills the table and makes its indexes. The questions of each size."""
    random = np.random.default_rng(7)
    topics = _of_length_one(random.standard_normal((_TOPICS, DIMENSIONS), dtype=np.float32))
    questions: dict[int, Rows] = {}
    with psycopg.connect(url, autocommit=True) as conn:
        indexes = conn.execute(INDEXES).fetchall()
        for name, _ in indexes:
            conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        left, shelf = rows, 0
        for number in range(rows):
            size = SIZES[number] if number < len(SIZES) else min(OTHERS, left)
            if size <= 0 or size > left:
                break
            left -= size
            shelf += size >= SHELVE_AT
            tenant = _tenant_id(size if number < len(SIZES) else 10_000_000 + number)
            on = shelf if size >= SHELVE_AT else None
            near = _load(conn, random, topics, tenant=tenant, size=size, shelf=on)
            if number < len(SIZES):
                noise = _of_length_one(random.standard_normal(near.shape, dtype=np.float32))
                questions[size] = _of_length_one(near + 0.5 * noise)
        for _, made in indexes:
            conn.execute(made)
        conn.execute("ANALYZE")
        conn.execute("VACUUM passages")
    return questions


def _load(
    conn: psycopg.Connection[Any],
    random: np.random.Generator,
    topics: Rows,
    *,
    tenant: TenantId,
    size: int,
    shelf: int | None,
) -> Rows:
    """One tenant with its passages. Some of them, to ask for."""
    conn.execute("INSERT INTO tenants (id, name) VALUES (%s, %s)", (tenant, f"t-{tenant.int}"))
    conn.execute(
        "INSERT INTO documents (tenant_id, id, title, source) VALUES (%s, %s, 'd', 'upload')",
        (tenant, tenant),
    )
    conn.execute(
        "INSERT INTO corpora (tenant_id, revision, passages, shelf, shelved) VALUES (%s, 1, %s, %s, %s)",
        (tenant, size, shelf, shelf is not None),
    )
    # A tenant knows about some things only.
    own = topics[random.choice(len(topics), size=min(len(topics), max(5, size // 100)), replace=False)]
    shelf_column = "" if shelf is None else ", shelf"
    statement = (
        "COPY passages (tenant_id, id, document_id, revision, position, heading, text, embedding"
        f"{shelf_column}) FROM STDIN WITH (FORMAT binary)"
    )
    asked: list[Rows] = []
    with conn.cursor() as cursor, cursor.copy(statement) as copy:  # pyright: ignore[reportArgumentType, reportCallIssue]
        copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
        for start in range(0, size, _CHUNK):
            count = min(_CHUNK, size - start)
            vectors = _vectors(random, own, count)
            asked.append(vectors[random.integers(0, count, QUESTIONS)])
            copy.write(_binary(random, vectors, tenant=tenant, first=start, shelf=shelf))
        copy.write(b"\xff\xff")
    return np.concatenate(asked)[random.permutation(len(asked) * QUESTIONS)[:QUESTIONS]]


def _vectors(random: np.random.Generator, topics: Rows, count: int) -> Rows:
    """Documents around topics, passages around documents."""
    documents = count // _DOCUMENT + 1
    middles = topics[random.integers(0, len(topics), documents)]
    middles = _of_length_one(middles + 0.7 * _noise(random, documents))
    return _of_length_one(np.repeat(middles, _DOCUMENT, axis=0)[:count] + 0.8 * _noise(random, count))


def _noise(random: np.random.Generator, count: int) -> Rows:
    return _of_length_one(random.standard_normal((count, DIMENSIONS), dtype=np.float32))


def _of_length_one(rows: Rows) -> Rows:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _binary(
    random: np.random.Generator, vectors: Rows, *, tenant: TenantId, first: int, shelf: int | None
) -> bytes:
    """The rows as COPY reads them: every column of one width, so that they are one array."""
    columns: list[tuple[str, Any]] = [("columns", ">i2")]
    widths = {"tenant": "V16", "id": "V16", "document": "V16", "revision": ">i4", "position": ">i4", "heading": "V0",
              "text": "S26", "embedding": f"V{4 + 2 * DIMENSIONS}"}  # fmt: skip
    if shelf is not None:
        widths["shelf"] = ">i2"
    for name, kind in widths.items():
        columns += [(f"{name}_length", ">i4"), (name, kind)]
    rows = np.zeros(len(vectors), dtype=np.dtype(columns))
    rows["columns"] = len(widths)
    for name, kind in widths.items():
        rows[f"{name}_length"] = np.dtype(kind).itemsize
    rows["tenant"] = rows["document"] = np.void(tenant.bytes)
    rows["id"] = np.frombuffer(random.bytes(16 * len(rows)), dtype="V16")
    rows["revision"] = 1
    rows["position"] = np.arange(first, first + len(rows))
    drawn = random.integers(0, _WORDS, (len(rows), 3))
    rows["text"] = [f"w{a:07d} w{b:07d} w{c:07d}"[:26].encode() for a, b, c in drawn.tolist()]
    joined = np.zeros((len(rows), 2 + DIMENSIONS), dtype=">u2")
    joined[:, 0] = DIMENSIONS
    joined[:, 2:] = vectors.astype(np.float16).view(np.uint16)
    rows["embedding"] = joined.view(f"V{4 + 2 * DIMENSIONS}").reshape(len(rows))
    if shelf is not None:
        rows["shelf"] = shelf
    return rows.tobytes()


def _tenant_id(number: int) -> TenantId:
    return TenantId(UUID(int=number))


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    import json

    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    print(json.dumps(asyncio.run(measure(rows)), indent=2))

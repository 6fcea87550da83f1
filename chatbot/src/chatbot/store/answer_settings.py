"""Settings of answers as they are stored: one row for everybody, one for each tenant that has its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from psycopg.types.json import Jsonb

from chatbot.core.answer_settings import Layer, layer_of
from chatbot.core.quotas import DEFAULTS, Quota
from chatbot.core.tenancy import TenantId
from chatbot.store.corpora import CORPUS, Corpus, corpus_in
from chatbot.store.db import Conn, Database


async def load_global(conn: Conn, *, lock: bool = False) -> Layer:
    """The layer of everybody; locked until the end of the transaction where it is about to be changed."""
    statement = "SELECT settings FROM answer_settings"
    cursor = await conn.execute(f"{statement} FOR UPDATE" if lock else statement)
    row = await cursor.fetchone()
    return layer_of(row["settings"] if row else None)


async def save_global(conn: Conn, layer: Layer, *, by: str) -> None:
    """Keeps the layer of everybody."""
    await conn.execute(
        "UPDATE answer_settings SET settings = %s, updated_at = clock_timestamp(), updated_by = %s",
        (Jsonb(layer.stored()), by),
    )


async def load_tenant(conn: Conn, tenant_id: TenantId, *, lock: bool = False) -> Layer:
    """The tenant's own layer; locked until the end of the transaction where it is about to be changed."""
    if lock:
        await conn.execute(
            "INSERT INTO tenant_settings (tenant_id, updated_by) VALUES (%s, '') ON CONFLICT (tenant_id) DO NOTHING",
            (tenant_id,),
        )
    statement = "SELECT settings FROM tenant_settings WHERE tenant_id = %s"
    cursor = await conn.execute(f"{statement} FOR UPDATE" if lock else statement, (tenant_id,))
    row = await cursor.fetchone()
    return layer_of(row["settings"] if row else None)


BASIS = """
SELECT (SELECT settings FROM tenant_settings WHERE tenant_id = %(tenant_id)s) AS settings,
       coalesce((SELECT requests FROM usage_days WHERE tenant_id = %(tenant_id)s AND day = %(day)s), 0)
         >= coalesce((SELECT value FROM quotas WHERE tenant_id = %(tenant_id)s AND name = 'requests_per_day'),
                     %(requests)s) AS spent
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The tenant's layer of settings, its documents as a whole, and whether its requests of the day are used up."""

    layer: Layer
    corpus: Corpus
    spent: bool


async def basis_of(database: Database, tenant_id: TenantId, *, day: date) -> Basis:
    """What every answer of the tenant depends on, in one way to the database. Raises StoreUnavailable."""
    values = {"tenant_id": tenant_id, "day": day, "requests": DEFAULTS[Quota.REQUESTS_PER_DAY]}
    (row,), corpus = await database.at_once(tenant_id, (BASIS, values), (CORPUS, values))
    return Basis(layer=layer_of(row["settings"]), corpus=corpus_in(corpus), spent=row["spent"])


async def save_tenant(conn: Conn, tenant_id: TenantId, layer: Layer, *, by: str) -> None:
    """Keeps the tenant's own layer, which `load_tenant` has locked."""
    await conn.execute(
        "UPDATE tenant_settings SET settings = %s, updated_at = clock_timestamp(), updated_by = %s"
        " WHERE tenant_id = %s",
        (Jsonb(layer.stored()), by, tenant_id),
    )

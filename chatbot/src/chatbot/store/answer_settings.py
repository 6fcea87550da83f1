"""Settings of answers as they are stored: one row for everybody, one for each tenant that has its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from chatbot.core.answer_settings import Layer, layer_of
from chatbot.core.quotas import DEFAULTS, Quota
from chatbot.core.tenancy import TenantId
from chatbot.store.corpora import NOTHING, Corpus
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
SELECT settings, spent, revision, passages, shelf, shelved FROM basis_of(%(tenant_id)s, %(day)s, %(requests)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The tenant's layer of settings, its documents as a whole, and whether its requests of the day are used up."""

    layer: Layer
    corpus: Corpus
    spent: bool


async def basis_of(database: Database, tenant_id: TenantId, *, day: date) -> Basis:
    """What every answer of the tenant depends on, in one way to the database. Raises StoreUnavailable."""
    ((row,),) = await database.at_once(tenant_id, (BASIS, basis_values(tenant_id, day=day)))
    return basis_in(row)


def basis_values(tenant_id: TenantId, *, day: date) -> dict[str, Any]:
    """What `basis_of` is asked with in the database."""
    return {"tenant_id": tenant_id, "day": day, "requests": DEFAULTS[Quota.REQUESTS_PER_DAY]}


def basis_in(row: DictRow) -> Basis:
    """The row that `basis_of` gives in the database."""
    layer, spent = layer_of(row.pop("settings")), row.pop("spent")
    return Basis(layer=layer, spent=spent, corpus=NOTHING if row["revision"] is None else Corpus(**row))


async def save_tenant(conn: Conn, tenant_id: TenantId, layer: Layer, *, by: str) -> None:
    """Keeps the tenant's own layer, which `load_tenant` has locked."""
    await conn.execute(
        "UPDATE tenant_settings SET settings = %s, updated_at = clock_timestamp(), updated_by = %s"
        " WHERE tenant_id = %s",
        (Jsonb(layer.stored()), by, tenant_id),
    )

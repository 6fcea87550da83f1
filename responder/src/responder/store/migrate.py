"""Brings the schema up to date. A process of its own, so that the server and the worker do not carry Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, make_url, pool
from sqlalchemy.exc import OperationalError

from responder.errors import StoreUnavailable

# Any number that no other program uses for an advisory lock in this database: one migration at a time.
_LOCK = 7_302_114


def migrate(database_url: str) -> None:
    """Applies every migration that is missing. Raises StoreUnavailable when PostgreSQL does not answer."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(
        make_url(database_url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except OperationalError as error:
        raise StoreUnavailable(
            f"PostgreSQL does not answer: {error.orig}. Check RESPONDER_DATABASE_URL."
        ) from error

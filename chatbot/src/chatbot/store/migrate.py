"""Makes the roles and brings the schema up to date. A process of its own, so that the server does not carry Alembic."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, make_url, pool

from chatbot.errors import ConfigError, StoreUnavailable

APP = "chatbot_app"
# Nobody logs in as these: they own, look keys up, and read the audit log.
SILENT_ROLES = ("chatbot_owner", "chatbot_keys", "chatbot_auditor")
_LOCK = 7_302_115


def migrate(migration_url: str, app_url: str) -> None:
    """`migration_url` belongs to a role that may make roles, `app_url` is the application's own.

    Raises StoreUnavailable, and ConfigError when the application's role is not the one that is protected."""
    app = conninfo_to_dict(app_url)
    if app.get("user") != APP:
        raise ConfigError(
            f"CHATBOT_DATABASE_URL logs in as '{app.get('user')}'; the application's role is '{APP}'."
        )
    try:
        with psycopg.connect(migration_url, autocommit=True) as conn:
            conn.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            _roles(conn, password=str(app.get("password") or ""))
            _apply(migration_url)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"PostgreSQL does not answer: {error}".strip()) from error


def _roles(conn: psycopg.Connection, *, password: str) -> None:
    for role in (*SILENT_ROLES, APP):
        known = conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        if known is None:
            conn.execute(
                sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER NOBYPASSRLS").format(sql.Identifier(role))
            )
    conn.execute(
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(APP), sql.Literal(password))
    )
    conn.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(APP)))
    # Limits of the role rather than of a statement someone forgot: a stuck query or an idle transaction ends by itself.
    conn.execute(sql.SQL("ALTER ROLE {} SET statement_timeout = '15s'").format(sql.Identifier(APP)))
    conn.execute(
        sql.SQL("ALTER ROLE {} SET idle_in_transaction_session_timeout = '30s'").format(sql.Identifier(APP))
    )
    for role in SILENT_ROLES:
        conn.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public TO {}").format(sql.Identifier(role)))


def _apply(url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()

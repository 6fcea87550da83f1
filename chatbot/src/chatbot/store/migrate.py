"""Brings roles and schema up to date. Imported by `chatbot migrate` only, so that the server does not carry Alembic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from sqlalchemy import create_engine, make_url, pool
from sqlalchemy.exc import OperationalError

from chatbot.errors import ConfigError, StoreUnavailable

# Any number that no other program uses for an advisory lock in this database: one migration at a time.
_LOCK = 7_302_115
_CONNECT_SECONDS = 5
_ROLE_ATTEMPTS = 5

# Without login: what owns, what may look a tenant up, what may look words up, what serves, what reads the audit log.
ROLES = ("chatbot_owner", "chatbot_directory", "chatbot_search", "chatbot_app", "chatbot_auditor")
# A forgotten transaction or a runaway query ends by itself, whatever the program does.
ROLE_SETTINGS = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
}


def migrate(*, migration_url: str, app_url: str) -> None:
    """Makes the roles, sets the app role's password from `app_url`, applies every migration that is missing.

    Raises ConfigError when the two addresses cannot be what they should, StoreUnavailable when PostgreSQL does not answer.
    """
    try:
        with psycopg.connect(migration_url, autocommit=True, connect_timeout=_CONNECT_SECONDS) as conn:
            for role in ROLES:
                _settled(lambda role=role: _make_role(conn, role))
            _settled(lambda: _make_app_role(conn, app_url))
            _prepare_schema(conn)
            _upgrade(migration_url)
            conn.execute("GRANT SELECT ON alembic_version TO chatbot_app")
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"The role of CHATBOT_MIGRATION_DATABASE_URL may not do this: {str(error).strip()}",
            remedy="Give the address of a superuser, or of the database's owner with CREATEROLE.",
        ) from error
    except (psycopg.OperationalError, OperationalError) as error:
        reason = error.orig if isinstance(error, OperationalError) else error
        raise StoreUnavailable(
            f"PostgreSQL does not answer: {str(reason).strip()}",
            remedy="Check CHATBOT_MIGRATION_DATABASE_URL.",
        ) from error


def _settled(change: Callable[[], None]) -> None:
    """Roles belong to the whole cluster: where two databases migrate at once, one of them must try again."""
    for attempt in range(1, _ROLE_ATTEMPTS + 1):
        try:
            change()
        except (psycopg.errors.InternalError_, psycopg.errors.UniqueViolation):
            if attempt == _ROLE_ATTEMPTS:
                raise
        else:
            return


def _make_role(conn: Connection[TupleRow], role: str) -> None:
    if conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
        conn.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def _make_app_role(conn: Connection[TupleRow], app_url: str) -> None:
    app = conninfo_to_dict(app_url)
    user, password = str(app.get("user") or ""), app.get("password")
    if not user or user in ROLES or user == conn.info.user:
        raise ConfigError(
            f"CHATBOT_DATABASE_URL names the role '{user}'; the serving role must be one of its own.",
            remedy="Give it a user that does not exist yet, for example chatbot, with a password: migrate makes it.",
        )
    name = sql.Identifier(user)
    found = conn.execute(
        "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = %s", (user,)
    ).fetchone()
    if found is not None and found[0]:
        raise ConfigError(
            f"The role '{user}' of CHATBOT_DATABASE_URL is a superuser, has BYPASSRLS or CREATEROLE: no policy binds it.",
            remedy="Name a role of its own in CHATBOT_DATABASE_URL: migrate makes it.",
        )
    if found is None:
        conn.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE").format(name)
        )
    if password:
        # Hashed here, so that the password is never in the server's log.
        hashed = conn.pgconn.encrypt_password(
            str(password).encode(), user.encode(), b"scram-sha-256"
        ).decode()
        conn.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(hashed)))
    conn.execute(sql.SQL("GRANT chatbot_app TO {}").format(name))
    for setting, value in ROLE_SETTINGS.items():
        conn.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                name, sql.Identifier(conn.info.dbname), sql.Identifier(setting), sql.Literal(value)
            )
        )


def _prepare_schema(conn: Connection[TupleRow]) -> None:
    conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
    conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    conn.execute("GRANT USAGE, CREATE ON SCHEMA public TO chatbot_owner")
    row = conn.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if row and not row[0]:  # a superuser may act as anyone; another migrator must be allowed to
        for role in ("chatbot_owner", "chatbot_directory", "chatbot_search"):
            conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
        conn.execute("GRANT CREATE ON SCHEMA public TO chatbot_directory, chatbot_search")


def _upgrade(migration_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    url = make_url(migration_url).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()

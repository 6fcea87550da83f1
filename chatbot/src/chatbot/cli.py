"""The command line. Exit codes: 0 done, 2 cannot run."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path

from chatbot.config import load_settings, migration_urls
from chatbot.core.passage import split
from chatbot.errors import BadRequest, ChatbotError
from chatbot.store import boot, documents, tenants
from chatbot.store.db import Database
from chatbot.store.migrate import migrate
from chatbot.telemetry import configure_logging
from chatbot.web.app import serve
from chatbot.worker import work


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except ChatbotError as error:
        print(f"chatbot: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatbot",
        description="A chatbot that answers from each tenant's own documents.",
        epilog="Settings come from the environment: docs/reference/environment.md names each variable.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, help_: str, run: object) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=help_)
        command.set_defaults(run=run)
        return command

    add("migrate", "make the roles and bring the schema up to date", _migrate)
    add("serve", "serve the chat, the operators' API, health and metrics", _serve)
    add("work", "do the queue's jobs", _work)
    tenant = add("tenant", "make a tenant; prints its key, this once", _tenant)
    tenant.add_argument("action", choices=("create",))
    tenant.add_argument("name", help="lower-case letters, digits and hyphens")
    tenant.add_argument("--format", choices=("text", "json"), default="text")
    document = add("document", "give a tenant a document, in place of its last version", _document)
    document.add_argument("action", choices=("add",))
    document.add_argument("file", type=Path, help="a Markdown or text file")
    document.add_argument("--key", required=True, help="a key of the tenant")
    return parser


def _migrate(_: argparse.Namespace) -> None:
    migrate(*migration_urls())
    print("The schema is up to date.")


def _serve(_: argparse.Namespace) -> None:
    settings = load_settings()
    configure_logging(settings.log_dir)
    serve(settings)


def _work(_: argparse.Namespace) -> None:
    settings = load_settings()
    configure_logging(settings.log_dir)
    asyncio.run(work(settings))


def _tenant(arguments: argparse.Namespace) -> None:
    async def run() -> None:
        async with Database(load_settings().database_url, size=1, application="chatbot tenant") as database:
            await boot.check(database)
            tenant, key = await tenants.create(database, arguments.name)
        if arguments.format == "json":
            print(json.dumps({"tenant_id": str(tenant.id), "name": tenant.name, "key": key}))
        else:
            print(f"Tenant {tenant.name} is {tenant.id}.\nIts key, which is not shown again: {key}")

    _run(run())


def _document(arguments: argparse.Namespace) -> None:
    try:
        text = arguments.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{arguments.file} cannot be read as text: {error}") from error

    async def run() -> None:
        async with Database(load_settings().database_url, size=1, application="chatbot document") as database:
            async with database.transaction() as conn:
                tenant = await tenants.of_key(conn, arguments.key)
            if tenant is None:
                raise BadRequest("--key names no active key.")
            async with database.as_tenant(tenant.id) as conn:
                count = await documents.replace(
                    conn, tenant.id, title=arguments.file.name, passages=split(text)
                )
        print(f"{arguments.file.name}: {count} passages for {tenant.name}.")

    _run(run())


def _run(job: Awaitable[None]) -> None:
    async def whole() -> None:
        await job

    asyncio.run(whole())

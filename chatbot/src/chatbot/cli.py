"""The commands: chatbot migrate · serve · work · reembed, and those of tenants, keys, orders and documents."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import uvloop

from chatbot import config, worker
from chatbot.bootstrap import CLOCKS, outside
from chatbot.commands import keys, members, orders, tenants
from chatbot.core.documents import LARGEST_DOCUMENT, Document, RevisionRef, Status
from chatbot.core.tenancy import Tenant
from chatbot.errors import BadRequest, ChatbotError, Conflict
from chatbot.stages.reembed import reembed
from chatbot.stages.upload import upload
from chatbot.store.db import Database
from chatbot.store.documents import document_of
from chatbot.store.tenants import tenant_of_name
from chatbot.telemetry import configure_logging
from chatbot.web.serve import serve

ACTOR = "command line"
POLL_SECONDS = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. The exit status is 0, or 2 with a sentence on standard error."""
    chosen = _parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except ChatbotError as error:
        remedy = f"\n{error.remedy}" if error.remedy != ChatbotError.remedy else ""
        print(f"chatbot: {error}{remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatbot", description="A chatbot that answers from each tenant's own documents."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("migrate", help="bring roles and schema up to date").set_defaults(run=_migrate)
    commands.add_parser("serve", help="answer questions over HTTP").set_defaults(run=_serve)
    commands.add_parser("work", help="take jobs from the queue").set_defaults(run=_work)

    commands.add_parser(
        "reembed",
        help="embed every passage again, after the embedding model was changed; stopped, it can be called again",
    ).set_defaults(run=_reembed)

    tenants.add_to(commands)
    members.add_to(commands)
    keys.add_to(commands)

    orders.add_to(commands)

    document = commands.add_parser("document", help="a tenant's documents").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add = document.add_parser(
        "add", help="queue PDF, HTML, Markdown or text files; replaces those of the same name"
    )
    add.add_argument("--tenant", required=True)
    add.add_argument(
        "--wait", action="store_true", help="return when a worker has made them answer, or says why not"
    )
    add.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add.set_defaults(run=_add_documents)
    return parser


def _migrate(_: argparse.Namespace) -> None:
    migration_url, app_url = config.migration_url(), config.database_url()
    # By name, because Alembic and SQLAlchemy cost 0.3 s and 25 MB that the server should not carry.
    import_module("chatbot.store.migrate").migrate(migration_url=migration_url, app_url=app_url)
    print("The schema is up to date.")


def _serve(_: argparse.Namespace) -> None:
    settings = config.load_settings()
    configure_logging(level=settings.log_level, folder=settings.log_dir)
    # An event loop whose every turn costs less: docs/decisions/0023
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


def _work(_: argparse.Namespace) -> None:
    settings = config.load_settings()
    configure_logging(level=settings.log_level, folder=settings.log_dir)
    asyncio.run(worker.work(settings))


def _reembed(_: argparse.Namespace) -> None:
    asyncio.run(_embed_again(config.load_settings()))


async def _embed_again(settings: config.Settings) -> None:
    async with outside(settings, application="chatbot reembed") as parts:
        await parts.database.verify()
        done = await reembed(parts)
    print(
        f"{done} passages were embedded again by {parts.embedder.name}. Start the servers and workers anew."
    )


def _add_documents(chosen: argparse.Namespace) -> None:
    asyncio.run(_add(chosen))


async def _add(chosen: argparse.Namespace) -> None:
    async with Database(config.database_url(), size=1, application="chatbot document") as db:
        await db.verify()
        tenant = await tenant_of_name(db, chosen.tenant)
        queued = [await _queue(db, tenant, path) for path in chosen.files]
        if not chosen.wait:
            for path in chosen.files:
                print(f"{path.name}: queued")
            return
        failed = [
            document for ref in queued if (document := await _finished(db, ref)).status is Status.FAILED
        ]
    if failed:
        reasons = " ".join(f"{document.title}: {document.reason}" for document in failed)
        raise BadRequest(reasons, remedy="What answered before answers on. Mend the file and add it again.")


async def _queue(db: Database, tenant: Tenant, path: Path) -> RevisionRef:
    """No word to the queue: the sweep of a worker finds the row within a second."""
    return await upload(
        db, CLOCKS, tenant, title=path.name, parts=[_read(path)], media_type=None, actor=ACTOR
    )


async def _finished(db: Database, ref: RevisionRef) -> Document:
    """The document once the revision is ready or failed. For ever, where no worker runs."""
    while True:
        async with db.tenant(ref.tenant_id) as conn:
            document = await document_of(conn, ref.tenant_id, ref.document_id)
        if document is None or document.revision != ref.revision:
            raise Conflict("The document was deleted or replaced by somebody else meanwhile.")
        if document.status is Status.READY:
            print(f"{document.title}: {document.passages} passages")
        if document.status in {Status.READY, Status.FAILED}:
            return document
        await asyncio.sleep(POLL_SECONDS)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_DOCUMENT + 1)
    except OSError as error:
        raise BadRequest(
            f"{path} cannot be read: {error.strerror}.", remedy="Name a readable file."
        ) from error
    if len(content) > LARGEST_DOCUMENT:
        raise BadRequest(
            f"{path} has more than {LARGEST_DOCUMENT} bytes.", remedy="Split it, and add the parts."
        )
    return content

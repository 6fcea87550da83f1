"""The commands: chatbot migrate · serve · work · tenant · member · key · widget · block · maintenance · document."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from chatbot import config, worker
from chatbot.bootstrap import CLOCKS, outside
from chatbot.commands import keys, members, tenants
from chatbot.core.audit import Operator
from chatbot.core.documents import LARGEST_DOCUMENT, Document, RevisionRef, Status
from chatbot.core.flags import MAINTENANCE
from chatbot.core.tenancy import Tenant
from chatbot.errors import BadRequest, ChatbotError, Conflict, StoreUnavailable
from chatbot.stages.agree import agree
from chatbot.stages.block import block, blocks_in_force, unblock
from chatbot.stages.ports import Outside
from chatbot.stages.switch import switch
from chatbot.stages.upload import upload
from chatbot.store.db import Database
from chatbot.store.documents import document_of
from chatbot.store.tenants import tenant_of_name
from chatbot.telemetry import configure_logging
from chatbot.web.serve import serve

ACTOR = "command line"
OPERATOR = Operator(actor=ACTOR)
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

    tenants.add_to(commands)
    members.add_to(commands)
    keys.add_to(commands)

    blocks = commands.add_parser("block", help="addresses that are not answered").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add = blocks.add_parser("add", help="do not answer an address or network for a time")
    add.add_argument("ip")
    add.add_argument("--seconds", type=int, default=3600, help="for how long; default 3600")
    add.add_argument("--reason", required=True)
    add.add_argument("--force", action="store_true", help="also a trusted proxy or this machine")
    add.set_defaults(run=_block)
    remove = blocks.add_parser("remove", help="answer it again")
    remove.add_argument("ip")
    remove.set_defaults(run=_unblock)
    blocks.add_parser("list", help="the blocks in force").set_defaults(run=_list_blocks)

    maintenance = commands.add_parser("maintenance", help="close the product for a while, or open it again")
    maintenance.add_argument("to", choices=("on", "off"))
    maintenance.add_argument("--message", help="what people are told")
    maintenance.set_defaults(run=_maintain)

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
    asyncio.run(serve(settings))


def _work(_: argparse.Namespace) -> None:
    settings = config.load_settings()
    configure_logging(level=settings.log_level, folder=settings.log_dir)
    asyncio.run(worker.work(settings))


def _block(chosen: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        change = await block(
            parts, chosen.ip, OPERATOR, seconds=chosen.seconds, reason=chosen.reason, force=chosen.force
        )
        return f"{change.block.network} is not answered until {change.block.expires_at:%Y-%m-%d %H:%M} UTC."

    _order(order)


def _unblock(chosen: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        return f"{(await unblock(parts, chosen.ip, OPERATOR)).block.network} is answered again."

    _order(order)


def _list_blocks(_: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        lines = [
            f"{each.network}  until {each.expires_at:%Y-%m-%d %H:%M} UTC  {each.reason}"
            for each in blocks_in_force(parts)
        ]
        return "\n".join(lines) or "Nothing is blocked."

    _order(order)


def _maintain(chosen: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        on = chosen.to == "on"
        await switch(parts, MAINTENANCE, OPERATOR, enabled=on, message=chosen.message)
        return "The product is closed for maintenance." if on else "The product is open."

    _order(order)


def _order(order: Callable[[Outside], Awaitable[str]]) -> None:
    """Gives an order by every way that can be reached: PostgreSQL, Redis, and the file that the server looks at."""
    settings = config.load_settings()
    configure_logging(level="CRITICAL", folder=None)  # what happened is said in a sentence

    async def give() -> str:
        async with outside(settings) as parts:
            with suppress(StoreUnavailable):
                await parts.database.verify()
            await agree(parts)
            done = await order(parts)
            if parts.orders.owed:
                done += f" PostgreSQL cannot be reached: {_who_learns(settings)}"
            return done

    print(asyncio.run(give()))


def _who_learns(settings: config.Settings) -> str:
    if settings.flags_file is None:
        return (
            "servers learn of it by Redis only; set CHATBOT_FLAGS_FILE to a file that a server reads as well."
        )
    return f"servers learn of it by Redis, and from {settings.flags_file}."


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

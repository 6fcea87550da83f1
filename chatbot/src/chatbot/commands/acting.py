"""How a command acts: over one verified connection, as an operator, and what it prints for people and programs."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chatbot import config
from chatbot.core.caller import Caller, CallerKind
from chatbot.stages.administer import By
from chatbot.store.db import Database
from chatbot.store.tenants import tenant_of_name

ACTOR = "command line"
Run = Callable[[argparse.Namespace], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The subcommands of one noun."""

    parsers: argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]

    def add(self, name: str, run: Run, help_: str, *, epilog: str = "") -> argparse.ArgumentParser:
        """A command that can also print JSON."""
        parser = self.parsers.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--format", choices=("text", "json"), default="text")
        parser.set_defaults(run=lambda chosen: asyncio.run(run(chosen)))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        return parser


def group(commands: Any, name: str, help_: str) -> Group:
    """A noun with its subcommands."""
    parser = commands.add_parser(name, help=help_, description=help_[0].upper() + help_[1:] + ".")
    return Group(parsers=parser.add_subparsers(required=True, metavar="COMMAND"))


@asynccontextmanager
async def connected() -> AsyncGenerator[Database]:
    """A verified connection as the role that serves. Raises ConfigError, UnsafeDatabase, StoreUnavailable."""
    async with Database(config.database_url(), size=1, application="chatbot command") as db:
        await db.verify()
        yield db


@asynccontextmanager
async def acting_for(tenant_name: str) -> AsyncGenerator[tuple[Database, By]]:
    """A verified connection, and an operator who acts for the tenant. Raises NotFound."""
    async with connected() as db:
        tenant = await tenant_of_name(db, tenant_name)
        yield db, By(caller=Caller(tenant=tenant, actor=ACTOR, kind=CallerKind.ADMIN))


def now() -> datetime:
    """The time of the command."""
    return datetime.now(UTC)


def tell(chosen: argparse.Namespace, text: str, **document: Any) -> None:
    """Prints the sentence for a person, or the document for a program."""
    print(json.dumps(document, default=str) if chosen.format == "json" else text)


def table(rows: Sequence[Sequence[object]], *, nothing: str) -> str:
    """Rows under each other, their columns aligned; the sentence when there are none."""
    if not rows:
        return nothing
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts)
    return "\n".join(line.rstrip() for line in lines)


def moment(at: datetime | None) -> str:
    """A time as people read it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "never"

"""The orders of this process: a copy in memory, and a file beside it that survives a restart during an outage.

The file is also a way in: what the command line writes there, with PostgreSQL and Redis down, the server takes over. Each
write joins what is in the file, under a lock, so that two programs do not undo each other.
"""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog

from chatbot.core.audit import AuditEntry
from chatbot.core.blocks import Blocklist, remembered
from chatbot.core.orders import Kept, Orders, newest
from chatbot.integrations.flags import Flags
from chatbot.integrations.orders_text import kept_of, text_of

log = structlog.get_logger()


class StandingOrders:
    """Flags and blocks in force in this process. `path` is the file of the copy; None keeps none."""

    def __init__(self, flags: Flags, path: Path | None) -> None:
        self._flags = flags
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._kept = Kept()
        self.blocklist = Blocklist(())
        self.take(Orders())
        self.look()

    @property
    def held(self) -> Orders:
        return self._kept.orders

    @property
    def owed(self) -> Mapping[UUID, AuditEntry]:
        """The audit entries that PostgreSQL is still owed."""
        return self._kept.owed

    def take(self, read: Orders, *, owe: Mapping[UUID, AuditEntry] | None = None) -> None:
        """Puts what is newer into force, and into the file."""
        merged = newest(self._kept.orders, read)
        kept = Kept(orders=merged, owed={**self._kept.owed, **(owe or {})})
        if kept != self._kept:
            self._hold(kept)
            self._write(paid=())

    def paid(self, entries: Iterable[UUID]) -> None:
        """These entries are in PostgreSQL now."""
        paid = set(entries)
        if paid:
            left = {key: entry for key, entry in self._kept.owed.items() if key not in paid}
            self._hold(Kept(orders=self._kept.orders, owed=left))
            self._write(paid=paid)

    def forget(self, now: datetime) -> None:
        """Lets go of the blocks that ended long ago."""
        orders = Orders(flags=self.held.flags, blocks=remembered(self.held.blocks, now))
        self._hold(Kept(orders=orders, owed=self._kept.owed))

    def look(self) -> None:
        """Takes over what another program wrote into the file, if it wrote."""
        if self._path is None or (mark := _mark(self._path)) is None or mark == self._seen:
            return
        self._seen = mark
        found = self._read(self._path)
        self._hold(
            Kept(
                orders=newest(self._kept.orders, found.orders),
                owed={**self._kept.owed, **found.owed},
            )
        )

    def _hold(self, kept: Kept) -> None:
        if kept.orders.blocks != self._kept.orders.blocks:
            self.blocklist = Blocklist(kept.orders.blocks.values())
        self._kept = kept
        self._flags.replace(kept.orders.flags)

    def _read(self, path: Path) -> Kept:
        try:
            return kept_of(path.read_bytes())
        except FileNotFoundError:
            return Kept()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("orders_file_not_understood", path=str(path), error=str(error))
            return Kept()

    def _write(self, *, paid: Collection[UUID]) -> None:
        if self._path is None:
            return
        try:
            with _locked(self._path):
                there = self._read(self._path)
                owed = {**there.owed, **self._kept.owed}
                both = Kept(
                    orders=newest(there.orders, self._kept.orders),
                    owed={key: entry for key, entry in owed.items() if key not in paid},
                )
                draft = self._path.with_suffix(".draft")
                draft.write_bytes(text_of(both))
                draft.replace(self._path)
        except OSError as error:
            log.error("orders_file_not_written", path=str(self._path), error=str(error))


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


@contextmanager
def _locked(path: Path) -> Generator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

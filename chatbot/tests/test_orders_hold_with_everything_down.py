"""Maintenance, flags and blocks while PostgreSQL, Redis or both are gone, and after they came back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from chatbot.core.client_address import TrustedProxies
from chatbot.core.flags import MAINTENANCE
from chatbot.integrations.flags import Flags
from chatbot.integrations.orders import StandingOrders
from chatbot.stages.agree import agree
from chatbot_house import Chatbot, Wire, free_port, served, settings_for, wire_to

ATTACKER = "203.0.113.9"
A_BLOCK = {"ip": ATTACKER, "seconds": 600, "reason": "tries keys"}
PROXY = TrustedProxies((ip_network("127.0.0.0/8"),))


@dataclass
class Cut:
    """A served chatbot whose wires to PostgreSQL and Redis can be cut."""

    chatbot: Chatbot
    database: Wire
    redis: Wire
    file: Path

    async def outage(self) -> None:
        await self.database.cut()
        await self.redis.cut()

    async def back(self) -> None:
        await self.database.mend()
        await self.redis.mend()
        async with asyncio.timeout(20):
            while (await self.chatbot.get("/api/health/database"))[0] != 200:
                await asyncio.sleep(0.1)

    async def attacker_gets(self) -> int:
        url = f"{self.chatbot.url}/openapi.json"
        async with self.chatbot.http.get(url, headers={"X-Forwarded-For": ATTACKER}) as answer:
            return answer.status


@asynccontextmanager
async def cut_off(app_url: str, valkey_url: str, file: Path) -> AsyncGenerator[Cut]:
    async with wire_to(app_url) as database, wire_to(valkey_url) as redis:
        settings = settings_for(database.url, redis.url, flags_file=file, trusted_proxies=PROXY)
        async with served(settings) as chatbot:
            yield Cut(chatbot, database, redis, file)


@pytest.fixture
async def cut(app_url: str, valkey_url: str, tmp_path: Path) -> AsyncGenerator[Cut]:
    async with cut_off(app_url, valkey_url, tmp_path / "orders.json") as it:
        yield it


async def test_orders_are_given_and_hold_with_everything_down(
    cut: Cut, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Maintenance and a block work at once in the outage; back again both are stored and audited, once."""
    await cut.outage()
    status, closed = await cut.chatbot.admin(
        "PUT", "/maintenance", {"enabled": True, "message": "Back at 9."}
    )
    assert (status, closed["enabled"]) == (200, True)
    assert (await cut.chatbot.admin("POST", "/blocks", A_BLOCK))[0] == 200
    status, _, document = await cut.chatbot.ask("When?")
    assert (status, document["detail"]) == (503, "Back at 9.")
    assert await cut.attacker_gets() == 403
    await cut.back()
    for _ in range(2):
        await agree(cut.chatbot.parts)
    assert [row[2]["enabled"] for row in audit_rows("flag_changed")] == [True]
    (entry,) = audit_rows("ip_blocked")
    assert (entry[1], "ordered_at" in entry[2]) == ("admin", True)
    assert not cut.chatbot.parts.orders.owed
    assert await cut.attacker_gets() == 403


async def test_what_comes_back_does_not_undo_a_newer_change(cut: Cut) -> None:
    """PostgreSQL says closed, from before; opened in the outage, it stays open when PostgreSQL is back."""
    await cut.chatbot.admin("PUT", "/maintenance", {"enabled": True, "message": None})
    await cut.chatbot.admin("POST", "/blocks", A_BLOCK)
    await cut.outage()
    await cut.chatbot.admin("PUT", "/maintenance", {"enabled": False})
    await cut.chatbot.admin("DELETE", f"/blocks/{ATTACKER}")
    await cut.back()
    for _ in range(2):
        await agree(cut.chatbot.parts)
    assert (await cut.chatbot.admin("GET", "/maintenance"))[1]["enabled"] is False
    assert (await cut.chatbot.ask("When is a refund possible?"))[0] == 200
    assert await cut.attacker_gets() == 200


async def test_a_restart_in_the_outage_keeps_orders_and_what_is_owed(
    cut: Cut, audit_rows: Callable[[str], list[Any]]
) -> None:
    """The file carries flags, blocks and unwritten audit entries over a restart."""
    await cut.outage()
    await cut.chatbot.admin("PUT", "/maintenance", {"enabled": True, "message": "Back at 9."})
    await cut.chatbot.admin("POST", "/blocks", A_BLOCK)
    flags = Flags()
    orders = StandingOrders(flags, cut.file)
    assert (flags.enabled(MAINTENANCE), flags.all()[MAINTENANCE].message) == (True, "Back at 9.")
    assert [str(network) for network in orders.held.blocks] == [f"{ATTACKER}/32"]
    assert len(orders.owed) == 2
    await cut.back()
    await agree(cut.chatbot.parts)
    assert json.loads(cut.file.read_bytes())["owed"] == []
    assert len(audit_rows("ip_blocked")) == 1


@pytest.mark.parametrize("gone", ["database", "redis"])
async def test_with_one_of_them_down_other_processes_learn_by_the_other(
    cut: Cut, app_url: str, valkey_url: str, gone: str
) -> None:
    """Without PostgreSQL by Redis, without Redis by PostgreSQL."""
    async with wire_to(app_url) as database, wire_to(valkey_url) as redis:
        settings = settings_for(database.url, redis.url, trusted_proxies=PROXY)
        async with served(settings, tenants=()) as other:
            for wire in (cut.database, database) if gone == "database" else (cut.redis, redis):
                await wire.cut()
            await cut.chatbot.admin("PUT", "/maintenance", {"enabled": True})
            await cut.chatbot.admin("POST", "/blocks", A_BLOCK)
            await agree(other.parts)
            assert (await other.admin("GET", "/maintenance"))[1]["enabled"] is True
            assert len((await other.admin("GET", "/blocks"))[1]["blocks"]) == 1


async def test_the_command_line_closes_the_product_with_everything_down(
    cut: Cut, command: Callable[..., Any]
) -> None:
    """It writes the file that the server looks at, and says that PostgreSQL will learn of it later."""
    await cut.outage()
    gone = {
        "CHATBOT_DATABASE_URL": f"postgresql://chatbot:x@127.0.0.1:{free_port()}/none",
        "CHATBOT_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "CHATBOT_FLAGS_FILE": str(cut.file),
    }
    for arguments in (
        ("maintenance", "on", "--message", "Back at 9."),
        ("block", "add", ATTACKER, "--reason", "x"),
    ):
        out, err = await asyncio.to_thread(command(*arguments, **gone).communicate, timeout=30)
        assert ("PostgreSQL cannot be reached" in out, err) == (True, "")
    await agree(cut.chatbot.parts)
    status, _, document = await cut.chatbot.ask("When?")
    assert (status, document["detail"]) == (503, "Back at 9.")
    assert await cut.attacker_gets() == 403
    out, _ = await asyncio.to_thread(command("block", "list", **gone).communicate, timeout=30)
    assert ATTACKER in out


def test_a_broken_file_is_no_reason_not_to_start(tmp_path: Path) -> None:
    """A file that cannot be understood counts as none, and is written anew by the next order."""
    for text in ("{", "[]", '{"flags": [{}], "blocks": [], "owed": []}', "\x00"):
        file = tmp_path / "orders.json"
        file.write_text(text)
        flags = Flags()
        StandingOrders(flags, file)
        assert flags.enabled(MAINTENANCE) is False


async def test_a_message_needs_no_more_than_a_line(cut: Cut) -> None:
    """Line breaks, NUL and half characters are refused; opening again needs no message."""
    for message in ("a\nb", "a\x00", "", "x" * 301):
        assert (await cut.chatbot.admin("PUT", "/maintenance", {"enabled": True, "message": message}))[
            0
        ] == 400
    assert (await cut.chatbot.admin("GET", "/maintenance"))[1]["enabled"] is False

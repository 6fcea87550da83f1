"""The detector: what is withheld is counted, audited whatever else fails, and told to the responder until it knows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg.conninfo import conninfo_to_dict

import guards
from chatbot.bootstrap import outside
from chatbot.cli import main
from chatbot.config import Settings, WebhookSettings, load_settings
from chatbot.core.caller import Caller, CallerKind
from chatbot.core.documents import RevisionRef, Taken
from chatbot.core.documents import Source as DocumentSource
from chatbot.core.passages import Passage
from chatbot.core.tenancy import Tenant, TenantId
from chatbot.core.violation import Source
from chatbot.errors import ConfigError, TenantIsolationViolation
from chatbot.integrations.redis import new_client
from chatbot.stages import hand_over
from chatbot.stages import ingest as ingest_stage
from chatbot.stages import recollect as recollect_stage
from chatbot.stages import spend as spend_stage
from chatbot.stages.ports import Outside
from chatbot.stages.tell import tell_for_ever, tell_responder
from chatbot.stages.watch import watch_tenants
from chatbot.stages.withhold import withhold_foreign
from chatbot.telemetry import TENANT_LABELS, VIOLATION_SOURCES, show_tenants
from chatbot.worker import Work
from chatbot_house import ADMIN_TOKEN, Chatbot, MovedClock, app_url_of, served, settings_for
from wire import KEY, Responder, Wire, running_responder, running_wire

ACME = Caller(
    tenant=Tenant(tenant_id=TenantId(UUID(int=1)), name="acme"), actor="key 0a0b", kind=CallerKind.API_KEY
)
GLOBEX = TenantId(UUID(int=2))
SECRET = "the secret of globex"


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    async with running_responder() as running:
        yield running


@pytest.fixture
def settings(app_url: str, valkey_url: str, responder: Responder) -> Settings:
    webhook = WebhookSettings(url=responder.url, key=KEY)
    return settings_for(app_url, valkey_url, security_webhook=webhook)


@pytest.fixture
async def chatbot(settings: Settings) -> AsyncIterator[Chatbot]:
    """Served, with the loop that tells running beside it."""
    async with served(settings) as running:
        telling = asyncio.create_task(tell_for_ever(running.parts))
        yield running
        telling.cancel()


async def violate(parts: Outside, *, source: Source = Source.RETRIEVAL) -> None:
    with pytest.raises(TenantIsolationViolation):
        await withhold_foreign(parts, ACME, [ACME.tenant.tenant_id, GLOBEX], source=source)


async def test_the_answer_is_withheld_and_the_responder_told(
    chatbot: Chatbot,
    responder: Responder,
    audit_rows: Callable[[str], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A foreign passage is never answered from; its metric counts, its audit entry and the signed call follow at once."""
    acme, globex = (chatbot.tenants[name].tenant_id for name in ("acme", "globex"))
    foreign = Passage(
        tenant_id=globex, passage_id=uuid4(), document_id=uuid4(), title="t", heading="h", text=SECRET
    )

    async def leak(*_: object, **__: object) -> list[Passage]:
        return [foreign]

    # Not a vendor: the guard itself is tested, and the database cannot be made to fail.
    monkeypatch.setattr(spend_stage, "search_and_reserve", leak)
    status, events, problem = await chatbot.ask("When is a refund possible?")
    assert (status, events) == (500, [])
    assert SECRET not in str(problem)
    sample = f'tenant_isolation_violations_total{{source="retrieval",tenant_id="{acme}"}}'
    assert await chatbot.metric(sample) == 1
    told = await responder.told(seconds=3)
    assert (told["event"], told["tenant_id"], told["source"]) == (
        "tenant_isolation_violation",
        str(globex),
        "retrieval",
    )
    assert told["detail"]["asked_by"] == str(acme)
    assert told["detail"]["request_id"] == problem["request_id"]
    assert SECRET.encode() not in responder.bodies[0]
    [(tenant, _, detail)] = audit_rows("tenant_isolation_violation")
    assert (tenant, detail["foreign"], detail["event_id"]) == (acme, [str(globex)], told["id"])


async def test_a_foreign_conversation_is_withheld(
    chatbot: Chatbot, responder: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation whose row names another tenant is not continued, even when the database gave it out."""
    globex = chatbot.tenants["globex"].tenant_id
    _, events, _ = await chatbot.ask("When is a refund possible?")
    conversation = events[-1][1]["conversation_id"]

    async def leak(*_: object, **__: object) -> TenantId:
        return globex

    monkeypatch.setattr(recollect_stage, "owner_of_conversation", leak)
    status, _, _ = await chatbot.ask("When is a refund possible?", conversation_id=conversation)
    assert status == 500
    assert (await responder.told(seconds=3))["source"] == "conversation"


async def test_a_job_whose_row_is_anothers_is_withheld(
    chatbot: Chatbot,
    responder: Responder,
    audit_rows: Callable[[str], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job that names acme, but comes with a row of globex, makes no passage of it."""
    acme, globex = (chatbot.tenants[name].tenant_id for name in ("acme", "globex"))
    ref = RevisionRef(tenant_id=acme, document_id=uuid4(), revision=1)

    async def leak(*_: object) -> Taken:
        return Taken(
            ref=replace(ref, tenant_id=globex), title="t", source=DocumentSource.UPLOAD, url=None, media_type=None,
            actor="test",
        )  # fmt: skip

    monkeypatch.setattr(ingest_stage, "take", leak)
    with pytest.raises(TenantIsolationViolation):
        await ingest_stage.ingest(chatbot.parts, ref)
    assert (await responder.told(seconds=3))["source"] == "job"
    assert audit_rows("tenant_isolation_violation")[0][0] == acme


async def test_an_export_with_a_foreign_row_is_withheld(
    chatbot: Chatbot,
    audit_rows: Callable[[str], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One row of globex in acme's export, and nothing of it is given out."""
    globex = chatbot.tenants["globex"].tenant_id

    async def leak(*_: object) -> AsyncIterator[dict[str, Any]]:
        yield {"tenant_id": str(globex), "id": str(globex), "text": SECRET}

    monkeypatch.setattr(hand_over, "rows_of", leak)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with chatbot.http.get(f"{chatbot.url}/api/admin/tenants/acme/export", headers=headers) as answer:
        assert answer.status == 500
        assert SECRET not in await answer.text()
    assert audit_rows("tenant_isolation_violation")[0][2]["source"] == "export"


async def test_a_command_that_meets_a_foreign_row_raises_the_alarm(
    chatbot: Chatbot,
    audit_rows: Callable[[str], list[Any]],
    settings: Settings,
    responder: Responder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It ends with an error and no file; the audit log has it, a server counts it once and tells the responder."""
    acme, globex = (chatbot.tenants[name].tenant_id for name in ("acme", "globex"))

    async def leak(*_: object) -> AsyncIterator[dict[str, Any]]:
        yield {"tenant_id": str(globex), "id": str(globex), "text": SECRET}

    monkeypatch.setattr(hand_over, "rows_of", leak)
    monkeypatch.setenv("CHATBOT_DATABASE_URL", settings.database_url)
    file = tmp_path / "acme.zip"
    assert await asyncio.to_thread(main, ["tenant", "export", "acme", str(file)]) == 2
    assert not file.exists()
    assert [(row[0], row[1], row[2]["source"]) for row in audit_rows("tenant_isolation_violation")] == [
        (acme, "command line", "export")
    ]
    sample = f'tenant_isolation_violations_total{{source="export",tenant_id="{acme}"}}'
    before = await chatbot.metric(
        sample
    )  # of the command itself, which is a process of its own outside of tests
    for _ in range(2):
        await tell_responder(chatbot.parts)
    assert await chatbot.metric(sample) == before + 1
    assert [event["source"] for event in responder.taken] == ["export"]


WITHOUT_TENANT = {
    "go on": ("messages WHERE tenant_id = %s AND", "messages WHERE %s::uuid IS NOT NULL AND"),
    "read": ("WHERE m.tenant_id = %(tenant_id)s AND m.conversation_id = %(", "WHERE m.conversation_id = %("),
    "list": ("c.tenant_id = %(tenant_id)s AND c.owner", "c.owner"),
}


@pytest.mark.parametrize("way", WITHOUT_TENANT)
async def test_a_foreign_message_is_withheld(
    chatbot: Chatbot, superuser_url: str, responder: Responder, way: str
) -> None:
    """With row-level security off and no tenant in the statement, globex's message of the same conversation stays inside."""
    _, events, _ = await chatbot.ask("When is a refund possible?")
    conversation = events[-1][1]["conversation_id"]
    _plant(superuser_url, chatbot.tenants["globex"].tenant_id, conversation)
    with guards.mutated("chatbot.store.conversations", *WITHOUT_TENANT[way]):
        if way == "go on":
            status, _, shown = await chatbot.ask("And then?", conversation_id=conversation)
        else:
            status, shown = await chatbot.call(
                "GET", f"/api/conversations{'' if way == 'list' else f'/{conversation}'}"
            )
    assert status == 500
    assert SECRET not in json.dumps(shown)
    assert (await responder.told(seconds=3))["source"] == "conversation"


def _plant(url: str, tenant_id: TenantId, conversation: str) -> None:
    """A conversation of another tenant with the same id and owner, and a message in it, behind no wall."""
    with psycopg.connect(url) as conn:
        conn.execute("ALTER TABLE messages DISABLE ROW LEVEL SECURITY")
        conn.execute("ALTER TABLE conversations DISABLE ROW LEVEL SECURITY")
        conn.execute(
            "INSERT INTO conversations (tenant_id, id, owner) SELECT %s, id, owner FROM conversations WHERE id = %s",
            (tenant_id, conversation),
        )
        conn.execute(
            "INSERT INTO messages (tenant_id, conversation_id, role, content) VALUES (%s, %s, 'user', %s)",
            (tenant_id, conversation, SECRET),
        )


async def test_a_worker_tells_by_itself(settings: Settings, responder: Responder) -> None:
    """What a worker withholds does not wait for a server."""
    async with outside(settings) as parts:
        work = asyncio.create_task(Work(settings.redis_url, parts, new_client(settings.redis_url))._sweeps())
        await violate(parts, source=Source.JOB)
        assert (await responder.told())["source"] == "job"
        work.cancel()
        await asyncio.wait({work})


async def test_it_is_told_until_the_responder_has_it(settings: Settings, responder: Responder) -> None:
    """A responder that is down is told again with growing pauses: the same event, signed anew, until its 2xx; then never."""
    clock = MovedClock()
    async with outside(settings, clocks=clock.clocks()) as parts:
        responder.status = 503
        await violate(parts)
        await tell_responder(parts)
        await tell_responder(parts)
        assert len(responder.taken) == 1, "it was told again without a pause"
        for tries in (2, 3):
            clock.fast_forward(61)
            await tell_responder(parts)
            assert len(responder.taken) == tries
        responder.status = 200
        clock.fast_forward(61)
        await tell_responder(parts)
        clock.fast_forward(600)
        await tell_responder(parts)
    assert len(responder.bodies) == 4
    assert len(set(responder.bodies)) == 1
    assert len(set(responder.signatures)) == 4
    assert responder.forged == 0


async def test_a_restart_forgets_nothing(settings: Settings, responder: Responder) -> None:
    """A process that dies before it could tell leaves a row; the next one tells it."""
    async with outside(replace(settings, security_webhook=None)) as parts:
        await violate(parts)
        await tell_responder(parts)
    assert responder.taken == []
    async with outside(settings) as parts:
        await tell_responder(parts)
    assert [event["source"] for event in responder.taken] == ["retrieval"]


async def test_a_sender_that_dies_in_the_middle_loses_nothing(
    settings: Settings, responder: Responder, superuser_url: str
) -> None:
    """A claimed row is due again when its lease has run out."""
    clock = MovedClock()
    async with outside(settings, clocks=clock.clocks()) as parts:
        await violate(parts)
        with psycopg.connect(superuser_url) as conn:  # as if another sender had just claimed it, and died
            conn.execute(
                "UPDATE security_outbox SET due_at = clock_timestamp() + interval '30 s', attempts = 1"
            )
        await tell_responder(parts)
        assert responder.taken == []
        clock.fast_forward(31)
        await tell_responder(parts)
        assert len(responder.taken) == 1


@asynccontextmanager
async def behind_a_wire(
    settings: Settings, superuser_url: str
) -> AsyncIterator[tuple[Outside, Wire, MovedClock]]:
    clock = MovedClock()
    async with AsyncExitStack() as stack:
        at = conninfo_to_dict(superuser_url)
        wire, port = await stack.enter_async_context(running_wire(int(str(at["port"]))))
        url = app_url_of(superuser_url).replace(f":{at['port']}/", f":{port}/")
        parts = await stack.enter_async_context(
            outside(replace(settings, database_url=url), clocks=clock.clocks())
        )
        yield parts, wire, clock


async def test_without_postgresql_it_is_told_from_memory_and_kept_later(
    settings: Settings, responder: Responder, superuser_url: str, audit_rows: Callable[[str], list[Any]]
) -> None:
    """With PostgreSQL gone the responder is told all the same, once; the audit entry follows when it is back."""
    async with behind_a_wire(settings, superuser_url) as (parts, wire, clock):
        wire.cut()
        responder.status = 503
        await violate(parts)
        await tell_responder(parts)
        responder.status = 200
        clock.fast_forward(61)
        await tell_responder(parts)
        await tell_responder(parts)
        assert len(responder.taken) == 2
        assert len(set(responder.bodies)) == 1
        assert audit_rows("tenant_isolation_violation") == []
        wire.mend()
        await _until_kept(parts)
        clock.fast_forward(600)
        await tell_responder(parts)
    [(tenant, actor, detail)] = audit_rows("tenant_isolation_violation")
    assert (tenant, actor) == (ACME.tenant.tenant_id, "key 0a0b")
    assert detail["event_id"] == responder.taken[0]["id"]
    assert len(responder.taken) == 2


async def _until_kept(parts: Outside) -> None:
    async with asyncio.timeout(20):
        while parts.alarm.held:
            await tell_responder(parts)


async def test_it_is_audited_when_the_main_transaction_is_rolled_back(
    settings: Settings, audit_rows: Callable[[str], list[Any]]
) -> None:
    """The entry is written on a connection of its own: the failure that it tells of cannot take it back."""
    async with outside(settings) as parts:
        await parts.database.verify()
        with pytest.raises(TenantIsolationViolation):
            async with parts.database.tenant(ACME.tenant.tenant_id):
                await withhold_foreign(parts, ACME, [GLOBEX], source=Source.EXPORT)
    assert [row[2]["source"] for row in audit_rows("tenant_isolation_violation")] == ["export"]


async def test_it_is_audited_when_every_connection_is_taken(
    settings: Settings, audit_rows: Callable[[str], list[Any]]
) -> None:
    """A pool that is used up does not silence the detector."""
    async with outside(settings) as parts, AsyncExitStack() as taken:
        await parts.database.verify()
        for _ in range(settings.pool_size):
            await taken.enter_async_context(parts.database.system())
        assert parts.database.use().in_use == settings.pool_size
        async with asyncio.timeout(2):
            await violate(parts, source=Source.CACHE)
    assert [row[2]["source"] for row in audit_rows("tenant_isolation_violation")] == ["cache"]


async def test_a_flood_is_counted_whole_and_kept_in_part(
    settings: Settings, responder: Responder, audit_rows: Callable[[str], list[Any]]
) -> None:
    """A fault that leaks on every request fills neither the audit log nor the responder; what was held back is counted."""
    asker = replace(ACME, tenant=Tenant(tenant_id=TenantId(uuid4()), name="acme"))
    labels = {"tenant_id": str(asker.tenant.tenant_id), "source": "job"}
    clock = MovedClock()
    async with outside(settings, clocks=clock.clocks()) as parts:
        for _ in range(150):
            with pytest.raises(TenantIsolationViolation):
                await withhold_foreign(parts, asker, [GLOBEX], source=Source.JOB)
        clock.fast_forward(60)
        with pytest.raises(TenantIsolationViolation):
            await withhold_foreign(parts, asker, [GLOBEX], source=Source.JOB)
    assert REGISTRY.get_sample_value("tenant_isolation_violations_total", labels) == 151
    kept = audit_rows("tenant_isolation_violation")
    assert len(kept) < 151
    assert len(kept) + sum(row[2]["held_back_before"] for row in kept) == 151


async def test_every_tenant_and_source_has_its_series_at_zero(chatbot: Chatbot) -> None:
    """A rule over a counter that begins at 1 misses the first event: each known tenant begins at 0 for each source."""
    await watch_tenants(chatbot.parts)
    for tenant in ("unknown", *(str(tenant.tenant_id) for tenant in chatbot.tenants.values())):
        for source in VIOLATION_SOURCES:
            sample = f'tenant_isolation_violations_total{{source="{source}",tenant_id="{tenant}"}}'
            assert await chatbot.metric(sample) == 0


def test_the_series_are_bounded() -> None:
    """Ten thousand tenants make no ten thousand series: the rest shares one."""
    before = _labelled_tenants()
    show_tenants([uuid4() for _ in range(TENANT_LABELS * 2)])
    assert len(_labelled_tenants() - before - {"other"}) == TENANT_LABELS
    assert "other" in _labelled_tenants()


def _labelled_tenants() -> set[str]:
    [family] = [each for each in REGISTRY.collect() if each.name == "tenant_isolation_violations"]
    return {sample.labels["tenant_id"] for sample in family.samples}


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            {"CHATBOT_SECURITY_WEBHOOK_URL": "http://127.0.0.1:8802/hooks/security"},
            "CHATBOT_SECURITY_WEBHOOK_KEY has 0",
        ),
        ({"CHATBOT_SECURITY_WEBHOOK_KEY": KEY}, "without CHATBOT_SECURITY_WEBHOOK_URL"),
        (
            {"CHATBOT_SECURITY_WEBHOOK_URL": "responder", "CHATBOT_SECURITY_WEBHOOK_KEY": KEY},
            "CHATBOT_SECURITY_WEBHOOK_URL is 'responder'",
        ),
    ],
)
def test_half_a_webhook_is_refused(environ: dict[str, str], words: str) -> None:
    """Who is to be told, and by which key, are given together or not at all."""
    with pytest.raises(ConfigError, match=words) as refusal:
        load_settings(environ)
    assert KEY not in str(refusal.value)


def test_the_key_is_never_shown() -> None:
    """Neither settings nor their parts print the key."""
    webhook = WebhookSettings(url="http://127.0.0.1/hooks/security", key=KEY)
    assert KEY not in repr(webhook)
    assert KEY not in repr(settings_for("postgresql://x", "redis://x", security_webhook=webhook))
    assert json.dumps(webhook.url) in repr(webhook).replace("'", '"')


guards.install(globals())

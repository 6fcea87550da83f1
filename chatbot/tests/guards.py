"""Every guard of tenant isolation, how it is taken away, and the test that then fails.

`install(globals())` at the end of a test module adds, for each guard that one of its tests notices, that test once more,
played without the guard: it must fail. When it passes, the guard is not tested, and the run fails.
The list is shown in docs/explanation/tenant-isolation.md.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from chatbot.errors import TenantIsolationViolation
from chatbot_house import APP_ROLE

MINE = "nullif(current_setting('app.tenant_id', true), '')::uuid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`noticed_by` is module::test. Taken away by `sql` on the test's own database, or by `old` → `new` in `module`."""

    name: str
    layer: str
    noticed_by: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sql: str = ""
    undo: str = ""
    module: str = ""
    old: str = ""
    new: str = ""
    everywhere: bool = False

    @property
    def slug(self) -> str:
        return re.sub(r"\W+", "_", self.name.lower()).strip("_")


MATRIX = "test_isolation_is_generated_from_the_catalogue::"
WRONG = f"{MATRIX}test_the_wrong_tenant_sees_and_changes_nothing"
BOOT = "test_it_refuses_a_database_that_could_leak::test_it_refuses_and_says_what_and_how"
CANARY = "test_a_canary_proves_isolation_every_minute::"
TOLD = "test_a_violation_is_told_at_once::"
OTHER = {"situation": "the_other_tenant"}

DATABASE = (
    Guard(
        name="ENABLE ROW LEVEL SECURITY", layer="database", noticed_by=WRONG, arguments=OTHER,
        sql="ALTER TABLE documents DISABLE ROW LEVEL SECURITY",
    ),
    Guard(
        name="FORCE ROW LEVEL SECURITY", layer="database", noticed_by=f"{MATRIX}test_the_owner_itself_sees_nothing",
        sql="ALTER TABLE documents NO FORCE ROW LEVEL SECURITY; CREATE POLICY own ON documents TO chatbot_owner"
            " USING (false)",
    ),
    Guard(
        name="the policy's USING", layer="database", noticed_by=WRONG, arguments=OTHER,
        sql="ALTER POLICY tenant ON conversations USING (true)",
    ),
    Guard(
        name="the policy's WITH CHECK", layer="database", noticed_by=WRONG, arguments=OTHER,
        sql="ALTER POLICY tenant ON conversations WITH CHECK (true)",
    ),
    Guard(
        name="no tenant set is no tenant", layer="database", noticed_by=WRONG, arguments={"situation": "never_set"},
        sql=f"ALTER POLICY tenant ON documents USING (tenant_id = {MINE} OR {MINE} IS NULL)",
    ),
    Guard(
        name="nullif: an empty setting is no tenant, not an error", layer="database",
        noticed_by=f"{MATRIX}test_without_a_tenant_there_is_nothing_and_no_error",
        sql="ALTER POLICY tenant ON documents USING (tenant_id = current_setting('app.tenant_id', true)::uuid)",
    ),
    Guard(
        name="the audit log's own WITH CHECK", layer="database", noticed_by=WRONG, arguments=OTHER,
        sql="ALTER POLICY written ON audit_logs WITH CHECK (true)",
    ),
    Guard(
        name="no TRUNCATE for the serving role", layer="database", noticed_by=WRONG, arguments=OTHER,
        sql="GRANT TRUNCATE ON messages TO chatbot_app",
    ),
    Guard(
        name="the serving role has no BYPASSRLS", layer="database", noticed_by=WRONG, arguments=OTHER,
        sql=f"ALTER ROLE {APP_ROLE} BYPASSRLS", undo=f"ALTER ROLE {APP_ROLE} NOBYPASSRLS",
    ),
    Guard(
        name="the serving role is no member of the auditor", layer="database", noticed_by=WRONG,
        arguments={"situation": "never_set"},
        sql=f"GRANT chatbot_auditor TO {APP_ROLE}", undo=f"REVOKE chatbot_auditor FROM {APP_ROLE}",
    ),
    Guard(
        name="foreign keys carry the tenant", layer="database",
        noticed_by=f"{MATRIX}test_a_row_cannot_hang_on_another_tenants_parent",
        sql="ALTER TABLE messages DROP CONSTRAINT messages_tenant_id_conversation_id_fkey;"
            "CREATE UNIQUE INDEX lone ON conversations (id); ALTER TABLE messages ADD CONSTRAINT loose"
            " FOREIGN KEY (conversation_id) REFERENCES conversations (id)",
    ),
    Guard(
        name="unique indexes carry the tenant", layer="database",
        noticed_by=f"{MATRIX}test_another_tenants_values_can_be_had_too",
        sql="CREATE UNIQUE INDEX lone ON conversations (id)",
    ),
)  # fmt: skip

CONNECTION = (
    Guard(
        name="the tenant is set for the transaction only", layer="connection", noticed_by=WRONG,
        arguments={"situation": "the_pools_next_without_tenant"}, module="chatbot.store.db",
        old='f"SET LOCAL app.tenant_id', new='f"SET SESSION app.tenant_id',
    ),
    Guard(
        name="the tenant is set for the transaction only, through a pooler", layer="connection",
        noticed_by=f"{MATRIX}test_through_a_transaction_pooler_the_same",
        arguments={"situation": "never_set"}, module="chatbot.store.db",
        old='f"SET LOCAL app.tenant_id', new='f"SET SESSION app.tenant_id',
    ),
    Guard(
        name="no prepared statements behind a pooler", layer="connection",
        noticed_by=f"{MATRIX}test_many_clients_of_one_pooler_never_meet", module="chatbot.store.db",
        old='"prepare_threshold": None', new='"prepare_threshold": 0',
    ),
)  # fmt: skip

# The search as if its statements named no tenant.
SEARCH_WITHOUT_TENANT = (
    "DO $do$ BEGIN EXECUTE replace(pg_get_functiondef('best_passages'::regproc),"
    " '.tenant_id = ', '.tenant_id IS NOT NULL AND NULL IS DISTINCT FROM '); END $do$"
)
NAMED = "test_every_statement_names_the_tenant::"
STATEMENTS = (
    Guard(
        name="a search names its tenant",
        layer="statements",
        noticed_by=f"{NAMED}test_the_statements_alone_keep_tenants_apart",
        sql=SEARCH_WITHOUT_TENANT,
    ),
    Guard(
        name="a conversation is asked for with its tenant",
        layer="statements",
        noticed_by=f"{NAMED}test_a_conversation_is_not_found_by_the_statement_alone",
        module="chatbot.store.conversations",
        old="WHERE tenant_id = %s AND id = %s AND",
        new="WHERE %s::uuid IS NOT NULL AND id = %s AND",
    ),
)

DETECTOR = (
    Guard(
        name="same_tenant compares", layer="detector", noticed_by=f"{TOLD}test_the_answer_is_withheld_and_the_responder_told",
        module="chatbot.core.tenancy", old="    if found != wanted:", new="    if False:",
    ),
    Guard(
        name="every passage goes through the detector", layer="detector",
        noticed_by=f"{TOLD}test_the_answer_is_withheld_and_the_responder_told", module="chatbot.stages.retrieve",
        old="[passage.tenant_id for passage in passages]", new="[]",
    ),
    Guard(
        name="every conversation goes through the detector", layer="detector",
        noticed_by=f"{TOLD}test_a_foreign_conversation_is_withheld", module="chatbot.stages.recollect",
        old="caller, [kept_by], source=", new="caller, [], source=",
    ),
    Guard(
        name="every message that is sent to a model goes through the detector", layer="detector",
        noticed_by=f"{TOLD}test_a_foreign_message_is_withheld", arguments={"way": "go on"},
        module="chatbot.stages.recollect", old="recalled.owners", new="()",
    ),
    Guard(
        name="every message that is shown goes through the detector", layer="detector",
        noticed_by=f"{TOLD}test_a_foreign_message_is_withheld", arguments={"way": "read"},
        module="chatbot.stages.recall", old="[kept_by, *owners]", new="[kept_by]",
    ),
    Guard(
        name="every conversation that is listed goes through the detector", layer="detector",
        noticed_by=f"{TOLD}test_a_foreign_message_is_withheld", arguments={"way": "list"},
        module="chatbot.stages.recall", old="caller, owners, source=", new="caller, [], source=",
    ),
    Guard(
        name="every job goes through the detector", layer="detector",
        noticed_by=f"{TOLD}test_a_job_whose_row_is_anothers_is_withheld", module="chatbot.stages.ingest",
        old="[taken.ref.tenant_id], source", new="[], source",
    ),
    Guard(
        name="every cached answer goes through the detector", layer="detector",
        noticed_by="test_answers_are_given_again::test_a_foreign_answer_in_the_cache_is_withheld_and_told",
        module="chatbot.stages.reuse", old="[answer.tenant_id]", new="[]",
    ),
    Guard(
        name="every exported row goes through the detector", layer="detector",
        noticed_by=f"{TOLD}test_an_export_with_a_foreign_row_is_withheld", module="chatbot.stages.hand_over",
        old="await check([TenantId(UUID(row[table.key]))])", new="",
    ),
    Guard(
        name="a command's export goes through the detector too", layer="detector",
        noticed_by=f"{TOLD}test_a_command_that_meets_a_foreign_row_raises_the_alarm", module="chatbot.commands.tenants",
        old="await withhold_foreign(watch, by.caller, owners, source=Source.EXPORT)", new="pass",
    ),
    Guard(
        name="the worker tells too", layer="detector", noticed_by=f"{TOLD}test_a_worker_tells_by_itself",
        module="chatbot.worker", old="group.create_task(tell_for_ever(self._parts))", new="pass",
    ),
    Guard(
        name="the alarm has a connection of its own", layer="detector",
        noticed_by=f"{TOLD}test_it_is_audited_when_every_connection_is_taken",
        module="chatbot.bootstrap", old="database=alarm_db,", new="database=db,",
    ),
    Guard(
        name="the alarm works on a database that leaks", layer="detector",
        noticed_by=f"{CANARY}test_a_leak_is_a_violation", arguments={"path": "policies"}, module="chatbot.bootstrap",
        old="checked=False", new="checked=True",
    ),
    Guard(
        name="a message stays due until its 2xx", layer="detector",
        noticed_by=f"{TOLD}test_it_is_told_until_the_responder_has_it", module="chatbot.stages.tell",
        old="        if reason is None:", new="        if True:",
    ),
    Guard(
        name="the call is signed with its time", layer="detector",
        noticed_by=f"{TOLD}test_it_is_told_until_the_responder_has_it", module="chatbot.integrations.security_hook",
        old='f"{timestamp}.".encode() + body', new="body",
    ),
    Guard(
        name="a violation is held in memory without PostgreSQL", layer="detector",
        noticed_by=f"{TOLD}test_without_postgresql_it_is_told_from_memory_and_kept_later",
        module="chatbot.stages.tell", old="await _send_held(alarm, alarm.hook, now)", new="return",
    ),
)  # fmt: skip

SHARED = (
    Guard(
        name="the cache's key has the tenant",
        layer="cache",
        noticed_by=f"{CANARY}test_every_path_holds",
        module="chatbot.integrations.answer_cache",
        old='f"{_PREFIX}:{tenant_id}:{digest}"',
        new='f"{_PREFIX}:{digest}"',
    ),
    Guard(
        name="the canary looks at every table without a WHERE",
        layer="canary",
        noticed_by=f"{CANARY}test_a_leak_is_a_violation",
        arguments={"path": "policies"},
        module="chatbot.stages.probe",
        old="    if shown:",
        new="    if False:",
    ),
    Guard(
        name="a canary that finds nothing is broken",
        layer="canary",
        noticed_by=f"{CANARY}test_a_prober_that_finds_nothing_says_that_it_is_broken",
        module="chatbot.stages.probe",
        old="    if secret is None:\n        return Result.BROKEN",
        new="    if secret is None:\n        return Result.HELD",
    ),
    Guard(
        name="the canaries are hidden",
        layer="canary",
        noticed_by=f"{CANARY}test_the_canaries_are_hidden",
        sql="ALTER POLICY directory ON tenants USING (true)",
    ),
)

DOOR = (
    Guard(
        name="a revoked key opens nothing", layer="door",
        noticed_by="test_keys_and_widgets::test_a_tenant_has_several_keys_each_with_an_end",
        module="chatbot.stages.authenticate", old="owner.revoked_at is not None or ", new="",
    ),
    Guard(
        name="a widget's session is bound to its page", layer="door",
        noticed_by="test_keys_and_widgets::test_a_session_is_good_at_the_origin_that_began_it_only",
        module="chatbot.stages.authenticate", old="origin is not None and origin == grant.origin", new="True",
    ),
    Guard(
        name="a session that has ended opens nothing", layer="door",
        noticed_by="test_members_sign_in::test_signing_out_ends_the_session_within_a_second",
        module="chatbot.stages.authenticate", old="or session.revoked_at is not None", new="",
    ),
    Guard(
        name="the admin token is compared", layer="door",
        noticed_by="test_operators_can_see_and_switch::test_a_wrong_token_opens_nothing_and_is_audited",
        module="chatbot.stages.authenticate", old="hmac.compare_digest(given.strip().encode(), token.encode())", new="True",
    ),
)  # fmt: skip


def _boot(name: str, fault: str, old: str, new: str) -> Guard:
    return Guard(
        name=f"boot check: {name}", layer="boot check", noticed_by=BOOT, arguments={"fault": fault},
        module="chatbot.store.boot_check", old=old, new=new,
    )  # fmt: skip


BOOT_CHECK = (
    _boot("no superuser", "the serving role is a superuser", 'if role["superuser"]:', "if False:"),
    _boot("no BYPASSRLS", "the serving role has BYPASSRLS", '("bypassrls", "has BYPASSRLS"),', ""),
    _boot("no powerful membership", "the serving role may switch without inheriting", 'if role["powerful"]:', "if False:"),
    _boot("no tenant by default", "a tenant is set by default", 'if role["tenant"]:', "if False:"),
    _boot("ENABLE and FORCE", "FORCE is gone", '(table["enabled"] and table["forced"])', "True"),
    _boot("a policy on each table", "a policy is gone", 'if not table["policies"]:', "if False:"),
    _boot("the one form of a policy", "a policy compares in another form", "not set(given) <= forms", "False"),
    _boot("WITH CHECK too", "WITH CHECK lets all pass", 'for part in ("qual", "check")', 'for part in ("qual",)'),
    _boot("who else is let past", "the directory may change", ' or policy["command"] != "r"', ""),
    _boot("no TRUNCATE", "the serving role may truncate", 'if table["beyond"]:', "if False:"),
    _boot("unique with the tenant", "a unique index without the tenant", "if key not in columns and not allowed:", "if False:"),
    _boot("foreign keys with the tenant", "a foreign key without the tenant", 'if not foreign["with_tenant"]:', "if False:"),
    _boot("views", "a materialized view", 'if view["materialized"]:', "if False:"),
    _boot("reviewed functions", "a function that was not reviewed", "if name not in SECURITY_DEFINER:", "if False:"),
    _boot("the owner cannot log in", "the owner can log in", 'if table["owner_enters"]:', "if False:"),
    _boot("onlookers only look", "the auditor may change", 'if role["writes"]:', "if False:"),
    _boot("the audit log only grows", "the audit log may be changed", 'set(facts["audit_triggers"])', "AUDIT_TRIGGERS"),
    _boot("pgvector", "pgvector is old", "< LEAST_PGVECTOR", "< ()"),
)  # fmt: skip

GUARDS = (*DATABASE, *CONNECTION, *STATEMENTS, *DETECTOR, *SHARED, *DOOR, *BOOT_CHECK)


@pytest.fixture
def without(request: pytest.FixtureRequest) -> Generator[None]:
    """Takes the guard of the test away, before anything else of the test begins."""
    guard: Guard = request.node.get_closest_marker("guard").args[0]
    if guard.sql:
        url = request.getfixturevalue("superuser_url")
        _execute(url, guard.sql)
        try:
            yield
        finally:
            if guard.undo:
                _execute(url, guard.undo)
    else:
        with mutated(guard.module, guard.old, guard.new, everywhere=guard.everywhere):
            yield


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute(statement)  # pyright: ignore[reportCallIssue,reportArgumentType]


@contextmanager
def mutated(name: str, old: str, new: str, *, everywhere: bool = False) -> Generator[None]:
    """The module's functions and strings as if its source said `new` where it says `old`. Raises LookupError."""
    module = importlib.import_module(name)
    source = inspect.getsource(module)
    if source.count(old) != 1 and not (everywhere and old in source):
        raise LookupError(
            f"{name} holds {old!r} {source.count(old)} times: tests/guards.py must follow the code"
        )
    other = types.ModuleType(name)
    other.__dict__.update(__package__=module.__package__, __file__=module.__file__)
    exec(compile(source.replace(old, new), f"{module.__file__} without a guard", "exec"), other.__dict__)  # noqa: S102
    undo: list[tuple[Any, str, Any]] = []
    for key, theirs in vars(other).items():
        ours = vars(module).get(key)
        if isinstance(theirs, str | tuple | frozenset) and not key.startswith("__") and ours != theirs:
            undo.append((module, key, ours))
            setattr(module, key, theirs)
        undo += _swap(ours, theirs, name)
    if not undo:
        raise LookupError(f"{name}: {old!r} is in no function and no constant that could be swapped")
    try:
        yield
    finally:
        for owner, key, value in undo:
            setattr(owner, key, value)


def _swap(ours: Any, theirs: Any, module: str) -> list[tuple[Any, str, Any]]:
    """Gives each function of ours the code of theirs, so that whoever holds the function runs it."""
    if inspect.isclass(ours) and inspect.isclass(theirs) and ours.__module__ == module:
        return [
            undo
            for key, method in vars(theirs).items()
            for undo in _swap(vars(ours).get(key), method, module)
        ]
    ours, theirs = (
        inspect.unwrap(ours) if callable(ours) else ours,
        inspect.unwrap(theirs) if callable(theirs) else theirs,
    )
    if not (inspect.isfunction(ours) and inspect.isfunction(theirs)) or ours.__module__ != module:
        return []
    if ours.__code__ == theirs.__code__:
        return []
    kept = ours.__code__
    ours.__code__ = theirs.__code__.replace(co_filename=kept.co_filename)
    return [(ours, "__code__", kept)]


def install(names: dict[str, Any]) -> None:
    """Adds to a test module its tests without their guards."""
    module = str(names["__name__"]).rpartition(".")[2]
    names["without"] = without
    for guard in GUARDS:
        where, _, test = guard.noticed_by.partition("::")
        if where == module:
            names[f"test_without_{guard.slug}"] = _played_without(names[test], guard)


def _played_without(test: types.FunctionType, guard: Guard) -> types.FunctionType:
    played = types.FunctionType(
        test.__code__, test.__globals__, f"test_without_{guard.slug}", test.__defaults__, test.__closure__
    )
    played.__kwdefaults__ = test.__kwdefaults__
    played.__annotations__ = test.__annotations__
    played.__doc__ = f"Without this guard a test fails: {guard.name}."
    marks = [
        pytest.mark.usefixtures("without"),
        pytest.mark.guard(guard),
        # Strict: when the test passes without the guard, the run fails. Anything else than the test's own word is an error.
        pytest.mark.xfail(strict=True, raises=NOTICED, reason=f"without: {guard.name}"),
        *(pytest.mark.parametrize(name, [value]) for name, value in guard.arguments.items()),
    ]
    for mark in marks:
        played = mark(played)
    return played


# What a test that notices ends with: its own assertion, or PostgreSQL's objection to what a pooler mixed up.
NOTICED = (
    AssertionError,
    pytest.fail.Exception,
    BaseExceptionGroup,
    TenantIsolationViolation,
    TimeoutError,
    psycopg.errors.InvalidTextRepresentation,
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicatePreparedStatement,
    psycopg.errors.InvalidSqlStatementName,
)


def table() -> str:
    """The list as docs/explanation/tenant-isolation.md shows it."""
    rows = [
        f"| {guard.layer} | {guard.name} | `{guard.noticed_by.rpartition('::')[2].removeprefix('test_')}` |"
        for guard in GUARDS
    ]
    return "\n".join(["| wall | guard | the promise that fails without it |", "|---|---|---|", *rows])

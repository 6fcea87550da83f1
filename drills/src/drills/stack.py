"""The whole on one machine: two databases, Valkey, Prometheus and its companions, the chatbot, the responder."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psycopg
from aiohttp import web
from aiosmtpd import smtp
from psycopg import sql

from drills import configs, programs, unprivileged
from drills.configs import Plan
from drills.errors import DrillError
from drills.ports import HOST
from drills.postgres import Cluster
from drills.sink import Sink
from drills.supervisor import Program, Supervisor, run_once
from drills.traffic import Traffic
from drills.upstream import Upstream
from drills.valkey import Valkey

TENANTS = ("acme", "globex")
DOCUMENTS = Path(__file__).parent / "documents"
ERROR_LOG = "/var/log/bitb-chatbot/error.log"
# What the chatbot alone is handed of the environment of whoever starts it.
OWN_PROVIDERS = (
    "GROQ_API_KEY", "GROQ_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "CHATBOT_MODEL", "CHATBOT_FALLBACK_MODEL",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Secrets:
    """Made anew for each stack."""

    admin: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    alertmanager: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    hook: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    signing: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    database: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    provider: str = field(default_factory=lambda: secrets.token_urlsafe(18))


class Stack:
    """Everything running, or being started. `say` is told of progress, a line each."""

    def __init__(self, plan: Plan, *, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.secrets = Secrets()
        self.groq = Upstream()
        self.openai = Upstream()
        self.sink = Sink()
        self.tenant_keys: dict[str, str] = {}
        self._say = say
        self._home = unprivileged.folder_for(plan.folder)
        self._unpacked = plan.folder / "system"
        self._bin = Path(sys.executable).parent

    # Addresses

    def url(self, port: int) -> str:
        return f"http://{HOST}:{port}"

    @property
    def logs(self) -> Path:
        return self.plan.folder / "logs"

    @property
    def chatbot_cluster(self) -> Cluster:
        directory = self._home / "chatbot-postgres"
        return Cluster(
            directory=directory, port=self.plan.ports.chatbot_postgres, password=self.secrets.database
        )

    @property
    def responder_cluster(self) -> Cluster:
        directory = self._home / "responder-postgres"
        return Cluster(
            directory=directory, port=self.plan.ports.responder_postgres, password=self.secrets.database
        )

    @property
    def valkey(self) -> Valkey:
        directory = self.plan.folder / "valkey"
        return Valkey(directory=directory, port=self.plan.ports.valkey, password=self.secrets.database)

    # Environments: each program is given what it needs and nothing of ours

    def _environ(self, **values: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        return {**kept, "PYTHONUNBUFFERED": "1", **values}

    @property
    def chatbot_environ(self) -> Mapping[str, str]:
        """With everything that plays the world outside."""
        ports = self.plan.ports
        return {
            **self._chatbot_by_itself,
            "CHATBOT_SECURITY_WEBHOOK_URL": f"{self.url(ports.responder)}/hooks/security",
            "CHATBOT_SECURITY_WEBHOOK_KEY": self.secrets.hook,
            "CHATBOT_RERANK_URL": f"{self.url(ports.groq)}/v1/rerank",
            "GROQ_BASE_URL": f"{self.url(ports.groq)}/v1",
            "GROQ_API_KEY": self.secrets.provider,
            "OPENAI_BASE_URL": f"{self.url(ports.openai)}/v1",
            "OPENAI_API_KEY": self.secrets.provider,
        }

    @property
    def chatbot_alone_environ(self) -> Mapping[str, str]:
        """With the providers that whoever starts it has keys for; without any, passages are quoted."""
        return {
            **self._chatbot_by_itself,
            **{name: os.environ[name] for name in OWN_PROVIDERS if name in os.environ},
        }

    @property
    def _chatbot_by_itself(self) -> Mapping[str, str]:
        ports = self.plan.ports
        return self._environ(
            CHATBOT_DATABASE_URL=self.chatbot_cluster.url("chatbot", user="chatbot"),
            CHATBOT_REDIS_URL=self.valkey.url,
            CHATBOT_PORT=str(ports.chatbot),
            CHATBOT_WORKER_METRICS_PORT=str(ports.chatbot_worker),
            CHATBOT_ADMIN_TOKEN=self.secrets.admin,
            CHATBOT_SIGNING_KEYS=self.secrets.signing,
            CHATBOT_LOG_DIR=str(self.plan.folder / "chatbot"),
            CHATBOT_FLAGS_FILE=str(self.plan.folder / "chatbot" / "flags.json"),
        )

    @property
    def responder_environ(self) -> Mapping[str, str]:
        ports = self.plan.ports
        return self._environ(
            RESPONDER_DATABASE_URL=self.responder_cluster.url("responder", user="responder"),
            RESPONDER_PORT=str(ports.responder),
            RESPONDER_WORKER_METRICS_PORT=str(ports.responder_worker),
            RESPONDER_SECRET_KEY=self.secrets.signing,
            RESPONDER_ALERTMANAGER_TOKEN=self.secrets.alertmanager,
            RESPONDER_HOOK_KEYS=self.secrets.hook,
            RESPONDER_RUNBOOKS=str(self.plan.folder / "runbooks"),
            RESPONDER_POLICIES=str(self.plan.folder / "policies"),
            RESPONDER_SMTP_URL=f"smtp://{HOST}:{ports.mail}",
            RESPONDER_MAIL_FROM="responder@example.com",
            RESPONDER_STATUS_DIR=str(self.plan.folder / "status"),
            RESPONDER_POSTMORTEM_DIR=str(self.plan.folder / "postmortems"),
            RESPONDER_TARGET_READ_URL=self.chatbot_cluster.url("chatbot", user="responder_reader"),
            RESPONDER_TARGET_WRITE_URL=self.chatbot_cluster.url("chatbot", user="responder_operator"),
            PROMETHEUS_URL=self.url(ports.prometheus),
            CHATBOT_ADMIN_TOKEN=self.secrets.admin,
        )

    # Starting

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Supervisor]:
        """Everything up and ready; everything gone at the end. Raises DrillError."""
        found = {name: programs.find(name, unpacked=self._unpacked) for name in programs.PACKAGES}
        async with self._opened() as (stack, supervisor):
            self._say("starting PostgreSQL, Valkey, the model's provider and the sink")
            await asyncio.gather(
                self._start_database(supervisor, self.chatbot_cluster, "chatbot-postgres"),
                self._start_database(supervisor, self.responder_cluster, "responder-postgres"),
                self._start_valkey(supervisor),
                self._serve_helpers(stack),
            )
            self._say("starting Alertmanager and the exporters, preparing both databases")
            await asyncio.gather(
                self._start_monitoring(supervisor, found),
                self._prepare_chatbot(),
                self._prepare_responder(),
            )
            self._say("starting the chatbot and the responder")
            await asyncio.gather(
                self._start_chatbot(supervisor, self.chatbot_environ),
                self._start_exporter(supervisor, found),
                self._start_responder(supervisor),
            )
            # Last: it would tell of a service that is not there yet.
            self._say("starting Prometheus, making the tenants")
            await asyncio.gather(self._start_prometheus(supervisor, found), self._make_tenants())
            traffic = Traffic(url=self.url(self.plan.ports.chatbot), keys=self.tenant_keys)
            asking = asyncio.create_task(traffic.run())
            try:
                yield supervisor
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    @asynccontextmanager
    async def chatbot_running(self) -> AsyncGenerator[Supervisor]:
        """The chatbot alone, with its database, Valkey and worker. Raises DrillError."""
        async with self._opened() as (_, supervisor):
            self._say("starting PostgreSQL and Valkey")
            await asyncio.gather(
                self._start_database(supervisor, self.chatbot_cluster, "chatbot-postgres"),
                self._start_valkey(supervisor),
            )
            await self._prepare_chatbot()
            self._say("starting the chatbot and its worker")
            await self._start_chatbot(supervisor, self.chatbot_alone_environ)
            yield supervisor

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[tuple[AsyncExitStack, Supervisor]]:
        """The folder, locked and emptied of the last time, and what ends every program that is started."""
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        with _lock(self.plan.folder):
            self.plan.ports.check_free()
            self._start_anew()
            async with AsyncExitStack() as stack:
                supervisor = await stack.enter_async_context(Supervisor(self.logs))
                self._session = await stack.enter_async_context(aiohttp.ClientSession())
                yield stack, supervisor

    def _start_anew(self) -> None:
        """A drill begins with nothing of the last one: its secrets are new, so its databases are too."""
        for name in ("chatbot-postgres", "responder-postgres"):
            _remove(self._home / name)
        for name in (
            "valkey",
            "prometheus",
            "alertmanager",
            "chatbot",
            "status",
            "postmortems",
            "runbooks",
            "logs",
            "policies",
        ):
            _remove(self.plan.folder / name)

    async def _start_database(self, supervisor: Supervisor, cluster: Cluster, name: str) -> None:
        await asyncio.to_thread(cluster.prepare)

        async def ready() -> bool:
            return await asyncio.to_thread(cluster.is_ready)

        program = Program(
            name=name, argv=cluster.command(), environ=self._environ(), ready=ready, stop=signal.SIGINT
        )
        await supervisor.start(program)

    async def _start_valkey(self, supervisor: Supervisor) -> None:
        ready = _listens(self.plan.ports.valkey)
        argv = self.valkey.command()
        await supervisor.start(Program(name="valkey", argv=argv, environ=self._environ(), ready=ready))

    async def _serve_helpers(self, stack: AsyncExitStack) -> None:
        """What plays the world outside runs in this process: it ends with it."""
        ports = self.plan.ports
        for app, port in (
            (self.groq.app(), ports.groq),
            (self.openai.app(), ports.openai),
            (self.sink.app(), ports.sink),
        ):
            runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, HOST, port).start()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: smtp.SMTP(self.sink, loop=loop), HOST, ports.mail)
        stack.callback(server.close)

    async def _start_monitoring(self, supervisor: Supervisor, found: Mapping[str, str]) -> None:
        plan, ports = self.plan, self.plan.ports
        alertmanager = configs.alertmanager(plan, token=self.secrets.alertmanager)
        await asyncio.gather(
            self._start_http(
                supervisor, "alertmanager", ports.alertmanager, "/-/ready",
                [found["prometheus-alertmanager"], f"--config.file={alertmanager}", "--cluster.listen-address=",
                 _listen(ports.alertmanager),
                 f"--storage.path={alertmanager.parent / 'data'}", "--log.level=warn"],
            ),
            self._start_http(
                supervisor, "blackbox", ports.blackbox, "/metrics",
                [found["prometheus-blackbox-exporter"], f"--config.file={configs.blackbox(plan)}", _listen(ports.blackbox),
                 # What it keeps of Prometheus's own limit; its half a second is all there is in compressed time.
                 "--timeout-offset=0.1", "--log.level=warn"],
            ),
        )  # fmt: skip

    async def _start_prometheus(self, supervisor: Supervisor, found: Mapping[str, str]) -> None:
        port = self.plan.ports.prometheus
        config = configs.prometheus(self.plan)
        await self._start_http(
            supervisor, "prometheus", port, "/-/ready",
            [found["prometheus"], f"--config.file={config}", f"--storage.tsdb.path={config.parent / 'data'}",
             "--rules.alert.resend-delay=1s", _listen(port), "--log.level=warn"],
        )  # fmt: skip

    async def _start_http(
        self,
        supervisor: Supervisor,
        name: str,
        port: int,
        path: str,
        argv: list[str],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        ready = self._answers(port, path)
        program = Program(name=name, argv=argv, environ=environ or self._environ(), ready=ready)
        await supervisor.start(program)

    def _answers(self, port: int, path: str) -> Callable[[], Awaitable[bool]]:
        async def ready() -> bool:
            try:
                limit = aiohttp.ClientTimeout(total=2)
                async with self._session.get(self.url(port) + path, timeout=limit) as response:
                    return response.status == 200
            except (aiohttp.ClientError, TimeoutError):
                return False

        return ready

    async def _prepare_chatbot(self) -> None:
        cluster = self.chatbot_cluster
        await asyncio.to_thread(_create_database, cluster, "chatbot", None)
        environ = {**self.chatbot_environ, "CHATBOT_MIGRATION_DATABASE_URL": cluster.url("chatbot")}
        await run_once([str(self._bin / "chatbot"), "migrate"], environ, name="chatbot migrate")
        await asyncio.to_thread(_create_target_roles, cluster)

    async def _prepare_responder(self) -> None:
        await asyncio.to_thread(_create_database, self.responder_cluster, "responder", "responder")
        environ = self.responder_environ
        await run_once([str(self._bin / "responder"), "migrate"], environ, name="responder migrate")
        configs.runbook(self.plan)
        configs.policies(self.plan, files={ERROR_LOG: self.plan.folder / "chatbot" / "error.log"})

    async def _start_chatbot(self, supervisor: Supervisor, environ: Mapping[str, str]) -> None:
        program = str(self._bin / "chatbot")
        ports = self.plan.ports
        await asyncio.gather(
            self._start_http(supervisor, "chatbot", ports.chatbot, "/livez", [program, "serve"], environ),
            self._start_http(
                supervisor, "chatbot-worker", ports.chatbot_worker, "/metrics", [program, "work"], environ
            ),
        )

    async def _start_exporter(self, supervisor: Supervisor, found: Mapping[str, str]) -> None:
        port = self.plan.ports.postgres_exporter
        source = f"{self.chatbot_cluster.url('chatbot', user='chatbot_monitor')}?sslmode=disable"
        argv = [found["prometheus-postgres-exporter"], _listen(port), "--log.level=warn"]
        environ = self._environ(DATA_SOURCE_NAME=source)
        await self._start_http(supervisor, "postgres-exporter", port, "/metrics", argv, environ)

    async def _start_responder(self, supervisor: Supervisor) -> None:
        program = str(self._bin / "responder")
        ports, environ = self.plan.ports, self.responder_environ
        await asyncio.gather(
            self._start_http(
                supervisor, "responder", ports.responder, "/readyz", [program, "serve"], environ
            ),
            self._start_http(
                supervisor, "responder-worker", ports.responder_worker, "/metrics", [program, "work"], environ
            ),
        )

    async def _make_tenants(self) -> None:
        await asyncio.gather(*(self._make_tenant(name) for name in TENANTS))
        async with self._session.put(
            f"{self.url(self.plan.ports.chatbot)}/api/admin/flags/rerank",
            json={"enabled": True},
            headers={"Authorization": f"Bearer {self.secrets.admin}"},
        ) as response:
            if response.status != 200:
                raise DrillError(
                    f"the chatbot did not take its flag: {response.status} {await response.text()}"
                )

    async def make_first_admin(self, tenant: str, email: str) -> dict[str, str]:
        """A tenant with nothing in it, its API key, and the link by which its first admin chooses a password."""
        made = await self._chatbot("tenant", "create", tenant)
        invited = await self._chatbot("member", "add", "--tenant", tenant, "--role", "admin", email)
        return {"api_key": made["api_key"], "link": invited["link"]}

    async def _chatbot(self, *words: str) -> dict[str, str]:
        """One command of the chatbot that answers in JSON."""
        argv = [str(self._bin / "chatbot"), *words, "--format", "json"]
        return json.loads(await run_once(argv, self.chatbot_environ, name=f"chatbot {words[0]} {words[1]}"))

    async def _make_tenant(self, name: str) -> None:
        self.tenant_keys[name] = (await self._chatbot("tenant", "create", name))["api_key"]
        argv = [
            str(self._bin / "chatbot"),
            "document",
            "add",
            "--wait",
            "--tenant",
            name,
            str(DOCUMENTS / f"{name}.md"),
        ]
        await run_once(argv, self.chatbot_environ, name="chatbot document add")

    async def console_token(self, person: str) -> dict[str, str]:
        """A person's token and sign-in link, by the responder's own command."""
        argv = [str(self._bin / "responder"), "oncall", "token", person, "--format", "json"]
        return json.loads(await run_once(argv, self.responder_environ, name="responder oncall token"))


def _create_database(cluster: Cluster, name: str, owner: str | None) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        if owner:
            conn.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(owner), sql.Literal(cluster.password)
                )
            )
        owned = sql.SQL(" OWNER {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
        conn.execute(sql.SQL("CREATE DATABASE {}{}").format(sql.Identifier(name), owned))
        if not owner:
            conn.execute(
                sql.SQL("CREATE ROLE chatbot_monitor LOGIN PASSWORD {} IN ROLE pg_monitor").format(
                    sql.Literal(cluster.password)
                )
            )


def _create_target_roles(cluster: Cluster) -> None:
    """What the responder is in the chatbot's database: one that looks, one that may end sessions, neither that reads tenants."""
    with psycopg.connect(cluster.url("chatbot"), autocommit=True) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        for role, *granted in (
            ("responder_reader", "pg_monitor", "chatbot_auditor"),
            ("responder_operator", "pg_monitor", "pg_signal_backend"),
        ):
            conn.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(role),
                    sql.Literal(cluster.password),
                    sql.SQL(", ").join(map(sql.Identifier, granted)),
                )
            )


def _listen(port: int) -> str:
    return f"--web.listen-address={HOST}:{port}"


def _listens(port: int) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        writer.close()
        return True

    return ready


def _remove(path: Path) -> None:
    if not path.exists():
        return
    for item in sorted(path.rglob("*"), key=lambda p: len(p.parts), reverse=True):
        item.rmdir() if item.is_dir() and not item.is_symlink() else item.unlink()
    path.rmdir()


@contextmanager
def _lock(folder: Path) -> Generator[None]:
    """One stack a folder: the lock ends with the process, however that ends."""
    with (folder / "lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise DrillError(
                f"a stack runs in {folder} already (process {owner}). Stop it with Ctrl-C, or use another folder and"
                " other ports: --stack-dir .stack-2 --port-base 9800"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield

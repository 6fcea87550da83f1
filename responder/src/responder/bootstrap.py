"""Puts the parts together. The only file that knows every concrete class."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from responder.config import Settings
from responder.core.clock import Clock
from responder.integrations.email import EmailPager
from responder.integrations.http import HttpEndpoints
from responder.integrations.links import Links, Signer
from responder.integrations.logs import LogFiles
from responder.integrations.postgres import TargetDatabase
from responder.integrations.prometheus import Prometheus
from responder.integrations.session import new_session
from responder.integrations.webhook import WebhookPager
from responder.runbooks.library import load_library
from responder.runbooks.sections import Lexicon
from responder.stages.ports import Outside, Pager
from responder.store.db import Database

# The worker's stages run side by side; each holds a connection only while it writes.
WORKER_CONNECTIONS = 8
WEB_CONNECTIONS = 6


@asynccontextmanager
async def outside(
    settings: Settings, clock: Clock, *, connections: int, application: str
) -> AsyncGenerator[Outside]:
    """Everything a stage is handed, opened, and closed at the end. Raises RunbookError for a runbook that cannot be read."""
    policies = settings.policies
    library = load_library(settings.runbooks, Lexicon.of(policies.headings))
    signer = Signer(settings.secret_key, clock)
    async with (
        new_session() as session,
        Database(settings.database_url, size=connections, application=application) as db,
    ):
        yield Outside(
            database=db,
            clock=clock,
            policies=policies,
            library=library,
            metrics=Prometheus(session, settings.prometheus_url),
            http=HttpEndpoints(session, policies.http, methods=policies.remediation.methods),
            logs=LogFiles(policies.logs),
            target=TargetDatabase(settings.target_read_url, settings.target_write_url),
            pagers=_pagers(settings, session, clock, signer),
            links=Links(signer, settings.public_url),
            status_dir=settings.status_dir,
            postmortem_dir=settings.postmortem_dir,
        )


def _pagers(
    settings: Settings, session: aiohttp.ClientSession, clock: Clock, signer: Signer
) -> Mapping[str, Pager]:
    pagers: dict[str, Pager] = {"webhook": WebhookPager(session, clock, key=signer.key("page"))}
    if settings.smtp_url:
        pagers["email"] = EmailPager(settings.smtp_url, sender=settings.mail_from)
    return pagers

"""Where pages go on one machine: a webhook and a mail server that keep what they were given, and can refuse it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any

from aiohttp import web
from aiosmtpd import smtp


@dataclass(slots=True)
class Sink:
    """`deliveries` in the order of arrival, repeats included."""

    deliveries: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    webhook: str = "ok"
    email: str = "ok"

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/hooks/{person}", self._hook)
        app.router.add_get("/deliveries", self._read)
        app.router.add_put("/_faults", self._faults)
        return app

    async def _hook(self, request: web.Request) -> web.Response:
        if self.webhook != "ok":
            return web.Response(status=500)
        self.deliveries.append(
            {
                "channel": "webhook",
                "to": request.match_info["person"],
                "received_at": time.time(),
                "key": request.headers.get("Idempotency-Key"),
                "body": await request.json(),
            }
        )
        return web.Response(status=202)

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response(self.deliveries[int(request.query.get("after", 0)) :])

    async def _faults(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.webhook = body.get("webhook", self.webhook)
        self.email = body.get("email", self.email)
        return web.json_response({"webhook": self.webhook, "email": self.email})

    async def handle_DATA(self, server: smtp.SMTP, session: smtp.Session, envelope: smtp.Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.email != "ok":
            return "451 try again later"
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        body = message.get_body(("plain",))
        self.deliveries.append(
            {
                "channel": "email",
                "to": ", ".join(envelope.rcpt_tos),
                "received_at": time.time(),
                "key": message["Idempotency-Key"],
                "subject": message["Subject"],
                "text": body.get_content().replace("\r\n", "\n") if body else "",
            }
        )
        return "250 kept"

"""Pages by webhook: JSON, signed, with an idempotency key that is the same in every try."""

from __future__ import annotations

import json
from datetime import timedelta

import aiohttp

from responder.core.clock import Clock
from responder.core.page import Page
from responder.errors import SourceRefused, SourceUnavailable
from responder.integrations.session import request
from responder.integrations.signatures import signature

LIMIT = timedelta(seconds=5)


class WebhookPager:
    def __init__(self, session: aiohttp.ClientSession, clock: Clock, *, key: bytes) -> None:
        self._session = session
        self._clock = clock
        self._key = key

    async def send(self, page: Page) -> None:
        """Returns on a 2xx. Raises SourceUnavailable on 5xx, 408, 425, 429 and no answer; SourceRefused on the rest."""
        now = self._clock.now()
        body = json.dumps(
            {**page.body, "idempotency_key": page.idempotency_key, "sent_at": now.isoformat()},
            ensure_ascii=False,
        ).encode()
        answer = await request(
            self._session,
            "POST",
            page.address,
            body=body,
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": page.idempotency_key,
                "X-Responder-Signature": signature(self._key, timestamp=int(now.timestamp()), body=body),
            },
            timeout=LIMIT,
            what=f"the webhook of {page.person}",
        )
        if answer.status >= 500 or answer.status in {408, 425, 429}:
            raise SourceUnavailable(f"the webhook of {page.person} answers {answer.status}")
        if not 200 <= answer.status < 300:
            raise SourceRefused(f"the webhook of {page.person} answers {answer.status}")

"""`responder serve`."""

from __future__ import annotations

import uvicorn

from responder.config import Settings
from responder.integrations.system_clock import SystemClock
from responder.web.app import create_app

# An open page holds a stream: a stop must not wait for it.
STOP_SECONDS = 2


def serve(settings: Settings) -> None:
    """Serves until stopped."""
    uvicorn.run(
        create_app(settings, SystemClock()),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        # The address of whoever asks is not used for anything, so no proxy is believed.
        proxy_headers=False,
    )

"""The responder's door for security events: signed anew at every try, taken for told only at a 2xx."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import timedelta

import aiohttp

from chatbot.errors import ResponderUnavailable

HEADER = "X-Bitb-Signature"
TIMEOUT = timedelta(seconds=5)
_SHOWN = 200


def signature(key: bytes, *, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 over `timestamp.body`, written t=<unix seconds>,v1=<hex>."""
    mac = hmac.new(key, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mac}"


class SecurityHook:
    """Where security events go. The key is never shown by `repr`."""

    def __init__(self, session: aiohttp.ClientSession, *, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._key = key.encode()

    async def tell(self, body: bytes, *, timestamp: int) -> None:
        """Sends it once. Raises ResponderUnavailable unless the answer is a 2xx."""
        headers = {
            "Content-Type": "application/json",
            HEADER: signature(self._key, timestamp=timestamp, body=body),
        }
        try:
            async with (
                asyncio.timeout(TIMEOUT.total_seconds()),
                self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                if not 200 <= response.status < 300:
                    said = (await response.content.read(_SHOWN)).decode(errors="replace")
                    raise ResponderUnavailable(f"The responder answered {response.status}: {said}")
        except TimeoutError as error:
            raise ResponderUnavailable(
                f"The responder did not answer within {TIMEOUT.total_seconds():g} s."
            ) from error
        except aiohttp.ClientError as error:
            raise ResponderUnavailable(f"The responder cannot be reached: {error}") from error

"""Origins of pages: scheme, host and port, compared exactly."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from chatbot.errors import BadRequest

LONGEST_ORIGIN = 300
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_origin(text: str) -> str:
    """The origin as a browser sends it: lower case, no default port, no path.

    Raises BadRequest for a path, a wildcard, a user, or anything that no browser would send.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
        # A browser sends the ASCII form of a name in another script.
        host = (parts.hostname or "").encode("idna").decode() if "[" not in text else f"[{parts.hostname}]"
    except ValueError as error:  # UnicodeError is one
        raise _refusal(text) from error
    extra = parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc
    named = _HOST.fullmatch(host) and len(text) <= LONGEST_ORIGIN
    if parts.scheme not in _DEFAULT_PORTS or extra or not named:
        raise _refusal(text)
    return f"{parts.scheme}://{host}" + (
        f":{port}" if port not in {None, _DEFAULT_PORTS[parts.scheme]} else ""
    )


def _refusal(text: str) -> BadRequest:
    return BadRequest(
        f"'{text[:80]}' is not an origin: a scheme, a host and perhaps a port, without path or wildcard.",
        remedy="Give each page's origin in full, such as https://www.example.com or http://localhost:3000.",
    )

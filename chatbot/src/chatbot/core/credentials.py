"""Secrets that are handed out once and kept as a hash; passwords and addresses that may be chosen."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from chatbot.core.tenancy import TenantId
from chatbot.errors import BadRequest

ACCESS_LASTS = timedelta(minutes=15)
SESSION_LASTS = timedelta(days=7)
WIDGET_SESSION_LASTS = timedelta(minutes=30)
INVITATION_LASTS = timedelta(days=3)

TICKET_BYTES = 32
WIDGET_KEY_BYTES = 24
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256
_LEAST_DIFFERENT = 5
LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^\s@<>,;:\"()\\]{1,64}@[^\s@<>,;:\"()\\]+\.[^\s@<>,;:\"()\\]+")
_TICKET = re.compile(r"(inv|ref)_([0-9a-f]{32})_([0-9a-f]{32})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An invitation or a refresh token. Its text names the tenant and the row; only the secret part is a secret."""

    kind: str
    tenant_id: TenantId
    row_id: UUID
    secret: bytes

    def __repr__(self) -> str:
        return f"Ticket(kind={self.kind!r}, tenant_id={self.tenant_id!r}, row_id={self.row_id!r}, ...)"

    @property
    def text(self) -> str:
        """What the person is given."""
        return f"{self.kind}_{self.tenant_id.hex}_{self.row_id.hex}_{self.secret.hex()}"

    @property
    def hash(self) -> bytes:
        """What is stored."""
        return hashlib.sha256(self.secret).digest()


def read_ticket(text: str, *, kind: str) -> Ticket | None:
    """The ticket that the text is, None when it is none of this kind."""
    found = _TICKET.fullmatch(text)
    if found is None or found[1] != kind:
        return None
    return Ticket(
        kind=kind, tenant_id=TenantId(UUID(found[2])), row_id=UUID(found[3]), secret=bytes.fromhex(found[4])
    )


def same_secret(given: bytes, kept: bytes) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given, kept)


def widget_key(random_bytes: bytes) -> str:
    """A publishable key: it stands in pages for everyone to read, and opens nothing but its origins."""
    return f"pk_{random_bytes.hex()}"


def check_email(text: str) -> str:
    """The address in the form in which it is kept: NFC, lower case. Raises BadRequest."""
    email = unicodedata.normalize("NFC", text.strip()).lower()
    if len(email) > LONGEST_EMAIL or not _EMAIL.fullmatch(email):
        raise BadRequest(
            f"'{text[:80]}' is not an e-mail address.", remedy="Give one such as alice@example.com."
        )
    return email


def check_password(password: str, *, email: str, tenant_name: str) -> str:
    """The password itself. Raises BadRequest when it is short, long, monotonous, or holds a name that others know.

    Length and what it must not hold, no rules of composition: OWASP ASVS 5.0, 6.2.
    """
    fault = None
    known = {email.partition("@")[0].lower(), tenant_name}
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        fault = f"has {len(password)} characters, it needs {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
    elif len(set(password)) < _LEAST_DIFFERENT:
        fault = f"has fewer than {_LEAST_DIFFERENT} different characters"
    elif any(len(name) >= 4 and name in password.lower() for name in known):
        fault = "holds the name of the tenant or of the address"
    if fault:
        raise BadRequest(f"The password {fault}.", remedy="Choose another: several unrelated words are good.")
    return password

"""Pages by e-mail: SMTP, the key as Message-ID, so that a repeat is folded by whoever honours it."""

from __future__ import annotations

import asyncio
import smtplib
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

from responder.core.page import Page, page_text
from responder.errors import ConfigError, SourceRefused, SourceUnavailable

LIMIT_SECONDS = 8.0


class EmailPager:
    """`url` is smtp://[user:password@]host[:port] or smtps://…; smtp upgrades to TLS where the server offers it."""

    def __init__(self, url: str, *, sender: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ConfigError(
                f"RESPONDER_SMTP_URL begins '{url[:12]}'; give smtp://host:port or smtps://host:port."
            )
        self._server = parts
        self._sender = sender

    async def send(self, page: Page) -> None:
        """Returns when the server has taken the mail. Raises SourceUnavailable on 4yz, SourceRefused on 5yz."""
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = page.address
        message["Subject"] = (
            f"[{page.body['severity']}] {page.body['incident']} {page.body['title']}".replace("\n", " ")
        )
        domain = self._sender.rpartition("@")[2] or "localhost"
        message["Message-ID"] = f"<{page.idempotency_key}@{domain}>"
        message["Idempotency-Key"] = page.idempotency_key
        message.set_content(page_text(page.body))
        try:
            await asyncio.to_thread(_send, self._server, message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            kind = SourceRefused if all(code >= 500 for code in codes) else SourceUnavailable
            raise kind(f"the mail server does not take {page.address}: {codes}") from error
        except smtplib.SMTPResponseException as error:
            kind = SourceRefused if error.smtp_code >= 500 else SourceUnavailable
            raise kind(f"the mail server answers {error.smtp_code}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise SourceUnavailable(f"the mail server cannot be reached: {type(error).__name__}") from error


def _send(server: SplitResult, message: EmailMessage) -> None:
    secure = server.scheme == "smtps"
    connect = smtplib.SMTP_SSL if secure else smtplib.SMTP
    with connect(
        server.hostname or "", server.port or (465 if secure else 25), timeout=LIMIT_SECONDS
    ) as client:
        client.ehlo()
        if not secure and client.has_extn("starttls"):
            client.starttls()
            client.ehlo()
        if server.username:
            client.login(unquote(server.username), unquote(server.password or ""))
        client.send_message(message)

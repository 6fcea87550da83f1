"""The only reader of the environment: one frozen Settings, and a refusal that names every fault at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from responder.config.policies import load_policies
from responder.core.policies import Policies
from responder.errors import ConfigError

SECRET_LENGTH = 32
TOKEN_LENGTH = 16
# One, and while it is changed the next.
HOOK_KEYS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that comes from outside the code. Secrets are never shown by `repr`."""

    database_url: str
    host: str
    port: int
    worker_metrics_port: int
    public_url: str
    secret_key: str
    alertmanager_token: str
    hook_keys: tuple[bytes, ...]
    prometheus_url: str
    target_read_url: str | None
    target_write_url: str | None
    smtp_url: str | None
    mail_from: str
    runbooks: tuple[Path, ...]
    status_dir: Path
    postmortem_dir: Path
    log_level: str
    policies: Policies

    def __repr__(self) -> str:
        return f"Settings(host={self.host!r}, port={self.port}, public_url={self.public_url!r}, ...)"


def database_url(environ: Mapping[str, str] = os.environ) -> str:
    """The address of the responder's own database. Raises ConfigError."""
    url = environ.get("RESPONDER_DATABASE_URL") or environ.get("DATABASE_URL")
    if not url:
        raise ConfigError(
            "RESPONDER_DATABASE_URL is not set. Give the responder's own database, for example"
            " postgresql://responder:password@127.0.0.1:5432/responder."
        )
    return url


def colour_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a terminal may be painted: not with NO_COLOR, and not where it cannot."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads and checks the whole environment. Raises ConfigError with every fault found."""
    reader = _Reader(environ)
    runbooks = tuple(Path(part) for part in reader.text("RESPONDER_RUNBOOKS").split(os.pathsep) if part)
    policies_dir = Path(reader.text("RESPONDER_POLICIES", default="policies"))
    port = reader.port("RESPONDER_PORT", default=8802)
    values = {
        "host": reader.text("RESPONDER_HOST", default="127.0.0.1"),
        "port": port,
        "worker_metrics_port": reader.port("RESPONDER_WORKER_METRICS_PORT", default=8815),
        "public_url": reader.url("RESPONDER_PUBLIC_URL", default=f"http://127.0.0.1:{port}").rstrip("/"),
        "secret_key": reader.secret("RESPONDER_SECRET_KEY", least=SECRET_LENGTH),
        "alertmanager_token": reader.secret("RESPONDER_ALERTMANAGER_TOKEN", least=TOKEN_LENGTH),
        "hook_keys": reader.keys("RESPONDER_HOOK_KEYS", least=SECRET_LENGTH, most=HOOK_KEYS),
        "prometheus_url": reader.url("PROMETHEUS_URL", default="http://127.0.0.1:9090").rstrip("/"),
        "target_read_url": environ.get("RESPONDER_TARGET_READ_URL") or None,
        "target_write_url": environ.get("RESPONDER_TARGET_WRITE_URL") or None,
        "smtp_url": environ.get("RESPONDER_SMTP_URL") or None,
        "mail_from": reader.text("RESPONDER_MAIL_FROM", default="responder@localhost"),
        "status_dir": Path(reader.text("RESPONDER_STATUS_DIR", default="status")),
        "postmortem_dir": Path(reader.text("RESPONDER_POSTMORTEM_DIR", default="postmortems")),
        "log_level": reader.level("RESPONDER_LOG_LEVEL", default="INFO"),
    }
    try:
        url = database_url(environ)
    except ConfigError as error:
        reader.faults.append(str(error))
        url = ""
    if missing := [str(path) for path in runbooks if not path.exists()]:
        reader.faults.append(f"RESPONDER_RUNBOOKS names what is not there: {', '.join(missing)}.")
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    policies = load_policies(policies_dir, environ)
    return Settings(database_url=url, runbooks=runbooks, policies=policies, **values)  # pyright: ignore[reportArgumentType]


class _Reader:
    """Reads variables and collects what is wrong, so that a person mends the environment once, not line by line."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def text(self, name: str, *, default: str | None = None) -> str:
        found = self._environ.get(name) or default
        if found is None:
            self.faults.append(f"{name} is not set.")
            return ""
        return found

    def port(self, name: str, *, default: int) -> int:
        raw = self._environ.get(name) or str(default)
        if not raw.isdecimal() or not 0 < int(raw) < 65536:
            self.faults.append(f"{name} is '{raw}'; a port is a number from 1 to 65535.")
            return default
        return int(raw)

    def url(self, name: str, *, default: str) -> str:
        raw = self._environ.get(name) or default
        parts = urlsplit(raw)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            self.faults.append(f"{name} is '{raw}'; give an address such as {default}.")
        return raw

    def secret(self, name: str, *, least: int) -> str:
        raw = self._environ.get(name, "")
        if len(raw) < least:
            self.faults.append(
                f"{name} has {len(raw)} characters, at least {least} are needed. Make one with:"
                " python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return raw

    def keys(self, name: str, *, least: int, most: int) -> tuple[bytes, ...]:
        """Secrets apart by commas; none when the variable is not set."""
        found = [key.strip() for key in self._environ.get(name, "").split(",") if key.strip()]
        if len(found) > most:
            self.faults.append(f"{name} has {len(found)} keys, at most {most} can be active at a time.")
        if short := [len(key) for key in found if len(key) < least]:
            self.faults.append(f"{name} has a key of {short[0]} characters, at least {least} are needed.")
        return tuple(key.encode() for key in found)

    def level(self, name: str, *, default: str) -> str:
        raw = (self._environ.get(name) or default).upper()
        if raw not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            self.faults.append(f"{name} is '{raw}'; it can be DEBUG, INFO, WARNING or ERROR.")
            return default
        return raw

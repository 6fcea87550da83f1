"""The only reader of the environment: one frozen Settings, and a refusal that names every fault at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from chatbot.core.client_address import Network, TrustedProxies
from chatbot.core.limits import Limits, parse_limits
from chatbot.errors import ConfigError

TOKEN_LENGTH = 16
KEY_LENGTH = 32
GROQ_URL = "https://api.groq.com/openai/v1"
OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Where a provider is and which model is asked. Its key is never shown by `repr`."""

    name: str
    base_url: str
    api_key: str
    model: str

    def __repr__(self) -> str:
        return f"ProviderSettings(name={self.name!r}, base_url={self.base_url!r}, model={self.model!r}, ...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where security events go, and what signs them. The key is never shown by `repr`."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"WebhookSettings(url={self.url!r}, ...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSettings:
    """A service that makes embeddings in place of the model here. Its key is never shown by `repr`."""

    base_url: str
    api_key: str
    model: str

    def __repr__(self) -> str:
        return f"EmbeddingSettings(base_url={self.base_url!r}, model={self.model!r}, ...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that comes from outside the code. Secrets are never shown by `repr`."""

    database_url: str
    redis_url: str
    host: str
    port: int
    worker_metrics_port: int
    admin_token: str
    signing_keys: tuple[str, ...]
    log_dir: Path | None
    log_level: str
    flags_file: Path | None
    pool_size: int
    top_k: int
    max_tokens: int
    drain_seconds: int
    cache_seconds: int
    traces_url: str | None
    rerank_url: str | None
    security_webhook: WebhookSettings | None
    providers: tuple[ProviderSettings, ...]
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)
    allowed_hosts: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=lambda: parse_limits(""))
    answers_at_once: int = 256
    answers_waiting: int = 256
    answers_wait_seconds: int = 10
    embeddings: EmbeddingSettings | None = None
    fetch_allowed: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Settings(host={self.host!r}, port={self.port}, providers={self.providers!r}, ...)"


def database_url(environ: Mapping[str, str] = os.environ) -> str:
    """The address by which the product connects: as a role that row-level security binds. Raises ConfigError."""
    url = environ.get("CHATBOT_DATABASE_URL") or environ.get("DATABASE_URL")
    if not url:
        raise ConfigError(
            "CHATBOT_DATABASE_URL is not set. Give the serving role's address, for example"
            " postgresql://chatbot:password@127.0.0.1:5432/chatbot."
        )
    return url


def migration_url(environ: Mapping[str, str] = os.environ) -> str:
    """The address by which `chatbot migrate` connects: as a role that may make roles and tables. Raises ConfigError."""
    url = environ.get("CHATBOT_MIGRATION_DATABASE_URL")
    if not url:
        raise ConfigError(
            "CHATBOT_MIGRATION_DATABASE_URL is not set. Give the address of a role that may create roles, for example"
            " postgresql://postgres:password@127.0.0.1:5432/chatbot. Only 'chatbot migrate' uses it."
        )
    return url


def redis_url(environ: Mapping[str, str] = os.environ) -> str:
    """The address of Redis. Raises ConfigError."""
    reader = _Reader(environ)
    url = reader.redis()
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    return url


def public_url(environ: Mapping[str, str] = os.environ) -> str:
    """The address that people reach, without a slash at its end: it stands in links that are sent to them."""
    host, port = environ.get("CHATBOT_HOST") or "127.0.0.1", environ.get("CHATBOT_PORT") or "8801"
    return (environ.get("CHATBOT_PUBLIC_URL") or f"http://{host}:{port}").rstrip("/")


def log_settings(environ: Mapping[str, str] = os.environ) -> tuple[str, Path | None]:
    """The least level that is logged, and the folder of the log files. Raises ConfigError."""
    reader = _Reader(environ)
    level, folder = reader.level("CHATBOT_LOG_LEVEL", default="INFO"), reader.path("CHATBOT_LOG_DIR")
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    return level, folder


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads and checks the whole environment. Raises ConfigError with every fault found."""
    reader = _Reader(environ)
    try:
        database = database_url(environ)
    except ConfigError as error:
        reader.faults.append(str(error))
        database = ""
    log_dir = reader.path("CHATBOT_LOG_DIR")
    settings = Settings(
        database_url=database,
        redis_url=reader.redis(),
        host=environ.get("CHATBOT_HOST") or "127.0.0.1",
        port=reader.number("CHATBOT_PORT", default=8801, most=65535),
        worker_metrics_port=reader.number("CHATBOT_WORKER_METRICS_PORT", default=8814, most=65535),
        admin_token=reader.secret("CHATBOT_ADMIN_TOKEN", least=TOKEN_LENGTH),
        signing_keys=reader.secrets("CHATBOT_SIGNING_KEYS", least=KEY_LENGTH),
        log_dir=log_dir,
        log_level=reader.level("CHATBOT_LOG_LEVEL", default="INFO"),
        flags_file=reader.path("CHATBOT_FLAGS_FILE") or (log_dir / "flags.json" if log_dir else None),
        pool_size=reader.number("CHATBOT_POOL_SIZE", default=10, most=500),
        top_k=reader.number("CHATBOT_TOP_K", default=6, most=50),
        max_tokens=reader.number("CHATBOT_MAX_TOKENS", default=800, most=32_000),
        traces_url=reader.url("OTEL_EXPORTER_OTLP_ENDPOINT", default=None),
        cache_seconds=reader.number("CHATBOT_CACHE_SECONDS", default=3600, most=86_400, least=0),
        drain_seconds=reader.number("CHATBOT_DRAIN_SECONDS", default=30, most=3600),
        rerank_url=reader.url("CHATBOT_RERANK_URL", default=None),
        security_webhook=_security_webhook(reader, environ),
        providers=_providers(reader, environ),
        trusted_proxies=TrustedProxies(reader.networks("CHATBOT_TRUSTED_PROXIES")),
        allowed_hosts=frozenset(
            (environ.get("CHATBOT_ALLOWED_HOSTS") or "").lower().replace(",", " ").split()
        ),
        limits=reader.limits("CHATBOT_LIMITS"),
        answers_at_once=reader.number("CHATBOT_ANSWERS_AT_ONCE", default=256, most=100_000),
        answers_waiting=reader.number("CHATBOT_ANSWERS_WAITING", default=256, most=100_000),
        answers_wait_seconds=reader.number("CHATBOT_ANSWERS_WAIT_SECONDS", default=10, most=300),
        embeddings=_embeddings(reader, environ),
        fetch_allowed=reader.hosts("CHATBOT_FETCH_ALLOW"),
    )
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    return settings


def _security_webhook(reader: _Reader, environ: Mapping[str, str]) -> WebhookSettings | None:
    """Both of its variables, or neither."""
    url = reader.url("CHATBOT_SECURITY_WEBHOOK_URL", default=None)
    if url is None:
        if environ.get("CHATBOT_SECURITY_WEBHOOK_KEY"):
            reader.faults.append(
                "CHATBOT_SECURITY_WEBHOOK_KEY is set without CHATBOT_SECURITY_WEBHOOK_URL: give the responder's"
                " address, for example http://127.0.0.1:8802/hooks/security."
            )
        return None
    return WebhookSettings(url=url, key=reader.secret("CHATBOT_SECURITY_WEBHOOK_KEY", least=KEY_LENGTH))


def _providers(reader: _Reader, environ: Mapping[str, str]) -> tuple[ProviderSettings, ...]:
    """Groq first, OpenAI as the fallback; each only where it has a key."""
    groq = ProviderSettings(
        name="groq",
        base_url=reader.url("GROQ_BASE_URL", default=GROQ_URL) or GROQ_URL,
        api_key=environ.get("GROQ_API_KEY", ""),
        model=environ.get("CHATBOT_MODEL") or "llama-3.1-8b-instant",
    )
    openai = ProviderSettings(
        name="openai",
        base_url=reader.url("OPENAI_BASE_URL", default=OPENAI_URL) or OPENAI_URL,
        api_key=environ.get("OPENAI_API_KEY", ""),
        model=environ.get("CHATBOT_FALLBACK_MODEL") or "gpt-4o-mini",
    )
    return tuple(provider for provider in (groq, openai) if provider.api_key)


def _embeddings(reader: _Reader, environ: Mapping[str, str]) -> EmbeddingSettings | None:
    """Only where an address is given; the model has no default, since vectors of two models do not compare."""
    url = reader.url("CHATBOT_EMBEDDINGS_URL", default=None)
    model = environ.get("CHATBOT_EMBEDDINGS_MODEL", "")
    if url is None:
        return None
    if not model:
        reader.faults.append(
            "CHATBOT_EMBEDDINGS_URL is set and CHATBOT_EMBEDDINGS_MODEL is not: name the model."
        )
    return EmbeddingSettings(base_url=url, api_key=environ.get("CHATBOT_EMBEDDINGS_KEY", ""), model=model)


class _Reader:
    """Reads variables and collects what is wrong, so that a person mends the environment once, not line by line."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def number(self, name: str, *, default: int, most: int, least: int = 1) -> int:
        raw = self._environ.get(name) or str(default)
        if not (raw.isascii() and raw.isdecimal()) or not least <= int(raw) <= most:
            self.faults.append(f"{name} is '{raw}'; it must be a number from {least} to {most}.")
            return default
        return int(raw)

    def url(self, name: str, *, default: str | None) -> str | None:
        raw = self._environ.get(name) or default
        if raw is None:
            return None
        parts = urlsplit(raw)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            self.faults.append(f"{name} is '{raw}'; give an address such as {default or GROQ_URL}.")
        return raw

    def hosts(self, name: str) -> frozenset[str]:
        """HOST:PORT, apart by commas."""
        found = [each.strip() for each in self._environ.get(name, "").split(",") if each.strip()]
        for each in found:
            host, _, port = each.rpartition(":")
            if not (host and port.isascii() and port.isdecimal()):
                self.faults.append(f"{name} holds '{each}'; give HOST:PORT, apart by commas.")
        return frozenset(found)

    def redis(self) -> str:
        raw = self._environ.get("CHATBOT_REDIS_URL") or self._environ.get("REDIS_URL") or ""
        if urlsplit(raw).scheme not in {"redis", "rediss", "unix"}:
            # The address may hold a password: it is not repeated here.
            self.faults.append("CHATBOT_REDIS_URL is not set to an address such as redis://127.0.0.1:6379/0.")
        return raw

    def secret(self, name: str, *, least: int) -> str:
        raw = self._environ.get(name, "")
        if len(raw) < least:
            self.faults.append(
                f"{name} has {len(raw)} characters, at least {least} are needed. Make one with:"
                " python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return raw

    def secrets(self, name: str, *, least: int) -> tuple[str, ...]:
        """Secrets apart by commas, the first one in use; a fault unless each is long enough."""
        found = tuple(part.strip() for part in self._environ.get(name, "").split(",") if part.strip())
        if not found or any(len(part) < least for part in found):
            lengths = " and ".join(str(len(part)) for part in found) or "0"
            self.faults.append(
                f"{name} has {lengths} characters, at least {least} are needed of each key. Make one with:"
                " python3 -c 'import secrets; print(secrets.token_urlsafe(32))'. To rotate, put the new one before"
                " the old one, with a comma between."
            )
        return found

    def path(self, name: str) -> Path | None:
        raw = self._environ.get(name)
        return Path(raw) if raw else None

    def networks(self, name: str) -> tuple[Network, ...]:
        found: list[Network] = []
        for raw in (self._environ.get(name) or "").replace(",", " ").split():
            try:
                found.append(ip_network(raw))
            except ValueError:
                self.faults.append(
                    f"{name} names '{raw}'; give networks such as 10.0.0.0/8 or 192.0.2.7, apart by commas."
                )
        return tuple(found)

    def limits(self, name: str) -> Limits:
        try:
            return parse_limits(self._environ.get(name) or "")
        except ConfigError as error:
            self.faults.append(str(error))
            return {}

    def level(self, name: str, *, default: str) -> str:
        raw = (self._environ.get(name) or default).upper()
        if raw not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            self.faults.append(f"{name} is '{raw}'; it can be DEBUG, INFO, WARNING or ERROR.")
            return default
        return raw

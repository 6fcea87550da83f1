"""The only reader of the environment: one frozen Settings, and a refusal that names every fault at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chatbot.core.provider import Provider
from chatbot.errors import ConfigError

TOKEN_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that comes from outside the code. Secrets are not shown by `repr`."""

    database_url: str
    redis_url: str
    host: str
    port: int
    worker_metrics_port: int
    admin_token: str
    log_dir: Path | None
    providers: tuple[Provider, ...]
    rerank_url: str | None
    flags_file: Path | None

    def __repr__(self) -> str:
        return f"Settings(host={self.host!r}, port={self.port}, ...)"


def migration_urls(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Of a role that may make roles, and of the application's own role. Raises ConfigError."""
    url = _database_url(environ)
    return environ.get("CHATBOT_MIGRATION_DATABASE_URL") or url, url


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads and checks the whole environment. Raises ConfigError with every fault found."""
    faults: list[str] = []
    token = environ.get("CHATBOT_ADMIN_TOKEN", "")
    if len(token) < TOKEN_LENGTH:
        faults.append(f"CHATBOT_ADMIN_TOKEN has {len(token)} characters; at least {TOKEN_LENGTH} are needed.")
    redis_url = environ.get("CHATBOT_REDIS_URL") or environ.get("REDIS_URL") or ""
    if not redis_url.startswith(("redis://", "rediss://", "unix://")):
        faults.append(
            "CHATBOT_REDIS_URL is not set. Give an address such as redis://:password@127.0.0.1:6379/0."
        )
    ports = {name: _port(environ, name, default, faults) for name, default in _PORTS.items()}
    try:
        url = _database_url(environ)
    except ConfigError as error:
        faults.append(str(error))
        url = ""
    if faults:
        raise ConfigError("\n".join(faults))
    log_dir = environ.get("CHATBOT_LOG_DIR")
    flags_file = environ.get("CHATBOT_FLAGS_FILE")
    return Settings(
        database_url=url,
        redis_url=redis_url,
        host=environ.get("CHATBOT_HOST") or "127.0.0.1",
        port=ports["CHATBOT_PORT"],
        worker_metrics_port=ports["CHATBOT_WORKER_METRICS_PORT"],
        admin_token=token,
        log_dir=Path(log_dir) if log_dir else None,
        providers=_providers(environ),
        rerank_url=environ.get("CHATBOT_RERANK_URL") or None,
        flags_file=Path(flags_file) if flags_file else None,
    )


_PORTS = {"CHATBOT_PORT": 8801, "CHATBOT_WORKER_METRICS_PORT": 8814}


def _database_url(environ: Mapping[str, str]) -> str:
    url = environ.get("CHATBOT_DATABASE_URL") or environ.get("DATABASE_URL")
    if not url:
        raise ConfigError(
            "CHATBOT_DATABASE_URL is not set. Give the application's own role, for example"
            " postgresql://chatbot_app:password@127.0.0.1:5432/chatbot."
        )
    return url


def _port(environ: Mapping[str, str], name: str, default: int, faults: list[str]) -> int:
    raw = environ.get(name) or str(default)
    if not raw.isdecimal() or not 0 < int(raw) < 65536:
        faults.append(f"{name} is '{raw}'; a port is a number from 1 to 65535.")
        return default
    return int(raw)


def _providers(environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """Groq first, OpenAI as the fallback. One without a key is left out: then the extractive answerer serves."""
    candidates = (
        Provider(
            name="groq",
            base_url=(environ.get("GROQ_BASE_URL") or "https://api.groq.com/openai/v1").rstrip("/"),
            api_key=environ.get("GROQ_API_KEY"),
            model=environ.get("CHATBOT_GROQ_MODEL") or "llama-3.3-70b-versatile",
        ),
        Provider(
            name="openai",
            base_url=(environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1").rstrip("/"),
            api_key=environ.get("OPENAI_API_KEY"),
            model=environ.get("CHATBOT_OPENAI_MODEL") or "gpt-4o-mini",
        ),
    )
    return tuple(provider for provider in candidates if provider.api_key)

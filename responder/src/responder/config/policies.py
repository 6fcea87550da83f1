"""Reads policies/*.toml, as strictly as a runbook: an unknown key is a fault, since a misspelt guard guards nothing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from responder.core.ask import Ask
from responder.core.binding import Binding, Bindings
from responder.core.effect import Role
from responder.core.escalation import EscalationPolicy, EscalationStep
from responder.core.incident import Severity
from responder.core.policies import HttpPolicy, Policies, RemediationPolicy
from responder.core.schedule import OnCall, Person
from responder.core.security_event import EventPolicy
from responder.core.status_page import DEFAULT_TEMPLATES, Component, StatusPage
from responder.errors import ConfigError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
CHANNELS = frozenset({"webhook", "email"})


def load_policies(directory: Path, environ: Mapping[str, str]) -> Policies:
    """Every policy of the folder. Raises ConfigError that names the file, the key, the value and what it may be."""
    if not directory.is_dir():
        raise ConfigError(f"RESPONDER_POLICIES is '{directory}', which is not a folder.")
    on_call = _people(_read(directory / "people.toml"))
    bindings = _read(directory / "bindings.toml")
    remediation = _read(directory / "remediation.toml")
    return Policies(
        on_call=on_call,
        escalation=_escalation(_read(directory / "escalation.toml"), on_call),
        bindings=_bindings(bindings, environ),
        http=_http(bindings.table("http")),
        logs={entry.text("path"): entry.text("file") for entry in bindings.tables("logs")},
        status_page=_status_page(_read(directory / "status_page.toml")),
        remediation=_remediation(remediation),
        restricted_alerts=frozenset(remediation.texts("restricted_alerts", default=[])),
        latched_alerts=frozenset(remediation.texts("latched_alerts", default=[])),
        security_events=_security_events(directory / "security_events.toml"),
        headings=_headings(directory / "headings.toml"),
    )


class _Table:
    """A TOML table that remembers where it stands, and refuses keys that nobody asked for."""

    def __init__(self, where: str, body: Mapping[str, Any]) -> None:
        self.where = where
        self.body = body

    def fault(self, key: str, want: str) -> ConfigError:
        have = repr(self.body[key])[:60] if key in self.body else "missing"
        return ConfigError(f"{self.where}: '{key}' is {have}; it must be {want}.")

    def only(self, *keys: str) -> _Table:
        for key in self.body:
            if key not in keys:
                raise ConfigError(f"{self.where}: '{key}' is not known here. Known: {', '.join(keys)}.")
        return self

    def _get(self, key: str, kind: type, want: str, default: Any) -> Any:
        found = self.body.get(key, default)
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise self.fault(key, want)
        return found

    def text(self, key: str, *, default: str | None = None) -> str:
        return self._get(key, str, "text", default)

    def maybe_text(self, key: str) -> str | None:
        return self.text(key) if key in self.body else None

    def flag(self, key: str, *, default: bool) -> bool:
        return self._get(key, bool, "true or false", default)

    def number(self, key: str, *, default: int) -> int:
        found = self._get(key, int, "a whole number of 0 or more", default)
        if found < 0:
            raise self.fault(key, "a whole number of 0 or more")
        return found

    def duration(self, key: str, *, default: str | None = None) -> timedelta:
        raw = self._get(key, str, 'a duration such as "90s", "5m" or "48h"', default)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", raw.strip())
        if found is None:
            raise self.fault(key, 'a duration such as "90s", "5m" or "48h"')
        return timedelta(seconds=float(found[1]) * _UNITS[found[2]])

    def texts(self, key: str, *, default: list[str] | None = None) -> list[str]:
        found = self._get(key, list, "a list of texts", default)
        if not all(isinstance(item, str) for item in found):
            raise self.fault(key, "a list of texts")
        return found

    def table(self, key: str) -> _Table:
        return _Table(f"{self.where} [{key}]", self._get(key, dict, "a table", {}))

    def tables(self, key: str) -> list[_Table]:
        found = self._get(key, list, f"a list of tables, written [[{key}]]", [])
        if not all(isinstance(item, dict) for item in found):
            raise self.fault(key, f"a list of tables, written [[{key}]]")
        return [_Table(f"{self.where} [[{key}]] {n}", item) for n, item in enumerate(found, start=1)]

    def named(self, key: str) -> dict[str, _Table]:
        return {name: self.table(key).table(name) for name in self.table(key).body}


def _read(path: Path) -> _Table:
    try:
        return _Table(str(path), tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} is missing; the policies of the repository are a working example."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


# The roles that a heading may give. The others are the program's own.
_HEADINGS = (
    Role.MEANING, Role.IMPACT, Role.SYMPTOMS, Role.DIAGNOSIS, Role.REMEDIATION, Role.PREVENTION, Role.ESCALATION,
    Role.PROCESS, Role.CONTACTS, Role.TEMPLATES, Role.RESOURCES,
)  # fmt: skip


def _headings(path: Path) -> dict[Role, tuple[str, ...]]:
    """A team's own headings; the file may be missing, since the built-in ones go a long way."""
    if not path.exists():
        return {}
    table = _read(path).only("headings").table("headings").only(*_HEADINGS)
    return {role: tuple(table.texts(role)) for role in _HEADINGS if role in table.body}


def _security_events(path: Path) -> dict[str, EventPolicy]:
    """What signed events become; without the file none is taken."""
    if not path.exists():
        return {}
    return {
        name: EventPolicy(
            alert=table.only("alert", "service", "severity").text("alert"),
            service=table.text("service"),
            severity=_severity(table),
        )
        for name, table in _read(path).only("events").named("events").items()
    }


def _severity(table: _Table) -> Severity:
    if table.text("severity") not in set(Severity):
        raise table.fault("severity", f"one of {', '.join(Severity)}")
    return Severity(table.text("severity"))


def _people(file: _Table) -> OnCall:
    file.only("people", "on_call")
    people = {
        name.lower(): Person(
            name=name.lower(),
            email=table.only("email", "webhook").maybe_text("email"),
            webhook=table.maybe_text("webhook"),
        )
        for name, table in file.named("people").items()
    }
    on_call = file.table("on_call")
    roles = {role.lower(): on_call.text(role).lower() for role in on_call.body}
    for role, name in roles.items():
        if name not in people:
            raise on_call.fault(role, f"one of the people above: {', '.join(people)}")
    return OnCall(people=people, roles=roles)


def _escalation(file: _Table, on_call: OnCall) -> tuple[EscalationPolicy, ...]:
    policies = tuple(_policy(table, on_call) for table in file.only("policy").tables("policy"))
    for_all = [policy for policy in policies if not policy.restricted]
    if uncovered := set(Severity) - {s for policy in for_all for s in policy.severities}:
        names = ", ".join(sorted(uncovered))
        raise ConfigError(f"{file.where}: no policy covers {names}; an incident of it would page nobody.")
    return policies


def _policy(table: _Table, on_call: OnCall) -> EscalationPolicy:
    table.only("name", "severities", "restricted", "wait_for_evidence", "repeat", "repeat_after", "step")
    steps = tuple(_step(step, on_call) for step in table.tables("step"))
    if not steps:
        raise table.fault("step", "at least one [[policy.step]]")
    if [step.after for step in steps] != sorted({step.after for step in steps}):
        raise ConfigError(f"{table.where}: each step's 'after' must be later than the one before.")
    severities = table.texts("severities")
    if not severities or not set(severities) <= set(Severity):
        raise table.fault("severities", f"a list out of {', '.join(Severity)}")
    return EscalationPolicy(
        name=table.text("name"),
        severities=frozenset(map(Severity, severities)),
        restricted=table.flag("restricted", default=False),
        wait_for_evidence=table.duration("wait_for_evidence", default="3s"),
        steps=steps,
        repeat=table.number("repeat", default=0),
        repeat_after=table.duration("repeat_after", default="10m"),
    )


def _step(table: _Table, on_call: OnCall) -> EscalationStep:
    table.only("after", "notify", "channels")
    notify = table.texts("notify")
    channels = table.texts("channels", default=sorted(CHANNELS))
    known = {*on_call.roles, *on_call.people}
    if not notify or not {name.lower() for name in notify} <= known:
        raise table.fault("notify", f"a list out of {', '.join(sorted(known))}")
    if not channels or not set(channels) <= CHANNELS:
        raise table.fault("channels", f"a list out of {', '.join(sorted(CHANNELS))}")
    for name in notify:
        if not any(on_call.who(name).address(channel) for channel in channels):
            raise ConfigError(
                f"{table.where}: {name} has no address for {', '.join(channels)}; see people.toml."
            )
    return EscalationStep(after=table.duration("after"), notify=tuple(notify), channels=tuple(channels))


def _bindings(file: _Table, environ: Mapping[str, str]) -> Bindings:
    file.only("bindings", "ask", "http", "logs", "hosts")
    found = {name: _binding(name, table, environ) for name, table in file.named("bindings").items()}
    hosts = file.table("hosts")
    asks = {name: _ask(name, table) for name, table in file.named("ask").items()}
    if twice := sorted(asks.keys() & (found.keys() | hosts.body.keys())):
        raise ConfigError(
            f"{file.where} [ask] [{twice[0]}]: '{twice[0]}' has a value in the same file already."
            " A name is bound once: take one of the two away."
        )
    return Bindings(by_name=found, hosts={host: hosts.text(host) for host in hosts.body}, asks=asks)


# Longer ones do not fit beside a field on a phone.
_PROMPT_LIMIT = 120


def _ask(name: str, table: _Table) -> Ask:
    """A question for a person. Without a pattern anything could be answered, so there must be one."""
    table.only("prompt", "pattern")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,59}", name):
        raise ConfigError(
            f"{table.where}: the name must be a word of at most 60 letters, digits and '_', as in {{{{attacker_ip}}}}."
        )
    prompt = table.text("prompt")
    if not prompt.strip() or len(prompt) > _PROMPT_LIMIT or "\n" in prompt:
        raise table.fault("prompt", f"a question of one line and at most {_PROMPT_LIMIT} characters")
    try:
        pattern = re.compile(table.text("pattern"))
    except re.error as error:
        raise table.fault("pattern", f"a regular expression of Python ({error})") from error
    if pattern.fullmatch("") is not None:
        raise table.fault("pattern", "a regular expression that the empty text does not match")
    return Ask(name=name, prompt=prompt.strip(), pattern=pattern)


def _binding(name: str, table: _Table, environ: Mapping[str, str]) -> Binding:
    table.only("value", "env", "secret")
    if ("value" in table.body) == ("env" in table.body):
        raise ConfigError(f"{table.where}: give either 'value' or 'env', the variable that holds it.")
    secret = table.flag("secret", default=False)
    if secret and "value" in table.body:
        raise ConfigError(
            f"{table.where}: a secret is not written into a file; name its variable with 'env'."
        )
    value = table.text("value") if "value" in table.body else environ.get(table.text("env"))
    return Binding(name=name, value=value or None, secret=secret)


def _http(table: _Table) -> HttpPolicy:
    table.only("base_url", "allow")
    return HttpPolicy(
        base_url=table.maybe_text("base_url"),
        allow=frozenset(origin.rstrip("/") for origin in table.texts("allow", default=[])),
    )


def _status_page(file: _Table) -> StatusPage:
    file.only("page", "component")
    page = file.table("page").only("name", "auto_publish")
    components = tuple(
        Component(
            name=table.only("name", "alerts", "description").text("name"),
            alerts=frozenset(table.texts("alerts")),
            description=table.text("description"),
        )
        for table in file.tables("component")
    )
    return StatusPage(
        name=page.text("name"),
        components=components,
        templates=DEFAULT_TEMPLATES,
        auto_publish=page.flag("auto_publish", default=True),
    )


def _remediation(file: _Table) -> RemediationPolicy:
    file.only("methods", "approval_lasts", "settle", "restricted_alerts", "latched_alerts")
    return RemediationPolicy(
        methods=frozenset(file.texts("methods", default=["PUT", "POST", "DELETE"])),
        approval_lasts=file.duration("approval_lasts", default="5m"),
        settle=file.duration("settle", default="2m"),
    )
